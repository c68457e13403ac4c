"""The board as Markdown: an index and one page a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.board import cells, notes
from bench.board.flags import MEANINGS
from bench.board.notes import CAUTION, READING
from bench.board.table import Board, Row, Table
from bench.board.tabular import tabular
from bench.board.text import NORMS, markdown
from bench.grid import white_noise

INDEX_TITLE = "# Leaderboard"
BACK_LINK = "[All data sets](README.md)"
WORDS = (
    *("Model", "Input", "Family", "Type", "Flags", "Verified", "Why", "Tie", "Tie, recipe"),
    *("RFC of each seed", "Left out", "Contrast", "Not shown because"),
)
"""Columns of words, set to the left."""


def page(dataset: str, tables: Sequence[Table], figures: dict[str, list[tuple[str, str]]]) -> str:
    """Return the page of one data set.

    Args:
        dataset: its title.
        tables: its tables (one for each protocol and input size), those that rank first.
        figures: table slug -> (file, caption) in order.
    """
    parts = [f"# {markdown(dataset)}", CAUTION, READING]
    for table in tables:
        parts += _table_parts(table, figures.get(slug(table), []))
    parts += ["## Flags", _flag_list(), BACK_LINK]
    return "\n\n".join(parts) + "\n"


def slug(table: Table) -> str:
    """Return a table's name in file names and links."""
    height, width = table.size
    side = f"{height}px" if height == width else f"{height}x{width}px"
    return f"{table.rules.dataset.name}-{table.rules.protocol.name}-{side}"


def heading(table: Table) -> str:
    """Return a table's title for people."""
    height, width = table.size
    native = table.rules.dataset.native_size
    note = f" (native {native} px)" if native != height else ""
    return f"{table.rules.protocol.name}, {height} x {width} px{note}"


def _table_parts(table: Table, figures: Sequence[tuple[str, str]]) -> list[str]:
    white = white_noise(*table.size)["rfc"]
    parts = [f"## {markdown(heading(table))}", notes.about(table, white)]
    shown = table.ranked if table.ranks else table.passing
    if shown:
        parts += [_rows(cells.ranked if table.ranks else cells.plain, shown, table)]
    else:
        parts += ["No result passes the gates yet."]
    parts += [text] if (text := notes.told(table)) else []
    parts += [*_seeds(table), *_contrasts(table), *_minimum(table)]
    parts += ["### Models", _rows(cells.of_model, table.rows, table)]
    parts += ["### Every attack", _attack_note(table), _rows(cells.of_attacks, table.rows, table)]
    parts += ["### RFC under every attack, with n kept samples", notes.OWN]
    parts += [_rows(cells.of_frequencies, table.rows, table)]
    parts += ["### RFC on the samples that all models keep", notes.common(table)]
    parts += [] if table.common.why else [_rows(cells.of_common, table.passing, table)]
    behind = [row for row in table.rows if row not in shown]
    if behind:
        parts += ["### Not ranked" if table.ranks else "### Behind the protocol's gates"]
        parts += [_rows(cells.unranked, behind, table)]
    for file, caption in figures:
        parts.append(f"![{caption}](figures/{file})\n\n*{caption}*")
    return parts


def _seeds(table: Table) -> list[str]:
    rows = [r for r in table.rows if len(r.seeds.counted) > 1 or len(r.seeds.left_out) > 1]
    return ["### Training seeds", notes.SEEDS, _rows(cells.of_seed, rows, table)] if rows else []


def _contrasts(table: Table) -> list[str]:
    if not table.contrasts:
        return []
    text = _render([cells.of_contrast(found) for found in table.contrasts])
    return ["### Contrasts between recipes", notes.contrasts(table), text]


def _minimum(table: Table) -> list[str]:
    """How near the minimal attacks come to the minimum: by witnesses, or beside the board's own."""
    tested = [r for r in table.rows if any(a.optimality for a in r.model.attacks.values())]
    parts = []
    if tested:
        parts += ["### How near to the minimum", notes.witnesses(table)]
        parts += [_rows(cells.of_witnesses, tested, table)]
    beside = [row for row in table.rows if row.excess]
    if beside:
        parts += ["### Excess over the minimum", notes.EXCESS]
        parts += [_rows(cells.of_excess, beside, table)]
    return parts


def _rows(
    made: Callable[[Row, Table], Mapping[str, str]], rows: Sequence[Row], table: Table
) -> str:
    return _render([made(row, table) for row in rows])


def _render(rows: Sequence[Mapping[str, str]]) -> str:
    return tabular(rows, "github", left=WORDS)


def _attack_note(table: Table) -> str:
    texts = []
    for name, spec in table.rules.attacks.items():
        said = spec.describe()
        budget = "minimal" if spec.minimal else f"budget {said['budget']:.4g}"
        scale = " per input value" if said.get("budget_scale") == "mean" else ""
        texts.append(f"{name}: {NORMS[spec.norm]}, {budget}{scale}")
    return (
        "Success over the n clean-correct samples / median norm over them, an unfooled sample "
        "counting as infinite (norms are sums over the whole image). " + "; ".join(texts) + "."
    )


def _flag_list() -> str:
    return "\n".join(f"- **{markdown(flag)}**: {text}" for flag, text in MEANINGS.items())


def index(board: Board) -> str:
    """Return the index page."""
    parts = [INDEX_TITLE, CAUTION, READING]
    parts += ["The same as one page to sort, filter and plot: [index.html](index.html) (open the "]
    parts[-1] += "file, it needs no network). All numbers: [leaderboard.csv](leaderboard.csv)."
    rows = []
    for table in board.tables:
        best = [markdown(row.name) for row in table.ranked if row.group == "a"]
        more = f" and {len(best) - 6} more" if len(best) > 6 else ""
        entry = table.rules.dataset
        rows.append(
            {
                "Data set": f"[{markdown(entry.title)}]({entry.name}.md)",
                "Protocol": markdown(heading(table)),
                "Hash": f"`{table.rules.hash[:16]}`",
                "Ranked": str(len(table.ranked)) if table.ranks else "its protocol does not rank",
                "Not ranked": str(len(table.unranked)),
                "Tie group a of checkpoints (lowest RFC)": ", ".join(best[:6]) + more,
            }
        )
    parts += [_render(rows) if rows else "No submissions yet."]
    if board.unusable:
        parts += ["## Not shown"]
        parts += [
            _render(
                [
                    {"Model": markdown(u.path.stem), "Why": markdown(u.reason.split("; ")[0])}
                    for u in board.unusable
                ]
            )
        ]
    parts += ["Made by `bench leaderboard` from `submissions/`; never edited by hand."]
    return "\n\n".join(parts) + "\n"

"""The board as Markdown: an index and one page a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bench.board.table import Board, Row, Table
from bench.board.flags import MEANINGS, flags, verified
from bench.board.groups import groups
from bench.board.tabular import tabular
from bench.board.text import NONE, count, interval, markdown, number, percent, ranks, significant
from bench.grid import white_noise

INDEX_TITLE = "# Leaderboard"
BACK_LINK = "[All data sets](README.md)"

CAUTION = (
    '**A lower RFC is not "more robust":** it says at which frequencies the smallest perturbation '
    "of a model lies, not how large it is."
)

READING = """\
RFC (radial frequency centroid, in units of the Nyquist frequency) is the energy-weighted mean
frequency of the minimal L2 perturbation; HFE is the share of its energy above half of Nyquist; HFX
places RFC between the images' own (0) and white noise (1). These are means over the kept samples
(classified correctly, then fooled); success and median norm are over the correct ones. Brackets are
95 % intervals over samples. The rank is an interval: models that are significantly better or worse
in pairs on the samples that both keep bound it. Models of one tie group are not separable from the
group's first. Lower RFC ranks first. Input states the data set's native resolution in pixels
and what an image passes before the model sees it (none: it is used as stored)."""


def page(dataset: str, tables: Sequence[Table], figures: dict[str, list[tuple[str, str]]]) -> str:
    """Return the page of one data set.

    Args:
        dataset: its title.
        tables: its tables (one for each protocol and input size).
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
    rules = table.rules
    white = white_noise(*table.size)["rfc"]
    about = (
        f"Protocol {rules.protocol.name}, hash `{rules.hash[:16]}`, {len(rules.ids)} samples, "
        f"primary attack {rules.primary}. White noise of this size has RFC {white:.4f}."
    )
    parts = [f"## {markdown(heading(table))}", about]
    if table.ranked:
        parts += [_render([_main(row, table) for row in table.ranked])]
    else:
        parts += ["No result passes the gates yet."]
    for by in ("family", "type"):
        parts += [f"### By {'family' if by == 'family' else 'model type'}", _by(table, by)]
    parts += ["### Every attack", _attack_note(table)]
    parts += [_render([_attacks(row, table) for row in table.rows])]
    parts += ["### RFC under every attack, with n kept samples"]
    parts += [_render([_frequencies(row, table) for row in table.rows])]
    if table.unranked:
        parts += ["### Not ranked"]
        parts += [_render([_unranked(row, table) for row in table.unranked])]
    for file, caption in figures:
        parts.append(f"![{caption}](figures/{file})\n\n*{caption}*")
    return parts


def _render(rows: Sequence[dict[str, str]]) -> str:
    words = ("Model", "Input", "Family", "Type", "Flags", "Verified", "Why", "Tie")
    return tabular(rows, "github", left=words)


def model_link(row: Row) -> str:
    """Return the model's name, linked to its entry."""
    name = row.model.name
    base = name.split("@")[0]
    dataset = row.model.submission.rules.dataset.name
    return f"[{markdown(name)}](../registry/models/{dataset}/{base}.toml)"


def input_text(row: Row) -> str:
    """Return "native 28; none": the data set's resolution and the evaluation transform."""
    submission = row.model.submission
    return f"native {submission.rules.dataset.native_size}; {submission.transform or NONE}"


def _main(row: Row, table: Table) -> dict[str, str]:
    rules, model = table.rules, row.model
    primary = model.attacks[rules.primary]
    meta = model.submission.metadata
    return {
        "Rank": ranks(row.rank),
        "Tie": row.group,
        "Model": model_link(row),
        "Family": markdown(meta.get("family", NONE)),
        "Input": input_text(row),
        "Params": count(meta.get("n_params")),
        f"Clean acc. % (n = {len(rules.ids)})": percent(model.clean),
        "RFC": interval(primary.rfc),
        "HFE": interval(primary.hfe),
        "HFX": interval(primary.hfx),
        "n kept / correct": f"{primary.kept} / {primary.correct}",
        "Success %": percent(primary.success),
        f"Median {_norm(rules.attacks[rules.primary].norm)}": significant(primary.norm.mean),
        "Verified": markdown(verified(model)) or NONE,
        "Flags": ", ".join(markdown(f) for f in flags(model, rules)) or NONE,
    }


def _by(table: Table, by: Literal["family", "type"]) -> str:
    rows = [
        {
            "Family" if by == "family" else "Type": markdown(group.name),
            "n models": str(group.models),
            "RFC": interval(group.rfc),
            "HFX": interval(group.hfx),
            "Clean acc. %": percent(group.clean),
            "n untrained": str(group.controls),
            "RFC untrained": interval(group.control_rfc),
        }
        for group in groups(table, by)
    ]
    note = "Means over ranked models; brackets are 95 % t intervals over models (none for one)."
    return note + "\n\n" + _render(rows) if rows else "No ranked model."


def _attack_note(table: Table) -> str:
    rules = table.rules
    texts = []
    for name, spec in rules.attacks.items():
        said = spec.describe()
        budget = "minimal" if spec.minimal else f"budget {said['budget']:.4g}"
        scale = " per input value" if said.get("budget_scale") == "mean" else ""
        texts.append(f"{name}: {_norm(spec.norm)}, {budget}{scale}")
    return (
        "Success over the n clean-correct samples / median norm over them, an unfooled sample "
        "counting as infinite (norms are sums over the whole image). " + "; ".join(texts) + "."
    )


def _attacks(row: Row, table: Table) -> dict[str, str]:
    found = {
        "Model": model_link(row),
        "n": str(row.model.attacks[table.rules.primary].correct),
    }
    for name in table.rules.attacks:
        attack = row.model.attacks[name]
        share = number(100 * attack.success.mean, 1)
        found[name] = f"{share} % / {significant(attack.norm.mean)}"
    return found


def _frequencies(row: Row, table: Table) -> dict[str, str]:
    found = {"Model": model_link(row)}
    for name in table.rules.attacks:
        attack = row.model.attacks[name]
        found[name] = f"{interval(attack.rfc)} ({attack.kept})"
    return found


def _unranked(row: Row, table: Table) -> dict[str, str]:
    primary = row.model.attacks[table.rules.primary]
    return {
        "Model": model_link(row),
        "Why": "; ".join(markdown(reason) for reason in row.model.reasons),
        "Input": input_text(row),
        f"Clean acc. % (n = {len(table.rules.ids)})": percent(row.model.clean),
        "RFC": interval(primary.rfc),
        "HFX": interval(primary.hfx),
        "n kept / correct": f"{primary.kept} / {primary.correct}",
        "Flags": ", ".join(markdown(f) for f in flags(row.model, table.rules)) or NONE,
    }


def _norm(name: str) -> str:
    return {"l1": "L1", "l2": "L2", "linf": "Linf"}[name]


def _flag_list() -> str:
    return "\n".join(f"- **{markdown(flag)}**: {text}" for flag, text in MEANINGS.items())


def index(board: Board) -> str:
    """Return the index page."""
    parts = [INDEX_TITLE, CAUTION, READING]
    parts += ["The same as one page to sort, filter and plot: [index.html](index.html) (open the "]
    parts[-1] += "file, it needs no network). All numbers: [leaderboard.csv](leaderboard.csv)."
    rows = []
    for table in board.tables:
        best = [row for row in table.ranked if row.group == "a"]
        entry = table.rules.dataset
        rows.append(
            {
                "Data set": f"[{markdown(entry.title)}]({entry.name}.md)",
                "Protocol": markdown(heading(table)),
                "Hash": f"`{table.rules.hash[:16]}`",
                "Ranked": str(len(table.ranked)),
                "Not ranked": str(len(table.unranked)),
                "Tie group a (lowest RFC)": ", ".join(markdown(r.model.name) for r in best[:6])
                + (f" and {len(best) - 6} more" if len(best) > 6 else ""),
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

"""`leaderboard/sensitivity.md`: which conclusions survive other choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from bench.board.claims import readings
from bench.board.claims.cells import Found
from bench.board.claims.estimates import Estimate
from bench.board.claims.page import SAYS, signed
from bench.board.claims.sensitivity import ASIDE, CHOICES, Cell, Row, rows, survivors
from bench.board.claims.submitted import Board, compared
from bench.board.tabular import tabular
from bench.board.text import NONE, markdown
from bench.entries.claims import Contrast

TITLE = "# Do the conclusions survive other choices?\n"
HOW = """\
Every difference that decides a claim ([claims.md](claims.md)) at the end of training (not those of
planted data, of single epochs, of growth and of the board's models), again
under choices that could have been made otherwise. Intervals as there, at an error of 1 - .95^(1
/ {claims}) each; what is no mean has its image error from resampled ids. Differences of HFE and
f50 are on their own scales, and the same smallest effect is used for them. Brackets with
"images" are over images alone, of these very weights: fewer than three seeds. A comparison
survives if it says the same of the claim under all choices that could be made (a choice that has
not been run is named); it is open where an interval says nothing, and turns where one says the
opposite. "Too small": on the claimed side, but surely below the smallest effect; "opposes" includes
what is that small and not surely on the claimed side.
"""
STARTS = (("minimal2026", "min-l2"), ("caro2024", "bb-l2"))
READINGS = (
    ("pgd-linf", ("caro2024", "caro2024-absstep")),
    ("pgd-l2", ("caro2024", "caro2024-absstep")),
    ("pgd-l1", ("caro2024", "caro2024-absstep", "caro2024-l1sum")),
)
PAIRS = tuple(
    (f"fashionmnist-{left}{relu}", f"fashionmnist-{right}{relu}")
    for relu, (left, right) in product(
        ("", "-relu"),
        (
            ("local-conv", "full-conv"),
            ("local-conv", "fully-connected"),
            ("local-conv", "locally-connected"),
        ),
    )
)
_ONE = Contrast(
    name="board", title="board", kind="board", pairs=(("a", "b"),), attacks=("c",), expect="greater"
)


def page(studies: Sequence[Found], board: Board, claims: int) -> str:
    """Return the page."""
    parts = [TITLE, HOW.format(claims=claims)]
    for found in studies:
        some = rows(found, claims)
        if found.study.claims and found.study.fixed.get("data") != "planted":
            parts.append(_study(found, some))
    parts += [_board(board)]
    parts += [text for found in studies if (text := readings.section(found))]
    parts.append("Made by `bench study report`; never edited by hand.\n")
    return "\n".join(parts)


def _study(found: Found, some: Sequence[Row]) -> str:
    lines = [f"## Study {found.study.name}\n"]
    if not some:
        return lines[0] + f"\nNot run: `bench study run {found.study.name}`.\n"
    count = survivors(some)
    unsaid = sum(row.cells[0].says == "open" for row in some)
    lines.append(
        f"Of {len(some)} comparisons {count['yes']} say the same under all choices, "
        f"{count['open']} are open under some ({unsaid} of them as the study does it, so that "
        f"there is nothing to survive), {count['no']} turn.\n"
    )
    for name in dict.fromkeys(r.comparison.contrast.name for r in some):
        mine = [r for r in some if r.comparison.contrast.name == name]
        lines.append(f"### {markdown(mine[0].comparison.contrast.title)}\n")
        lines.append(tabular([line for row in mine for line in _lines(row)], "github") + "\n")
    return "\n".join(lines)


def _lines(row: Row) -> list[dict[str, object]]:
    label = ", ".join(row.comparison.words) or "all"
    return [
        {
            "Nets": markdown(label) if place == 0 else "",
            "Choice": choice.name,
            "Difference": _difference(cell),
            "Seeds": cell.seeds or NONE,
            "n": cell.ids or NONE,
            "Says": _outcome(cell, place, row),
        }
        for place, (choice, cell) in enumerate(zip(CHOICES, row.cells, strict=True))
    ]


def _difference(cell: Cell) -> str:
    if not math.isnan(cell.interval.low) or math.isnan(cell.images.low):
        return signed(cell.interval)
    return f"{signed(cell.images)} images"


def _outcome(cell: Cell, place: int, row: Row) -> str:
    if place == 0:
        words = {"yes": "survives all", "no": "turns under some", "open": "open under some"}
        missing = sum(c.outcome == "not run" for c in row.cells)
        rest = f" ({missing} not run)" if missing else ""
        return f"{SAYS[cell.says]}; {words[row.survives]}{rest}"
    if cell.outcome in ASIDE:
        words = {"none": "does not exist", "few": f"{cell.seeds} seed planned, no interval"}
        return words.get(cell.outcome, cell.outcome)
    first = row.cells[0].says
    return (
        f"same: {SAYS[first]}" if cell.says == first else f"{SAYS[cell.says]} (not {SAYS[first]})"
    )


def _board(board: Board) -> str:
    lines = [
        "## Start rule, step reading and size of the L1 ball: the board's models\n",
        "Submitted models at the registry's recipes (seed 0; min-l2 has more seeds on the board): "
        "differences of mean RFC over images alone with 95 % intervals. The start rule: minima "
        "over the nearest boundaries, or one random start of the boundary walk as printed. Steps "
        "of PGD: relative to the budget, or absolute. L1: the budget as a mean or as a sum.\n",
    ]
    table, missing = [], set()
    for pair in PAIRS:
        for protocol, attack in _settings():
            found = compared(board, _ONE, pair, attack, protocol)
            if not found.measured:
                missing.add(protocol)
            table.append(_board_row(found, protocol, attack))
    lines.append(tabular(table, "github") + "\n")
    lines += [
        f"Not run: `bench eval -m 'fashionmnist-*' --protocol {protocol}`, then `bench submit`.\n"
        for protocol in sorted(missing)
    ]
    return "\n".join(lines)


def _settings() -> list[tuple[str, str]]:
    return [*STARTS, *((p, attack) for attack, protocols in READINGS for p in protocols)]


def _board_difference(found: Estimate) -> str:
    if not found.measured:
        return "not run"
    return signed(found.images) if found.ids else "no image that both keep"


def _board_row(found: Estimate, protocol: str, attack: str) -> dict[str, object]:
    return {
        "Pair": markdown(found.label),
        "Protocol": protocol,
        "Attack": attack,
        "Difference": _board_difference(found),
        "n": found.ids if found.measured else NONE,
    }

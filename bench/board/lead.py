"""The first sentences of the board, written from its numbers, each with n and interval."""

from __future__ import annotations

from collections.abc import Sequence

from bench.board.shown import short_name
from bench.board.table import Contrasted, Row, Table
from bench.board.text import NORMS, interval, number
from bench.grid import white_noise

FACTORS = {
    "local minus full": ("local kernels", "full ones"),
    "ReLU minus linear": ("ReLUs", "none (linear nets)"),
    "deep minus shallow": ("three hidden layers", "one"),
    "trained minus untrained": ("trained weights", "untrained ones"),
}
"""Contrast -> what the two kinds of nets have."""
CONFOUNDED = (
    " A recipe is more than its kernel: matched nets differ in padding or bias{rates}, so this "
    "does not show that the kernels are the cause."
)
"""Of local and full kernels."""


def lead(tables: Sequence[Table]) -> list[str]:
    """Return what the first table says, as plain sentences; of several data sets, the first's.

    Args:
        tables: those that rank first.
    """
    table = next((t for t in tables if t.ranks and len(t.ranked) > 1), None)
    if table is None:
        return []
    found = [_contrast(table, c) for c in table.contrasts if not c.why and c.name in FACTORS]
    return [*found[:1], _range(table)]


def _contrast(table: Table, found: Contrasted) -> str:
    having, other = FACTORS[found.name]
    mean, low, high = found.interval
    size = interval(found.interval if mean >= 0 else type(found.interval)(-mean, -high, -low))
    where = f"On {table.rules.dataset.title}, "
    basis = (
        f"{found.pairs} matched pairs, {found.seeds} training seeds each, "
        f"n = {found.ids} images; brackets are 95 % intervals over seeds and images"
    )
    what, rest = "nets", ""
    if found.name == "local minus full":
        what, rest = "recipes", CONFOUNDED.format(rates=_rates(found))
    if low <= 0 <= high:
        return f"{where}{what} with {having} and with {other} are not told apart ({basis}).{rest}"
    side = "higher" if mean > 0 else "lower"
    return (
        f"{where}{what} with {having} are attackable at {side} frequencies than matched {what} "
        f"with {other}: the mean radial frequency (RFC) of their smallest {_norm(table)} "
        f"perturbation is {size} {side}, in units of Nyquist ({basis}).{rest}"
    )


def _rates(found: Contrasted) -> str:
    """Return in how many pairs learning rates are known to differ; empty without any."""
    other = sum(None not in pair.rates and not pair.one_rate for pair in found.matched)
    return f" and, in {other} of the {found.pairs} pairs, in learning rate" if other else ""


def _range(table: Table) -> str:
    rows, white = table.ranked, white_noise(*table.size)["rfc"]
    found = [row.model.attacks[table.rules.primary] for row in rows]
    below = all(each.rfc.high < white for each in found)
    noise = "; all lie below white noise," if below else "; white noise has"
    return (
        f"The {len(rows)} ranked models go from {_at(rows[0], table)} to {_at(rows[-1], table)}"
        f"{noise} {number(white)} (these weights; brackets are 95 % intervals over images)."
    )


def _at(row: Row, table: Table) -> str:
    found = row.model.attacks[table.rules.primary]
    return f"RFC {interval(found.rfc)} ({short_name(row)}, n = {found.kept})"


def _norm(table: Table) -> str:
    return NORMS[table.rules.attacks[table.rules.primary].norm]

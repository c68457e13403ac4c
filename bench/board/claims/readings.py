"""The registry's reading of the learning rates, beside what Table 3 prints and studies measure.

Source: Caro et al. 2024, Supplementary Tables 3 and 5 to 9. The tables of rates are garbled, so the
registry had to choose; an entry keeps the printed accuracy whatever rate fits it better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.board.claims.cells import Found, Net
from bench.board.tabular import tabular
from bench.board.text import NONE, markdown
from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.entries.model import Net as PaperNet

HOW = """\
## The registry's learning rates and Table 3

The paper's tables of learning rates are garbled, so the registry chose; an entry keeps the accuracy
that Table 3 prints, whatever rate comes nearer. Test accuracy in percent (10,000 images) at the end
of this study's training: mean over seeds, in brackets the lowest and highest seed. "Nearer" is the
measured rate whose mean is nearest to the printed value, if all others are farther by more than
{told:g} points, the 95 % error of one accuracy on 10,000 images; with one seed it is a hint. It
does not say what the authors did: the study trains 16 epochs, the paper's tables say 40. The
printed values of the shallow linear nets lie about 2 points above what such nets reach here at any
measured rate, so for these no rate fits.
"""
TOLD = 0.6
"""Percentage points by which one rate must be nearer than all others."""


@dataclass(frozen=True)
class Reading:
    """One net of the registry.

    Attributes:
        entry: its name in the registry.
        printed: accuracy in Table 3, percent.
        chosen: learning rate of the entry.
        measured: rate -> test accuracy of each seed that was trained to the end, percent.
        diverged: rate -> seeds whose training diverged.
        notes: of the entry.
    """

    entry: str
    printed: float
    chosen: float
    measured: dict[float, list[float]]
    diverged: dict[float, int]
    notes: str

    @property
    def nearer(self) -> float | None:
        """The measured rate nearest to the printed accuracy; None if none clearly is."""
        off = sorted((abs(float(np.mean(a)) - self.printed), r) for r, a in self.measured.items())
        if len(off) < 2 or off[1][0] - off[0][0] <= TOLD:
            return None
        return off[0][1]


def readings(found: Found) -> list[Reading]:
    """Return every net of the registry that a study's usual cells are recipes of."""
    dataset = str(found.study.fixed.get("dataset", ""))
    made = []
    for entry in registry.select_models([f"{dataset}-*"]) if dataset else []:
        if entry.paper is None or entry.recipe is None or not isinstance(entry.net, PaperNet):
            continue
        if entry.net.kernel_size is None:
            made.append(_reading(entry, entry.paper.top1, entry.recipe.learning_rate, found))
    return made


def _reading(entry: ModelEntry, printed: float, chosen: float, found: Found) -> Reading:
    measured: dict[float, list[float]] = {}
    diverged: dict[float, int] = {}
    for net in found.nets.values():
        if not _is_of(net, entry):
            continue
        rate = net.cell.factors.learning_rate
        if net.diverged is not None:
            diverged[rate] = diverged.get(rate, 0) + 1
        elif net.end in net.points:
            measured.setdefault(rate, []).append(net.points[net.end]["test_accuracy"])
    return Reading(entry.name, printed, chosen, measured, diverged, entry.notes or "")


def _is_of(net: Net, entry: ModelEntry) -> bool:
    f, of = net.cell.factors, entry.net
    assert isinstance(of, PaperNet), "others are left out before"
    usual = f.data == "natural" and f.defence == "none" and f.kernel is None and f.epochs == 16
    same = (f.family, f.relu, f.depth == 3) == (of.family, of.relu, of.deep)
    return usual and same and f.dataset == entry.dataset


def section(found: Found) -> str:
    """Return the section of the sensitivity page; empty without such nets."""
    made = readings(found)
    if not made:
        return ""
    rates = sorted({r for one in made for r in (*one.measured, *one.diverged)}, reverse=True)
    rows = [_row(one, rates) for one in made]
    notes = [f"- {markdown(one.entry)}: {markdown(one.notes)}" for one in made if one.notes]
    tail = "\n\nNoted in the registry:\n\n" + "\n".join(notes) if notes else ""
    return HOW.format(told=TOLD) + "\n" + tabular(rows, "github") + tail + "\n"


def _row(one: Reading, rates: Sequence[float]) -> dict[str, object]:
    nearer = one.nearer
    return {
        "Net": markdown(one.entry),
        "Table 3": f"{one.printed:g}",
        "Registry's rate": f"{one.chosen:g}",
        **{f"At {rate:g}": _at(one, rate) for rate in rates},
        "Nearer": NONE if nearer is None else f"{nearer:g}",
    }


def _at(one: Reading, rate: float) -> str:
    found, gone = one.measured.get(rate, []), one.diverged.get(rate, 0)
    parts = []
    if found:
        seeds = f"{len(found)} seed" + "s" * (len(found) > 1)
        spread = f" [{min(found):.2f}, {max(found):.2f}]" if len(found) > 1 else ""
        parts.append(f"{np.mean(found):.2f}{spread}, {seeds}")
    if gone:
        parts.append(f"{gone} diverged")
    return "; ".join(parts) or "not run"

"""The columns of the page's table: what a cell sorts by, says, and its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.board.cells import input_text, seeds_text
from bench.board.flags import verified
from bench.board.shown import short_name
from bench.board.table import Rank, Row, Table
from bench.board.text import NONE, NORMS, count, number, ranks, significant
from bench.stats.intervals import NOTHING, Interval

Sort = float | str | None
Cell = tuple[Sort, str, str]
"""What is sorted by (None: last), what is said, and the interval or what it is of."""
Show = Literal["phone", "wide", "more"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: its name in addresses.
        title: its head.
        help: what it is, one line.
        cell: row, table and attack -> cell.
        show: where it is shown unless chosen otherwise: everywhere, from tablets up, on request.
        view: "weights" or "recipe": whose rank it belongs to; "": both.
        primary: whether it is of the primary attack, whichever attack is shown.
    """

    key: str
    title: str
    help: str
    cell: Callable[[Row, Table, str], Cell]
    show: Show = "more"
    view: str = ""
    primary: bool = False


def _number(found: Interval, digits: int = 3, scale: float = 1, n: str = "") -> Cell:
    mean, low, high = (scale * value for value in found)
    if math.isnan(mean):
        return None, NONE, ""
    small = "" if math.isnan(low) else f"[{number(low, digits)}, {number(high, digits)}]"
    return _sort(mean), number(mean, digits), f"{small} {n}".strip()


def _sort(value: float) -> float | None:
    """A number that JSON has; unfooled (infinite) is larger than all."""
    return None if math.isnan(value) else min(float(f"{value:.6g}"), 1e300)


def _rank(rank: Rank | None, group: str, rfc: float, missing: str = NONE) -> Cell:
    if rank is None:
        return None, missing, ""
    return _sort(rank[0] + rfc / 10), ranks(rank), f"tie {group}" if group else ""


def _norm(row: Row, table: Table, attack: str) -> Cell:
    mean, low, high = row.model.attacks[attack].norm
    small = "" if math.isnan(low) else f"[{significant(low)}, {significant(high)}]"
    return _sort(mean), significant(mean), small


def _kept(row: Row, table: Table, attack: str) -> Cell:
    found = row.model.attacks[attack]
    return found.kept, str(found.kept), f"of {found.correct}"


def _long(row: Row, table: Table, attack: str) -> Cell:
    tested, beside = row.model.attacks[attack].optimality, row.excess.get(attack)
    found = tested or beside
    return _number(found.longer, 1, 100, f"n = {found.n}") if found else (None, NONE, "")


def _common(row: Row, table: Table, attack: str) -> Cell:
    shared = table.common.rfc.get(attack, {}).get(row.name, NOTHING)
    return _number(shared, n=f"n = {table.common.ids.get(attack, 0)}")


def _recipe(row: Row, table: Table, attack: str) -> Cell:
    mean = row.seeds.mean.mean if row.recipe_rank else 0
    return _rank(row.recipe_rank, row.recipe_group, mean, seeds_text(row.seeds))


def _over_seeds(row: Row, table: Table, attack: str) -> Cell:
    return _number(row.seeds.mean, n=f"n = {row.seeds.common}") if row.seeds.enough else (
        None, NONE, "")  # fmt: skip


def _words(text: str) -> Cell:
    return text, text or NONE, ""


def _n_params(row: Row) -> Cell:
    found = row.model.submission.metadata.n_params
    return _sort(float(found)), count(found), ""


def _verified(row: Row) -> Cell:
    what, by, who = verified(row.model).partition(" by ")
    return what, what or NONE, by.strip() + " " + who if who else ""


COLUMNS = (
    Column(
        "rank", "Rank set", "places that these weights may have; right together with all others on "
        "95 % of boards, images being the only source of error",
        lambda r, t, a: _rank(r.rank, r.group, r.model.attacks[t.rules.primary].rfc.mean),
        "phone", "weights", True,
    ),
    Column(
        "recipe", "Rank set, recipe", "places that the recipe, trained anew, may have; images and "
        "training seeds are sources of error; needs three seeds", _recipe, "phone", "recipe", True,
    ),
    Column("model", "Model", "architecture and recipe", lambda r, t, a: _words(short_name(r)),
           "phone"),
    Column("rfc", "RFC", "mean radial frequency of the perturbation, 1 = Nyquist; the bar spans 0 "
           "to 1, the tick is white noise",
           lambda r, t, a: _number(r.model.attacks[a].rfc), "phone", "weights"),
    Column("seeds_rfc", "RFC over seeds", "mean over training seeds and images", _over_seeds,
           "phone", "recipe", True),
    Column("seed_sd", "Seed SD", "standard deviation of RFC over training seeds",
           lambda r, t, a: (_sort(r.seeds.sd), number(r.seeds.sd, 4), ""), "wide", "recipe", True),
    Column("kept", "n", "samples that are classified correctly and then fooled, of the correct",
           _kept, "wide"),
    Column("clean", "Clean acc. %", "accuracy on the protocol's samples",
           lambda r, t, a: _number(r.model.clean, 1, 100), "wide"),
    Column("success", "Success %", "share of the correct samples that the attack fools",
           lambda r, t, a: _number(r.model.attacks[a].success, 1, 100), "wide"),
    Column("norm", "Median norm", "median size of the perturbation over the correct samples; an "
           "unfooled one counts as infinite", _norm, "wide"),
    Column("hfe", "HFE", "share of the energy above half of Nyquist",
           lambda r, t, a: _number(r.model.attacks[a].hfe)),
    Column("hfx", "HFX", "where RFC lies between the images' own (0) and white noise (1)",
           lambda r, t, a: _number(r.model.attacks[a].hfx)),
    Column("common", "RFC, common n", "RFC on the samples that all models keep", _common),
    Column("long", "> 1 % too long, %", "share of samples on which this minimal attack's norm is "
           "more than 1 % above the shortest known", _long),
    Column("seeds", "Seeds", "training seeds that count",
           lambda r, t, a: (len(r.seeds.counted), str(len(r.seeds.counted)), "")),
    Column("claims", "Claims stand to SD", "seed SD at which the first claim about these weights "
           "would fall", lambda r, t, a: (_sort(r.seed_sd), number(r.seed_sd, 4), ""), "more",
           "weights", True),
    Column("family", "Family", "architecture family",
           lambda r, t, a: _words(r.model.submission.metadata.family)),
    Column("type", "Type", "kind of model",
           lambda r, t, a: _words(r.model.submission.metadata.type)),
    Column("params", "Params", "number of parameters", lambda r, t, a: _n_params(r)),
    Column("input", "Input", "native resolution, and what an image passes before the model",
           lambda r, t, a: _words(input_text(r))),
    Column("verified", "Verified", "whether rows were measured again",
           lambda r, t, a: _verified(r)),
)  # fmt: skip
"""In the order of the page; flags and the button for details follow."""
OF_ATTACK = ("rfc", "kept", "success", "norm", "hfe", "hfx", "common", "long")
"""Columns that depend on the attack."""


def titles(table: Table, attack: str) -> dict[str, str]:
    """Return heads that depend on the attack."""
    return {"norm": f"Median {NORMS[table.rules.attacks[attack].norm]}"}

"""Why a verdict is what it is: on what a claim depends, or what is missing to decide it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.board.claims.estimates import DIVERGED, UNLEARNED, Estimate
from bench.board.claims.needed import outlook
from bench.entries.claims import Claim
from bench.stats.recipes import FEWEST_SEEDS
from bench.stats.verdicts import Verdict

_FEWEST = {3: "three"}.get(FEWEST_SEEDS, str(FEWEST_SEEDS))


def reason(
    what: Verdict,
    made: Sequence[Estimate],
    claim: Claim,
    claims: int,
    smallest: float,
    ran: int = 0,
) -> str:
    """Return why a verdict is what it is, without a full stop.

    Args:
        what: the verdict.
        made: the estimates that it is about.
        claim: the claim.
        claims: how many claims are read together.
        smallest: smallest effect of interest.
        ran: how many of the claim's training runs are measured.
    """
    used = _used(what)
    if not made:
        return claim.needs or "no contrast of a study decides it"
    if used == 0:
        return f"nothing can be compared: {made[0].why}"
    if len(what.missing) == used and not any(made[i].begun for i in what.missing):
        text = "not run" + ": no comparison has run on all its sides" * (ran > 0)
    else:
        text = _reason(what, made, claims, smallest)
    if what.thin:
        return text
    if left_out := len(made) - used:
        text += f"; {left_out} more can't be made"
    return text + _without_control(made)


_ALL = {
    "supported": ("agrees", "agree"),
    "negligible": ("is surely below the smallest effect", "are surely below the smallest effect"),
    "contradicted": ("opposes it", "oppose it"),
}
"""What one comparison, or all of them, do for a verdict that needs all."""


def _used(what: Verdict) -> int:
    """Return how many comparisons take part."""
    return sum(map(len, (what.agree, what.oppose, what.small, what.open, what.missing)))


def missing(some: Sequence[Estimate]) -> list[str]:
    """Return what is not measured, begun or not: "2 have fewer than three seeds", "3 are not run".

    Args:
        some: estimates that are not measured.
    """
    agreements = [e for e in some if e.begun and e.contrast.kind == "agreement"]
    begun = sum(e.begun > 0 for e in some) - len(agreements)
    parts = [e.why for e in agreements]
    if begun:
        parts.append(f"{begun} {_verb(begun, 'has', 'have')} fewer than {_FEWEST} seeds")
    if rest := sum(e.begun == 0 for e in some):
        parts.append(f"{rest} {_verb(rest, 'is', 'are')} not run")
    return parts


def left_out(made: Sequence[Estimate]) -> list[str]:
    """Return which comparisons can't be made, by reason; empty without any."""
    some = [e for e in made if e.measured and not e.comparable]
    short = {DIVERGED: "training diverged", UNLEARNED: "nets near chance"}
    whys = [short.get(e.why.partition(":")[0], e.why) for e in some]
    return [f"{whys.count(why)} can't be made ({why})" for why in dict.fromkeys(whys)]


def _verb(count: int, one: str, more: str) -> str:
    return one if count == 1 else more


def _without_control(made: Sequence[Estimate]) -> str:
    """Name the ways of comparing that none of the nets that have run could be compared in."""
    lost = []
    for way in dict.fromkeys(e.way for e in made if e.measured):
        mine = [e for e in made if e.measured and e.way == way]
        begun = [e for e in made if not e.measured and e.seeds and e.way == way]
        if not any(e.comparable for e in (*mine, *begun)):
            lost.append(way)
    if not lost or not any(e.measured and e.comparable for e in made):
        return ""
    return f"; no nets that have run could be compared {' or '.join(lost)}"


def _reason(what: Verdict, made: Sequence[Estimate], claims: int, smallest: float) -> str:
    used = _used(what)
    if what.word in _ALL:
        one, more = _ALL[what.word]
        return f"its one comparison {one}" if used == 1 else f"all {used} comparisons {more}"
    if what.word == "depends":
        against = sorted((*what.oppose, *what.small))
        return depends(*([made[i] for i in side] for side in (what.agree, against)))
    absent = missing([made[i] for i in what.missing])
    if len(what.missing) == used:
        if used == 1:
            return absent[0]
        of = f"of {used} comparisons "
        return of + ", ".join(absent) if len(absent) > 1 else f"all {absent[0]}"
    agree, oppose = len(what.agree), len(what.oppose)
    parts = [
        f"{agree} of {used} comparisons {_verb(agree, 'agrees', 'agree')}, "
        f"{oppose} {_verb(oppose, 'opposes', 'oppose')} it"
    ]
    if small := len(what.small):
        side = _verb(small, "is on its side but surely", "are on its side but surely")
        parts.append(f"{small} {side} below the smallest effect")
    parts += absent + _opened([made[i] for i in what.open], claims, smallest)
    if what.thin:
        parts.append(f"too little can be compared for a verdict: {what.thin}")
    elif not what.missing and not what.open:
        parts.append("not certain enough together to say on what it depends")
    return "; ".join(parts)


def _opened(opened: Sequence[Estimate], claims: int, smallest: float) -> list[str]:
    """Return what the intervals that tell nothing would need."""
    parts = []
    without = [e for e in opened if math.isnan(e.own.low)]
    if without:
        reasons = sorted({e.why or "no interval" for e in without})
        have = _verb(len(without), "has", "have")
        parts.append(f"{len(without)} {have} no interval ({', '.join(reasons)})")
    wide = [e for e in opened if not math.isnan(e.own.low)]
    if wide:
        are = _verb(len(wide), "is", "are")
        parts.append(f"{len(wide)} {are} open ({outlook(wide, claims, smallest)})")
    return parts


def depends(agree: Sequence[Estimate], oppose: Sequence[Estimate]) -> str:
    """Return what tells the estimates that agree with a claim from those that oppose it."""
    yes, no = ([_traits(e) for e in side] for side in (agree, oppose))
    for trait in yes[0]:
        left = {t.get(trait, "") for t in yes}
        right = {t.get(trait, "") for t in no}
        if "" not in left | right and not left & right:
            return f"agrees for {', '.join(sorted(left))}; opposed for {', '.join(sorted(right))}"
    first, other = (f"{', '.join(side[0].values())}" for side in (yes, no))
    return f"no one factor tells which; agrees for example for {first}; opposed for {other}"


def _traits(found: Estimate) -> Mapping[str, str]:
    """Return what an estimate is of: the shared factors, the contrast, the way."""
    settings = {f"setting {place}": word for place, word in enumerate(found.where)}
    return {**settings, "contrast": found.contrast.title, "way": found.way}

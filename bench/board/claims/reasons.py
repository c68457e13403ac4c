"""Why a verdict is what it is: on what a claim depends, or what is missing to decide it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.board.claims.estimates import MOST_SEEDS, Estimate, counted, seeds_needed
from bench.entries.claims import Claim
from bench.stats.verdicts import Verdict


def reason(
    what: Verdict, made: Sequence[Estimate], claim: Claim, claims: int, smallest: float
) -> str:
    """Return why a verdict is what it is, without a full stop.

    Args:
        what: the verdict.
        made: the estimates that it is about.
        claim: the claim.
        claims: how many claims are read together.
        smallest: smallest effect of interest.
    """
    return _reason(what, made, claim, claims, smallest) + _without_control(made)


def _without_control(made: Sequence[Estimate]) -> str:
    """Name the ways of comparing that none of the nets that have run could be compared in."""
    lost = []
    for way in dict.fromkeys(e.way for e in made if e.measured):
        mine = [e for e in made if e.measured and e.way == way]
        if not any(e.comparable for e in mine):
            lost.append(way)
    if not lost or not any(e.measured and e.comparable for e in made):
        return ""
    return f"; no nets that have run could be compared {' or '.join(lost)}"


def _reason(
    what: Verdict, made: Sequence[Estimate], claim: Claim, claims: int, smallest: float
) -> str:
    used = len(what.agree) + len(what.oppose) + len(what.open) + len(what.missing)
    if not made:
        return claim.needs or "no contrast of a study decides it"
    if used == 0:
        return f"nothing can be compared: {made[0].why}"
    if what.word in ("supported", "contradicted"):
        left_out = len(made) - used
        agrees = what.word == "supported"
        text = f"all {used} comparisons {'agree' if agrees else 'oppose it'}"
        if used == 1:
            text = f"its one comparison {'agrees' if agrees else 'opposes it'}"
        return text + (f"; {left_out} more can't be made" if left_out else "")
    if what.word == "depends":
        return depends(*([made[i] for i in side] for side in (what.agree, what.oppose)))
    if len(what.missing) == used:
        most = max(made[i].seeds for i in what.missing)
        return f"not run: at most {counted(most)} of any comparison" if most else "not run"
    parts = [f"{len(what.agree)} of {used} comparisons agree, {len(what.oppose)} oppose it"]
    if what.missing:
        parts.append(f"{len(what.missing)} are not run")
    parts += _opened([made[i] for i in what.open], claims, smallest)
    if not what.missing and not what.open:
        parts.append("not certain enough together to say on what it depends")
    return "; ".join(parts)


def _opened(opened: Sequence[Estimate], claims: int, smallest: float) -> list[str]:
    """Return what the intervals that tell nothing would need."""
    parts = []
    without = [e for e in opened if math.isnan(e.own.low)]
    if without:
        reasons = sorted({e.why or "no interval" for e in without})
        parts.append(f"{len(without)} have no interval ({', '.join(reasons)})")
    wide = [e for e in opened if not math.isnan(e.own.low)]
    if wide:
        needed = [seeds_needed(e, claims, smallest) for e in wide]
        known = [n for n in needed if n is not None]
        more = f"some would be with {MOST_SEEDS} seeds still"
        if len(known) == len(needed):
            more = f"{max(known)} seeds would tell"
        parts.append(f"{len(wide)} are open ({more}, if mean and spread stayed)")
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

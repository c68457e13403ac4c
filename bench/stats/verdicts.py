"""The rule from intervals to a verdict: arrays of intervals in, a word out.

A claim is read in several comparisons (rates, families of nets, ways of comparing). Each has two
intervals: `own`, which misses with the error 1 - .95^(1 / claims), and the wider `together`, which
misses with 1 - .95^(1 / (claims x comparisons)). A comparison is

    above       the whole interval lies above 0, and not within the smallest effect
    below       likewise below 0
    none        the whole interval lies within +- the smallest effect
    open        neither

so that of a claim that says "greater" ("less" the other way round) it

    agrees      above
    opposes     below; or none, and not wholly above 0
    is small    none, and wholly above 0: the claimed sign, surely below the smallest effect

(a claim "equal" agrees with `none`, and is opposed outside). The claim is

    supported      every planned comparison is measured and agrees, by `own`
    negligible     every planned comparison is measured and none, by `own`
    contradicted   every planned comparison is measured and opposes, by `own`, not all as none
    depends        by `together`, one agrees and one opposes or is small, and their intervals lie
                   apart: the two surely differ
    undecided      all else

What can't be compared (nets that diverged, or that never have the same loss) takes no part; but
where that is more than half of the planned comparisons, or all of one way of comparing, there is no
verdict but "depends".

A wrong "supported", "negligible" or "contradicted" needs every interval on one side although the
truth of at least one is not, so the error of one interval is that of the claim (intersection-union;
Berger 1982); "depends" says that two certain ones exist, so it needs intervals that hold together.
So all claims together hold in 95 % of studies (tests/test_verdicts.py simulates it), if differences
between seeds are normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from bench.stats.intervals import Interval

State = Literal["above", "below", "none", "open"]
Answer = Literal["agree", "oppose", "small", "open"]
Word = Literal["supported", "negligible", "contradicted", "depends", "undecided"]
Expected = Literal["greater", "less", "equal"]


class Reading(NamedTuple):
    """One comparison of a claim.

    Attributes:
        expect: what the claim says of it.
        smallest: differences nearer to 0 count as none.
        own, together: its intervals; NaN bounds where there is none.
        measured: what it needs has been run.
        comparable: the nets can be compared this way; what can't takes no part.
        way: of comparing.
    """

    expect: Expected
    smallest: float
    own: Interval
    together: Interval
    measured: bool = True
    comparable: bool = True
    way: str = ""


class Verdict(NamedTuple):
    """What comes out.

    Attributes:
        word: the verdict.
        agree, oppose, small: numbers (places in the readings) of those that say so, by `own`; for
            "depends" by `together`, and such that lie apart.
        open: those that say nothing.
        missing: those that are not measured.
        thin: why those that can be compared are too few for a verdict; empty: they are not.
    """

    word: Word
    agree: tuple[int, ...] = ()
    oppose: tuple[int, ...] = ()
    small: tuple[int, ...] = ()
    open: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    thin: str = ""


def state(found: Interval, smallest: float) -> State:
    """Return where an interval lies."""
    if math.isnan(found.low) or math.isnan(found.high):
        return "open"
    if -smallest < found.low and found.high < smallest:
        return "none"
    if found.low > 0:
        return "above"
    return "below" if found.high < 0 else "open"


def says(expect: Expected, found: Interval, smallest: float) -> Answer:
    """Return whether an interval agrees with a claim, opposes it, is small, or leaves it open.

    An equality is opposed by an interval that lies wholly outside +- the smallest effect.
    """
    where = state(found, smallest)
    if expect == "equal":
        if where == "none":
            return "agree"
        outside = found.low > smallest or found.high < -smallest
        return "oppose" if outside else "open"
    if where == "open":
        return "open"
    if where == "none":
        claimed = found.low > 0 if expect == "greater" else found.high < 0
        return "small" if claimed else "oppose"
    return "agree" if where == ("above" if expect == "greater" else "below") else "oppose"


def verdict(readings: Sequence[Reading]) -> Verdict:
    """Return the verdict over the readings of one claim; undecided without any."""
    used = [i for i, r in enumerate(readings) if r.comparable or not r.measured]
    missing = tuple(i for i in used if not readings[i].measured)
    there = [i for i in used if readings[i].measured]

    def those(answer: Answer, together: bool = False) -> tuple[int, ...]:
        return tuple(i for i in there if _answer(readings[i], together) == answer)

    thin = _thin(readings, used)
    sure = those("agree", True)
    others = (*those("oppose", True), *those("small", True))
    apart = [(i, j) for i in sure for j in others if _apart(readings[i], readings[j])]
    if apart:
        agree, against = (tuple(sorted({pair[side] for pair in apart})) for side in (0, 1))
        small = tuple(i for i in against if i in those("small", True))
        oppose = tuple(i for i in against if i not in small)
        rest = tuple(i for i in there if i not in (*agree, *against))
        return Verdict("depends", agree, oppose, small, rest, missing, thin)
    agree, oppose, small, unclear = (those(a) for a in ("agree", "oppose", "small", "open"))
    word: Word = "undecided"
    if used and not missing and not thin:
        if len(agree) == len(used):
            word = "supported"
        elif all(_is_none(readings[i]) for i in used):
            word = "negligible"
        elif len(oppose) == len(used):
            word = "contradicted"
    return Verdict(word, agree, oppose, small, unclear, missing, thin)


def _answer(reading: Reading, together: bool) -> Answer:
    return says(reading.expect, reading.together if together else reading.own, reading.smallest)


def _is_none(reading: Reading) -> bool:
    """Return whether a difference is surely too small to matter, of a claim that there is one."""
    return reading.expect != "equal" and state(reading.own, reading.smallest) == "none"


def _apart(one: Reading, other: Reading) -> bool:
    """Return whether the wider intervals of two readings have no value in common."""
    return one.together.low > other.together.high or one.together.high < other.together.low


def _thin(readings: Sequence[Reading], used: Sequence[int]) -> str:
    """Return why too few of the planned comparisons can be made for a verdict; empty: enough."""
    if 2 * len(used) < len(readings):
        return f"{len(readings) - len(used)} of {len(readings)} comparisons can't be made"
    ways = dict.fromkeys(r.way for r in readings)
    lost = [way for way in ways if not any(readings[i].way == way for i in used)]
    return f"no comparison can be made {' or '.join(lost)}" if used and lost else ""

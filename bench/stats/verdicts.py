"""The rule from intervals to a verdict: arrays of intervals in, a word out.

A claim is read in several comparisons (rates, families of nets, ways of comparing). Each has two
intervals: `own`, which misses with the error 1 - .95^(1 / claims), and the wider `together`, which
misses with 1 - .95^(1 / (claims x comparisons)). A comparison is

    above       the whole interval lies above 0, and not within the smallest effect
    below       likewise below 0
    none        the whole interval lies within +- the smallest effect
    open        neither

and the claim, if it says "greater" ("less" the other way round; "equal": `none` is what it says),

    supported      every planned comparison is measured and above, by `own`
    contradicted   every planned comparison is measured and below or none, by `own`
    depends        by `together`, at least one is above and at least one is below or none
    undecided      all else

A wrong "supported" or "contradicted" needs every interval on one side although the truth of at
least one is not, so the error of one interval is that of the claim (intersection-union; Berger
1982); "depends" says that two certain ones exist, so it needs intervals that hold together. So all
claims together hold in 95 % of studies (tests/test_verdicts.py simulates it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from bench.stats.intervals import Interval

State = Literal["above", "below", "none", "open"]
Word = Literal["supported", "contradicted", "depends", "undecided"]
Expected = Literal["greater", "less", "equal"]


class Reading(NamedTuple):
    """One comparison of a claim.

    Attributes:
        expect: what the claim says of it.
        smallest: differences nearer to 0 count as none.
        own, together: its intervals; NaN bounds where there is none.
        measured: what it needs has been run.
        comparable: the nets can be compared this way; what can't takes no part.
    """

    expect: Expected
    smallest: float
    own: Interval
    together: Interval
    measured: bool = True
    comparable: bool = True


class Verdict(NamedTuple):
    """What comes out.

    Attributes:
        word: the verdict.
        agree, oppose: numbers (places in the readings) of those that say so, by `own`; for
            "depends" by `together`.
        open: those that say nothing.
        missing: those that are not measured.
    """

    word: Word
    agree: tuple[int, ...]
    oppose: tuple[int, ...]
    open: tuple[int, ...]
    missing: tuple[int, ...]


def state(found: Interval, smallest: float) -> State:
    """Return where an interval lies."""
    if math.isnan(found.low) or math.isnan(found.high):
        return "open"
    if -smallest < found.low and found.high < smallest:
        return "none"
    if found.low > 0:
        return "above"
    return "below" if found.high < 0 else "open"


def says(expect: Expected, found: Interval, smallest: float) -> Literal["agree", "oppose", "open"]:
    """Return whether an interval agrees with a claim, opposes it, or leaves it open.

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
    wanted = "above" if expect == "greater" else "below"
    return "agree" if where == wanted else "oppose"


def verdict(readings: Sequence[Reading]) -> Verdict:
    """Return the verdict over the readings of one claim; undecided without any."""
    used = [i for i, r in enumerate(readings) if r.comparable or not r.measured]
    missing = tuple(i for i in used if not readings[i].measured)

    def those(answer: str, together: bool) -> tuple[int, ...]:
        return tuple(
            i
            for i in used
            if readings[i].measured
            and says(
                readings[i].expect,
                readings[i].together if together else readings[i].own,
                readings[i].smallest,
            )
            == answer
        )

    agree, oppose, unclear = (those(answer, False) for answer in ("agree", "oppose", "open"))
    surely, surely_not = those("agree", True), those("oppose", True)
    if surely and surely_not:
        others = tuple(i for i in used if i not in (*surely, *surely_not, *missing))
        return Verdict("depends", surely, surely_not, others, missing)
    word: Word = "undecided"
    if used and not missing and len(agree) == len(used):
        word = "supported"
    elif used and not missing and len(oppose) == len(used):
        word = "contradicted"
    return Verdict(word, agree, oppose, unclear, missing)

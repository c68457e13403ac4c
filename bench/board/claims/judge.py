"""All claims of all studies, each with its estimates and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.board.claims.agreement import agreement
from bench.board.claims.cells import Found
from bench.board.claims.estimates import Estimate, absent, estimate, planned
from bench.board.claims.pairs import comparisons
from bench.board.claims.reasons import reason
from bench.board.claims.submitted import Board, estimates
from bench.entries.claims import Claim, Contrast
from bench.stats.verdicts import Verdict, verdict


@dataclass(frozen=True)
class Judged:
    """One claim of one study.

    Attributes:
        found: the study.
        claim: the sentence.
        contrasts: those that decide it.
        estimates: every comparison in every way.
        beside: estimates of contrasts that decide nothing.
        verdict: by the rule of `bench.stats.verdicts`.
        claims: how many claims are read together.
        why: the verdict's reason: on what it depends, or what is missing.
        cells: names of the training runs that decide it, measured or not; none of
            submitted models.
    """

    found: Found
    claim: Claim
    contrasts: tuple[Contrast, ...]
    estimates: tuple[Estimate, ...]
    beside: tuple[Estimate, ...]
    verdict: Verdict
    claims: int
    why: str
    cells: frozenset[str] = frozenset()

    @property
    def cells_there(self) -> int:
        """How many of its training runs are measured."""
        return sum(name in self.found.nets for name in self.cells)

    @property
    def provisional(self) -> bool:
        """Some of what decides it is not measured yet, so that the verdict may still change."""
        return self.cells_there < len(self.cells) or any(not e.measured for e in self.estimates)


def family_size(studies: Sequence[Found]) -> int:
    """Return how many claims are read together: all that are written, decided or not."""
    return max(1, sum(bool(claim.contrasts) for f in studies for claim in f.study.claims))


def judge(studies: Sequence[Found], board: Board) -> list[Judged]:
    """Return every claim with its verdict, study by study in the order that it is written in."""
    claims = family_size(studies)
    return [_judged(f, claim, board, claims) for f in studies for claim in f.study.claims]


def _judged(found: Found, claim: Claim, board: Board, claims: int) -> Judged:
    by_name = {contrast.name: contrast for contrast in found.study.contrasts}
    contrasts = tuple(by_name[name] for name in claim.contrasts)
    family = claims * max(1, sum(size(found, c) for c in contrasts))
    made = [e for c in contrasts for e in measured(found, c, board, claims, family)]
    what = verdict([e.reading(found.study.smallest) for e in made])
    beside = [by_name[name] for name in claim.beside]
    shown = [e for c in beside for e in measured(found, c, board, claims, family)]
    cells = frozenset(name for c in contrasts for name in cells_of(found, c))
    ran = sum(name in found.nets for name in cells)
    why = reason(what, made, claim, claims, found.study.smallest, ran)
    return Judged(found, claim, contrasts, tuple(made), tuple(shown), what, claims, why, cells)


def cells_of(found: Found, contrast: Contrast) -> set[str]:
    """Return the names of the planned cells that a contrast compares."""
    if contrast.kind == "board":
        return set()
    sides = (side for c in comparisons(found.study, contrast) for side in c.sides)
    return {name for side in sides for name in side.cells.values()}


def size(found: Found, contrast: Contrast) -> int:
    """Return in how many intervals a contrast is read, measured or not."""
    if contrast.kind == "board":
        return len(contrast.pairs) * len(contrast.attacks)
    return 1 if contrast.kind == "agreement" else max(1, len(planned(found, contrast)))


def measured(
    found: Found, contrast: Contrast, board: Board, claims: int, family: int
) -> list[Estimate]:
    """Return every estimate of a contrast; see `estimate`."""
    if contrast.kind == "board":
        return estimates(board, contrast, claims, family)
    if contrast.kind == "agreement":
        return [agreement(found, contrast, claims, family)]
    asked = planned(found, contrast)
    if not asked:
        return [absent(contrast)]
    return [estimate(found, comparison, way, claims, family) for comparison, way in asked]

"""All claims of all studies, each with its estimates and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.board.claims.cells import Found
from bench.board.claims.estimates import Estimate, estimate, planned
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
        verdict: by the rule of `bench.stats.verdicts`.
        claims: how many claims are read together.
        why: the verdict's reason: on what it depends, or what is missing.
    """

    found: Found
    claim: Claim
    contrasts: tuple[Contrast, ...]
    estimates: tuple[Estimate, ...]
    verdict: Verdict
    claims: int
    why: str


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
    asked = {c.name: planned(found, c) for c in contrasts if c.kind != "board"}
    many = sum(map(len, asked.values()))
    many += sum(len(c.pairs) * len(c.attacks) for c in contrasts)
    family = claims * max(1, many)
    made: list[Estimate] = []
    for contrast in contrasts:
        if contrast.kind == "board":
            made += estimates(board, contrast, claims, family)
            continue
        made += [estimate(found, c, way, claims, family) for c, way in asked[contrast.name]]
    what = verdict([e.reading(found.study.smallest) for e in made])
    why = reason(what, made, claim, claims, found.study.smallest)
    return Judged(found, claim, contrasts, tuple(made), what, claims, why)

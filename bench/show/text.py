"""A result in words: the table of its numbers, and what a reader must know beside it."""

from __future__ import annotations

import math

from bench.board.tabular import tabular
from bench.grid import white_noise
from bench.show.numbers import Numbers, numbers
from bench.show.result import Result
from bench.stats.intervals import FEW, Interval, is_few

NORMS = {"l1": "L1", "l2": "L2", "linf": "Linf"}


def cells(found: Numbers) -> dict[str, str]:
    """Return one attack's line of the table."""
    return {
        "attack": found.attack,
        "n": f"{found.kept}/{found.samples}",
        "clean acc": percent(found.clean),
        "success": percent(found.success),
        "median norm": median(found),
        "RFC": interval(found.rfc),
        "HFE": interval(found.hfe),
    }


def table(result: Result) -> str:
    """Return the table of a result as plain text."""
    return tabular([cells(found) for found in numbers(result)], left=())


def warnings_of(result: Result) -> list[str]:
    """Return what a reader must know before believing a number, a line each."""
    lines = []
    if result.reasons:
        lines.append(f"PARTIAL, never ranked: {'; '.join(result.reasons)}.")
    if result.control:
        lines.append("CONTROL: untrained weights.")
    found = numbers(result)
    attacked = max(each.correct for each in found)
    if attacked == 0:
        most = max(each.samples for each in found)
        lines.append(
            f"NOTHING WAS ATTACKED: none of the {most} samples is classified correctly, so there "
            "is no perturbation to measure. Are the weights trained, and the normalisation inside?"
        )
    else:
        few = [each.attack for each in found if is_few(each.kept) and not each.witness]
        if few:
            lines.append(
                f"FEW: fewer than {FEW} kept samples under {', '.join(few)}: these intervals are "
                "too narrow, and of one sample there is none."
            )
    return lines


def sentence(result: Result, attack: str) -> str:
    """Return what the picture shows of an attack, in one sentence made of its numbers."""
    found = next(each for each in numbers(result) if each.attack == attack)
    if not found.kept:
        return f"No sample was fooled under {found.attack}, so there is nothing to see."
    white = white_noise(*result.size)["rfc"]
    norm = NORMS[found.norm]
    kind = f"smallest {norm} perturbations that {found.attack} found"
    kind = kind if found.minimal else f"{norm} perturbations of {found.attack}"
    return (
        f"The {kind} have their energy at "
        f"{interval(found.rfc)} of the Nyquist frequency in the mean (RFC, {found.kept} of "
        f"{found.samples} samples); white noise: {white:.3f}, the clean images: "
        f"{found.image_rfc:.3f}. A lower RFC is less high-frequency, not more robust."
    )


def legend(result: Result) -> str:
    """Return what the columns of the table mean."""
    white = white_noise(*result.size)
    return (
        "n: kept (clean-correct and fooled) of all samples. RFC: radial frequency centroid in "
        f"units of Nyquist (white noise: {white['rfc']:.3f}); HFE: energy share above half of "
        f"Nyquist (white noise: {white['hfe']:.3f}). Brackets: 95 % intervals over the images."
    )


def percent(found: Interval) -> str:
    """Return a share as text; "-" where there is none."""
    return "-" if found.mean != found.mean else f"{100 * found.mean:.1f} %"


def median(found: Numbers) -> str:
    """Return a median norm with its norm's name, in words where there is none."""
    value = found.median.mean
    if math.isnan(value):
        return "- (none attacked)"
    if math.isinf(value):
        return f"- (half or more unfooled, {found.norm})"
    return f"{value:.4g} {found.norm}"


def interval(found: Interval) -> str:
    """Return a mean with its interval as text; "-" where there is none."""
    if found.mean != found.mean:
        return "-"
    if found.low != found.low:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"

"""From samples to the numbers of one row of the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.entries.rules import Rules
from bench.grid import white_noise
from bench.results.read import Samples, Submission
from bench.stats.bootstrap import (
    Bools,
    Floats,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from bench.stats.intervals import Interval, excess, median_norm_interval, proportion_interval

MASKED_SHARE = 0.01
"""Share of samples from which a sign of masking is flagged."""


@dataclass(frozen=True)
class AttackSummary:
    """One attack on one model.

    Attributes:
        samples: rows that are there.
        correct: clean-correct samples, all of them attacked.
        kept: fooled samples with a spectrum, over which spectra are averaged.
        success: share of the clean-correct that was fooled.
        norm: median norm over the clean-correct in the attack's own norm, unfooled infinite.
        rfc, hfe, hfx: means over the kept samples; hfx is a ratio of means.
        image_rfc: mean RFC of the clean images over the kept samples.
        zero_grad: share of attacked samples whose loss gradient is exactly zero.
        nonfinite: samples on which the attack or the logits broke down.
        stronger_pgd: share of the clean-correct that PGD in this norm fools within its budget
            while this minimal attack's norm exceeds it; NaN if there is no such pair.
    """

    samples: int
    correct: int
    kept: int
    success: Interval
    norm: Interval
    rfc: Interval
    hfe: Interval
    hfx: Interval
    image_rfc: float
    zero_grad: float
    nonfinite: int
    stronger_pgd: float = float("nan")


@dataclass(frozen=True)
class ModelSummary:
    """One submission on the board.

    Attributes:
        submission: where it comes from.
        clean: clean accuracy over the protocol's samples.
        samples: number of samples of `clean`.
        attacks: attack name -> summary.
        reasons: why it is not ranked; empty if it is.
        primary: (n,) float32 RFC under the primary attack, for comparing pairs.
        primary_kept: (n,) bool.
    """

    submission: Submission
    clean: Interval
    samples: int
    attacks: Mapping[str, AttackSummary]
    reasons: tuple[str, ...]
    primary: np.ndarray[tuple[int], np.dtype[np.float32]] = field(repr=False)
    primary_kept: np.ndarray[tuple[int], np.dtype[np.bool_]] = field(repr=False)

    @property
    def name(self) -> str:
        """`<model>[@random][@seedN]`."""
        return self.submission.name

    @property
    def control(self) -> bool:
        """Whether its weights are random."""
        return bool(self.submission.metadata.get("control")) or "@random" in self.name

    @property
    def ranked(self) -> bool:
        """Whether it passes every gate."""
        return not self.reasons


def summarise(
    submissions: Sequence[Submission], samples: Sequence[Samples], rules: Rules
) -> list[ModelSummary]:
    """Return the numbers of some submissions that share their rules.

    Args:
        submissions: a handful; memory grows with their number.
        samples: their rows.
        rules: what they were measured under.
    """
    counts = resample_counts(len(rules.ids), rules.protocol.seed).astype(np.float32)
    kept = np.stack([s.kept for s in samples])
    names = ("rfc", "hfe", "image_rfc")
    values = np.stack([np.stack([s.quantities[q] for s in samples]) for q in names])
    means, resampled = resampled_means(values, kept, counts)
    white = np.array([white_noise(*s.input_shape[1:])["rfc"] for s in submissions])[:, None]
    bounds = {q: percentile_interval(resampled[i]) for i, q in enumerate(("rfc", "hfe"))}
    point = {"rfc": means[0], "hfe": means[1], "hfx": excess(means[0], means[2], white)}
    ratio = excess(resampled[0], resampled[2], white[..., None].astype(np.float32))
    bounds["hfx"] = percentile_interval(ratio)

    def interval(name: str, m: int, a: int) -> Interval:
        low, high = bounds[name]
        return Interval(float(point[name][m, a]), float(low[m, a]), float(high[m, a]))

    result = []
    for m, (submission, rows) in enumerate(zip(submissions, samples, strict=True)):
        attacks = {
            name: AttackSummary(
                rfc=interval("rfc", m, a),
                hfe=interval("hfe", m, a),
                hfx=interval("hfx", m, a),
                image_rfc=float(means[2][m, a]),
                **_counts(rows, a),  # type: ignore[arg-type]
                stronger_pgd=_stronger_pgd(rows, rules, name, submission),
            )
            for a, name in enumerate(rules.attacks)
        }
        result.append(_model(submission, rows, rules, attacks, kept[m]))
    return result


def _counts(rows: Samples, attack: int) -> dict[str, int | float | Interval]:
    correct, success = rows.clean_correct[attack], rows.success[attack]
    graded = int(rows.graded[attack].sum())
    return {
        "samples": int(rows.present[attack].sum()),
        "correct": int(correct.sum()),
        "kept": int(rows.kept[attack].sum()),
        "success": proportion_interval(int(success.sum()), int(correct.sum())),
        "norm": median_norm_interval(rows.norm[attack], success, correct),
        "zero_grad": float(rows.zero_grad[attack].sum() / graded) if graded else float("nan"),
        "nonfinite": int(rows.nonfinite[attack].sum()),
    }


def _stronger_pgd(rows: Samples, rules: Rules, attack: str, submission: Submission) -> float:
    """Share of samples that a budget attack fools within what the minimal attack calls needed."""
    names, spec = list(rules.attacks), rules.attacks[attack]
    rivals = [n for n, s in rules.attacks.items() if not s.minimal and s.norm == spec.norm]
    if not spec.minimal or not rivals:
        return float("nan")
    a, b = names.index(attack), names.index(rivals[0])
    budget = rules.attacks[rivals[0]].budget(int(np.prod(submission.input_shape)))
    minimal = np.where(rows.success[a], rows.norm[a], np.inf)
    correct = rows.clean_correct[a]
    total = int(correct.sum())
    # a thousandth: PGD's own rounding at the surface of its ball
    beaten = correct & rows.success[b] & (minimal > float(budget or np.inf) * 1.001)
    return float(beaten.sum() / total) if total else float("nan")


def _model(
    submission: Submission,
    rows: Samples,
    rules: Rules,
    attacks: Mapping[str, AttackSummary],
    kept: Bools,
) -> ModelSummary:
    primary = list(rules.attacks).index(rules.primary)
    correct = rows.clean_correct[primary]
    present = int(rows.present[primary].sum())
    clean = proportion_interval(int(correct.sum()), present)
    rfc: Floats = rows.quantities["rfc"][primary]
    return ModelSummary(
        submission=submission,
        clean=clean,
        samples=present,
        attacks=attacks,
        reasons=_reasons(submission, rules, clean, attacks),
        primary=np.where(kept[primary], rfc, 0).astype(np.float32),
        primary_kept=kept[primary],
    )


def _reasons(
    submission: Submission, rules: Rules, clean: Interval, attacks: Mapping[str, AttackSummary]
) -> tuple[str, ...]:
    """Return why a result is not ranked (design contract, gates)."""
    gates, chance = rules.gates, rules.dataset.chance
    found = []
    if submission.metadata.get("control") or "@random" in submission.name:
        found.append("untrained control")
    for name, attack in attacks.items():
        if attack.samples < len(rules.ids):
            found.append(f"{name}: {attack.samples} of {len(rules.ids)} samples present")
    needed = gates.min_accuracy_over_chance * chance
    if not clean.mean >= needed:
        found.append(f"clean accuracy {clean.mean:.1%} is below {needed:.1%}, ")
        found[-1] += f"{gates.min_accuracy_over_chance:g} x chance"
    kept = attacks[gates.kept_attack].kept
    if kept < gates.min_kept:
        found.append(f"{gates.kept_attack}: {kept} samples kept, {gates.min_kept} needed")
    for name, spec in rules.attacks.items():
        success = attacks[name].success.mean
        if gates.min_minimal_success is None or not spec.minimal:
            continue
        if not success >= gates.min_minimal_success:
            found.append(f"{name} fools {success:.1%} of the clean-correct, ")
            found[-1] += f"{gates.min_minimal_success:.0%} needed"
    return tuple(found)

"""From samples to the numbers of one row of the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.entries.rules import Rules
from bench.grid import white_noise
from bench.metrics import METRICS
from bench.results.read import Submission
from bench.results.samples import SHOWN, Samples
from bench.stats.bootstrap import (
    Bools,
    Floats,
    Halved,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from bench.stats.intervals import Interval, excess, median_norm_interval, proportion_interval

WITH_INTERVAL = tuple(m.name for m in METRICS if m.shown == "interval")
"""Metrics whose means stand with an interval."""

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
        means: metric -> mean over the kept samples, those that the board shows; without
            an interval where none is shown.
        hfx: a ratio of means.
        zero_grad: share of attacked samples whose loss gradient is exactly zero.
        broken: samples on which attack or logits broke down, or no step could be taken.
        stronger_pgd: share of the clean-correct that PGD in this norm fools within its budget
            while this minimal attack's norm exceeds it; NaN if there is no such pair.
    """

    samples: int
    correct: int
    kept: int
    success: Interval
    norm: Interval
    means: Mapping[str, Interval]
    hfx: Interval
    zero_grad: float
    broken: int
    stronger_pgd: float = float("nan")

    @property
    def rfc(self) -> Interval:
        """Mean RFC of the perturbations."""
        return self.means["rfc"]

    @property
    def hfe(self) -> Interval:
        """Mean high-frequency energy."""
        return self.means["hfe"]


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
        return self.submission.metadata.control or "@random" in self.name

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
    point, resampled = _means(samples, kept, counts)
    white = np.array([white_noise(*s.input_shape[1:])["rfc"] for s in submissions])[:, None]
    point["hfx"] = excess(point["rfc"], point["image_rfc"], white)
    bounds = {q: percentile_interval(resampled[q]) for q in WITH_INTERVAL}
    ratio = excess(resampled["rfc"], resampled["image_rfc"], white[..., None].astype(np.float32))
    bounds["hfx"] = percentile_interval(ratio)

    def interval(name: str, m: int, a: int) -> Interval:
        low, high = (float(b[m, a]) for b in bounds[name]) if name in bounds else (np.nan, np.nan)
        return Interval(float(point[name][m, a]), low, high)

    result = []
    for m, (submission, rows) in enumerate(zip(submissions, samples, strict=True)):
        attacks = {
            name: AttackSummary(
                means={q: interval(q, m, a) for q in SHOWN},
                hfx=interval("hfx", m, a),
                **_counts(rows, a),  # type: ignore[arg-type]
                stronger_pgd=_stronger_pgd(rows, rules, name, submission),
            )
            for a, name in enumerate(rules.attacks)
        }
        result.append(_model(submission, rows, rules, attacks, kept[m]))
    return result


def _means(
    samples: Sequence[Samples], kept: Bools, counts: Halved
) -> tuple[dict[str, Floats | Halved], dict[str, Floats | Halved]]:
    """Metric -> means (M, A) over the kept samples, and in every resample (M, A, B).

    A file that does not have a metric under an attack has no mean of it.
    """
    values = np.stack([np.stack([s.quantities[q] for s in samples]) for q in SHOWN])
    there = kept & ~np.isnan(values)
    mask = kept if np.array_equal(there, np.broadcast_to(kept, there.shape)) else there
    means, resampled = resampled_means(values, mask, counts)
    return dict(zip(SHOWN, means, strict=True)), dict(zip(SHOWN, resampled, strict=True))


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
        "broken": int(rows.broken[attack].sum()),
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
    if submission.metadata.control or "@random" in submission.name:
        found.append("untrained control")
    present = rules.needed(submission.name, submission.metadata.schema_version)
    for name in present:
        attack = attacks[name]
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
        if gates.min_minimal_success is None or not spec.minimal or name not in present:
            continue
        if not success >= gates.min_minimal_success:
            found.append(f"{name} fools {success:.1%} of the clean-correct, ")
            found[-1] += f"{gates.min_minimal_success:.0%} needed"
    return tuple(found)

"""From samples to the numbers of one result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.board import gates
from bench.board.numbers import (
    WITH_INTERVAL,
    AttackSummary,
    Challenged,
    ModelSummary,
    is_control,
)
from bench.entries.rules import Rules
from bench.grid import white_noise
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
from bench.stats.optimality import Optimality, optimality

SURFACE = 1.001
"""PGD's own rounding at the surface of its ball: norms up to so many budgets lie within it."""


def summarise(
    submissions: Sequence[Submission], samples: Sequence[Samples], rules: Rules
) -> list[ModelSummary]:
    """Return the numbers of some submissions that share their rules.

    Args:
        submissions: a handful; memory grows with their number.
        samples: their rows.
        rules: what they were measured under.
    """
    means = _means(submissions, samples, rules)
    order = gates.witness_places(rules)
    return [
        _model(submission, rows, rules, found, order)
        for submission, rows, found in zip(submissions, samples, means, strict=True)
    ]


def _means(
    submissions: Sequence[Submission], samples: Sequence[Samples], rules: Rules
) -> list[dict[str, dict[str, Interval]]]:
    """Return attack -> quantity -> mean over the kept samples, for each submission."""
    counts = resample_counts(len(rules.ids), rules.protocol.seed).astype(np.float32)
    kept = np.stack([s.kept for s in samples])
    point, drawn = _resampled(samples, kept, counts)
    white = np.array([white_noise(*s.input_shape[1:])["rfc"] for s in submissions])[:, None]
    point["hfx"] = excess(point["rfc"], point["image_rfc"], white)
    ratio = excess(drawn["rfc"], drawn["image_rfc"], white[..., None].astype(np.float32))
    bounds = {q: percentile_interval(drawn[q]) for q in WITH_INTERVAL}
    bounds["hfx"] = percentile_interval(ratio)
    several = kept.sum(axis=-1) > 1

    def interval(name: str, m: int, a: int) -> Interval:
        alone = name not in bounds or not several[m, a]
        low, high = (np.nan, np.nan) if alone else (float(b[m, a]) for b in bounds[name])
        return Interval(float(point[name][m, a]), low, high)

    return [
        {
            attack: {name: interval(name, m, a) for name in point}
            for a, attack in enumerate(rules.attacks)
        }
        for m in range(len(submissions))
    ]


def _resampled(
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


def _attack(
    rows: Samples, rules: Rules, name: str, means: dict[str, Interval], dims: int
) -> AttackSummary:
    a = list(rules.attacks).index(name)
    correct, fooled = rows.clean_correct[a], rows.fooled[a]
    graded = int(rows.graded[a].sum())
    return AttackSummary(
        samples=int(rows.present[a].sum()),
        correct=int(correct.sum()),
        kept=int(rows.kept[a].sum()),
        success=proportion_interval(int(fooled.sum()), int(correct.sum())),
        norm=median_norm_interval(rows.norm[a], fooled, correct),
        means={name: mean for name, mean in means.items() if name != "hfx"},
        hfx=means["hfx"],
        zero_grad=float(rows.zero_grad[a].sum() / graded) if graded else float("nan"),
        broken=int((rows.broken[a] & correct).sum()),
        stronger_pgd=_stronger_pgd(rows, rules, name, dims),
        optimality=_optimality(rows, rules, name),
        challenged=_challenged(rows, rules, name),
    )


def _stronger_pgd(rows: Samples, rules: Rules, attack: str, dims: int) -> float:
    """Share of samples that a budget attack fools within what the minimal attack calls needed."""
    names, spec = list(rules.attacks), rules.attacks[attack]
    found = [n for n, s in rules.attacks.items() if not s.minimal and s.norm == spec.norm]
    if not spec.minimal or not found:
        return float("nan")
    a, b = names.index(attack), names.index(found[0])
    both = rows.present[a] & rows.present[b] & rows.clean_correct[a]
    total = int(both.sum())
    budget = rules.attacks[found[0]].budget(dims)
    limit = SURFACE * float(np.inf if budget is None else budget)
    beaten = both & rows.fooled[b] & (rows.distance[a] > limit)
    return float(beaten.sum() / total) if total else float("nan")


def _optimality(rows: Samples, rules: Rules, attack: str) -> Optimality | None:
    """Hold a minimal attack against the shortest that it, its witnesses and others found.

    On the samples of the witnesses only: challenges come where something was found, and samples
    chosen for that would bias every share and mean.
    """
    a, chosen = list(rules.attacks).index(attack), gates.rivals(rules, attack)
    if not rules.attacks[attack].minimal or not chosen:
        return None
    best = np.fmin.reduce([rows.witnesses[name] for name in chosen])
    if attack in rows.challenged:
        best = np.where(np.isnan(best), np.nan, np.fmin(best, rows.challenged[attack].distance))
    used = rows.clean_correct[a] & rows.present[a] & ~np.isnan(best)
    if not used.any():
        return None
    return optimality(rows.distance[a], best, used, rules.protocol.seed)


def _challenged(rows: Samples, rules: Rules, attack: str) -> Challenged | None:
    """Return what others have found that is shorter than the attack's own."""
    if attack not in rows.challenged:
        return None
    own, best = rows.distance[list(rules.attacks).index(attack)], rows.challenged[attack]
    shorter = best.distance < own
    if not shorter.any():
        return None
    with np.errstate(invalid="ignore"):
        share = 1 - best.distance[shorter] / own[shorter]
    counts = Counter(str(name) for name in best.who[shorter])
    return Challenged(
        int(shorter.sum()), float(share.max()), tuple(n for n, _ in counts.most_common())
    )


def _model(
    submission: Submission,
    rows: Samples,
    rules: Rules,
    means: dict[str, dict[str, Interval]],
    order: npt.NDArray[np.int64],
) -> ModelSummary:
    dims = int(np.prod(submission.input_shape))
    attacks = {name: _attack(rows, rules, name, means[name], dims) for name in rules.attacks}
    primary = list(rules.attacks).index(rules.primary)
    present, kept = int(rows.present[primary].sum()), rows.kept[primary]
    clean = proportion_interval(int(rows.clean_correct[primary].sum()), present)
    version = submission.metadata.schema_version
    missing = gates.incomplete(submission.name, version, rules, attacks)
    control = ("untrained control",) if is_control(submission) else ()
    return ModelSummary(
        submission=submission,
        clean=clean,
        samples=present,
        attacks=attacks,
        incomplete=missing,
        reasons=(*control, *missing, *gates.failed(rows, rules, clean, attacks, order)),
        primary=np.where(kept, rows.quantities["rfc"][primary], 0.0),
        primary_kept=kept,
    )

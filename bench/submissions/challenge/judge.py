"""Judging perturbations that were sent, by forward passes of the model that they are against.

One is accepted if it leaves the image in [0, 1], gives it another class than its label by a clear
margin, and is shorter than the best known distance of that sample by a stated share. Its image is
settled as those of the protocol's minimal attacks are, and what is kept is what was judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.attacks.base import norms
from bench.attacks.settle import MARGIN, relative_margin, settle
from bench.entries import registry
from bench.errors import BenchError
from bench.measure.job import Job
from bench.results.address import ModelName
from bench.results.challenges import GAIN, Kept
from bench.results.provenance import now
from bench.results.read import Submission, open_submission, read_samples
from bench.results.samples import Samples
from bench.run.open import Opened, open_model
from bench.run.request import Request
from bench.submissions.challenge.sent import Sent

Array = npt.NDArray[Any]

BATCH_VALUES = 2**19
"""Input values that are judged together: 668 gray images of 28 x 28, 3 of 3 x 224 x 224."""
OUTSIDE = 2.0**-22
"""How far image + perturbation may leave [0, 1]: float32 rounds sums by less."""
SAME = 1e-6
"""Relative difference that a stated norm may have."""


@dataclass(frozen=True)
class Verdict:
    """What came of one perturbation.

    Attributes:
        attack, sample_id: whose row it challenges.
        reason: why it is refused; "" if it is accepted.
        norm: of the perturbation as it was judged; NaN if it was refused before.
        best: the best known distance before; infinite where nothing was known to fool.
        kept: what is stored; None if it is refused.
    """

    attack: str
    sample_id: int
    reason: str
    norm: float = float("nan")
    best: float = float("nan")
    kept: Kept | None = None


@dataclass(frozen=True)
class Known:
    """The best known distances of a submission: its own, its witnesses', earlier challenges'."""

    submission: Submission
    samples: Samples
    place: dict[int, int]

    def best(self, attack: str, earlier: bool) -> Array:
        """(n,) best known distance in the protocol's order; NaN where nothing was attacked."""
        rules = self.submission.rules
        norm = rules.attacks[attack].norm
        row = list(rules.attacks).index(attack)
        found = [self.samples.distance[row]]
        found += [self.samples.witnesses[n] for n, s in rules.witnesses.items() if s.norm == norm]
        if earlier and attack in self.samples.challenged:
            found.append(self.samples.challenged[attack].distance)
        best: Array = np.fmin.reduce(found)
        best[np.isnan(self.samples.distance[row])] = np.nan
        return best


def known(path: Path) -> Known:
    """Return what is known of a submission.

    Raises:
        BenchError: it is not there, or unreadable.
    """
    if not path.is_file():
        raise BenchError(
            f"expected the challenged row's submission at {path}, found no file; check model, "
            "dataset and protocol in the file, and --submissions"
        )
    submission = open_submission(path)
    place = {sample: i for i, sample in enumerate(submission.rules.ids)}
    return Known(submission, read_samples(submission), place)


def open_challenged(found: Known, stated_weights: str, request: Request) -> Opened:
    """Open the model of a submission, which must be the one that was challenged.

    Raises:
        BenchError: other weights than the submission's, there or here.
    """
    meta, path = found.submission.metadata, found.submission.path
    if stated_weights != meta.weights_sha256:
        raise BenchError(
            f"expected perturbations of the weights of {path} ({meta.weights_sha256[:12]}), got "
            f"some of others ({stated_weights[:12]}); challenge the model that is on the board"
        )
    name = ModelName.parse(found.submission.name)
    listed = name.seed is not None and registry.model(name.entry).seed_of(name.seed) is not None
    opened = open_model(
        request.but(
            model=f"{name.entry}@seed{name.seed}" if listed else name.entry,
            dataset=meta.dataset,
            protocol=meta.protocol,
            weights="random" if meta.control else request.what.weights,
            attacks=(found.submission.rules.primary,),
        )
    )
    if opened.loaded.weights.sha256 != meta.weights_sha256:
        raise BenchError(
            f"expected the weights of {path} ({meta.weights_sha256[:12]}), found others here "
            f"({opened.loaded.weights.sha256[:12]}); name the file with --weights"
        )
    return opened


def judge(sent: Sent, found: Known, opened: Opened, who: str, *, again: bool) -> list[Verdict]:
    """Return a verdict for each perturbation, in the order of the file.

    Args:
        sent: the file.
        found: what is known of the submission.
        opened: its model and images.
        who: who sends what the file names no sender of.
        again: judge what was accepted before: earlier challenges do not count as known, and
            stated norms must be right.
    """
    verdicts: list[Verdict | None] = [
        _refused(sent, place, found, opened) for place in range(len(sent.deltas))
    ]
    size = max(1, BATCH_VALUES // int(np.prod(opened.loaded.input_shape)))
    best = {a: found.best(a, not again) for a in {str(a) for a in sent.attack} & _minimal(found)}
    for attack, distances in best.items():
        todo = [i for i, v in enumerate(verdicts) if v is None and sent.attack[i] == attack]
        for start in range(0, len(todo), size):
            some = todo[start : start + size]
            for place, verdict in zip(
                some, _judged(sent, some, attack, distances, found, opened, who), strict=True
            ):
                verdicts[place] = _as_stated(verdict, sent, place) if again else verdict
    return _shortest([v for v in verdicts if v is not None])


def _minimal(found: Known) -> set[str]:
    return {name for name, spec in found.submission.rules.attacks.items() if spec.minimal}


def _refused(sent: Sent, place: int, found: Known, opened: Opened) -> Verdict | None:
    """Return why a perturbation is refused before the model sees it; None: it may be right."""
    attack, sample = str(sent.attack[place]), int(sent.sample_id[place])
    delta, shape = sent.deltas[place], opened.loaded.input_shape

    def no(reason: str) -> Verdict:
        return Verdict(attack[:60], sample, reason)

    if attack not in _minimal(found):
        wanted = " or ".join(sorted(_minimal(found)))
        return no(f"expected a row of {wanted}, which look for the smallest perturbation")
    if sample not in found.place:
        return no("expected a sample of the protocol")
    if delta.dtype != np.float32:
        return no(f"expected float32 values, found {delta.dtype}")
    if delta.shape != shape:
        return no(f"expected a perturbation {shape}, found {delta.shape}")
    if not np.isfinite(delta).all():
        return no("expected finite values, found NaN or infinity")
    row = list(found.submission.rules.attacks).index(attack)
    if not found.samples.clean_correct[row, found.place[sample]]:
        return no("expected a sample that is classified correctly: this one needs no perturbation")
    if sent.labels is not None:
        label = int(opened.job.labels([sample])[0])
        if int(sent.labels[place]) != label:
            return no(f"expected the true class {label}, found label {int(sent.labels[place])}")
    return None


def _judged(
    sent: Sent,
    places: Sequence[int],
    attack: str,
    best: Array,
    found: Known,
    opened: Opened,
    who: str,
) -> list[Verdict]:
    """Judge some perturbations by the model."""
    ids = [int(sent.sample_id[i]) for i in places]
    images, labels = opened.job.load(ids), opened.job.labels(ids)
    delta = torch.from_numpy(np.stack([sent.deltas[i] for i in places])).to(images.device)
    outside = ((images + delta - 0.5).abs() - 0.5).flatten(1).amax(1).cpu().numpy()
    adversarial, margin = _settled(opened.job, images, (images + delta).clamp(0, 1), labels)
    norm = norms(adversarial - images, found.submission.rules.attacks[attack].norm).cpu().numpy()
    kept = (adversarial - images).cpu().numpy()
    verdicts = []
    for at, place in enumerate(places):
        known_best = float(best[found.place[ids[at]]])
        size = float(norm[at])
        reason = _reason(float(outside[at]), float(margin[at]), size, known_best)
        sender = str(sent.who[place]) if sent.who is not None else who
        row = Kept(attack, ids[at], kept[at], size, sender, now())
        accepted = None if reason else row
        verdicts.append(Verdict(attack, ids[at], reason, size, known_best, accepted))
    return verdicts


def _reason(outside: float, margin: float, norm: float, best: float) -> str:
    if outside > OUTSIDE:
        return f"expected an image within [0, 1], found one {outside:.3g} outside"
    if not margin >= MARGIN:
        return (
            "expected another class than the label, clearly: a logit above its by at least "
            f"{MARGIN:g} of the spread of the logits, found {margin:.3g}"
        )
    if not norm <= (1 - GAIN) * best:
        return (
            f"expected a norm of at most {(1 - GAIN) * best:.6g} ({GAIN:.1%} below the best known "
            f"{best:.6g}), found {norm:.6g}"
        )
    return ""


@torch.no_grad()
def _settled(job: Job, images: Tensor, adversarial: Tensor, labels: Tensor) -> tuple[Tensor, Array]:
    """Return the images as minimal attacks end, and the margin of each in units of the spread."""
    sharp = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with sharp:
        settled = settle(job.model, images, adversarial, labels, "spread")
        logits = job.model(settled)
    margin = relative_margin(logits, labels, "spread")
    margin = torch.where(logits.isfinite().all(1), margin, -torch.inf)
    return settled, margin.cpu().numpy()


def _as_stated(verdict: Verdict, sent: Sent, place: int) -> Verdict:
    """Refuse a kept perturbation whose stated norm is another."""
    if verdict.reason or sent.norms is None:
        return verdict
    stated = float(sent.norms[place])
    if abs(stated - verdict.norm) <= SAME * verdict.norm:
        return verdict
    reason = f"expected the norm that it has, {verdict.norm:.9g}, found {stated:.9g} stated"
    return replace(verdict, reason=reason, kept=None)


def _shortest(verdicts: list[Verdict]) -> list[Verdict]:
    """Of several for one row only the shortest is accepted."""
    first: dict[tuple[str, int], int] = {}
    for place, verdict in enumerate(verdicts):
        key = (verdict.attack, verdict.sample_id)
        if verdict.kept is None:
            continue
        if key not in first or verdict.norm < verdicts[first[key]].norm:
            first[key] = place
    return [
        verdict
        if verdict.kept is None or first[verdict.attack, verdict.sample_id] == place
        else replace(verdict, reason="expected one for this row, found a shorter one", kept=None)
        for place, verdict in enumerate(verdicts)
    ]

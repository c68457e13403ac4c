"""What a run will cost, answered in seconds; nothing is written and nothing downloaded.

Small images and weights that are at hand: a few steps of each attack are timed on them. Otherwise
passes are timed on noise with random weights, and counted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from bench.attacks.run import attack_batch
from bench.entries import registry
from bench.entries.attacks import AttackSettings
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.errors import BenchError
from bench.measure.job import Job
from bench.results.address import Address
from bench.results.filesystem import files_at, url_of
from bench.results.store import Store
from bench.run.batch_size import peak_memory
from bench.run.choose import choose_attacks, choose_device, model_entry
from bench.run.expected import Widths, spreads, widths
from bench.run.noise import Speed, speed_of, unweighted
from bench.run.open import open_model
from bench.run.request import Request

FEW, MORE = 2, 10
"""Steps of the two timed runs; their difference is free of what an attack does once."""
SOLVER = 3.0
"""What a minimal attack computes beside its passes may take as long again, and as long again, on
small images (measured: 1.1 to 2.7 passes for each of its passes)."""
BUSY = 0.7
"""Share of a core below which a machine is called busy."""
BYTES_PER_ROW = 500
"""Of a result, about, compressed."""
EXAMPLES = 8
"""Images in an attack's side file: four, each with its perturbation."""


@dataclass(frozen=True)
class AttackCost:
    """The cost of one attack.

    Attributes:
        attack: its name.
        samples: that the run is to have.
        done: of them, that the finished file has rows of.
        attacked: of the others, that the model classifies correctly.
        passes: forward and backward passes of single images; an upper bound for minimal attacks.
        seconds: (low, mid, high).
        width: the expected interval of its mean RFC.
    """

    attack: str
    samples: int
    done: int
    attacked: int
    passes: int
    seconds: tuple[float, float, float]
    width: Widths


@dataclass(frozen=True)
class Cost:
    """The cost of a run.

    Attributes:
        model: its name.
        dataset: that it is measured on.
        accuracy: share of samples that are classified correctly, and so attacked.
        accuracy_from: who says so.
        batch_size: images of a timed pass.
        memory_bytes: peak so far: of the process, or allocated on the GPU.
        attacks: each one.
        timed: how, in words.
        result_bytes: of the result's files, about.
        n_params: numbers in the weights.
        weights_bytes: that a hub would have to send; 0: none.
    """

    model: str
    dataset: str
    accuracy: float
    accuracy_from: str
    batch_size: int
    memory_bytes: int
    attacks: tuple[AttackCost, ...]
    timed: str
    result_bytes: int
    n_params: int
    weights_bytes: int

    @property
    def seconds(self) -> tuple[float, float, float]:
        """All attacks together: (low, mid, high)."""
        low, mid, high = (sum(cost.seconds[i] for cost in self.attacks) for i in range(3))
        return low, mid, high

    @property
    def passes(self) -> int:
        """All attacks together."""
        return sum(cost.passes for cost in self.attacks)


Tell = Callable[[str], None]


@dataclass(frozen=True)
class _Plan:
    """What is known of a run before it is timed."""

    request: Request
    entry: ModelEntry
    protocol: Protocol
    count: int
    """Samples of an attack."""
    tell: Tell


@dataclass(frozen=True)
class _Timed:
    """What timing gave: attack -> (low, mid, high) seconds of a pass of one image."""

    seconds: Mapping[str, tuple[float, float, float]]
    accuracy: float
    accuracy_from: str
    how: str
    images: int
    n_params: int
    values: int
    """Of an image at the model's input size."""
    hub: bool


def cost_of(request: Request, tell: Tell = lambda text: None) -> Cost:
    """Return the cost of a request.

    Args:
        request: what was asked for.
        tell: is told what is being done.

    Raises:
        BenchError: the request can't be met, whatever is at hand.
    """
    entry = model_entry(request)
    protocol, dataset = registry.protocol(request.what.protocol), registry.dataset(entry.dataset)
    choose_attacks(request.what.attacks, protocol)
    everything = len(protocol.sample_ids(dataset.name))
    plan = _Plan(request, entry, protocol, min(request.data.limit or everything, everything), tell)
    found = None if dataset.transform else _on_images(plan)
    return _counted(plan, *(found or _on_noise(plan)))


def _counted(plan: _Plan, timed: _Timed, names: tuple[str, ...]) -> Cost:
    request, protocol, entry = plan.request, plan.protocol, plan.entry
    whose, known = spreads(request.where.submissions, protocol.name, entry.dataset)
    settings = {**protocol.attacks, **protocol.witnesses}
    done = _done(plan, names)
    costs = []
    for name in names:
        count = _samples(plan, name)
        attacked = round((count - done[name]) * timed.accuracy)
        passes = attacked * settings[name].passes
        low, mid, high = (passes * one for one in timed.seconds[name])
        width = widths(known, whose, name, round(count * timed.accuracy))
        costs.append(AttackCost(name, count, done[name], attacked, passes, (low, mid, high), width))
    rows = sum(cost.samples - cost.done for cost in costs)
    deltas = sum(cost.attacked for cost in costs) if request.how.save_perturbations else 0
    images = 4 * timed.values * (deltas + EXAMPLES * len(costs))
    return Cost(
        model=entry.name,
        dataset=entry.dataset,
        accuracy=timed.accuracy,
        accuracy_from=timed.accuracy_from,
        batch_size=timed.images,
        memory_bytes=peak_memory(choose_device(request.how.device)),
        attacks=tuple(costs),
        timed=timed.how,
        result_bytes=rows * BYTES_PER_ROW + images if rows else 0,
        n_params=timed.n_params,
        weights_bytes=4 * timed.n_params if timed.hub else 0,
    )


def _samples(plan: _Plan, attack: str) -> int:
    """Return how many samples an attack is to have: of witnesses fewer."""
    witness = plan.protocol.witnesses.get(attack)
    if witness is None or witness.affine_only:
        return plan.count
    return min(plan.count, plan.protocol.witness_count)


def _done(plan: _Plan, names: tuple[str, ...]) -> dict[str, int]:
    """Return how many rows the finished file has of each attack; of a file elsewhere none."""
    where, none = plan.request.where, dict.fromkeys(names, 0)
    if where.overwrite or url_of(where.output) is not None:
        return none
    partial = plan.request.data.limit is not None or plan.request.data.source == "samples"
    name = plan.entry.name + ("@random" if plan.request.what.weights == "random" else "")
    address = Address(plan.protocol.name, plan.entry.dataset, name, partial)
    store = Store(files_at(where.output), address)
    try:
        return {a: min(len(store.ids(a)), _samples(plan, a)) for a in names}
    except (BenchError, OSError, ValueError):
        return none


def _names(plan: _Plan, affine: bool) -> tuple[str, ...]:
    lean = plan.request.what.weights == "random" or "@" in plan.entry.name
    return choose_attacks(plan.request.what.attacks, plan.protocol, lean, affine)


# ---------------------------------------------------------------- on noise


def _on_noise(plan: _Plan) -> tuple[_Timed, tuple[str, ...]]:
    what, how = plan.request.what, plan.request.how
    plan.tell(f"{plan.entry.name}: random weights, for its speed")
    loaded = unweighted(plan.entry, what.weights, how.device, what.trust)
    plan.tell(f"{plan.entry.name}: timing passes on noise")
    speed = speed_of(loaded, how.device, how.batch_size)
    names = _names(plan, loaded.affine)
    settings = {**plan.protocol.attacks, **plan.protocol.witnesses}
    small = not registry.dataset(plan.entry.dataset).transform
    seconds = {name: _seconds(speed, settings[name], small) for name in names}
    accuracy, said = _stated_accuracy(plan.entry, what.weights, loaded.classes)
    text = (
        f"passes of {speed.images} image(s), {speed.passes} of them, {speed.how}; "
        f"{1 / speed.mid:.3g} images/s forward and backward "
        f"({1 / speed.high:.3g} to {1 / speed.low:.3g})"
    )
    text += _busy(speed.got)
    hub = plan.entry.source == "timm" and what.weights == "default"
    size, params, values = speed.images, loaded.n_params, math.prod(loaded.input_shape)
    return _Timed(seconds, accuracy, said, text, size, params, values, hub), names


def _seconds(speed: Speed, attack: AttackSettings, small: bool) -> tuple[float, float, float]:
    more = SOLVER if small and attack.minimal else 1.0
    return speed.low, speed.mid, speed.high * more


def _stated_accuracy(entry: ModelEntry, weights: str, classes: int) -> tuple[float, str]:
    """Return the share of images that are classified correctly, and who says so."""
    if weights == "random":
        return 1 / classes, "chance"
    if entry.weights is not None and entry.weights.test_accuracy is not None:
        return entry.weights.test_accuracy / 100, "its entry"
    if entry.paper is not None:
        return entry.paper.top1 / 100, "the paper"
    return 1.0, "unknown, at most"


# ---------------------------------------------------------------- on images


def _on_images(plan: _Plan) -> tuple[_Timed, tuple[str, ...]] | None:
    """Time a few steps of each attack on the first batch, if images and weights are at hand."""
    plan.tell(f"{plan.entry.name}: a few steps of each attack")
    try:
        opened = open_model(plan.request.but(offline=True))
    except BenchError:
        return None  # weights or images are not here: noise does
    size = plan.request.how.batch_size or 32
    job = replace(opened.job, batch_size=size)
    ids = opened.ids[:size]
    images, labels = job.load(ids), job.labels(ids)
    right = (job.logits(images).argmax(1) == labels).nonzero()[:, 0]
    if not len(right):
        return None
    accuracy, said = len(right) / len(ids), f"the first {len(ids)} images"
    stated, who = _stated_accuracy(plan.entry, plan.request.what.weights, opened.loaded.classes)
    if who == "its entry":
        accuracy, said = stated, who
    some = [ids[int(i)] for i in right]
    seconds = {}
    begin, worked = time.perf_counter(), time.process_time()
    for name in opened.attacks:
        one = _of_attack(job, name, some)
        seconds[name] = (one, one, one)
    text = f"a few steps of each attack on {len(some)} images"
    if job.device.type == "cpu":
        text += _busy((time.process_time() - worked) / (time.perf_counter() - begin))
    params, values = opened.loaded.n_params, math.prod(opened.loaded.input_shape)
    timed = _Timed(seconds, accuracy, said, text, len(some), params, values, False)
    return timed, opened.attacks


def _busy(got: float) -> str:
    """Return what is to be said of a machine on which a process got a share of a core."""
    if got >= BUSY:
        return ""
    return (
        f" - but the machine is busy: this process got {100 * got:.0f} % of a core, and a quiet "
        "machine is so much faster"
    )


def _of_attack(job: Job, attack: str, ids: list[int]) -> float:
    """Return the seconds of a pass of one image within an attack."""
    images, labels = job.load(ids), job.labels(ids)
    starts, ok = None, None
    settings = job.attacks[attack]
    if settings.needs_starts:
        starts, ok = job.starts.starts(attack, ids, labels.tolist(), images)
    times = []
    whole = settings.shortened(FEW) == settings
    for steps in (FEW,) if whole else (FEW, FEW, MORE):
        spec = settings.shortened(steps)
        begin = time.perf_counter()
        attack_batch(job.model, spec, images, labels, starts, ok, job.step)
        if job.device.type == "cuda":
            torch.cuda.synchronize(job.device)
        times.append(time.perf_counter() - begin)
    # an attack that knows no steps: its own estimate of the passes is what the time is divided by
    step = times[0] / settings.passes if whole else max(times[2] - times[1], 0.0) / (MORE - FEW)
    return step / len(ids)

"""Train one net by its recipe: deterministic, and resumable after every epoch.

Source: Caro et al. 2024, Supplementary Tables 5 to 9. SGD with momentum on the cross-entropy, the
rate dropping by a factor every few epochs; no augmentation, no mean/std normalisation. The weights
of the last epoch are kept, never those with the best test accuracy.

The order of the images in an epoch depends on (seed, epoch) alone and nothing else is drawn, so
that weights, momentum and the log are the whole state of a run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.entries.model import Net
from bench.errors import BenchError
from bench.models.affine import affine_map, has_affine_map
from bench.models.checkpoint import load_weights, read_checkpoint, write_checkpoint
from bench.models.nets import build_net
from bench.training.curves import EpochRow, write_curves, write_log
from bench.training.job import Job, Split, Trained

LOSS_CHECK_STEPS = 50
"""The loss is tested for NaN every so many steps; a test at each step would stall a GPU."""
EVALUATION_BATCH = 500


class Reporter:
    """Is told how a run goes; this one keeps quiet."""

    def start(self, done: int, epochs: int, steps: int) -> None:
        """`done` of `epochs` epochs are there already; each has `steps` steps."""

    def step(self) -> None:
        """One step is done."""

    def net(self, epoch: int, net: torch.nn.Module) -> None:
        """The net as it is after an epoch, 0: untrained; its state is not on the disk yet."""

    def epoch(self, row: EpochRow) -> None:
        """One epoch is done and its state is on the disk."""


class Diverged(BenchError):
    """The loss is not finite any more."""

    def __init__(self, text: str, epoch: int) -> None:
        super().__init__(text)
        self.epoch = epoch
        """In which it was seen, 1 for the first."""


def train(job: Job, *, overwrite: bool = False, reporter: Reporter | None = None) -> Trained:
    """Train a net and write its checkpoint, log and curves.

    After every epoch the whole state is on the disk (`<name>.resume` beside the checkpoint). A
    killed run goes on from there, to the same bits as an uninterrupted one on the same machine
    with the same number of threads.

    Args:
        job: what to train, on what, how, and where to.
        overwrite: start anew even if a checkpoint or a state is there.
        reporter: is told of every step and epoch.

    Raises:
        BenchError: a checkpoint or state of other settings is in the way; the place can't be
            written.
        Diverged: the loss is not finite.
    """
    if job.path.exists() and not overwrite:
        found = read_checkpoint(job.path)
        _must_match(job.facts | job.length, found.meta, job)
        return Trained(job.path, found.sha256, found.meta, reused=True)
    reporter = reporter or Reporter()
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        run = _Run(job)
        if not overwrite:
            run.resume()
        reporter.start(len(run.rows), job.epochs, job.steps)
        if not run.rows:
            reporter.net(0, run.net)
        for epoch in range(len(run.rows), job.epochs):
            run.one_epoch(epoch, reporter)
            reporter.epoch(run.rows[-1])
        return run.finish()


class _Run:
    """The moving parts of one run: net, optimizer and the log so far."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.rows: list[EpochRow] = []
        self.train_data = _to_device(job.train, job.device)
        self.test_data = _to_device(job.test, job.device)
        self.net = initial_net(job).to(job.device)
        self.logits = forward(self.net, job)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(),
            lr=job.recipe.learning_rate,
            momentum=job.recipe.momentum,
            weight_decay=job.recipe.weight_decay,
            fused=True,
        )

    def resume(self) -> None:
        """Restore the state on the disk, if there is one."""
        path = self.job.state_path
        if not path.exists():
            return
        found = read_checkpoint(path)
        _must_match(self.job.facts, found.meta, self.job)
        if len(found.meta["rows"]) > self.job.epochs:
            raise BenchError(
                f"expected at most {self.job.epochs} epochs, got {len(found.meta['rows'])} done, "
                f"in {path}; ask for more epochs, or start anew with --overwrite"
            )
        named = dict(self.net.named_parameters())
        weights = {n: found.tensors[f"net.{n}"] for n in named if f"net.{n}" in found.tensors}
        load_weights(self.net, weights, str(path))
        for name, parameter in named.items():
            buffer = found.tensors.get(f"momentum.{name}")
            if buffer is not None:
                self.optimizer.state[parameter]["momentum_buffer"] = buffer.to(self.job.device)
        self.rows = [EpochRow(**row) for row in found.meta["rows"]]

    def one_epoch(self, epoch: int, reporter: Reporter) -> None:
        """Train one epoch (0 for the first), then put its state and log on the disk."""
        begin = time.monotonic()
        rate = self.job.rate(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, accuracy = self._steps(epoch, reporter)
        tested = self._accuracy(self.test_data)
        seconds = round(time.monotonic() - begin, 3)
        self.rows.append(EpochRow(epoch + 1, rate, loss, accuracy, tested, seconds))
        reporter.net(epoch + 1, self.net)
        self._save_state()
        write_log(self.job.beside(".csv"), self.rows)

    def _steps(self, epoch: int, reporter: Reporter) -> tuple[float, float]:
        """Take the steps of one epoch; return mean loss and accuracy (percent)."""
        images, labels = self.train_data
        order = torch.randperm(len(labels), generator=_generator(self.job.seed, epoch))
        loss_sum = torch.zeros((), dtype=torch.float64, device=labels.device)
        correct = torch.zeros((), dtype=torch.int64, device=labels.device)
        batches = torch.split(order.to(labels.device), self.job.recipe.batch_size)
        draws = _generator(self.job.seed, epoch, "inputs")
        for step, batch in enumerate(batches, 1):
            inputs = scaled(images[batch])
            if self.job.inputs is not None:
                inputs = self.job.inputs.change(self.net, inputs, labels[batch], draws)
            logits = self.logits(inputs)
            loss = F.cross_entropy(logits, labels[batch])
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            loss_sum += loss.detach().double() * len(batch)
            correct += (logits.detach().argmax(1) == labels[batch]).sum()
            if step % LOSS_CHECK_STEPS == 0 or step == self.job.steps:
                self._must_be_finite(loss_sum, epoch, step)
            reporter.step()
        return loss_sum.item() / len(labels), 100 * correct.item() / len(labels)

    def _must_be_finite(self, loss_sum: Tensor, epoch: int, step: int) -> None:
        if not torch.isfinite(loss_sum):
            raise Diverged(
                f"expected a finite loss, got {loss_sum.item()}, in epoch {epoch + 1} by step "
                f"{step} of {self.job.path.stem}; lower --lr (it is "
                f"{self.job.recipe.learning_rate:g})",
                epoch + 1,
            )

    @torch.no_grad()
    def _accuracy(self, data: tuple[Tensor, Tensor]) -> float:
        """Return the accuracy in percent."""
        correct = 0
        pairs = zip(*(torch.split(tensor, EVALUATION_BATCH) for tensor in data), strict=True)
        for images, labels in pairs:
            correct += int((self.logits(scaled(images)).argmax(1) == labels).sum())
        return 100 * correct / len(data[1])

    def _save_state(self) -> None:
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.net.named_parameters():
            tensors[f"net.{name}"] = parameter
            buffer = self.optimizer.state[parameter].get("momentum_buffer")
            if buffer is not None:
                tensors[f"momentum.{name}"] = buffer
        meta = self.job.facts | {"rows": [asdict(row) for row in self.rows]}
        write_checkpoint(self.job.state_path, tensors, meta)

    def finish(self) -> Trained:
        """Write curves and checkpoint, then drop the state that is no longer needed."""
        write_curves(self.job.beside(".png"), self.rows, self.job.path.stem)
        meta = self.job.facts | self.job.length | self.job.versions()
        meta["test_accuracy"] = self._accuracy(self.test_data)
        meta["train_accuracy"] = self._accuracy(self.train_data)
        sha256 = write_checkpoint(self.job.path, self.net.state_dict(), meta)
        self.job.state_path.unlink(missing_ok=True)
        return Trained(self.job.path, sha256, meta, reused=False)


def forward(net: torch.nn.Module, job: Job) -> Callable[[Tensor], Tensor]:
    """Return what gives a batch's logits in a job's steps: the net, or its affine map.

    Args:
        net: that is trained.
        job: its run.
    """
    if not (job.through_map and has_affine_map(net)):
        return net
    shape = job.train.shape
    return lambda images: F.linear(images.flatten(1), *affine_map(net, shape))


def initial_net(job: Job) -> torch.nn.Module:
    """Return a job's net with its seeded initial weights, on the CPU."""
    shape = job.train.shape
    if job.builder is not None:
        return job.builder.build(input_shape=shape, classes=job.classes, seed=job.seed)
    assert isinstance(job.net, Net), "other nets come with their builder"
    return build_net(job.net, input_shape=shape, classes=job.classes, seed=job.seed)


def scaled(images: Tensor) -> Tensor:
    """Return what a net takes, float32 in [0, 1]: uint8 divided by 255, floats as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _generator(seed: int, epoch: int, use: str = "order") -> torch.Generator:
    """Return the source of one epoch's draws for a use, a function of its arguments alone."""
    digest = hashlib.sha256(f"{use}/{seed}/{epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _to_device(split: Split, device: str) -> tuple[Tensor, Tensor]:
    """Return (images (N, C, H, W) uint8 or float32, labels (N,) int64)."""
    return split.planes().to(device), torch.tensor(split.labels).to(device)


def _must_match(wanted: dict[str, Any], found: dict[str, Any], job: Job) -> None:
    """Raise if a file on the disk comes from other settings."""
    for key, value in wanted.items():
        if found.get(key) != value:
            raise BenchError(
                f"expected {key} = {value!r}, got {found.get(key)!r}, in {job.path} or its .resume "
                "file; use --overwrite to train anew, or another --output"
            )

"""Train nets of the registry: names -> images, recipe and place -> `bench.training.loop`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bench.data.base import fingerprint
from bench.data.load import load_images
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry, Recipe
from bench.errors import BenchError
from bench.files import ensure_writable
from bench.results.filesystem import local_folder
from bench.run.choose import choose_device
from bench.run.machine import keep_freed_memory
from bench.training.job import Job, Split, Trained
from bench.training.loop import Reporter
from bench.training.loop import train as train_job


class Announcer(Reporter):
    """A reporter that is also told which model comes next."""

    def model(self, place: int, count: int, name: str) -> None:
        """Model `place` (1 for the first) of `count` comes next."""


def train(
    model: str | Sequence[str],
    *,
    data: str | None = None,
    data_dir: str | Path | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    until_lr: float | None = None,
    seed: int = 0,
    limit: int | None = None,
    device: str = "auto",
    output: str | Path = "results",
    overwrite: bool = False,
    offline: bool = False,
    reporter: Announcer | None = None,
) -> list[Trained]:
    """Train nets by their entries' recipes.

    Checkpoints go to `<output>/checkpoints/<model>[@seedN].safetensors`, with the log (.csv) and
    the curves (.png) beside them. What is there already is reused, what was interrupted goes on.

    Args:
        model: names or patterns of nets ("fashionmnist-*").
        data: "hub"; None: `data_dir` if given, else the local hub cache, else the hub.
        data_dir: a local copy of the data set.
        epochs: instead of the recipe's.
        lr: initial learning rate instead of the recipe's.
        until_lr: end once the rate is below this share of its start, (0, 1].
        seed: of the initial weights and of the order of the images.
        limit: only the first so many images of either split, for a trial.
        device: "auto", "cpu", "cuda" or "cuda:<i>".
        output: folder of the results.
        overwrite: train anew even if a checkpoint or a state is there.
        offline: never ask the network.
        reporter: is told how far it is.

    Returns:
        One record a model, in the order of the names.

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    _check_numbers(epochs, lr, until_lr, seed, limit)
    entries = nets([model] if isinstance(model, str) else model)
    place = str(choose_device(device))
    keep_freed_memory()
    ensure_writable(local_folder(output))
    reporter = reporter or Announcer()
    splits: dict[str, tuple[Split, Split]] = {}
    done = []
    for number, entry in enumerate(entries, 1):
        dataset = registry.dataset(entry.dataset)
        if dataset.name not in splits:
            folder = None if data_dir is None else Path(data_dir)
            splits = {dataset.name: read_splits(dataset, data, folder, limit, offline)}
        assert entry.net is not None, "only nets are chosen"
        job = Job(
            model=entry.name,
            net=entry.net,
            recipe=_recipe(entry, epochs, lr),
            dataset=dataset.name,
            classes=len(dataset.classes),
            train=splits[dataset.name][0],
            test=splits[dataset.name][1],
            path=checkpoint_path(Path(output), entry.name, seed),
            seed=seed,
            until_lr=until_lr,
            device=place,
        )
        reporter.model(number, len(entries), job.path.stem)
        done.append(train_job(job, overwrite=overwrite, reporter=reporter))
    return done


def checkpoint_path(output: Path, model: str, seed: int) -> Path:
    """Return where the checkpoint of a model and a training seed lies."""
    name = model if seed == 0 else f"{model}@seed{seed}"
    return output / "checkpoints" / f"{name}.safetensors"


def _check_numbers(
    epochs: int | None, lr: float | None, until_lr: float | None, seed: int, limit: int | None
) -> None:
    for option, value in (("--epochs", epochs), ("--limit", limit)):
        if value is not None and value < 1:
            raise BenchError(f"expected {option} of at least 1, got {value}")
    if lr is not None and not 0 < lr < float("inf"):
        raise BenchError(f"expected --lr above 0, got {lr}")
    if until_lr is not None and not 0 < until_lr <= 1:
        raise BenchError(f"expected --until-lr above 0 and at most 1, got {until_lr}")
    if seed < 0:
        raise BenchError(f"expected --seed of at least 0, got {seed}")


def nets(patterns: Sequence[str]) -> list[ModelEntry]:
    """Return the chosen nets; a pattern's other models are left out, a name must be a net."""
    entries = registry.select_models(patterns)
    found = [entry for entry in entries if entry.source == "net"]
    others = [e.name for e in entries if e.source != "net" and (e.name in patterns or not found)]
    if others:
        raise BenchError(
            f"expected a net of the paper (`bench list models`), got {others[0]!r}, which comes "
            "trained; leave it out"
        )
    return found


def _recipe(entry: ModelEntry, epochs: int | None, lr: float | None) -> Recipe:
    if entry.recipe is None:
        raise BenchError(
            f"expected a [recipe] in the entry of {entry.name!r}, found none; add one "
            "(learning_rate, batch_size)"
        )
    changes: dict[str, int | float] = {}
    if epochs is not None:
        changes["epochs"] = epochs
    if lr is not None:
        changes["learning_rate"] = lr
    return entry.recipe.model_copy(update=changes)


def read_splits(
    dataset: DatasetEntry, data: str | None, data_dir: Path | None, limit: int | None, offline: bool
) -> tuple[Split, Split]:
    def read(split: Literal["train", "test"]) -> Split:
        return _read(dataset, split, data, data_dir, limit, offline)

    return read("train"), read("test")


def _read(
    dataset: DatasetEntry,
    split: Literal["train", "test"],
    data: str | None,
    data_dir: Path | None,
    limit: int | None,
    offline: bool,
) -> Split:
    """Decode a split, or its first images, into one array."""
    import numpy as np

    # without a folder the hub's test split, since the embedded images are only a part of it
    source = "hub" if data is None and data_dir is None and dataset.embedded else data
    images = load_images(
        dataset,
        split,
        data=source,
        data_dir=data_dir,
        registry_dir=registry.registry_dir(),
        offline=offline,
    )
    positions = range(len(images) if limit is None else min(limit, len(images)))
    pixels = np.stack([images.decode(position) for position in positions])
    return Split(pixels, images.labels[: len(positions)], fingerprint(images, positions))

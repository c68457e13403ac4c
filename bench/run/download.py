"""Data and weights of models, brought ahead of a run and held against their hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.hub.fetch import Got, Wanted, fetch
from bench.data.load import load_images
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.models import timm_source
from bench.models.checkpoint import read_checkpoint
from bench.models.choose import choose_model

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Item:
    """What was asked for, as it is now.

    Attributes:
        what: "weights" or "images".
        name: of the model, or the data set.
        where: it lies.
        size: bytes; 0 where it is part of the registry's own files.
        hashed: whether its content was held against a known hash.
        fresh: whether it was downloaded now.
    """

    what: str
    name: str
    where: str
    size: int
    hashed: bool
    fresh: bool


def bring(
    models: Sequence[str],
    datasets: Sequence[str] = (),
    *,
    offline: bool = False,
    tell: Tell = lambda text: None,
) -> Iterator[tuple[str, str, Item | BenchError]]:
    """Bring weights and test images of models, and test images of data sets, one after the other.

    Args:
        models: names of models, no patterns.
        datasets: names of data sets.
        offline: never ask the network: hash what is here.
        tell: is told what is downloaded.

    Yields:
        "weights" or "images", the model's or the data set's name, and how it is now or why not.

    Raises:
        BenchError: no such model.
    """
    sets = [*datasets, *(choose_model(name, None).dataset for name in models)]
    jobs = [("weights", name) for name in models]
    jobs += [("images", name) for name in dict.fromkeys(sets)]
    for what, name in jobs:
        load = download_weights if what == "weights" else download_images
        try:
            yield what, name, load(name, offline=offline, tell=tell)
        except BenchError as error:
            yield what, name, error


def download_weights(
    model: str, *, offline: bool = False, output: str = "results", tell: Tell = lambda text: None
) -> Item:
    """Bring a model's weights.

    Args:
        model: name, timm `arch.tag`, or an entry's file.
        offline: never ask the network.
        output: folder of results, whose checkpoints count.
        tell: is told what is downloaded.

    Raises:
        BenchError: there are none to be had, or what is there is cut or changed.
    """
    entry = choose_model(model, None)
    wanted = weights_wanted(entry)
    if wanted is not None:
        return _item("weights", entry.name, fetch(wanted, offline=offline, tell=tell))
    path, sha256 = weights_file(entry, output)
    checkpoint = read_checkpoint(path, sha256=sha256)
    del checkpoint
    return Item("weights", entry.name, str(path), path.stat().st_size, sha256 is not None, False)


def weights_wanted(entry: ModelEntry) -> Wanted | None:
    """Return the hub's files of a model's weights; None if they are not on the hub."""
    if entry.source != "timm" or entry.tag is None:
        return None
    if entry.weights is not None and entry.weights.file is not None:
        return None
    return timm_source.weights_on_hub(entry.tag)


def weights_file(entry: ModelEntry, output: str = "results") -> tuple[Path, str | None]:
    """Return the file of a model's weights on this machine, and its SHA-256 where it is known.

    Raises:
        BenchError: it is not there; the text says what makes it.
    """
    from bench.models.load import check

    trained = Path(output) / "checkpoints" / f"{entry.name}.safetensors"
    check(entry, "default", trained)
    if entry.weights is not None and entry.weights.file is not None:
        return registry.registry_dir() / entry.weights.file, entry.weights.sha256
    if not trained.is_file():
        raise BenchError(
            f"expected weights of {entry.name} that can be downloaded, found none: "
            f"{entry.source} entries make or name their own"
        )
    return trained, None


def images_wanted(entry: DatasetEntry, split: str = "test") -> Wanted | None:
    """Return the hub's files of a split; None if the data set is not on the hub."""
    hub = entry.hub
    if hub is None:
        return None
    pattern = f"{entry.split_name(split)}-*.parquet"
    return Wanted("dataset", hub.id, hub.revision, hub.folder, (pattern,))


def download_images(dataset: str, *, offline: bool = False, tell: Tell = lambda text: None) -> Item:
    """Bring the test images of a data set.

    Embedded ones are enough for a full run and are taken first.

    Raises:
        BenchError: it is not on the hub, or what is there is cut, changed or another data set.
    """
    entry = registry.dataset(dataset)
    if entry.embedded is not None:
        images = load_images(entry, "test", data="embedded", registry_dir=registry.registry_dir())
        return Item("images", entry.name, images.source, 0, True, False)
    wanted = images_wanted(entry)
    if wanted is None:
        raise BenchError(
            f"expected a data set on the hub, got {entry.name}, which is not there; download it "
            f"from {entry.homepage} and give its folder with --data-dir"
        )
    item = _item("images", entry.name, fetch(wanted, offline=offline, tell=tell))
    load_images(entry, "test", data="hub", registry_dir=registry.registry_dir(), offline=True)
    return item


def _item(what: str, name: str, found: list[Got]) -> Item:
    place = found[0].path if len(found) == 1 else found[0].path.parent
    return Item(
        what,
        name,
        str(place),
        sum(one.size for one in found),
        all(one.hashed for one in found),
        any(one.fresh for one in found),
    )

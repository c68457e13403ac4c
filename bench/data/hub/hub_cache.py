"""What the caches of `datasets` and of the hub hold on this machine; no network."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.data.base import Images
from bench.data.formats import arrow
from bench.data.formats.parquet import check_complete, read_files
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError
from bench.files import expanded


def read_cached(entry: DatasetEntry, split: str) -> Images | None:
    """Return one split from the local caches of `datasets` and the hub, or None.

    Args:
        entry: the data set.
        split: "test" or "train".

    Raises:
        BenchError: the split is there, but broken.
    """
    count = entry.count(split)
    for files in _prepared(entry, split):
        # one that is not whole: another, the shards or the network may do
        images = arrow.read_files(files, entry, split, f"hub cache {files[0].parent}")
        if images is not None and len(images) == count:
            return images
    shards = _shards(entry, split)
    return read_files(shards, entry, split, f"hub cache {shards[0].parent}") if shards else None


def _prepared(entry: DatasetEntry, split: str) -> list[list[Path]]:
    """Return the Arrow files of each preparation of the split, the newest first."""
    from huggingface_hub import constants

    hub = entry.hub
    assert hub is not None, "only asked for what is on the hub"
    root = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME, "datasets"))
    owner, _, name = hub.id.rpartition("/")
    name = _snake_case(name)
    folder = expanded(root) / (f"{owner}___{name}" if owner else name)
    config = hub.config or "default"
    revision = hub.revision if re.fullmatch(r"[0-9a-f]{40}", hub.revision) else "*"
    part = entry.split_name(split)
    found = [
        sorted(place.glob(f"{name}-{part}.arrow")) or sorted(place.glob(f"{name}-{part}-*.arrow"))
        for pattern in (config, f"{config}-*")
        for place in folder.glob(f"{pattern}/*/{revision}")
    ]
    return sorted(filter(None, found), key=lambda files: -files[0].stat().st_mtime)


def _snake_case(name: str) -> str:
    """Return a name as `datasets` writes it in its cache."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower()


def _shards(entry: DatasetEntry, split: str) -> list[Path]:
    """Return the downloaded shards of the split if all are there."""
    from huggingface_hub import constants

    hub = entry.hub
    assert hub is not None, "only asked for what is on the hub"
    part = entry.split_name(split)
    folder = Path(constants.HF_HUB_CACHE, f"datasets--{hub.id.replace('/', '--')}", "snapshots")
    files = sorted((folder / hub.revision / hub.folder).glob(f"{part}-*.parquet"))
    try:
        check_complete(files)
    except BenchError:
        return []
    return files

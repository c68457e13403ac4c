"""The Hugging Face hub, through `datasets`: the local cache first, then the network.

Only the shards of the split that is asked for are downloaded (for ImageNet 6 GB instead of 150).
A split that `datasets` prepared before, with or without this package, is read where it lies,
and so are shards that are in the hub's file cache; both only at the entry's revision.
"""

from __future__ import annotations

from bench.data.base import Images
from bench.data.formats.arrow import from_dataset
from bench.data.formats.folders import one_line
from bench.data.hub.hub_cache import read_cached
from bench.data.hub.reach import unreachable
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError


def read(entry: DatasetEntry, split: str, *, offline: bool) -> Images:
    """Return one split from the local cache, else from the network.

    Args:
        entry: the data set.
        split: "test" or "train".
        offline: never ask the network; so does the environment's HF_HUB_OFFLINE.

    Raises:
        BenchError: not cached and offline, no network, no access, or not the hub's layout.
    """
    from huggingface_hub import constants

    assert entry.hub is not None, "only asked for what is on the hub"
    images = read_cached(entry, split)
    if images is not None:
        return images
    if offline or constants.HF_HUB_OFFLINE:
        raise BenchError(
            f"expected the {split} split of {entry.title} in the hub cache, as the run is offline, "
            f"found none of revision {entry.hub.revision[:12]} in {constants.HF_HOME}; "
            f"{_instead(entry, split, 'run once with the network')}"
        )
    # `datasets` itself would try again for half a minute
    reason = unreachable(constants.ENDPOINT)
    if reason is not None:
        raise BenchError(
            f"expected an answer from {constants.ENDPOINT} for {entry.title}, got none ({reason}); "
            f"{_instead(entry, split, 'check the network')}"
        )
    return _download(entry, split)


def _instead(entry: DatasetEntry, split: str, advice: str) -> str:
    ways = ["--data-dir with a local copy"]
    ways += ["--data embedded"] if entry.embedded and split == "test" else []
    ways += ["--data samples"] if entry.samples and split == "test" else []
    return f"{advice}, or give {' or '.join(ways)}"


def _download(entry: DatasetEntry, split: str) -> Images:
    import datasets

    hub = entry.hub
    assert hub is not None, "only asked for what is on the hub"
    name = entry.split_name(split)
    try:
        dataset = datasets.load_dataset(
            hub.id,
            name=hub.config,
            revision=hub.revision,
            data_files={name: f"{hub.folder}/{name}-*.parquet"},
            split=name,
            # the card also counts the splits that are left out here
            verification_mode="no_checks",
        )
    except datasets.exceptions.DatasetNotFoundError as error:
        raise BenchError(_no_access(entry, split, error)) from None
    except Exception as error:  # the clients below raise whatever their version does
        raise BenchError(
            f"expected the {split} split of {hub.id} at {hub.revision[:12]} from the hub, "
            f"got {one_line(error)}; {_instead(entry, split, 'try again')}"
        ) from None
    return from_dataset(dataset, entry, split, f"hub {hub.id}@{hub.revision}")


def _no_access(entry: DatasetEntry, split: str, error: Exception) -> str:
    hub = entry.hub
    assert hub is not None, "only asked for what is on the hub"
    if not hub.gated:
        return (
            f"expected the data set {hub.id} at {hub.revision[:12]} on the hub, "
            f"got: {one_line(error)} {_instead(entry, split, 'Check [hub] in the entry')}"
        )
    advice = (
        f"accept its terms at https://huggingface.co/datasets/{hub.id}, then run `hf auth login`"
    )
    return (
        f"expected access to {hub.id}, which is gated, got: {one_line(error)} "
        f"{_instead(entry, split, advice)}"
    )

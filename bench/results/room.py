"""How much room a run still needs on the storage, said when there is none left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from bench.errors import BenchError
from bench.files import cannot_write, disk_is_full
from bench.results.block import EXAMPLES
from bench.results.campaign import Campaign
from bench.results.schema import ROWS

TEXT = 40
"""Bytes that are reckoned for a text or a dictionary's entry."""


def bytes_needed(campaign: Campaign, size: int, keys: Sequence[str]) -> int:
    """Return the most bytes that a run still writes: its missing blocks, then the whole file.

    Nothing is reckoned for compression, so it may be twice of what is written in the end.

    Args:
        campaign: whose blocks.
        size: samples of a block.
        keys: of the campaign.
    """
    missing = sum(len(unit.ids) for unit in campaign.missing(size, keys))
    whole = sum(len(ids) for ids in campaign.asked.values())
    values = 4 * math.prod(campaign.shape)
    row = sum(_width(field.type) for field in ROWS) + (values if campaign.deltas else 0)
    blocks = math.ceil(missing / size)
    return (missing + whole) * row + (blocks + len(campaign.asked)) * EXAMPLES * 2 * values


def _width(kind: pa.DataType) -> int:
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    return max(1, kind.bit_width // 8) if pa.types.is_primitive(kind) else TEXT


@contextmanager
def saying_what_is_needed(campaign: Campaign, size: int) -> Iterator[None]:
    """Say of a full disk how much has to be freed for the run to come to its end.

    Raises:
        BenchError: what the block raised, with that number where the disk was full.
    """
    try:
        yield
    except BenchError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or not disk_is_full(cause):
            raise
        need = bytes_needed(campaign, size, campaign.look())
        where = campaign.store.files.where(campaign.folder)
        raise cannot_write(where, cause, need) from cause

"""Merging the side files: mean spectra and examples, perturbations. They agree with the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.results import schema
from bench.results.block import EXAMPLES
from bench.results.campaign import Campaign
from bench.results.store import BROKEN, NO_IDS, Ids
from bench.results.tables import conform, merge_extras

BATCH = 64
"""Perturbations that are in memory at once."""

Used = Mapping[str, Sequence[tuple[str, Ids]]]
"""Attack -> (name, ids) of the blocks that are merged."""


class Damaged(Exception):
    """A block can't be read; the argument is its name."""


def merge_extras_of(
    campaign: Campaign,
    target: str,
    used: Used,
    present: Mapping[str, int],
    kept: Mapping[str, Ids],
    replaced: Mapping[str, Ids],
) -> bool:
    """Write mean spectra and examples.

    A mean that held replaced samples can't be taken apart: what is left of it then is the mean of
    the new samples, and its `n` says so.

    Args:
        campaign: whose blocks.
        target: key of the new file.
        used: the blocks.
        present: attacks in order.
        kept: attack -> finished ids whose rows may stay.
        replaced: attack -> those of them that blocks replace.

    Returns:
        Whether there is a file.
    """
    whole = [a for a in kept if len(kept[a]) and not len(replaced.get(a, NO_IDS))]

    def pieces() -> Iterator[tuple[pa.Table, bool]]:
        side = campaign.store.side("extras")
        if campaign.store.files.exists(side):
            with campaign.store.files.open(side) as stream:
                yield _remaining(pq.read_table(stream), whole, kept, replaced), True
        for attack in present:
            for name, _ in used.get(attack, ()):
                yield from ((table, False) for table in _tables(campaign, name, "extras"))

    table = merge_extras(pieces(), EXAMPLES, list(present))
    with campaign.store.files.put(target) as stream:
        pq.write_table(table, stream, compression="zstd")
    return True


def _remaining(
    table: pa.Table, whole: Sequence[str], kept: Mapping[str, Ids], replaced: Mapping[str, Ids]
) -> pa.Table:
    """Return the finished spectra of whole attacks, and examples whose rows stay."""
    stays = []
    attacks, kinds, ids = (table[n].to_pylist() for n in ("attack", "kind", "sample_id"))
    for attack, kind, sample in zip(attacks, kinds, ids, strict=True):
        gone = sample in set(replaced.get(attack, NO_IDS).tolist())
        stays.append(attack in whole if kind == "spectrum" else attack in kept and not gone)
    return table.filter(pa.array(stays, pa.bool_()))


def merge_perturbations_of(
    campaign: Campaign,
    target: str,
    used: Used,
    present: Mapping[str, int],
    kept: Mapping[str, Ids],
    replaced: Mapping[str, Ids],
) -> bool:
    """Stream the finished file's perturbations, but for replaced ones, and the blocks' into one.

    Args and value as of :func:`merge_extras_of`.
    """
    files, side = campaign.store.files, campaign.store.side("perturbations")
    old = files.exists(side)
    names = [n for a in present for n, _ in used.get(a, ())]
    new = [n for n in names if files.exists(campaign.key(n, "perturbations"))]
    stay = {a: np.setdiff1d(ids, replaced.get(a, NO_IDS)) for a, ids in kept.items()}
    same = all(np.isin(campaign.store.ids(a), stay.get(a, NO_IDS)).all() for a in present)
    if not new and (not old or same):
        return False
    with (
        files.put(target) as stream,
        pq.ParquetWriter(stream, schema.PERTURBATIONS, compression="zstd") as writer,
    ):
        if old:
            with files.open(side) as source:
                for batch in pq.ParquetFile(source).iter_batches(batch_size=BATCH):
                    table = conform(pa.Table.from_batches([batch]), schema.PERTURBATIONS)
                    writer.write_table(table.filter(_stays(table, stay)))
        for name in new:
            for table in _tables(campaign, name, "perturbations"):
                writer.write_table(conform(table, schema.PERTURBATIONS))
    return True


def _stays(table: pa.Table, stay: Mapping[str, Ids]) -> pa.Array:
    attacks = np.asarray(table["attack"].to_pylist(), dtype=object)
    ids = table["sample_id"].to_numpy()
    mask = np.zeros(len(table), dtype=bool)
    for attack in set(attacks):
        mask |= (attacks == attack) & np.isin(ids, stay.get(attack, NO_IDS))
    return pa.array(mask)


def _tables(campaign: Campaign, name: str, kind: str) -> Iterator[pa.Table]:
    """Give a block's side file, some rows at a time.

    Raises:
        Damaged: it can't be read.
    """
    try:
        with campaign.store.files.open(campaign.key(name, kind)) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=BATCH):
                yield pa.Table.from_batches([batch])
    except BROKEN as error:
        raise Damaged(name) from error

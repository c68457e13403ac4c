"""One result: its finished file and its side files; reading them.

<model>.parquet                  rows, with the metadata
<model>.extras.parquet           mean spectra and example images
<model>.perturbations.parquet    only with --save-perturbations
<model>.clean.parquet            of the pseudo-attack `clean`
<model>.blocks/                  what is not merged yet (`bench.results.campaign`)
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import BenchError, BenchWarning
from bench.results import schema
from bench.results.address import Address
from bench.results.filesystem import FileSystem
from bench.results.match import refuse_others
from bench.results.written import current_metadata

Ids = npt.NDArray[np.int64]
NO_IDS: Ids = np.zeros(0, dtype=np.int64)

BROKEN = (pa.ArrowException, OSError, ValueError, KeyError)
"""What a damaged file may raise."""


@dataclass(frozen=True)
class Form:
    """What a result's file holds.

    Attributes:
        schema: of its rows.
        sides: kinds of the side files that are written with it.
        grows: its columns are the metrics of the version that wrote it (`bench.results.written`).
    """

    schema: pa.Schema
    sides: tuple[str, ...] = ()
    grows: bool = False

    @property
    def by_attack(self) -> bool:
        """Whether rows name their attack."""
        return "attack" in self.schema.names


ROWS = Form(schema.ROWS, ("extras", "perturbations"), grows=True)
CLEAN = Form(schema.CLEAN)


class Store:
    """One model's result on one data set, as it is on the storage now.

    Args:
        files: the storage.
        address: where on it.
        form: what its file holds.
    """

    def __init__(self, files: FileSystem, address: Address, form: Form = ROWS) -> None:
        self.files, self.address, self.form = files, address, form
        self._known: tuple[str | None, dict[str, Ids]] = (None, {})

    @property
    def where(self) -> str:
        """The finished file's place, in words."""
        return self.files.where(self.address.file)

    def side(self, kind: str) -> str:
        """Return the key of a side file."""
        return self.address.side(kind).file

    def metadata(self) -> dict[str, Any] | None:
        """Return the metadata of the finished file, in the present form; None if there is none.

        Raises:
            BenchError: it is not one of ours.
        """
        try:
            with self.files.open(self.address.file) as stream:
                return current_metadata(_metadata(stream, self.where))
        except FileNotFoundError:
            return None

    def check(self, mine: Mapping[str, Any], overwrite: bool = False) -> None:
        """Compare the finished file with a run.

        Args:
            mine: metadata of the run.
            overwrite: what is there may be of something else, if only it is ours.

        Raises:
            BenchError: what is there is not ours, or was made with something else.
        """
        found = self.metadata()
        if found is not None and not overwrite:
            refuse_others(found, mine, self.where)

    def ids(self, attack: str) -> Ids:
        """Return the ids that the finished file has rows of, increasing."""
        return self._all_ids().get(attack, NO_IDS)

    def ids_with_deltas(self, attack: str) -> Ids:
        """Return those whose perturbation is there too, or that were not attacked."""
        table = self.read(["attack", "sample_id", "clean_correct"], attack)
        side = self.side("perturbations")
        saved: Ids = NO_IDS
        if self.files.exists(side):
            with self.files.open(side) as stream:
                saved = _array(_read(stream, ["attack", "sample_id"], attack), "sample_id")
        ids = _array(table, "sample_id")
        attacked = table["clean_correct"].to_numpy().astype(bool)
        found: Ids = ids[~attacked | np.isin(ids, saved)]
        return found

    def _all_ids(self) -> dict[str, Ids]:
        """Return attack -> ids; the file is read again only when it has changed."""
        version = self.files.version(self.address.file)
        if version is None or version != self._known[0]:
            self._known = (version, {} if version is None else self._read_ids())
        return self._known[1]

    def _read_ids(self) -> dict[str, Ids]:
        if not self.form.by_attack:
            return {"clean": np.sort(_array(self.read(["sample_id"]), "sample_id"))}
        table = self.read(["attack", "sample_id"])
        ids = _array(table, "sample_id")
        coded = table["attack"].cast(pa.string()).combine_chunks().dictionary_encode()
        where = coded.indices.to_numpy(zero_copy_only=False)
        return {n: np.sort(ids[where == i]) for i, n in enumerate(coded.dictionary.to_pylist())}

    def read(self, columns: Sequence[str] | None = None, attack: str | None = None) -> pa.Table:
        """Return rows of the finished file.

        Args:
            columns: which columns; None: all.
            attack: only rows of this attack; None: all.
        """
        try:
            with self.files.open(self.address.file) as stream:
                return _read(stream, columns, attack if self.form.by_attack else None)
        except FileNotFoundError:
            return self.form.schema.empty_table().select(columns or self.form.schema.names)

    def set_aside(self, key: str) -> None:
        """Give a damaged file another name, and say so."""
        aside = f"{key}.damaged"
        if self.files.move(key, aside):
            text = (
                f"{self.files.where(key)} is damaged; it is kept as {Path(aside).name}, and what "
                "it held is measured again"
            )
            warnings.warn(text, BenchWarning, stacklevel=2)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a finished file.

    Raises:
        BenchError: the file is not one of ours.
    """
    try:
        with path.open("rb") as stream:
            return _metadata(stream, str(path))
    except OSError as error:
        raise _not_ours(str(path), f"something unreadable ({error.strerror})") from None


def read_rows(
    path: Path, columns: Sequence[str] | None = None, attack: str | None = None
) -> pa.Table:
    """Return rows of a finished file or a block.

    Args:
        path: the file.
        columns: which columns; None: all.
        attack: only rows of this attack; None: all.
    """
    with path.open("rb") as stream:
        return _read(stream, columns, attack)


def _read(stream: BinaryIO, columns: Sequence[str] | None, attack: str | None) -> pa.Table:
    chosen = None if attack is None else pc.field("attack") == pa.scalar(attack)
    return pq.read_table(stream, columns=None if columns is None else list(columns), filters=chosen)


def _array(table: pa.Table, name: str) -> Ids:
    found: Ids = table[name].to_numpy().astype(np.int64)
    return found


def _metadata(stream: BinaryIO, where: str) -> dict[str, Any]:
    try:
        raw = (pq.read_schema(stream).metadata or {}).get(schema.METADATA_KEY)
        found = json.loads(raw) if raw is not None else None
    except (pa.ArrowException, OSError, ValueError) as error:
        text = f"something unreadable ({str(error).splitlines()[0]})"
        raise _not_ours(where, text) from None
    if not isinstance(found, dict):
        raise _not_ours(where, "a Parquet file without its metadata")
    return found


def _not_ours(where: str, found: str) -> BenchError:
    return BenchError(
        f"expected a result file of this project at {where}, found {found}; move it away or "
        "choose another --output"
    )

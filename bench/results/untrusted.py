"""A stranger's Parquet file: what it declares, before anything in it is believed or unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from bench.results.columns import Columns
from bench.results.schema import METADATA_KEY
from bench.results.texts import longest_texts

Schema: TypeAlias = pa.Schema
"""Names and types of columns, as :mod:`bench.results.schema` states them."""


MAX_TEXT = 200
"""Bytes of a text in a row; names are shorter."""


class Unreadable(Exception):
    """The file is broken; the text is the first line of the reader's complaint."""


class UntrustedFile:
    """A file whose footer could be read."""

    def __init__(self, path: Path) -> None:
        """Read the footer.

        Raises:
            Unreadable: it is broken.
        """
        with _complaints():
            self._file = pq.ParquetFile(path, pre_buffer=False)
            self._declared = self._file.metadata
            self._schema = self._file.schema_arrow

    @property
    def rows(self) -> int:
        """Declared rows; may be negative."""
        return int(self._declared.num_rows)

    @property
    def row_groups(self) -> int:
        """Declared row groups."""
        return int(self._declared.num_row_groups)

    def group_bytes(self) -> list[int]:
        """Declared bytes of each row group once unpacked; may be negative."""
        return [int(self._declared.row_group(i).total_byte_size) for i in range(self.row_groups)]

    @property
    def metadata(self) -> bytes | None:
        """What stands under the schema key `bench`."""
        raw: bytes | None = (self._schema.metadata or {}).get(METADATA_KEY)
        return raw

    @property
    def declared_metadata(self) -> bytes | None:
        """What stands under the file's key `bench`, where it has no schema of Arrow's."""
        raw: bytes | None = (self._declared.metadata or {}).get(METADATA_KEY)
        return raw

    def differences(self, wanted: Schema) -> Iterator[tuple[str, str, Any]]:
        """Yield name, what is expected and what is found instead (None: said by the former)."""
        names = self._schema.names
        for name in sorted(set(names), key=names.index):
            if names.count(name) > 1:
                yield name, "expected it once, found it twice", None
            elif name not in wanted.names:
                yield name, "expected no such column", None
        for field in wanted:
            if field.name not in names:
                yield field.name, "expected this column, found none", None
            elif names.count(field.name) == 1:
                kind = self._schema.field(field.name).type
                if not any(kind.equals(allowed) for allowed in _allowed(field.type)):
                    yield field.name, f"expected type {field.type}", kind

    def read(self) -> Columns:
        """Return all rows.

        Raises:
            Unreadable: the data behind the footer are broken, or a text is far too long: 5000 rows
                of a megabyte each are found by their length and never made.
        """
        with _complaints():
            table = self._file.read(use_threads=False)
            table.validate(full=True)
        for name, length in longest_texts(table).items():
            if length > MAX_TEXT:
                found = f"found one of {length:,} in column {name}"
                raise Unreadable(f"texts of at most {MAX_TEXT} bytes, {found}")
        return Columns(table)


def _allowed(kind: pa.DataType) -> list[pa.DataType]:
    """A column's type, and the others that hold the same (profiles may be float16)."""
    if pa.types.is_dictionary(kind):
        return [kind, pa.string()]
    if pa.types.is_string(kind):
        return [kind, pa.dictionary(pa.int32(), pa.string())]
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        return [pa.list_(value, size) for value in (pa.float32(), pa.float16())]
    return [kind]


@contextmanager
def _complaints() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, RuntimeError, MemoryError) as error:
        lines = str(error).strip().splitlines()
        raise Unreadable(lines[0] if lines else type(error).__name__) from None

"""Reading files and archives without trusting what they claim of their size.

A few kilobytes can unpack to terabytes. No file of the data sets that are read whole has more than
`MOST_BYTES`, and no archive of theirs unpacks to more than `MOST_UNPACKED`.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Container
from pathlib import Path, PurePosixPath
from typing import IO

from bench.data.formats.folders import one_line
from bench.errors import BenchError

MOST_BYTES = 2**28
MOST_UNPACKED = 2**31


def read_bounded(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if its name ends in .gz.

    Raises:
        BenchError: it can't be read, is broken, or holds more than `MOST_BYTES`.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data: bytes = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BenchError(
            f"expected a complete gzip file, got a broken one ({one_line(error)}), in {path}; "
            "download it again"
        ) from None
    except OSError as error:
        raise BenchError(f"expected a readable file, got {one_line(error)}; check {path}") from None
    if len(data) > MOST_BYTES:
        raise _too_much(f"a file of at most {MOST_BYTES} bytes", path)
    return data


def members_of(path: Path, names: Container[str]) -> dict[str, bytes]:
    """Return the files with some names, in whatever folder, of a .tar or .tar.gz.

    Nothing is unpacked to the disk.

    Args:
        path: the archive.
        names: of the files that are wanted.

    Raises:
        BenchError: it is broken, or unpacks to more than it may.
    """
    found: dict[str, bytes] = {}
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = _Counted(gzip.GzipFile(fileobj=raw) if packed else raw, path)
            with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if name not in names or not member.isfile():
                        continue
                    if member.size > MOST_BYTES:
                        raise _too_much(f"files of at most {MOST_BYTES} bytes", path)
                    file = archive.extractfile(member)
                    assert file is not None, "a plain file has content"
                    found[name] = file.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
        raise BenchError(
            f"expected a complete archive, got a broken one ({one_line(error)}), in {path}; "
            "download it again"
        ) from None
    return found


class _Counted:
    """A stream that ends with an error where there is too much of it."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, path: Path) -> None:
        self._stream, self._path, self._read = stream, path, 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._read += len(data)
        if self._read > MOST_UNPACKED:
            raise _too_much(f"an archive that unpacks to at most {MOST_UNPACKED} bytes", self._path)
        return data


def _too_much(expected: str, path: Path) -> BenchError:
    return BenchError(f"expected {expected}, got more, in {path}; download it again")

"""Writing files so that a reader sees all of one or none of it; clear errors from the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it there when the block ends well.

    Raises:
        BenchError: the disk refused (full, read-only, no rights); `path` is as it was.
    """
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_beside(path: Path) -> Path:
    """Return a name beside `path` that nobody else uses, on this machine or another."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file, flushed to the disk, or leave what is there.

    Raises:
        BenchError: the place can't be written.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def expanded(path: Path) -> Path:
    """Return a path with `~` as the user's home, or as it is where the user has none."""
    try:
        return path.expanduser()
    except RuntimeError:  # no HOME, and a user id that no account has
        return path


def ensure_writable(folder: Path) -> None:
    """Make a folder and prove that a file can be written there, before any work is done.

    Raises:
        BenchError: it can't.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = temporary_beside(folder / "probe")
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise cannot_write(folder, error) from error


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def disk_is_full(error: OSError) -> bool:
    """Return whether an error means that there is no room, or that a quota is used up."""
    return error.errno in _FULL


def cannot_write(path: Path | str, error: OSError, needed: int | None = None) -> BenchError:
    """Return the one line for a place that can't be written, with what helps against it.

    Args:
        path: the place.
        error: what was said.
        needed: bytes that the whole work needs there, at most; None: not known.
    """
    advice = "choose another place"
    if disk_is_full(error):
        much = "" if needed is None else f" (at most {needed / 2**20:.1f} MiB for all that is left)"
        advice = f"free space there{much}, or choose another place"
    elif error.errno in _FORBIDDEN:
        advice = "get the right to write there, or choose another place"
    return BenchError(
        f"expected to write {path}, found: {error.strerror or error}; {advice}. What was finished "
        "is kept: the same command goes on from there"
    )

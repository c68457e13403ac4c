"""The one way to the files of results: a small interface, and its implementation for local disks.

A key is a path relative to the root, with "/". Every file is written whole or not at all, and
`claim` writes only where nothing is: on it rests all that several processes agree on. Object
stores are in `bench.results.remote`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from bench.errors import BenchError
from bench.files import cannot_write, ensure_writable, temporary_beside

_URL = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/+(?P<rest>.*)$", re.DOTALL)
"""Also `s3:/x`, which is what `pathlib` makes of `s3://x`."""
TRIES = 20
"""Times that a folder is made again if somebody removes it, empty, before a file is in it."""


class FileSystem(Protocol):
    """What a storage of results must be able to do."""

    def where(self, key: str) -> str:
        """Return how users call the place of a key."""

    def prepare(self) -> None:
        """Prove that something can be written here, before any work is done."""

    def keys(self, folder: str) -> list[str]:
        """Return the keys of all files below a folder, sorted; none if there is no such folder."""

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""

    def version(self, key: str) -> str | None:
        """Return what changes whenever the file is written anew; None if there is none."""

    def open(self, key: str) -> BinaryIO:
        """Open a file for reading, seekable. Raises FileNotFoundError."""

    def put(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Give a stream; the file appears, whole, when the block ends well."""

    def claim(self, key: str, data: bytes) -> bool:
        """Write a file if there is none; of several who try at once exactly one gets True."""

    def move(self, key: str, to: str) -> bool:
        """Give a file another key, replacing what is there; False if it is not there (any more)."""

    def holds(self, key: str, other: str) -> bool:
        """Return whether `other` has the content of a file that `move` has left behind.

        Where `move` is one step, it leaves none: False.
        """

    def copy(self, key: str, to: str) -> None:
        """Put a copy of a file beside it."""

    def delete(self, key: str) -> None:
        """Delete a file, if it is there."""

    def sweep(self, folder: str) -> None:
        """Delete what interrupted `put`s left below a folder, and empty folders."""

    def below(self, pattern: str) -> list[str]:
        """Return the keys that match a pattern such as `*/fashionmnist/m.parquet`, sorted."""


class LocalFiles:
    """Results on a disk of this machine, or a shared one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Return the path of a key."""
        return self.root / key

    def where(self, key: str) -> str:
        """Return the path as text."""
        return str(self.path(key))

    def prepare(self) -> None:
        """Make the root folder, and prove that a file can be written there."""
        ensure_writable(self.root)

    def keys(self, folder: str) -> list[str]:
        """Return the keys of all files below a folder, but for unfinished ones."""
        top = self.path(folder)
        found = []
        for at, _, names in os.walk(top):
            inside = Path(at).relative_to(self.root)
            found += [(inside / name).as_posix() for name in names if not _is_temporary(name)]
        return sorted(found)

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        return self.path(key).is_file()

    def version(self, key: str) -> str | None:
        """Return inode, time and size of a file."""
        try:
            found = self.path(key).stat()
        except FileNotFoundError:
            return None
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def open(self, key: str) -> BinaryIO:
        """Open a file for reading."""
        return self.path(key).open("rb")

    @contextmanager
    def put(self, key: str) -> Iterator[BinaryIO]:
        """Give a stream to a temporary file; rename it when the block ends well."""
        path = self.path(key)
        temporary, stream = _open_beside(path)
        try:
            with stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def claim(self, key: str, data: bytes) -> bool:
        """Link a written file to its name, which fails if the name is taken."""
        path = self.path(key)
        temporary, stream = _open_beside(path)
        try:
            with stream:
                stream.write(data)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links: the name first, then its content
                return _exclusive(path, data)
            return True
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def move(self, key: str, to: str) -> bool:
        """Rename a file."""
        target = self.path(to)
        for _ in range(TRIES):
            if not self.exists(key):
                return False
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                self.path(key).replace(target)
                return True
            except FileNotFoundError:
                continue
            except OSError as error:
                raise cannot_write(target, error) from error
        return False

    def holds(self, key: str, other: str) -> bool:
        """Return False: a rename leaves nothing behind."""
        return False

    def copy(self, key: str, to: str) -> None:
        """Copy a file."""
        with self.open(key) as source, self.put(to) as stream:
            while part := source.read(1 << 20):
                stream.write(part)

    def delete(self, key: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.path(key).unlink()

    def sweep(self, folder: str) -> None:
        """Delete unfinished files below a folder, and empty folders with it."""
        for at, _, names in os.walk(self.path(folder), topdown=False):
            for name in names:
                if _is_temporary(name):
                    with contextlib.suppress(OSError):
                        Path(at, name).unlink()
            with contextlib.suppress(OSError):  # somebody has put something into it
                Path(at).rmdir()

    def below(self, pattern: str) -> list[str]:
        """Return the keys of files that match a pattern."""
        found = (path for path in self.root.glob(pattern) if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in found)


def files_at(output: str | Path) -> FileSystem:
    """Return the storage of a folder of results, here or in an object store.

    Raises:
        BenchError: a URL that nothing on this machine reads.
    """
    url = url_of(output)
    if url is None:
        return LocalFiles(Path(output))
    from bench.results.remote import RemoteFiles

    return RemoteFiles(url)


def url_of(output: str | Path) -> str | None:
    """Return the URL that a folder of results is given by; None: a folder of this machine."""
    match = _URL.match(str(output))
    return None if match is None else f"{match['scheme'].lower()}://{match['rest']}"


def check_output(output: str | Path, offline: bool = False) -> None:
    """Raise BenchError for a folder of results that can't be one; asks no network.

    Args:
        output: a path or a URL.
        offline: no network may be asked for it.
    """
    url = url_of(output)
    if url is None:
        return
    if offline:
        raise BenchError(
            f"expected a local folder with --offline, got {url!r}; leave one of the two out"
        )
    from bench.results.remote import check_url

    check_url(url)


def local_folder(place: str | Path) -> Path:
    """Return a folder of this machine.

    Raises:
        BenchError: it is given by a URL.
    """
    url = url_of(place)
    if url is not None:
        raise BenchError(f"expected a local folder, got {url!r}; choose one on this machine")
    return Path(place)


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _open_beside(path: Path) -> tuple[Path, BinaryIO]:
    """Open a new temporary file beside a path; whoever sweeps may remove the folder meanwhile."""
    for left in reversed(range(TRIES)):
        temporary = temporary_beside(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return temporary, temporary.open("xb")
        except FileNotFoundError as error:
            if not left:
                raise cannot_write(path, error) from error
        except OSError as error:
            raise cannot_write(path, error) from error
    raise AssertionError("the last try raises")


def _exclusive(path: Path, data: bytes) -> bool:
    try:
        with path.open("xb") as stream:
            stream.write(data)
    except FileExistsError:
        return False
    return True

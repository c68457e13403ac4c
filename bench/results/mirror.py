"""Local copies of results in an object store, for what reads and writes whole folders.

A copy is brought in before, and what was changed in it goes back after: new and changed files
first, deletions last, each file whole.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.errors import BenchError
from bench.results.filesystem import FileSystem, files_at, url_of

AT_ONCE = 8
"""Files that are brought or sent at the same time."""
BLOCKS = ".blocks/"


def everything(key: str) -> bool:
    """Choose every file but unfinished runs'."""
    return BLOCKS not in key


@dataclass(frozen=True)
class Local:
    """A folder as files of this machine.

    Attributes:
        path: where it is.
        place: what the user calls it.
    """

    path: Path
    place: str

    def named(self, text: object) -> str:
        """Return a text that names files here with the names that the user knows."""
        return str(text).replace(str(self.path), self.place)


@contextmanager
def local_copy(
    place: str | Path, wanted: Callable[[str], bool] = everything, write: bool = False
) -> Iterator[Local]:
    """Give a folder of results as files of this machine; itself if it is local.

    Args:
        place: a folder, or a URL.
        wanted: which keys are brought. Of other files there are only their names, and of an
            unfinished run that there is one.
        write: what is changed goes back when the block ends well.

    Raises:
        BenchError: the store does not answer; files of the copy are named as the user names them.
    """
    url = url_of(place)
    if url is None:
        yield Local(Path(place), str(place))
        return
    files = files_at(url)
    if write:
        files.prepare()
    keys = files.keys("")
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        # named like the original, for who looks at a folder's name
        local = Local(Path(temporary) / PurePosixPath(url).name, url)
        for folder in {key.partition(BLOCKS)[0] for key in keys if BLOCKS in key}:
            (local.path / (folder + BLOCKS)).mkdir(parents=True, exist_ok=True)
        if keys or write:
            local.path.mkdir(parents=True, exist_ok=True)
        known = [key for key in keys if BLOCKS not in key]
        chosen = [key for key in known if wanted(key)]
        for key in known if not write else ():
            _inside(local, key).touch()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            before = dict(
                zip(chosen, pool.map(lambda k: _bring(files, k, local), chosen), strict=True)
            )
        try:
            yield local
        except BenchError as error:
            raise BenchError(local.named(error)) from error
        if write:
            _send(files, local, before)


def _bring(files: FileSystem, key: str, local: Local) -> str:
    """Copy one file here; return the SHA-256 of its content."""
    path, digest = _inside(local, key), hashlib.sha256()
    with files.open(key) as source, path.open("wb") as target:
        while part := source.read(1 << 20):
            target.write(part)
            digest.update(part)
    return digest.hexdigest()


def _inside(local: Local, key: str) -> Path:
    """Return where a key's file lies here, its folder made; a key may hold ".."."""
    path = local.path / key
    if ".." in PurePosixPath(key).parts or key.startswith("/"):
        raise BenchError(f"expected names of files in {local.place}, found {key!r}; remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _send(files: FileSystem, local: Local, before: dict[str, str]) -> None:
    there = {p.relative_to(local.path).as_posix(): p for p in local.path.rglob("*") if p.is_file()}
    for key, path in sorted(there.items()):
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            if before.get(key) == digest:
                continue
            source.seek(0)
            with files.put(key) as target:
                while part := source.read(1 << 20):
                    target.write(part)
    for key in sorted(before.keys() - there.keys()):
        files.delete(key)

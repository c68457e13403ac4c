"""Results in an object store: S3 and what else fsspec reaches, such as Google's and Azure's.

Such a store has no rename and no folders. A file appears whole when its upload ends; `claim` is a
put that the store itself refuses if the name is taken (S3: `If-None-Match: *`); `move` is a copy
that the store makes, then a deletion, and `holds` tells one that was cut off in between.
"""

from __future__ import annotations

import contextlib
import fnmatch
import io
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bench.errors import BenchError
from bench.files import cannot_write
from bench.results.patience import SHORT, Exists, Patience, Trier

SMALL = 32 * 2**20
"""Bytes of a file that is read into memory; a larger one goes through a temporary file."""
OWN = {"s3": "s3", "s3a": "s3"}
"""Protocol -> the extra of this package that brings it."""
OPTIONS: dict[str, dict[str, Any]] = {
    # the pauses between tries are ours; a server that hangs is given up and asked again
    "s3": {
        "config_kwargs": {
            "retries": {"max_attempts": 1},
            "connect_timeout": 5,
            "read_timeout": 60,
        }
    },
}
OPTIONS["s3a"] = OPTIONS["s3"]
READ_ONLY = ("http", "https", "data")
"""Protocols of addresses that are only read."""
TOKENS = ("ETag", "etag", "generation", "md5Hash", "content_md5")
"""What stores call a file's version; the first that is there counts."""


def check_url(url: str) -> None:
    """Raise BenchError if nothing on this machine reads such URLs; asks no network."""
    import fsspec

    protocol = url.partition("://")[0]
    if protocol in ("file", "local"):
        raise BenchError(f"expected a local folder without {protocol}://, got {url!r}")
    if protocol in READ_ONLY:
        raise BenchError(
            f"expected a folder or a store that can be written, such as s3://bucket/results, got "
            f"{url!r}, which can only be read"
        )
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        what = f"frequency-bench[{OWN[protocol]}]" if protocol in OWN else None
        advice = f"pip install '{what}'" if what else str(error)
        raise BenchError(
            f"expected what reads {protocol}:// to be installed, found it is not; {advice}"
        ) from None
    except ValueError:
        raise BenchError(
            f"expected a folder or an address such as s3://bucket/results, got {url!r}"
        ) from None


class RemoteFiles:
    """Results in an object store.

    Args:
        url: the root, as "s3://bucket/folder".
        patience: with a store that went away.

    Raises:
        BenchError: no such kind of store, or what reads it is not installed.
    """

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        import fsspec

        check_url(url)
        self.url = url.rstrip("/")
        protocol = url.partition("://")[0]
        options = {"use_listings_cache": False, "skip_instance_cache": True}
        options |= OPTIONS.get(protocol, {})
        self._s3 = protocol in OWN
        self._try = Trier(self.url, patience or Patience())
        try:
            self._fs, self._root = fsspec.url_to_fs(self.url, **options)
        except (TypeError, ValueError) as error:
            raise BenchError(f"expected an address of results, got {url!r}: {error}") from error
        self._root = self._root.rstrip("/")

    def path(self, key: str) -> str:
        """Return a key's name in the store."""
        return f"{self._root}/{key}" if key else self._root

    def where(self, key: str) -> str:
        """Return the URL of a key."""
        return f"{self.url}/{key}" if key else self.url

    def prepare(self) -> None:
        """Prove that files can be written here, and that of two writers only one makes a file.

        Raises:
            BenchError: no such place, no right, or a store that overwrites what is claimed.
        """
        key = f".probe-{uuid.uuid4().hex}"
        try:
            taken = [self._create(key, text, SHORT) for text in (b"first", b"second")]
            held = self._try(self._cat, key, patience=SHORT)
        except FileNotFoundError as error:
            raise BenchError(
                f"expected to write {self.url}, found no such place ({error}); make it first, or "
                "choose another"
            ) from error
        except NotImplementedError as error:
            raise BenchError(
                f"expected a store that can be written, found that {self.url} can't; choose another"
            ) from error
        finally:
            with contextlib.suppress(BenchError, NotImplementedError):
                self.delete(key)
        if taken != [True, False] or held != b"first":
            raise BenchError(
                f"expected a store that refuses to write a file twice if asked to, found that "
                f"{self.url} overwrites it: processes could not share it; choose another --output"
            )

    def keys(self, folder: str) -> list[str]:
        """Return the keys of all files below a folder, sorted."""
        top = self.path(folder)
        try:
            found = self._try(self._fs.find, top)
        except FileNotFoundError:
            return []
        cut = len(self._root) + 1
        return sorted(name[cut:] for name in map(str, found) if name.startswith(f"{top}/"))

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        return self.version(key) is not None

    def version(self, key: str) -> str | None:
        """Return what the store says of a file's content: its ETag, or what else it has."""
        info = self._info(key)
        return None if info is None else _token(info)

    def _info(self, key: str) -> dict[str, Any] | None:
        try:
            info: dict[str, Any] = self._try(self._fs.info, self.path(key))
        except FileNotFoundError:
            return None
        return info if info.get("type") == "file" else None

    def open(self, key: str) -> BinaryIO:
        """Read a file: all of one version of it. Raises FileNotFoundError."""
        if not key.endswith(".parquet"):  # notes, claims and beats are short
            return io.BytesIO(self._try(self._cat, key))
        while True:
            info = self._info(key)
            if info is None:
                raise FileNotFoundError(self.where(key))
            if info["size"] <= SMALL:
                return io.BytesIO(self._try(self._cat, key))
            stream = self._download(key)
            if self.version(key) == _token(info):
                return stream
            stream.close()  # written anew meanwhile: it may be of both

    def _cat(self, key: str) -> bytes:
        # one request, so that all of it is of one version
        options = {"max_concurrency": 1} if self._s3 else {}
        found: bytes = self._fs.cat_file(self.path(key), **options)
        return found

    def _download(self, key: str) -> BinaryIO:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            local = Path(folder) / "file"
            self._try(self._fs.get_file, self.path(key), str(local))
            return local.open("rb")  # it stays readable without its name

    @contextmanager
    def put(self, key: str) -> Iterator[BinaryIO]:
        """Give a stream to a temporary file on this machine; upload it when the block ends well."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            local = Path(folder) / "file"
            try:
                with local.open("w+b") as stream:
                    yield stream
            except OSError as error:
                raise cannot_write(local, error) from error
            if local.stat().st_size <= SMALL:
                self._try(self._fs.pipe_file, self.path(key), local.read_bytes())
            else:
                self._try(self._fs.put_file, str(local), self.path(key))

    def claim(self, key: str, data: bytes) -> bool:
        """Write a file if there is none, by a put that the store refuses otherwise.

        A store may have done what it was asked, and its answer was lost: then a further try finds
        the file there, with this very content, and it counts as ours.
        """
        return self._create(key, data) or self._holds_data(key, data)

    def _create(self, key: str, data: bytes, patience: Patience | None = None) -> bool:
        try:
            self._try(self._fs.pipe_file, self.path(key), data, mode="create", patience=patience)
        except Exists:
            return False
        return True

    def _holds_data(self, key: str, data: bytes) -> bool:
        try:
            return self._try(self._cat, key) == data
        except FileNotFoundError:
            return False

    def move(self, key: str, to: str) -> bool:
        """Let the store copy a file, and delete it; False if it is not there (any more)."""
        try:
            self._try(self._fs.cp_file, self.path(key), self.path(to))
        except FileNotFoundError:
            return False
        self.delete(key)
        return True

    def holds(self, key: str, other: str) -> bool:
        """Return whether two files have the same content: whether a move was only cut off."""
        if self.version(key) == self.version(other):
            return True
        try:
            with self.open(key) as first, self.open(other) as second:
                while True:
                    one, two = first.read(1 << 20), second.read(1 << 20)
                    if one != two or not one:
                        return one == two
        except FileNotFoundError:
            return False

    def copy(self, key: str, to: str) -> None:
        """Let the store copy a file."""
        self._try(self._fs.cp_file, self.path(key), self.path(to))

    def delete(self, key: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._try(self._fs.rm_file, self.path(key))

    def sweep(self, folder: str) -> None:
        """Do nothing: what was not uploaded whole is no file, and there are no folders."""

    def below(self, pattern: str) -> list[str]:
        """Return the keys that match a pattern; lists only the folders that can match."""
        *folders, last = pattern.split("/")
        places = [""]
        for part in folders:
            places = [p for place in places for p in self._inside(place, part, "directory")]
        return sorted(key for place in places for key in self._inside(place, last, "file"))

    def _inside(self, folder: str, pattern: str, kind: str) -> list[str]:
        """Return the keys directly in a folder that match; of folders without signs, unasked."""
        head = f"{folder}/" if folder else ""
        if not any(sign in pattern for sign in "*?["):
            key = head + pattern
            return [key] if kind == "directory" or self.exists(key) else []
        try:
            found = self._try(self._fs.ls, self.path(folder), detail=True)
        except FileNotFoundError:
            return []
        names = [
            str(one["name"]).rstrip("/").rpartition("/")[2] for one in found if one["type"] == kind
        ]
        return [head + name for name in names if fnmatch.fnmatchcase(name, pattern)]


def _token(info: dict[str, Any]) -> str:
    for name in TOKENS:
        if info.get(name):
            return str(info[name])
    parts = (info.get(name) for name in ("mtime", "LastModified", "updated", "created", "size"))
    return "-".join(str(part) for part in parts)

"""Files of a hub's repository, brought ahead of a run: resumed where they broke off, and hashed.

They go into the cache of the hub's own client, as it lays them. What it does not do is done here:
a file that broke off goes on in a later run, its content is held against the hash that the hub
states for the pinned revision, and a file that is cut or changed is named.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.data.formats.folders import one_line
from bench.data.hub.reach import unreachable
from bench.data.hub.resume import download
from bench.errors import BenchError
from bench.files import write_bytes

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Wanted:
    """Files of one repository.

    Attributes:
        kind: "dataset" or "model".
        repo: `owner/name`.
        revision: a commit, or a branch.
        folder: that the files lie in; "" for the root.
        names: patterns of file names; the first with a match decides.
    """

    kind: str
    repo: str
    revision: str
    folder: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Got:
    """One file at hand.

    Attributes:
        path: where it is.
        size: bytes.
        hashed: whether its content was held against a known hash.
        fresh: whether it was downloaded now.
    """

    path: Path
    size: int
    hashed: bool
    fresh: bool


Tell = Callable[[str], None]


def fetch(wanted: Wanted, *, offline: bool = False, tell: Tell = lambda text: None) -> list[Got]:
    """Return the files, downloaded where they are not at hand; each one whole and hashed.

    Args:
        wanted: which.
        offline: never ask the network: what is in the cache is checked.
        tell: is told of each file that is downloaded.

    Raises:
        BenchError: not there and offline, no network, no access, or a file that is not the hub's.
    """
    from huggingface_hub import constants

    if offline or constants.HF_HUB_OFFLINE:
        found = cached(wanted)
        if not found:
            raise BenchError(
                f"expected files of {wanted.repo} in the hub cache, as the network may not be "
                f"asked, found none of {wanted.revision[:12]} in {constants.HF_HUB_CACHE}; give "
                "the command once without --offline"
            )
        return [_at_hand(path) for path in found]
    reason = unreachable(constants.ENDPOINT)
    if reason is not None:
        raise BenchError(
            f"expected an answer from {constants.ENDPOINT} for {wanted.repo}, got none ({reason}); "
            "check the network"
        )
    files, commit = _listed(wanted)
    got = [_bring(wanted, commit, file, tell) for file in files]
    if commit != wanted.revision:  # a branch: the cache notes where it was
        ref = _root(wanted) / "refs" / wanted.revision
        write_bytes(ref, commit.encode())
    return got


def cached(wanted: Wanted) -> list[Path]:
    """Return the files that are in the hub's cache, of the first pattern with any."""
    root = _root(wanted)
    ref = root / "refs" / wanted.revision
    commit = ref.read_text().strip() if ref.is_file() else wanted.revision
    folder = root / "snapshots" / commit / wanted.folder
    for pattern in wanted.names:
        found = sorted(folder.glob(pattern))
        if found:
            return found
    return []


def _root(wanted: Wanted) -> Path:
    from huggingface_hub import constants

    name = f"{wanted.kind}s--{wanted.repo.replace('/', '--')}"
    return Path(constants.HF_HUB_CACHE, name)


def check_cached(path: Path) -> bool:
    """Hold a file of the hub's cache against its hash, which is the name of what it links to.

    Returns:
        True if it was hashed, False if its hash is unknown (no link, or a small file).

    Raises:
        BenchError: its content is another.
    """
    name = path.resolve().name
    if not _SHA256.match(name):
        return False
    _must_be(path, name, _sha256(path))
    return True


def _at_hand(path: Path) -> Got:
    return Got(path, path.stat().st_size, check_cached(path), False)


def _listed(wanted: Wanted) -> tuple[Sequence[Any], str]:
    """Return what the hub says of the wanted files (path, size, hashes), and the commit."""
    from huggingface_hub import HfApi, constants

    hub = HfApi(endpoint=constants.ENDPOINT)
    try:
        commit = wanted.revision
        if not _COMMIT.match(commit):
            info = hub.repo_info(wanted.repo, revision=commit, repo_type=wanted.kind)
            commit = str(info.sha)
        entries = list(
            hub.list_repo_tree(
                wanted.repo,
                wanted.folder or None,
                revision=commit,
                repo_type=wanted.kind,
            )
        )
    except Exception as error:  # the client raises whatever its version does
        raise BenchError(
            f"expected the files of {wanted.repo} at {wanted.revision[:12]} on the hub, got: "
            f"{one_line(error)}; if it is gated, accept its terms there and run `hf auth login`"
        ) from None
    for pattern in wanted.names:
        files = [e for e in entries if fnmatch.fnmatch(e.path.rpartition("/")[2], pattern)]
        if files:
            return sorted(files, key=lambda e: str(e.path)), commit
    raise BenchError(
        f"expected {' or '.join(wanted.names)} in {wanted.repo} at {wanted.revision[:12]}, found "
        "none; check the entry"
    )


def _bring(wanted: Wanted, commit: str, file: Any, tell: Tell) -> Got:
    """Download one file, unless it is at hand as the hub has it."""
    here = _root(wanted) / "snapshots" / commit / file.path
    if here.exists():
        if _is(here, file):
            return Got(here, file.size, True, False)
        tell(f"{here} is not what the hub has (cut or changed); it is downloaded anew")
        here.resolve().unlink()
    here.unlink(missing_ok=True)
    tell(f"{wanted.repo}: {file.path}, {file.size / 2**20:.1f} MiB")
    if file.lfs is not None:
        _large(wanted, commit, file, here)
    else:
        _small(wanted, commit, file, here)
    return Got(here, file.size, True, True)


def _large(wanted: Wanted, commit: str, file: Any, here: Path) -> None:
    """Bring a large file into the cache as the hub's client lays it: a blob, and a link to it."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    kind = "datasets/" if wanted.kind == "dataset" else ""
    url = f"{constants.ENDPOINT}/{kind}{wanted.repo}/resolve/{commit}/{quote(file.path)}"
    blob = _root(wanted) / "blobs" / file.lfs.sha256
    download(url, blob, file.size, file.lfs.sha256, build_hf_headers())
    here.parent.mkdir(parents=True, exist_ok=True)
    here.symlink_to(os.path.relpath(blob, here.parent))


def _small(wanted: Wanted, commit: str, file: Any, here: Path) -> None:
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(wanted.repo, file.path, revision=commit, repo_type=wanted.kind)
    except Exception as error:
        raise BenchError(
            f"expected {file.path} of {wanted.repo} from the hub, got {one_line(error)}; try again"
        ) from None
    if not _is(here, file):
        _must_be(here, str(file.blob_id), _git_hash(here))


def _is(path: Path, file: Any) -> bool:
    """Return whether a file's content is what the hub states: SHA-256, of small ones git's hash."""
    if path.stat().st_size != file.size:
        return False
    if file.lfs is not None:
        return bool(_sha256(path) == file.lfs.sha256)
    return _git_hash(path) == str(file.blob_id)


def _must_be(path: Path, expected: str, found: str) -> None:
    if found != expected:
        raise BenchError(
            f"expected {path} with the hash {expected[:12]} that the hub states, found "
            f"{found[:12]}: it was cut or changed; delete it, then run `bench download`"
        )


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while part := stream.read(1 << 20):
            yield part


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _git_hash(path: Path) -> str:
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    for part in _parts(path):
        digest.update(part)
    return digest.hexdigest()

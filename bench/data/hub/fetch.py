"""Files of a hub's repository, brought ahead of a run: resumed where they broke off, and hashed.

The hub's own client downloads and keeps them in its cache, where it resumes a file by Range. What
it does not do is done here: every file's content is held against the hash that the hub states for
the pinned revision, and a file that is cut or changed is named.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.formats.folders import one_line
from bench.data.hub.reach import unreachable
from bench.errors import BenchError

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
    return [_bring(wanted, file, tell) for file in _listed(wanted)]


def cached(wanted: Wanted) -> list[Path]:
    """Return the files that are in the hub's cache, of the first pattern with any."""
    from huggingface_hub import constants

    repo = f"{wanted.kind}s--{wanted.repo.replace('/', '--')}"
    root = Path(constants.HF_HUB_CACHE, repo)
    ref = root / "refs" / wanted.revision
    commit = ref.read_text().strip() if ref.is_file() else wanted.revision
    folder = root / "snapshots" / commit / wanted.folder
    for pattern in wanted.names:
        found = sorted(folder.glob(pattern))
        if found:
            return found
    return []


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


def _listed(wanted: Wanted) -> Sequence[Any]:
    """Return what the hub says of the wanted files: path, size, and their hashes."""
    from huggingface_hub import HfApi

    try:
        entries = list(
            HfApi().list_repo_tree(
                wanted.repo,
                wanted.folder or None,
                revision=wanted.revision,
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
            return sorted(files, key=lambda e: str(e.path))
    raise BenchError(
        f"expected {' or '.join(wanted.names)} in {wanted.repo} at {wanted.revision[:12]}, found "
        "none; check the entry"
    )


def _bring(wanted: Wanted, file: Any, tell: Tell) -> Got:
    """Download one file, unless it is at hand as the hub has it."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    here = try_to_load_from_cache(
        wanted.repo, file.path, revision=wanted.revision, repo_type=wanted.kind
    )
    if isinstance(here, str):
        if _is(Path(here), file):
            return Got(Path(here), file.size, True, False)
        tell(f"{here} is not what the hub has (cut or changed); it is downloaded anew")
        Path(here).resolve().unlink()
        Path(here).unlink(missing_ok=True)
    tell(f"{wanted.repo}: {file.path}, {file.size / 2**20:.1f} MiB")
    try:
        path = Path(
            hf_hub_download(wanted.repo, file.path, revision=wanted.revision, repo_type=wanted.kind)
        )
    except Exception as error:
        raise BenchError(
            f"expected {file.path} of {wanted.repo} from the hub, got {one_line(error)}; give the "
            "same command again, it goes on where the file broke off"
        ) from None
    if not _is(path, file):
        found = _sha256(path)
        path.resolve().unlink()  # else a later run would take it for whole
        path.unlink(missing_ok=True)
        _must_be(path, str(file.lfs.sha256 if file.lfs else file.blob_id), found)
    return Got(path, file.size, True, True)


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

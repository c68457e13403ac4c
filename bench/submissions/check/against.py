"""What a set of submissions and a registry change of their base, and whether they may.

A base is the state that a pull request starts from: a checkout's folder, or a revision of git.
Only one thing is refused for being changed: verification records, which must carry the signature
of a maintainer whose key the base has. All other changes are named.
"""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from bench.entries.registry import registry_dir
from bench.errors import BenchError
from bench.results.read import file_sha256
from bench.submissions.check.places import MAX_RECORD, Place, collect
from bench.submissions.check.problems import Findings, Problem, printable
from bench.submissions.verify.records import Record, read_records
from bench.submissions.verify.signatures import SIGNERS, signer

FOLDERS = ("submissions", "registry")
Key = tuple[str, str, str, str]


@contextmanager
def open_base(base: str) -> Iterator[Path]:
    """Give the folder of a base, which holds `submissions/` and `registry/` as they were.

    Args:
        base: a checkout's folder, or a revision of the repository that this runs in.

    Raises:
        BenchError: neither.
    """
    folder = Path(base)
    if any((folder / name).is_dir() for name in FOLDERS):
        yield folder
        return

    def git(*arguments: str) -> bytes:
        return _git(arguments, base)

    top = git("rev-parse", "--show-toplevel").decode().strip()
    named = git("rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}")
    revision = named.decode().strip()
    there = git("-C", top, "ls-tree", "--name-only", "-d", revision).decode().split("\n")
    chosen = [name for name in FOLDERS if name in there]
    with tempfile.TemporaryDirectory(prefix="bench-base-") as target:
        if chosen:
            content = git("-C", top, "archive", "--format=tar", revision, *chosen)
            with tarfile.open(fileobj=BytesIO(content)) as archive:
                # git's own tree, but for links, which the checks follow nowhere
                plain = [m for m in archive.getmembers() if m.isfile() or m.isdir()]
                archive.extractall(target, plain, filter="data")
        yield Path(target)


def _git(arguments: Sequence[str], base: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True)
    except FileNotFoundError:
        raise BenchError("expected git for --against, found none on the PATH") from None
    if done.returncode != 0:
        raise BenchError(
            f"expected a checkout's folder or a revision for --against, found {printable(base)!r}; "
            "name main, or the folder of the base"
        )
    return done.stdout


def key(place: Place) -> Key:
    """Return what names a file of a submission wherever its folder is."""
    return place.protocol, place.dataset, place.name, place.kind


@dataclass(frozen=True)
class Base:
    """A base's files.

    Attributes:
        folder: where it is.
        places: key -> file of a submission.
    """

    folder: Path
    places: dict[Key, Place]

    @property
    def signers(self) -> Path:
        """The maintainers' public keys, as the base has them; it may not be there."""
        return self.folder / "registry" / SIGNERS


def read_base(folder: Path) -> Base:
    """Return what a base holds."""
    root = folder / "submissions"
    found = collect([root])[0] if root.is_dir() else []
    return Base(folder, {key(place): place for place in found})


def changes(places: Sequence[Place], base: Base, whole: bool) -> list[str]:
    """Return what differs from the base, a line each: kind of change, and the file.

    Args:
        places: the submissions' files.
        base: what they are compared with.
        whole: the files are all there are, so that a missing one was removed.
    """
    now = {key(place): place for place in places}
    lines = []
    for name in sorted(now.keys() | base.places.keys()):
        path = "submissions/" + "/".join(name[:3]) + name[3]
        if name not in now:
            lines += [f"removed: {path}"] if whole else []
        elif name not in base.places:
            lines.append(f"added: {path}")
        elif file_sha256(now[name].path) != file_sha256(base.places[name].path):
            lines.append(f"changed: {path}")
    return lines + _registry(registry_dir(), base.folder / "registry")


def _registry(now: Path, before: Path) -> list[str]:
    new, old = _files(now), _files(before)
    lines = []
    for name in sorted(new.keys() | old.keys()):
        if name not in new:
            lines.append(f"removed: registry/{name}")
        elif name not in old:
            lines.append(f"added: registry/{name}")
        elif new[name] != old[name]:
            lines.append(f"changed: registry/{name}")
    return [printable(line) for line in lines]


def _files(root: Path) -> dict[str, str]:
    """Path below the registry -> hash; of a link where it leads, as text."""
    found = {}
    for path in sorted(p for folder in root.glob("*") for p in (folder, *folder.rglob("*"))):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() and not path.is_dir():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = file_sha256(path)
    return found


def unsigned(places: Sequence[Place], base: Base) -> Iterator[Problem]:
    """Yield a problem for each verification record that is new and that no maintainer signed.

    And for each record of a result that is as it was which was taken away.
    """
    now = {key(place): place for place in places}
    for name, place in now.items():
        if name[3] != ".verify.json":
            continue
        findings = Findings(str(place.path))
        old = _records(base.places.get(name))
        for number, record in enumerate(_records(place)):
            if record not in old and signer(record, base.signers) is None:
                findings.add(
                    f"record {number}",
                    "expected a signature of a maintainer whose key the base has, found "
                    + ("none" if record.signature is None else "no valid one"),
                    "leave it out: a maintainer verifies the submission",
                )
        yield from findings.problems
    yield from _taken_away(now, base)


def _taken_away(now: dict[Key, Place], base: Base) -> Iterator[Problem]:
    for name, place in base.places.items():
        result = now.get((*name[:3], ".parquet"))
        if name[3] != ".verify.json" or result is None:
            continue
        digest, new = file_sha256(result.path), _records(now.get(name))
        gone = [r for r in _records(place) if r.file_sha256 == digest and r not in new]
        if gone:
            findings = Findings(str(result.path.with_name(place.path.name)))
            text = f"expected the base's records of this result, found {len(gone)} taken away"
            findings.add("", text, "put the file back as the base has it")
            yield from findings.problems


def _records(place: Place | None) -> tuple[Record, ...]:
    """The records of a file; none where there is no readable one, which is its own problem."""
    if place is None or place.path.stat().st_size > MAX_RECORD:
        return ()
    try:
        return read_records(place.path)
    except ValueError:
        return ()

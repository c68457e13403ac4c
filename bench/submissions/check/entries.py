"""Is a model's entry one that can be submitted, verified and shown? Nothing of it is built."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.entries.read import read_entry
from bench.errors import BenchError
from bench.results.read import file_sha256
from bench.submissions.check.problems import Findings, short

MAX_ENTRY = 64_000
"""Bytes of an entry's file."""
MAX_WEIGHTS = 64_000_000
"""Bytes of a weights file in the registry; larger ones stay where they are public."""
CORRECT = "correct the entry"


def entry_files() -> list[Path]:
    """Return the files of all model entries, sorted."""
    return sorted((registry.registry_dir() / "models").rglob("*.toml"))


def check_entry(path: Path, findings: Findings) -> ModelEntry | None:
    """Check an entry's file; return the entry if it can be read.

    Args:
        path: below `registry/models`.
        findings: gets what is wrong.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        findings.add("", "expected a plain file, found a link or something else", CORRECT)
        return None
    if found.st_size > MAX_ENTRY:
        text = f"expected at most {MAX_ENTRY:,} bytes, found {found.st_size:,}"
        findings.add("", text, CORRECT)
        return None
    try:
        entry = read_entry(path, ModelEntry)
        registry.dataset(entry.dataset)
    except (BenchError, RecursionError, ValueError) as error:
        findings.add("", f"expected an entry: {short(str(error), 200)}", CORRECT)
        return None
    for text, remedy in lacks(entry):
        findings.add("", text, remedy)
    return entry


def lacks(entry: ModelEntry) -> Iterator[tuple[str, str]]:
    """Yield why a model could not be submitted with this entry: what was found, what to do."""
    if entry.source in ("checkpoint", "factory") and entry.credits is None:
        yield (
            "expected [credits] with authors, training_data and licence in its entry, found none",
            "add them to the entry",
        )
    weights = entry.weights
    public = weights is not None and (weights.url or weights.file)
    if not public and entry.source not in ("timm", "net"):
        yield (
            "expected where the weights are (weights.url or weights.file in its entry), found "
            "neither",
            "nobody could verify it: publish the weights",
        )
    if weights is None:
        return
    if weights.sha256 is None and (weights.file or (weights.url and entry.source != "timm")):
        yield (
            "expected weights.sha256 in its entry beside their address, found none",
            "state the file's hash: sha256sum",
        )
    if weights.file is not None:
        yield from _file(weights.file, weights.sha256)


def _file(name: str, sha256: str | None) -> Iterator[tuple[str, str]]:
    path = registry.registry_dir() / name
    # the registry's own folders may be links of whoever set it up, nothing below them
    links = [path.parents[k].is_symlink() for k in range(name.count("/") - 1)]
    try:
        found = path.lstat()
    except (OSError, ValueError):
        yield f"expected {name} in the registry, as its entry says, found none", "add the file"
        return
    if any(links) or not stat.S_ISREG(found.st_mode):
        yield f"expected {name} as a plain file in the registry, found a link", "add the file"
    elif found.st_size > MAX_WEIGHTS:
        yield (
            f"expected at most {MAX_WEIGHTS:,} bytes of {name}, found {found.st_size:,}",
            "publish the weights and give weights.url instead",
        )
    elif sha256 is not None and (digest := file_sha256(path)) != sha256:
        yield (
            f"expected {sha256[:16]}... of {name}, as its entry states, found {digest[:16]}...",
            "add the file that was measured, or correct the entry",
        )

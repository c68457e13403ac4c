"""What was sent: perturbations of a model's samples, from a Parquet file or one of numpy's."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import BenchError, printable
from bench.results.challenges import KEPT, SENT, STATED, stated
from bench.results.untrusted import Unreadable, UntrustedFile
from bench.submissions.check.footer import check_columns, open_checked
from bench.submissions.check.problems import Findings

Array = npt.NDArray[Any]

MOST = 20_000
"""Perturbations of one file."""
MAX_BYTES = 256_000_000
"""Of a file of numpy's once unpacked."""
NUMPY = ("attack", "sample_id", "delta", *STATED)
"""What a file of numpy's must hold: np.savez(file, attack="min-l2", sample_id=ids, ...)."""


@dataclass(frozen=True)
class Sent:
    """A file of perturbations.

    Attributes:
        stated: whose rows are challenged (keys of STATED), and "who" sends them, if it says so.
        attack, sample_id: (n,).
        deltas: n arrays, as they were sent.
        labels: (n,) true classes as the sender states them; None: not stated.
        norms: (n,) norms as the file states them; None: not stated.
        who: (n,) senders as the file states them; None: not stated.
    """

    stated: Mapping[str, str]
    attack: Array
    sample_id: Array
    deltas: list[Array]
    labels: Array | None = None
    norms: Array | None = None
    who: Array | None = None


def read_sent(path: Path) -> Sent:
    """Read perturbations that somebody sent; nothing in the file is run.

    Raises:
        BenchError: it is no such file, or too large.
    """
    if not path.is_file():
        raise BenchError(f"expected perturbations at {path}, found no file; check the path")
    if path.suffix not in (".npz", ".parquet"):
        raise BenchError(f"expected an .npz of np.savez, or a Parquet file (.parquet), got {path}")
    sent = _numpy(path) if path.suffix == ".npz" else _parquet(path)
    missing = [key for key in STATED if not sent.stated.get(key)]
    if missing:
        raise BenchError(
            f"expected {', '.join(STATED)} in {path}, found no {', '.join(missing)}; the model's "
            "row on the board names them (see submissions/README.md)"
        )
    if not 0 < len(sent.deltas) <= MOST:
        raise BenchError(
            f"expected 1 to {MOST:,} perturbations in {path}, found {len(sent.deltas):,}"
        )
    return sent


def _numpy(path: Path) -> Sent:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > MAX_BYTES:
            raise BenchError(
                f"expected at most {MAX_BYTES:,} bytes unpacked, found {size:,}, in {path}"
            )
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BenchError(
            f"expected a file of np.savez, found {printable(text[:160])}, in {path}"
        ) from None
    missing = [name for name in NUMPY if name not in found]
    if missing:
        raise BenchError(
            f"expected the arrays {', '.join(NUMPY)} in {path}, found no {', '.join(missing)}"
        )
    ids, deltas = found["sample_id"], found["delta"]
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or deltas.ndim != 4 or len(ids) != len(deltas):
        raise BenchError(
            f"expected sample_id (n,) of whole numbers and delta (n, C, H, W) in {path}, found "
            f"{ids.dtype} {ids.shape} and {deltas.dtype} {deltas.shape}"
        )
    labels = found.get("label")
    if labels is not None and (labels.shape != ids.shape or labels.dtype.kind not in "iu"):
        raise BenchError(
            f"expected label (n,) of whole numbers in {path}, found {labels.dtype} {labels.shape}"
        )
    attack = found["attack"]
    if attack.shape not in ((), ids.shape):
        raise BenchError(f"expected one attack or (n,) in {path}, found {attack.shape}")
    names = np.broadcast_to(attack, ids.shape).astype(str).astype(object)
    texts = {key: str(found[key]) for key in (*STATED, "who") if key in found}
    return Sent(texts, names, ids.astype(np.int64), list(deltas), labels)


def _parquet(path: Path) -> Sent:
    findings = Findings(str(path))
    file = open_checked(path, MOST, findings)
    if file is not None:
        wanted = KEPT if "norm" in _names(file) else SENT
        if check_columns(file, wanted, findings):
            return _rows(file, path)
    raise BenchError(str(findings.problems[0]).replace("`bench submit`", "np.savez"))


def _names(file: UntrustedFile) -> set[str]:
    """Columns beyond those that must be there."""
    return {name for name, _, _ in file.differences(SENT)}


def _rows(file: UntrustedFile, path: Path) -> Sent:
    try:
        rows = file.read()
    except Unreadable as error:
        raise BenchError(f"expected readable rows in {path}, found {error}") from None
    deltas = []
    for place in range(len(rows)):
        row = rows.row(place)
        shape = np.asarray(row["shape"] if row["shape"] is not None else [], dtype=np.int64)
        delta = np.asarray(row["delta"] if row["delta"] is not None else [], dtype=np.float32)
        fits = len(shape) == 3 and (shape > 0).all() and int(np.prod(shape)) == delta.size
        deltas.append(delta.reshape(tuple(shape)) if fits else delta)
    full = "norm" in rows.names
    return Sent(
        stated(path),
        rows["attack"],
        rows["sample_id"],
        deltas,
        norms=rows["norm"] if full else None,
        who=rows["who"] if full else None,
    )

"""Lean per-sample data of the primary attack, for paired differences in the page."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from bench.board.table import Row, Table
from bench.results.read import read_samples
from bench.results.samples import Samples
from bench.stats.bootstrap import DRAWS, Floats
from bench.stats.stepdown import FEWEST_IDS

MOST = 65_534
"""Largest code; one more stands for a value that is not there."""
RFC_END = float(np.sqrt(2))


def lean(samples: Samples, place: int) -> dict[str, Any]:
    """Return one attack's RFC, norm, kept and correct of every id, as text.

    RFC and norm are 16-bit fractions of their largest: a step is 2e-5 of it, and the mean of a
    hundred of them is off by 1e-6 or so.

    Args:
        samples: the rows of a result.
        place: of the attack.

    Returns:
        "top": the largest norm; "data": base64 of RFC, norm (uint16, little endian), kept and
        correct (bits, the first id in the lowest).
    """
    kept, correct = samples.fooled[place], samples.clean_correct[place]
    rfc = np.where(kept, samples.quantities["rfc"][place], np.nan)
    norm = np.where(kept, samples.norm[place], np.nan)
    finite = norm[np.isfinite(norm)]
    top = float(f"{finite.max():.8g}") * (1 + 1e-8) if finite.size and finite.max() > 0 else 1.0
    raw = b"".join(
        (
            _codes(rfc, RFC_END),
            _codes(norm, top),
            np.packbits(kept, bitorder="little").tobytes(),
            np.packbits(correct, bitorder="little").tobytes(),
        )
    )
    return {"top": top, "data": base64.b64encode(raw).decode()}


def _codes(values: Floats, end: float) -> bytes:
    known = np.isfinite(values)
    fractions = np.where(known, np.clip(np.where(known, values, 0) / end, 0, 1), 0)
    codes = np.where(known, np.rint(fractions * MOST), MOST + 1)
    return codes.astype("<u2").tobytes()


def of_row(row: Row, table: Table) -> dict[str, Any]:
    """Return the lean data of a row's own weights under the primary attack.

    Raises:
        BenchError: the submission can't be read any more.
    """
    place = list(table.rules.attacks).index(table.rules.primary)
    return lean(read_samples(row.model.submission), place)


def resampling(table: Table) -> dict[str, Any]:
    """Return what the page needs to draw the very resamples of `bench compare`.

    PCG64 as numpy seeds it: its 128-bit state and increment, as six 24-bit digits, lowest first.
    """
    state: Any = np.random.PCG64(table.rules.protocol.seed).state["state"]
    return {
        "n": len(table.rules.ids),
        "draws": DRAWS,
        "fewest": FEWEST_IDS,
        "state": _digits(int(state["state"])),
        "increment": _digits(int(state["inc"])),
    }


def _digits(value: int) -> list[int]:
    return [(value >> shift) & 0xFFFFFF for shift in range(0, 128, 24)]

"""The package as a stranger would extend it: one metric, one attack key and one algorithm more.

A program of its own, because the table of metrics is read when modules are imported. It appends
one row to METRICS, gives Brendel-Bethge one key and registers one algorithm, then does what it is
asked to, and prints what came of it as JSON.

    python tests/grown.py check FOLDER    problems of every submission; hashes of every protocol
    python tests/grown.py merge FOLDER    one more attack into a result of version 1
    python tests/grown.py rescore FOLDER  the new metric of a result that has perturbations
"""

from __future__ import annotations

import csv
import json
import sys
import types
from pathlib import Path
from typing import Literal

from bench import metrics
from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.entries.attacks import ALGORITHMS, AttackSettings

metrics.METRICS += (
    metrics.Metric(
        "r2",
        "Nyquist squared",
        0,
        2,
        "larger: higher frequency",
        metrics.Missing.NO_POWER,
        "mean squared radius",
        lambda m: m.spectrum["rfc"] ** 2,
        since=metrics.METRICS[-1].since + 1,
        shown="interval",
    ),
)


class WithKey(BrendelBethge):
    """Brendel-Bethge with a key of later."""

    restarts: int = 0


class Gaussian(AttackSettings):
    """An algorithm of later."""

    algorithm: Literal["gaussian"] = "gaussian"
    sigma: float


later = types.ModuleType("later")
later.WithKey, later.Gaussian = WithKey, Gaussian  # type: ignore[attr-defined]
sys.modules["later"] = later
ALGORITHMS["brendel-bethge"] = "later:WithKey"
ALGORITHMS["gaussian"] = "later:Gaussian"


def check(folder: Path) -> dict[str, object]:
    """Check submissions, put them on a board, and hash the protocols."""
    from bench.board.build import build
    from bench.board.compare import compare, open_pair
    from bench.board.csv_file import csv_text
    from bench.entries import registry
    from bench.submissions.check.check import check_submission, group
    from bench.submissions.check.places import collect

    places, problems = collect([folder])
    for members in group(places):
        problems += check_submission(members)
    board = build(folder)
    hashes = {
        f"{p} {d}": registry.protocol(p).hash(d)
        for p in registry.protocol_names()
        for d in registry.dataset_names()
    }
    first, second = sorted(p.path for p in places if p.kind == ".parquet")[:2]
    compared = {d.quantity for d in compare(*open_pair(first, second))}
    rows = list(csv.reader(csv_text(board).splitlines()))
    return {
        "problems": [str(problem) for problem in problems],
        "hashes": hashes,
        "passing": [row.model.name for table in board.tables for row in table.passing],
        "compared": sorted(compared),
        "columns": rows[0],
        "r2": [row[rows[0].index("r2")] for row in rows[1:]],
    }


def merge(folder: Path) -> dict[str, object]:
    """Measure one more attack of the result that is there."""
    import bench

    table = bench.evaluate(
        "fashionmnist-local-conv", protocol="quick", attacks=["pgd-l2"], output=folder
    )
    return {"r2": table["r2"].tolist(), "rfc": table["rfc"].tolist()}


def rescore(folder: Path) -> dict[str, object]:
    """Fill the new metric from stored perturbations."""
    import bench

    found = bench.rescore("fashionmnist-local-conv", protocol="quick", output=folder)
    written = found[found["written"]]
    return {"metrics": written["metric"].tolist(), "filled": int(written["filled"].sum())}


if __name__ == "__main__":
    json.dump(
        {"check": check, "merge": merge, "rescore": rescore}[sys.argv[1]](Path(sys.argv[2])),
        sys.stdout,
    )

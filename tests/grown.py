"""The package as a stranger would extend it: a metric, an attack key, an algorithm, a probe more.

A program of its own, because the table of metrics is read when modules are imported. It appends
one row to METRICS, gives Brendel-Bethge one key and registers one algorithm and one probe, then
does what it is asked to, and prints what came of it as JSON.

    python tests/grown.py check FOLDER    problems of every submission; hashes of every protocol
    python tests/grown.py merge FOLDER    one more attack into a result of version 1
    python tests/grown.py rescore FOLDER  the new metric of a result that has perturbations
    python tests/grown.py probe FOLDER    the new probe: command, call, files, board
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench import metrics
from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.entries.attacks import ALGORITHMS, AttackSettings
from bench.entries.probe_names import PROBES, Listed
from bench.entries.probes import Kind, Probe

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


class Toy(Probe):
    """A probe of later: the mean of each image."""

    name: ClassVar[str] = "toy"
    columns: ClassVar[Mapping[str, Kind]] = {"mean": "float"}

    def parts(self, shape: tuple[int, int, int]) -> tuple[str, ...]:
        """One row a sample."""
        return ("samples",)

    def measure(
        self, job: Any, part: str, ids: Sequence[int], control: bool
    ) -> Mapping[str, Sequence[Any]]:
        """Take means."""
        labels = job.labels(ids).tolist()
        means = job.load(ids).double().flatten(1).mean(1).tolist()
        same = {"label": labels, "reference": labels, "status": ["ok"] * len(labels)}
        return {**same, "mean": means}

    def report(self, subjects: Sequence[Any]) -> Any:
        """One table a model."""
        from bench.probes.report import Part, Report

        parts = [
            Part(f"{one.name}: toy", [{"n": str(len(one.parts["samples"]["mean"]))}], "A note.")
            for one in subjects
        ]
        return Report("Toy", parts, Blank(), "Nothing.", brief=[{"model": "all"}])


class Blank:
    """A figure of nothing."""

    def draw(self) -> Any:
        """Return it."""
        from matplotlib.figure import Figure

        return Figure()


later = types.ModuleType("later")
later.WithKey, later.Gaussian, later.Toy = WithKey, Gaussian, Toy  # type: ignore[attr-defined]
sys.modules["later"] = later
PROBES["toy"] = Listed("later:Toy", "Take the mean of each image.")
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


def probe(folder: Path) -> dict[str, object]:
    """Run the new probe by its command and by the call; keep its files, check and show them."""
    import bench
    from bench.board.probes import read_reports
    from bench.cli.main import call
    from bench.probes.keep import keep
    from bench.submissions.check.places import collect

    net, said = "fashionmnist-full-conv", io.StringIO()
    with contextlib.redirect_stdout(said):
        codes = [
            call(["probe", "--help"]),
            call(["probe", "toy", "--help"]),
            call(["probe", "toy", "-m", net, "--limit", "3", "-o", str(folder)]),
        ]
    place = folder / "probes" / "fashionmnist"
    files = sorted(path.name for path in place.iterdir())
    rows = bench.probe("toy", net, limit=3, output=None)
    kept = [keep(path, folder / "kept") for path in sorted(place.glob("*.parquet"))]
    reports, broken = read_reports(kept[0].parent)
    return {
        "codes": codes,
        "said": said.getvalue(),
        "files": files,
        "models": rows["model"].tolist(),
        "mean": rows["mean"].tolist(),
        "problems": [str(problem) for problem in collect([folder / "kept"])[1]],
        "reports": [report.title for report, _ in reports.values()],
        "broken": broken,
    }


VERBS = {"check": check, "merge": merge, "rescore": rescore, "probe": probe}

if __name__ == "__main__":
    json.dump(VERBS[sys.argv[1]](Path(sys.argv[2])), sys.stdout)

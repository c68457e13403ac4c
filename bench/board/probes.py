"""What probes say of the board's models: a section of a data set's page, and a page of its own.

Written from `<submissions>/probes/<dataset>/<model>.<probe>.parquet`, files of `bench probe`, where
there are any. They rank nobody and nobody has measured them again, which the page says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.board.markdown import BACK_LINK
from bench.board.table import Board
from bench.board.tabular import tabular
from bench.entries.probe_names import PROBES
from bench.entries.probes import probe_class
from bench.errors import BenchError
from bench.figures.style import is_current, svg
from bench.probes.report import Report
from bench.probes.tables import Subject, subject, twin_name
from bench.results.read import file_sha256

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.+-]*(@seed[0-9]+)?$")
"""`<model>[@seedN]`; untrained twins are read with their model."""
UNVERIFIED = (
    "Probes ask why: which frequencies a boundary is near in, what noise of one frequency does, "
    "what filters leave of an attack, whether its spectrum is the gradient's. They rank nobody, "
    "their samples are the first n of the protocol's, and no record says that somebody has "
    "measured them again."
)


def with_probes(
    files: Mapping[str, bytes], board: Board, folder: Path, figures: bool
) -> dict[str, bytes]:
    """Return a board's files with those of probes, and their section in each data set's page.

    Args:
        files: path -> content of the board.
        board: made from the folder of submissions that probes are looked for in.
        folder: where an earlier board may be; figures whose data are the same are kept.
        figures: draw them too.
    """
    found = dict(files)
    paths = [row.model.submission.path for table in board.tables for row in table.rows]
    root = paths[0].parents[2] / "probes" if paths else folder / "no-submissions"
    for place in sorted(root.glob("*")):
        page = f"{place.name}.md"
        reports, broken = read_reports(place)
        if not reports or page not in found:
            continue
        drawn: dict[str, bytes] = {}
        parts = [f"# Probes: {place.name}", UNVERIFIED]
        for name, (report, digest) in reports.items():
            file = f"figures/{place.name}-probe-{name}.svg"
            parts += _page(name, report, file if figures else None)
            if figures:
                drawn[file] = _figure(folder / file, report, digest)
        parts += [f"- not shown: {line}" for line in broken]
        found |= drawn
        found[f"probes-{place.name}.md"] = ("\n\n".join([*parts, BACK_LINK]) + "\n").encode()
        section = _section(place.name, reports)
        text = found[page].decode().rstrip().removesuffix(BACK_LINK)
        found[page] = f"{text.rstrip()}\n\n{section}\n\n{BACK_LINK}\n".encode()
    return found


def read_reports(place: Path) -> tuple[dict[str, tuple[Report, str]], list[str]]:
    """Return probe -> what it says of all models in a folder, with a hash of the files.

    And a line for each file that can't be shown.
    """
    found, broken = {}, []
    for name in PROBES:
        subjects, hashes = [], []
        for path in sorted(place.glob(f"*.{name}.parquet")):
            model = path.name.removesuffix(f".{name}.parquet")
            twin = path.with_name(f"{twin_name(model)}.{name}.parquet")
            if not NAME.match(model):
                continue
            try:
                one = subject(path, twin)
                _check(one, name, model)
                probe_class(name)().report([one])  # a stranger's file must not break the board
                subjects.append(one)
                hashes += [file_sha256(p) for p in (path, twin) if p.exists()]
            except Exception as error:
                reason = (str(error).splitlines() or [""])[0]
                broken.append(f"`{path.name}` ({type(error).__name__}: {reason[:200]})")
        if subjects:
            report = probe_class(name)().report(subjects)
            report = replace(report, brief_note=f"{report.brief_note} {times(subjects)}")
            digest = hashlib.sha256("".join([_code(), *hashes]).encode()).hexdigest()
            found[name] = (report, digest)
    return found, broken


def times(subjects: Sequence[Subject]) -> str:
    """Return in words how long models and twins took, for a hundred samples of each."""
    per = []
    for one in subjects:
        for each in one.both():
            spent = [float(np.nansum(c["seconds"])) for c in each.parts.values()]
            samples = max(len(c["seconds"]) for c in each.parts.values())
            per.append(100 * sum(spent) / samples)
    low, high = f"{min(per):.3g}", f"{max(per):.3g}"
    devices = sorted({str(each.metadata.get("device", "?")) for s in subjects for each in s.both()})
    took = low if low == high else f"{low} to {high}"
    return (
        f"100 samples took {took} s a model (wall clock; {len(per)} measured, untrained twins too; "
        f"{', '.join(devices)})."
    )


def _check(one: Subject, probe: str, model: str) -> None:
    for each, name in ((one, model), (one.twin, twin_name(model))):
        if each is not None and (each.name, each.metadata.get("probe_name")) != (name, probe):
            other = each.metadata.get("probe_name")
            raise BenchError(f"expected {probe} of {name}, found {other} of {each.name}")


def _code() -> str:
    """Hash the code that draws."""
    root = Path(__file__).parents[1]
    files = [root / "figures" / f"{name}.py" for name in (*PROBES, "style", "mark")]
    files = [path for path in files if path.exists()]  # a probe may have no figure of its own
    files += sorted((root / "probes").glob("*/report.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _figure(old: Path, report: Report, digest: str) -> bytes:
    if old.exists() and is_current(content := old.read_bytes(), digest):
        return content
    return svg(report.drawing, digest)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    return tabular(rows, "github")


def _page(name: str, report: Report, figure: str | None) -> list[str]:
    parts = [f"## {report.title}"]
    if figure is not None:
        parts.append(f"![{report.title}]({figure})\n\n*{report.figure}*")
    said: set[str] = set()
    for part in (*report.together, *report.parts):
        parts += [f"### {part.caption}", _table(part.rows)]
        parts += [part.notes] if part.notes not in said else []
        said.add(part.notes)
    return parts


def _section(dataset: str, reports: Mapping[str, tuple[Report, str]]) -> str:
    parts = ["## Probes", f"{UNVERIFIED} All of it: [probes](probes-{dataset}.md)."]
    for report, _ in reports.values():
        parts += [f"**{report.title}.** {report.brief_note}", _table(report.brief)]
    return "\n\n".join(parts)

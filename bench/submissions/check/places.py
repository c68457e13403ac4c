"""Which files a folder of submissions may hold, and where."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.entries.probe_names import PROBES
from bench.results.study_blocks import MOST_BYTES as STUDY_BLOCK_BYTES
from bench.results.study_blocks import STUDIES
from bench.submissions.check.problems import Findings, Problem, printable

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.+-]*(@random)?(@seed[0-9]+)?$")
"""`<model>[@random][@seedN]`."""

MAX_NAME = 120
MAX_BYTES = 3_000_000
"""Of a result and its side file of spectra together, in version 1, and of any single file."""
FULL_BYTES = 600 * 1024
"""The same since version 2."""
LEAN_BYTES = 160 * 1024
"""The same of a further training seed or an untrained twin."""
MAX_RECORD = 200_000
STUDIES_BYTES = 15 * 2**20
"""Of all blocks of all studies together."""
KINDS = (".extras.parquet", ".challenge.parquet", ".verify.json", ".parquet")
PROBE = re.compile(
    r"^[A-Za-z0-9][A-Za-z0-9_.+-]*?(@random)?(@seed[0-9]+)?\.(" + "|".join(PROBES) + r")\.parquet$"
)
"""`<model>[@random][@seedN].<probe>.parquet` in `probes/<dataset>/`: shown, never ranked."""
MAX_PROBE = 400_000
RESERVED = (".extras", ".clean", ".perturbations", ".challenge", ".verify")

_LAYOUT = "submissions/<protocol>/<dataset>/<model>.parquet"


def max_bytes(name: str, schema_version: int) -> int:
    """Return the most bytes that a result and its side file may have together.

    Args:
        name: `<model>[@random][@seedN]`.
        schema_version: of the result.
    """
    if schema_version == 1:
        return MAX_BYTES
    return LEAN_BYTES if "@" in name else FULL_BYTES


@dataclass(frozen=True)
class Place:
    """One file of a submission.

    Attributes:
        path: where it is.
        protocol, dataset: names of its two folders; of a study's block "studies" and the study.
        name: `<model>[@random][@seedN]`.
        kind: one of KINDS.
    """

    path: Path
    protocol: str
    dataset: str
    name: str
    kind: str

    @property
    def model(self) -> str:
        """Name of the model's entry."""
        return self.name.split("@")[0]


def collect(paths: Sequence[Path]) -> tuple[list[Place], list[Problem]]:
    """Return the files under some paths, and what is wrong with names and places.

    Nothing is opened. A link is a problem and is never followed.
    """
    places: list[Place] = []
    problems: list[Problem] = []
    for path in paths:
        findings = Findings(str(path))
        if not path.exists() and not path.is_symlink():
            findings.add("", "expected a file or folder, found nothing", "check the path")
        elif path.is_symlink():
            findings.add("", "expected a file or folder, found a link", "submit the file itself")
        else:
            for file in _files(path, findings):
                if file.absolute().parent.parent.name == "probes":
                    problems += _probe(file)
                    continue
                place, bad = _place(file)
                places += [place] if place is not None else []
                problems += bad
        problems += findings.problems
    problems += _same_but_for_case(places)
    problems += _studies_too_large(places)
    return list(dict.fromkeys(places)), problems


def _files(path: Path, findings: Findings) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = []
    for item in sorted(path.rglob("*"), key=str):
        mode = item.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if item.name in ("README.md", ".gitkeep") and item.parent == path:
            continue
        if not stat.S_ISREG(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "a special file"
            findings.add(
                str(item.relative_to(path)),
                f"expected only plain files, found {kind}",
                "submit the file itself",
            )
            continue
        found.append(item)
    return found


def _probe(file: Path) -> list[Problem]:
    """Return what is wrong with the name, place and size of a probe's file; it is not opened."""
    findings = Findings(str(file))
    if not PROBE.match(file.name) or len(file.name) > MAX_NAME + 20:
        text = f"expected a probe's <model>.<probe>.parquet, found {printable(file.name[:40])!r}"
        findings.add("", text, f"probes are {', '.join(PROBES)}; remove it")
    if file.lstat().st_size > MAX_PROBE:
        text = f"expected at most {MAX_PROBE:,} bytes, found {file.lstat().st_size:,}"
        findings.add("", text, "measure it on fewer samples")
    return findings.problems


def _place(file: Path) -> tuple[Place | None, list[Problem]]:
    findings = Findings(str(file))
    kind = next((k for k in KINDS if file.name.endswith(k)), None)
    if kind is None:
        text = f"expected only {', '.join(KINDS)} files, found {printable(file.suffix)!r}"
        findings.add("", text, "remove it")
        return None, findings.problems
    name = file.name.removesuffix(kind)
    if len(name) > MAX_NAME or not NAME.match(name) or name.endswith(RESERVED) or ".." in name:
        findings.add(
            "",
            "expected a name <model>[@random][@seedN] of letters, digits and _.+- "
            f"of at most {MAX_NAME} characters, found {len(name)} characters {name[:40]!r}",
            "name it as `bench submit` does",
        )
    full = file.absolute()
    dataset, protocol = full.parent.name, full.parent.parent.name
    if not (NAME.match(dataset) and NAME.match(protocol)):
        findings.add("", f"expected the place {_LAYOUT}", "put it there with `bench submit`")
    limit = MAX_RECORD if kind == ".verify.json" else MAX_BYTES
    if protocol == STUDIES:
        limit = STUDY_BLOCK_BYTES
        if kind != ".parquet" or "@" in name:
            text = f"expected only studies/<study>/<block>.parquet, found {printable(file.name)!r}"
            findings.add("", text, "remove it")
    size = file.lstat().st_size
    if size > limit:
        findings.add(
            "",
            f"expected at most {limit:,} bytes, found {size:,}",
            "make it with `bench submit`, which writes the compact form",
        )
    if findings.problems:
        return None, findings.problems
    return Place(file, protocol, dataset, name, kind), []


def _studies_too_large(places: Sequence[Place]) -> list[Problem]:
    sizes = {p.path: p.path.lstat().st_size for p in places if p.protocol == STUDIES}
    total = sum(sizes.values())
    if total <= STUDIES_BYTES:
        return []
    findings = Findings(str(min(sizes).parent.parent))
    text = f"expected at most {STUDIES_BYTES:,} bytes of blocks of studies, found {total:,}"
    findings.add("", text, "leave cells out, or measure fewer samples")
    return findings.problems


def _same_but_for_case(places: Sequence[Place]) -> list[Problem]:
    seen: dict[str, Place] = {}
    problems = []
    for place in places:
        other = seen.setdefault(str(place.path).casefold(), place)
        if other.path != place.path:
            findings = Findings(str(place.path))
            findings.add(
                "",
                f"expected names that differ in more than case, found {other.path.name!r} too",
                "rename one",
            )
            problems += findings.problems
    return problems

"""`bench submit`: from a complete result to a submission."""

from __future__ import annotations

import fnmatch
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError, unknown_name


def submit(
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="Name of a result, or a pattern. Repeatable."),
    ],
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Default: every data set with a result.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="See `bench list protocols`. Default: the one that ranks (minimal2026)."),
    ] = None,
    results: Annotated[
        str, typer.Option(help="Folder that `bench eval` wrote to, or s3://bucket/folder.")
    ] = "results",
    submissions: Annotated[
        str, typer.Option(help="Folder of submissions, or s3://bucket/folder.")
    ] = "submissions",
) -> None:
    """Check complete results and put their compact form into submissions/.

    Untrained controls are submitted as `<model>@random`. Prints what to commit.
    """
    from bench.entries import registry
    from bench.results.filesystem import url_of
    from bench.results.mirror import local_copy
    from bench.submissions.submit import submit as submit_one

    under = protocol or registry.default_protocol()
    written: list[Path] = []
    problems = []

    def wanted(key: str) -> bool:
        stem = key.rpartition("/")[2].removesuffix(".parquet").removesuffix(".extras")
        return key.startswith(f"{under}/") and any(_is(stem, pattern) for pattern in model)

    with (
        local_copy(results, wanted) as source_folder,
        local_copy(submissions, lambda key: False, write=True) as target,
    ):
        patterns = [_sources(source_folder.path, under, dataset, pattern) for pattern in model]
        for source in dict.fromkeys(path for found in patterns for path in found):
            files, wrong = submit_one(source, target.path)
            written += files
            problems += wrong
            for path in files:
                sys.stdout.write(f"{target.named(path)}  {path.stat().st_size:,} bytes\n")
        for problem in problems:
            sys.stdout.write(f"{target.named(problem)}\n")
    if written and url_of(submissions) is None:
        sys.stdout.write(_next_steps(written))
    if problems:
        raise BenchError(
            f"expected results without problems, found {len(problems)}; each line above says what "
            "to do, and these results were not submitted"
        )


def _sources(results: Path, protocol: str, dataset: str | None, pattern: str) -> list[Path]:
    from bench.results.read import is_result

    folder = results / protocol
    known = [path for path in sorted(folder.glob(f"{dataset or '*'}/*.parquet")) if is_result(path)]
    found = [path for path in known if _is(path.stem, pattern)]
    if found:
        return found
    if not known:
        raise BenchError(
            f"expected results in {folder}, found none; measure with `bench eval` first "
            "(a run with --limit is partial and can't be submitted)"
        )
    raise unknown_name("result", pattern, [path.stem for path in known])


def _is(name: str, pattern: str) -> bool:
    if any(sign in pattern for sign in "*?["):
        return fnmatch.fnmatch(name, pattern)
    return name == pattern


def _next_steps(written: list[Path]) -> str:
    names = sorted({path.name.split(".parquet")[0].split("@")[0] for path in written})
    names = list(dict.fromkeys(name.removesuffix(".extras") for name in names))
    title = f"Submit {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    files = [*(file for name in names for file in _of_entry(name)), *written]
    return f"""
To submit, open a pull request with exactly these files:

    git checkout -b submit-{names[0]}
    git add {" ".join(_quoted(file) for file in dict.fromkeys(files))}
    git commit -m "{title}"
    git push -u origin HEAD
    gh pr create --title "{title}" --body ""

The pull request is checked by `bench check`; a maintainer runs `bench verify` and then
`bench leaderboard`.
"""


def _of_entry(name: str) -> list[Path]:
    """Return the file of a model's entry and that of its weights, where it has them."""
    from bench.entries import registry

    root = registry.registry_dir()
    found = [path for path in (root / "models").rglob("*.toml") if path.stem == name]
    weights = registry.model(name).weights
    if found and weights is not None and weights.file is not None:
        found.append(root / weights.file)
    return [_relative(path) for path in found]


def _relative(path: Path) -> Path:
    """The path as seen from here, where it is below."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        return path


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))

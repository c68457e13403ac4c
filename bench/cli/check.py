"""`bench check`: is a submission what it says it is?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders; default: submissions/.")
    ] = None,
) -> None:
    """Check submissions: files, columns, metadata, ids, numbers that must fit each other.

    Nothing in a submission is run. Every problem is listed with file, row and what to do; exit
    code 2 if there are any.
    """
    from bench.submissions.check.check import group
    from bench.submissions.check.places import collect
    from bench.submissions.check.sandbox import check_apart

    places, problems = collect(paths or [Path("submissions")])
    groups = group(places)
    for found in check_apart(groups):
        problems += found
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    if problems:
        files = len({problem.file for problem in problems})
        raise BenchError(
            f"expected submissions without problems, found {len(problems)} in {files} files; "
            "each line above says what to do"
        )
    sys.stdout.write(f"{len(groups)} submissions, {len(places)} files: no problems\n")

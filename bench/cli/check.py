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
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="BASE",
            help="Revision or checkout to compare with: every change is named, and new "
            "verification records need a maintainer's signature.",
        ),
    ] = None,
) -> None:
    """Check submissions: files, columns, metadata, ids, numbers that must fit each other.

    The registry's model entries are checked too, and no model may be there under two names.
    Nothing in a submission is run. Every problem is listed with file, row and what to do; exit
    code 2 if there are any.
    """
    from bench.submissions.check.everything import check_everything

    found = check_everything(paths or [Path("submissions")], against)
    for line in found.changes:
        sys.stdout.write(f"{line}\n")
    for problem in found.problems:
        sys.stdout.write(f"{problem}\n")
    if found.problems:
        files = len({problem.file for problem in found.problems})
        raise BenchError(
            f"expected submissions without problems, found {len(found.problems)} in {files} files; "
            "each line above says what to do"
        )
    sys.stdout.write(
        f"{found.submissions} submissions, {found.files} files: no problems\n"
        f"{found.entries} entries: no problems\n"
    )

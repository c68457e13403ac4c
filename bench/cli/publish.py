"""`bench publish`: the numbers in the forms that other places read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError


def publish(
    submissions: Annotated[Path, typer.Option(help="Folder of submissions.")] = Path("submissions"),
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder that the files are written to.")
    ] = Path("results/publish"),
    repository: Annotated[
        str | None, typer.Option(help="owner/name of the data set on Hugging Face.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only write the files; the default.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also open a pull request on Hugging Face.")
    ] = False,
) -> None:
    """Write what other places read: Hugging Face, Croissant, a citation and Zenodo.

    huggingface/ gets eval.yaml and croissant.json of the data set, and for each ranked model
    .eval_results/*.yaml, to be sent to that model's own repository by whoever owns it. CITATION.cff
    and .zenodo.json belong to the root of a release. Nothing leaves this machine without --yes.
    """
    if dry_run and yes:
        raise BenchError("expected --dry-run or --yes, found both; --yes uploads, --dry-run never")
    if yes and repository is None:
        raise BenchError("expected --repository owner/name with --yes, found none; name it")
    from bench.publishing.write import REPOSITORY, files, upload, write

    paths = write(files(submissions, repository or REPOSITORY), output)
    for path in paths:
        sys.stdout.write(f"{path}\n")
    if not yes:
        sys.stdout.write(f"\n{len(paths)} files written, nothing uploaded (--yes would)\n")
        return
    assert repository is not None, "checked above"
    sys.stdout.write(f"\npull request: {upload(output, submissions, repository)}\n")

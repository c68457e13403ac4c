"""`bench verify`: measure some rows of a submission again."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.api.board import VERIFY
from bench.errors import BenchError


def verify(
    file: Annotated[Path, typer.Argument(help="A submission, <model>.parquet.")],
    samples: Annotated[int, typer.Option(help="How many rows to measure again.")] = 16,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="BENCH_VERIFY_SECRET",
            help="With the file's hash it chooses the rows; default: a fresh one, printed.",
        ),
    ] = None,
    who: Annotated[str | None, typer.Option(help="Name for the record; default: yours.")] = None,
    weights: Annotated[
        str, typer.Option(help="default, or the file of the weights that were measured.")
    ] = "default",
    data: Annotated[str | None, typer.Option(help="hub or embedded, as in `bench eval`.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Local copy of the data set.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow entries with a factory, which runs their code.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
    record: Annotated[bool, typer.Option(help="Write <model>.verify.json beside the file.")] = True,
    sign: Annotated[
        Path | None,
        typer.Option(help="Sign the record with this key of ssh-keygen (maintainers)."),
    ] = None,
) -> None:
    """Measure a random choice of a submission's rows again and compare every column.

    What the metadata state of the model, the example images and the mean maps are compared too.
    Prints what differs and what a clean result proves; exit code 2 if anything is contradicted.
    """
    if samples < 1:
        raise BenchError(f"expected --samples of at least 1, got {samples}")
    if not file.is_file():
        raise BenchError(f"expected a submission at {file}, found no file; check the path")
    given = dict(locals())
    from bench.run.request import Request
    from bench.submissions.verify.judge import power_statement
    from bench.submissions.verify.records import append_record, records_path, user
    from bench.submissions.verify.remeasure import verify as measure_again
    from bench.submissions.verify.signatures import sign as sign_record

    chosen_secret = secret or secrets.token_hex(16)
    name = who or user()
    request = Request.of(**{option: given[option] for option in VERIFY})
    found = measure_again(file, samples, chosen_secret, name[:200], request)
    for verdict in found.verdicts:
        if verdict.outcome != "reproduced":
            sys.stdout.write(f"{verdict}\n")
    for line in found.others:
        sys.stdout.write(f"contradicted: {line}\n")
    result = found.record
    sys.stdout.write(
        f"reproduced {result.reproduced} of {result.rows} rows, {result.unsettled} unsettled, "
        f"{result.contradicted} contradicted\n{power_statement(found.total, result.rows)}\n"
        f"compared: {found.compared}\n"
    )
    if secret is None:
        sys.stdout.write(f"secret of this choice: {chosen_secret}\n")
    if record:
        if sign is not None:
            result = sign_record(result, sign)
        path = records_path(file)
        append_record(path, result)
        sys.stdout.write(f"record: {path}{', signed' if result.signature else ''}\n")
    if result.verdict == "contradicted":
        raise BenchError(
            f"expected what measuring again reproduces, found {result.contradicted} contradicted "
            f"and {result.unsettled} unsettled rows of {result.rows} and {len(found.others)} other "
            f"differences, in {file}; do not accept it"
        )

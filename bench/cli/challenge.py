"""`bench challenge`: a smaller perturbation for a row of the board."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.submissions.challenge.challenge import Challenged

SHOWN = 12
"""Perturbations, and reasons, that are listed."""


def challenge(
    file: Annotated[
        Path, typer.Argument(help="Perturbations: .npz of np.savez, or Parquet (see below).")
    ],
    submissions: Annotated[
        Path, typer.Option(help="Folder of submissions, whose row is challenged.")
    ] = Path("submissions"),
    who: Annotated[
        str | None, typer.Option(help="Your name for the board; default: the file's, else yours.")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="default, or the file of the weights of that row.")
    ] = "default",
    data: Annotated[str | None, typer.Option(help="hub or embedded, as in `bench eval`.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Local copy of the data set.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow entries with a factory, which runs their code.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Judge what was accepted before; write nothing."),
    ] = False,
) -> None:
    """Judge perturbations that are smaller than a row's, and keep them as the best known.

    They are judged by forward passes in float32, and accepted if the image stays in [0, 1], gets
    another class by a clear margin, and the norm is .1 % below the best known. A challenge changes
    the best known distance and what is computed from it, never the row or its RFC.

    A file is made with numpy, delta being adversarial - clean, (n, C, H, W) float32:

        np.savez("mine.npz", protocol="minimal2026", dataset="fashionmnist", model=NAME,
        attack="min-l2", weights_sha256=SHA256, who="A. Name", sample_id=ids, delta=delta)
    """
    options = {
        "weights": weights,
        "data": data,
        "data_dir": data_dir,
        "device": device,
        "trust": trust,
        "offline": offline,
    }
    from bench.run.asked import check_asked
    from bench.run.request import Request

    request = Request.of(**options)
    check_asked(request, named=False)
    if not file.is_file():
        raise BenchError(f"expected perturbations at {file}, found no file; check the path")
    from bench.submissions.challenge.challenge import challenge as judge

    found = judge(file, submissions, request, who, again=check)
    sys.stdout.write(_report(found, check))
    if found.refused:
        raise BenchError(
            f"expected smaller perturbations of {found.model}, refused {len(found.refused)} of "
            f"{len(found.verdicts)}; the lines above say why"
        )


def _report(found: Challenged, check: bool) -> str:
    lines = [f"{found.model} on {found.dataset}, {found.protocol}"]
    for verdict in sorted(found.accepted, key=lambda v: v.norm / v.best)[:SHOWN]:
        shorter = "none was known"
        if verdict.best < float("inf"):
            shorter = f"{1 - verdict.norm / verdict.best:.2%} below {verdict.best:.6g}"
        lines.append(
            f"accepted: {verdict.attack}, sample {verdict.sample_id}: {verdict.norm:.6g}, {shorter}"
        )
    more = len(found.accepted) - SHOWN
    lines += [f"accepted: {more} more"] if more > 0 else []
    for verdict in found.refused[:SHOWN]:
        lines.append(f"refused: {verdict.attack}, sample {verdict.sample_id}: {verdict.reason}")
    rest = Counter(
        re.split(r",|:| of at most| within", verdict.reason)[0] for verdict in found.refused[SHOWN:]
    )
    lines += [f"refused: {n} more: {reason}" for reason, n in rest.most_common(SHOWN)]
    if found.file is not None:
        lines.append(
            f"Written: {found.file}\nTo submit, open a pull request with this file; it is judged "
            "again there (`bench challenge --check`), then `bench leaderboard` shows it."
        )
    elif check and not found.refused:
        lines.append(f"all {len(found.accepted)} are what they say they are")
    return "\n".join(lines) + "\n"

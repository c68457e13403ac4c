"""`bench doctor`: what this machine has and lacks, on one page."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.errors import BenchError


def doctor(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Whose evaluation is to be possible, and timed.")
    ] = "fashionmnist-local-conv-relu",
    output: Annotated[
        str, typer.Option("--output", "-o", help="Where results would go: a folder or a URL.")
    ] = "results",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
) -> None:
    """Look at versions, device, data, weights, write access and engines; time a model.

    What is missing stands with the command that gets it. Exits with 2 if the model can't be
    evaluated now. Nothing is downloaded.

    Examples:

        bench doctor

        bench doctor --model resnet50d -o s3://bucket/results
    """
    from bench.run.doctor import examine

    topic, lacking = "", None
    for line in examine(model, output, device):
        head = line.topic if line.topic != topic else ""
        topic = line.topic
        mark = {True: "ok ", False: "-  ", None: "   "}[line.fine]
        remedy = f"  ->  {line.remedy}" if line.remedy and not line.fine else ""
        sys.stdout.write(f"{head:9}{mark}{line.text}{remedy}\n")
        sys.stdout.flush()  # the time at the end takes a while
        if line.topic == "job" and not line.fine:
            lacking = line
    if lacking is not None:
        raise BenchError(f"{lacking.text}; {lacking.remedy}")

"""`bench eval`: attack models and measure where the perturbations lie in the spectrum."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.entries.model import ModelEntry
    from bench.run.request import Request
    from bench.run.run import Run

Texts = list[str]


def evaluate(
    model: Annotated[
        Texts,
        typer.Option(
            "--model",
            "-m",
            help="Name, pattern ('fashionmnist-*'), timm arch.tag, or an entry's TOML file. "
            "Repeatable.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="Default: the entry's. Narrows a pattern."),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="default, random (an untrained control), or a weights file.")
    ] = "default",
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow entries with a factory, which runs their code.")
    ] = False,
    attack: Annotated[
        Texts | None,
        typer.Option(
            "--attack",
            "-a",
            help="Repeatable; default: all of the protocol. `clean`: accuracy over the whole "
            "test split.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="See `bench list protocols`. Default: the one that ranks (minimal2026)."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="hub, embedded or samples. Default: --data-dir if given, else the local hub "
            "cache, else embedded, else the hub."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Local copy of the data set in its usual format.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="First N samples; marked partial and never ranked.")
    ] = None,
    batch_size: Annotated[
        str, typer.Option(help="Samples attacked together: a number or auto.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
    seed: Annotated[
        int | None, typer.Option(help="Another than the protocol's is never ranked.")
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder of results, or s3://bucket/folder.")
    ] = "results",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Default: reuse what is complete, resume what is not."),
    ] = False,
    save_perturbations: Annotated[
        bool, typer.Option("--save-perturbations", help="Also write every perturbation.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Time a few steps, print what it will cost, stop.")
    ] = False,
    assume: Annotated[
        Texts | None,
        typer.Option(
            "--assume",
            metavar="NAME=RATE",
            help="With --dry-run: images a second (forward and backward) of another device, as "
            "h100=2000. Repeatable.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Processes on this machine that share the work.")
    ] = 1,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
) -> None:
    """Evaluate models: attack, measure the perturbations' spectra, write Parquet, show a table.

    Examples:

        bench eval --model fashionmnist-local-conv-relu --limit 32

        bench eval --model 'fashionmnist-*-relu' --attack min-l2

        bench eval --model resnet50d --data-dir /data/imagenet/val

    An interrupted run goes on where it was; a complete one is reused. The same command, given
    again while it runs, here or on a machine that shares the folder, shares the work.
    """
    given = dict(locals())
    from bench.cli.costs import assumed
    from bench.run.request import Request

    rates = assumed(assume or [])
    asked = Request.of(
        attacks=tuple(attack or ()),
        batch_size=_batch_size(batch_size),
        **{name: given[name] for name in SAME},
    )
    entries = entry_names(model, dataset)
    for place, entry in enumerate(entries):
        if len(entries) > 1:
            sys.stderr.write(f"[{place + 1}/{len(entries)}] {entry}\n")
        if protocol is None:
            _name_unfinished(Path(output), entry, asked.what.protocol)
        if dry_run:
            _cost(asked.but(model=entry), rates)
        else:
            _one(asked.but(model=entry))


def _name_unfinished(output: Path, model: str, protocol: str) -> None:
    """Say that a run of another protocol, once the default, waits to be gone on with."""
    from bench.entries import registry

    for root in (output, output / "partial"):
        for former in registry.RANKING:
            for blocks in () if former == protocol else root.glob(f"{former}/*/{model}.blocks"):
                sys.stderr.write(
                    f"note: an unfinished run of {former} is in {blocks}; add --protocol {former} "
                    f"to go on with it (the default is {protocol} now)\n"
                )


SAME = (
    *("dataset", "weights", "trust", "protocol", "data", "data_dir", "limit", "device", "seed"),
    *("output", "overwrite", "save_perturbations", "workers", "offline"),
)
"""Options that mean the same in a request."""


def entry_names(patterns: Texts, dataset: str | None) -> list[str]:
    """Return the names that the patterns choose; a name that only timm may know is kept."""
    from bench.entries import registry

    if dataset is not None:
        registry.dataset(dataset)
    names: list[str] = []
    for pattern in patterns:
        if any(sign in pattern for sign in "*?["):
            chosen: list[ModelEntry] = registry.select_models([pattern], dataset)
            names += [entry.name for entry in chosen]
        else:
            names.append(pattern)
    return list(dict.fromkeys(names))


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise BenchError(f"expected --batch-size auto or a number of at least 1, got {text!r}")
    return int(text)


def _cost(request: Request, rates: dict[str, float]) -> None:
    if request.clean:
        raise BenchError("expected attacks of the protocol for --dry-run, got clean; leave one out")
    from bench.cli.costs import cost_table
    from bench.run.cost import cost_of

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    cost = cost_of(request, tell)
    sys.stdout.write(cost_table(cost, rates))


def _one(request: Request) -> None:
    from bench.cli.progress import Bars
    from bench.cli.summary import COLUMNS, clean_summary, summary
    from bench.run.evaluate import evaluate_clean, evaluate_request

    with Bars() as bars:
        if request.clean:
            found = evaluate_clean(request, bars)
        else:
            run, rows = evaluate_request(request, bars, COLUMNS, opened=_warn_of_what_lacks)
    sys.stdout.write(clean_summary(found) if request.clean else summary(run, rows))


def _warn_of_what_lacks(run: Run) -> None:
    """Say before a whole measurement what will keep it from being submitted."""
    import warnings

    from bench.entries import registry
    from bench.errors import BenchWarning
    from bench.submissions.check.entries import lacks

    if run.partial_reasons:
        return
    entry = run.opened.entry
    reasons = [f"{text}; {remedy}" for text, remedy in lacks(entry)]
    # the kernel-size series follows from the registry's nets and needs no entry of its own
    if entry.name not in registry.model_names() and entry.source != "net":
        reasons.insert(0, "expected its entry in registry/models, found none; add it there")
    if reasons:
        text = f"{entry.name} can't be submitted as it is: {reasons[0]}"
        more = f" (and {len(reasons) - 1} more, see `bench check`)" if len(reasons) > 1 else ""
        warnings.warn(text + more, BenchWarning, stacklevel=2)

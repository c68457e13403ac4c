"""`bench eval`: attack models and measure where the perturbations lie in the spectrum."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.engine_options import Address, EngineName, EngineOption, GpusPerTask, Partition
from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.run.request import Request
    from bench.run.several import Refused

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
        bool,
        typer.Option(
            "--save-perturbations", help="Also write every perturbation; see `bench rescore`."
        ),
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
    engine: EngineName = "local",
    workers: Annotated[int, typer.Option("--workers", help="Processes that share the work.")] = 1,
    shard: Annotated[
        str | None,
        typer.Option(
            help="I/N: begin here, and do all that is left. Default: the SLURM array's task."
        ),
    ] = None,
    address: Address = None,
    gpus_per_task: GpusPerTask = None,
    partition: Partition = None,
    engine_option: EngineOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
) -> None:
    """Evaluate models: attack, measure the perturbations' spectra, write Parquet, show a table.

    Examples:

        bench eval --model fashionmnist-local-conv-relu --limit 32

        bench eval --model 'fashionmnist-*-relu' --attack min-l2

        bench eval --model resnet50d --data-dir /data/imagenet/val

        bench eval --model 'fashionmnist-*' --engine ray --workers 2

    An interrupted run goes on where it was; a complete one is reused. The same command, given
    again while it runs, here or on a machine that shares the folder, shares the work; with
    --shard, or as a SLURM array, the processes begin at different places. Of several models those
    that can be measured are, and the others are listed.
    """
    given = dict(locals())
    from bench.cli.costs import assumed
    from bench.cli.refused import refuse
    from bench.run.asked import check_asked, check_spelt, entry_names
    from bench.run.request import Request
    from bench.run.several import judged, not_measured

    rates = assumed(assume or [])
    asked = Request.of(
        attacks=tuple(attack or ()),
        batch_size=_batch_size(batch_size),
        engine_options=tuple(engine_option or ()),
        **{name: given[name] for name in SAME},
    )
    names = entry_names(model, dataset)
    check_spelt(names)
    possible, refused = judged(names, lambda name: check_asked(asked.but(model=name)))
    if protocol is None:
        for name in possible:
            _name_unfinished(Path(output), name, asked.what.protocol)
    if possible and dry_run:
        refused += _costs(asked, possible, rates)
    elif possible:
        from bench.cli.eval_engines import measure

        refused += measure(asked, possible)
    if refused:
        raise not_measured(refuse(refused, names), len(names))


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
    *("output", "overwrite", "save_perturbations", "offline", "shard"),
    *("engine", "workers", "address", "gpus_per_task", "partition"),
)
"""Options that mean the same in a request."""


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise BenchError(f"expected --batch-size auto or a number of at least 1, got {text!r}")
    return int(text)


def _costs(asked: Request, names: Sequence[str], rates: Mapping[str, float]) -> list[Refused]:
    """Print what each model will cost."""
    if asked.clean:
        raise BenchError("expected attacks of the protocol for --dry-run, got clean; leave one out")
    from bench.cli.costs import cost_table
    from bench.cli.refused import announce
    from bench.run.cost import cost_of
    from bench.run.several import in_turns

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    def cost(place: int, begin_at: float, stay: bool) -> bool:
        announce(place, names)
        found = cost_of(asked.but(model=names[place]), tell)
        sys.stdout.write(cost_table(found, rates))
        return True

    return in_turns(names, 0.0, cost)

"""The probes of opened models, `bench probe bands` and its like: one command for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.engine_options import Address, EngineName, EngineOption, GpusPerTask, Partition
from bench.entries.probe_names import PROBES

if TYPE_CHECKING:
    from bench.probes.report import Report
    from bench.run.plan import Plan
    from bench.run.request import Request

Command = Callable[..., None]

REST = """
    The first N ids of the protocol, and the same net untrained beside it. A file of rows, one for
    each part and sample, and a figure go to `<output>/probes/<dataset>/<model>.{name}.*`. An
    interrupted run goes on where it was; a larger --limit adds samples.

    Examples:

        bench probe {name} --model fashionmnist-local-conv-relu

        bench probe {name} --model 'fashionmnist-*conv' --limit 500 --workers 2

        bench probe {name} --model 'fashionmnist-*' --engine ray --workers 8
"""


def command(name: str) -> Command:
    """Return the command of a probe."""

    def run(
        model: Annotated[
            list[str],
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
        limit: Annotated[
            int | None, typer.Option(help="First N samples of the protocol. Default: 200.")
        ] = None,
        twin: Annotated[
            bool, typer.Option("--twin/--no-twin", help="Also measure the same net untrained.")
        ] = True,
        weights: Annotated[str, typer.Option(help="default, or a weights file.")] = "default",
        trust: Annotated[
            bool, typer.Option("--trust", help="Allow entries with a factory.")
        ] = False,
        data: Annotated[
            str | None, typer.Option(help="hub, embedded or samples. Default as of `bench eval`.")
        ] = None,
        data_dir: Annotated[
            Path | None, typer.Option(help="Local copy of the data set in its usual format.")
        ] = None,
        batch_size: Annotated[
            int | None, typer.Option(help="Samples measured together. Default: automatic.")
        ] = None,
        device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
        seed: Annotated[
            int | None, typer.Option(help="Of all draws. Default: the protocol's.")
        ] = None,
        output: Annotated[
            str, typer.Option("--output", "-o", help="Folder of results.")
        ] = "results",
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Measure again what is there.")
        ] = False,
        workers: Annotated[
            int, typer.Option("--workers", help="Processes that share the work.")
        ] = 1,
        offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
        engine: EngineName = "local",
        address: Address = None,
        gpus_per_task: GpusPerTask = None,
        partition: Partition = None,
        engine_option: EngineOption = None,
    ) -> None:
        given = dict(locals())
        from bench.run.asked import check_asked, entry_names
        from bench.run.request import Request

        names = entry_names(model, dataset)
        options = {key: given[key] for key in SAME}
        options["engine_options"] = tuple(engine_option or ())
        for entry in names:  # before torch is imported
            check_asked(Request.of(**{**options, "model": entry}))
        _all(name, [{**options, "model": entry} for entry in names], twin)

    run.__doc__ = f"{cleandoc(PROBES[name].help)}\n\n{cleandoc(REST.format(name=name))}"
    run.__name__ = name
    return run


SAME = (
    *("dataset", "limit", "weights", "trust", "data", "data_dir", "batch_size", "device"),
    *("seed", "output", "overwrite", "workers", "offline"),
    *("engine", "address", "gpus_per_task", "partition"),
)
"""Options that mean the same in a request."""


def _all(name: str, each: list[dict[str, object]], twin: bool) -> None:
    from bench.probes.evaluate import asked_of

    requests = [asked_of(name, **options) for options in each]
    if requests[0].how.engine != "local":
        found = [_told(runs) for runs in _elsewhere(requests, twin)]
    else:
        found = []
        for place, request in enumerate(requests):
            if len(requests) > 1:
                sys.stderr.write(f"[{place + 1}/{len(requests)}] {request.what.model}\n")
            found.append(_told(_here(request, twin)))
    if len(found) > 1:
        from bench.entries.probes import probe_class

        _show(probe_class(name)().report(found), several=True)


def _here(request: Request, twin: bool) -> Sequence[Plan]:
    """Measure a model in this process and its workers."""
    from bench.probes.evaluate import with_twin
    from bench.screen import Bars

    with Bars() as bars, Bars() as others:
        return with_twin(request, twin, (bars, others))


def _elsewhere(requests: Sequence[Request], twin: bool) -> Sequence[Sequence[Plan]]:
    """Measure all models in an engine's workers."""
    from bench.probes.evaluate import elsewhere
    from bench.screen import OneBar, Sum

    with OneBar() as bar:
        return elsewhere(requests, twin, bar, Sum(bar, f"{requests[0].how.workers} workers"))


def _told(runs: Sequence[Plan]) -> object:
    """Print what was found of a model, draw it, and return it."""
    from bench.probes.evaluate import probe_of, subject_of, write_figures

    subject = subject_of(runs)
    report = probe_of(runs[0]).report([subject])
    _show(report)
    written = write_figures(runs, report)
    sys.stdout.write("".join(f"Written: {place}\n" for place in written))
    return subject


def _show(report: Report, several: bool = False) -> None:
    """Print the tables of one model, or what is said of several models together."""
    from bench.board.tabular import tabular

    for part in report.together if several else report.parts:
        sys.stdout.write(f"\n{part.caption}\n\n{tabular(part.rows)}\n\n{part.notes}\n")
    sys.stdout.write("\n")

"""`bench probe`: what a model, or its preprocessing, does to chosen frequencies."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.probe_models import command
from bench.entries.probe_names import PROBES
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.probes.run import Transfer

app = typer.Typer(no_args_is_help=True, help="Probes of a model or its preprocessing.")


@app.callback()
def probe() -> None:
    """Probes: what a model, or its preprocessing, does to chosen frequencies."""


for _name in PROBES:
    app.command(_name)(command(_name))


@app.command("transfer")
def transfer(
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="Name, pattern ('vit_*'), timm arch.tag, or an entry's TOML file. Repeatable.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="Default: the entry's. Narrows a pattern."),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="Size of the images that go in, in pixels: the response depends on it. Default: "
            "500x375 for ImageNet, else as the data set stores them.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sinusoids' phases and the noise.")] = 0,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of results.")] = "results",
) -> None:
    """Measure the frequency response of a model's evaluation transform: resizing and cropping.

    Sinusoids and white noise go through the very function that evaluation loads images with.
    It needs neither weights nor images, and builds no model. Table, figure (SVG, PNG) and Parquet
    file go to `<output>/probes/<dataset>/<model>.transfer.*`.

    Examples:

        bench probe transfer --model resnet50d

        bench probe transfer --model 'vit_*' --input-size 640x480
    """
    from bench.results.filesystem import files_at
    from bench.run.asked import check_spelt, entry_names

    files, size = files_at(output), _size(input_size)
    names = entry_names(model, dataset)
    check_spelt(names)
    from bench.probes.run import plan_transfer, run_transfer, write  # torch, after the words

    plans = [plan_transfer(name, dataset, size, seed) for name in names]
    files.prepare()
    for place, plan in enumerate(plans):
        if len(plans) > 1:
            sys.stderr.write(f"[{place + 1}/{len(plans)}] {plan.entry.name}\n")
        found = run_transfer(plan)
        written = write(found, files)
        _show(found)
        sys.stdout.write("".join(f"Written: {place}\n" for place in written))


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})[xX]([0-9]{1,6})", text.strip())
    if match is None:
        raise BenchError(
            f"expected --input-size WIDTHxHEIGHT in pixels, such as 500x375, got {text!r}"
        )
    return int(match[1]), int(match[2])


HEADER = ("input r", "output r", "n", "gain", "min to max", "rounding", "elsewhere %", "")
SHORT = 16
"""Of more radii than these, every second one is printed (the file has all)."""


def _show(found: Transfer) -> None:
    """Print one response: a table on a terminal, plain text elsewhere."""
    sys.stdout.write(_head(found))
    lines = _lines(found)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*HEADER)
        for column in table.columns[:-1]:
            column.justify = "right"
        for line in lines:
            table.add_row(*line)
        Console().print(table)
    else:
        from bench.board.tabular import tabular

        sys.stdout.write(tabular([dict(zip(HEADER, line, strict=True)) for line in lines]) + "\n")
    sys.stdout.write(_foot(found))


def _head(found: Transfer) -> str:
    place, plan = found.response.geometry, found.plan
    sizes = [f"{w}x{h}" for w, h in (place.input_size, place.resized, place.output_size)]
    if not plan.dataset.transform:
        text = f"identity: images of {plan.dataset.title} are used as stored, {sizes[0]}"
    else:
        scale = " and ".join(f"{s:.4f}" for s in dict.fromkeys(place.scale))
        text = f"{plan.transform}; {sizes[0]} -> {sizes[1]} -> {sizes[2]}, scale {scale}"
    return f"\n{plan.entry.name}: {text}\n\n"


def _lines(found: Transfer) -> list[tuple[str, ...]]:
    from bench.probes.transfer import by_radius

    exact = {(r.step, r.aliased): r.gain for r in by_radius(found.response, "float32")}
    every = 2 if found.response.radii > SHORT else 1
    return [
        (
            f"{line.input_radius:.3f}",
            f"{line.mapped_radius:.3f}",
            str(line.n),
            f"{line.gain:.4f}",
            f"{line.low:.4f} {line.high:.4f}",
            f"{line.gain - exact[line.step, line.aliased]:+.4f}",
            f"{100 * (line.elsewhere + line.aliased * line.gain**2):.3f}",
            "folded" if line.aliased else "",
        )
        for line in by_radius(found.response, "uint8")
        if line.step % every == 0
    ]


def _foot(found: Transfer) -> str:
    white = found.metadata["white_rfc"]
    return (
        "\nr: radius in units of the Nyquist frequency of the input, and of the output (a folded "
        "one: where it would be). gain:\namplitude out / in, mean over the n sinusoids of all "
        "directions and phases; rounding: what rounding to 8 bits adds\nto it; elsewhere: energy "
        "that ends at a wrong frequency, rounding included.\n"
        f"White noise: RFC {white:.4f} becomes {found.response.noise_rfc['uint8']:.4f}.\n"
    )

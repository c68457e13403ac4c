"""`bench download`: data and weights ahead of a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.run.download import Item


def download(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="Its weights and its test images. Name or pattern. Repeatable."
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", "-d", help="Only its test images. Repeatable."),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Never ask the network: hash what is here, name the rest."),
    ] = False,
) -> None:
    """Bring data and weights into the hub's cache, for runs without a network.

    Every file is held against its hash. One that broke off goes on where it was; one that was cut
    or changed is named, and downloaded anew. With --offline it says what is here and what lacks.

    Examples:

        bench download --model resnet50d

        bench download --dataset cifar10

        bench download --model 'fashionmnist-*' --offline
    """
    from bench.run.asked import entry_names
    from bench.run.download import bring

    if not model and not dataset:
        raise BenchError("expected --model or --dataset, got neither; name what is to be brought")

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    missing = count = 0
    names = entry_names(model or [], None)
    for what, name, found in bring(names, dataset or (), offline=offline, tell=tell):
        count += 1
        if isinstance(found, BenchError):
            missing += 1
            sys.stdout.write(f"{what:8} {name}: {found}\n")
        else:
            sys.stdout.write(_line(found))
    if missing:
        raise BenchError(
            f"expected {count} things at hand, found {count - missing}; each line above says what "
            "to do"
        )


def _line(item: Item) -> str:
    size = f", {item.size / 2**20:.1f} MiB" if item.size else ""
    hashed = "hash right" if item.hashed else "no hash known"
    how = "downloaded" if item.fresh else "was here"
    return f"{item.what:8} {item.name}: {item.where}{size}; {hashed}; {how}\n"

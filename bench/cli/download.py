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
    from bench.entries import registry
    from bench.models.choose import choose_model
    from bench.run.asked import entry_names

    if not model and not dataset:
        raise BenchError("expected --model or --dataset, got neither; name what is to be brought")
    for name in dataset or ():
        registry.dataset(name)
    models = entry_names(model or [], None)
    sets = [*(dataset or []), *(choose_model(name, None).dataset for name in models)]
    missing = 0
    from bench.run.download import download_images, download_weights  # after the words are judged

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    def one(name: str, what: str) -> Item:
        if what == "images":
            return download_images(name, offline=offline, tell=tell)
        return download_weights(name, offline=offline, tell=tell)

    jobs = [(name, "weights") for name in models]
    jobs += [(name, "images") for name in dict.fromkeys(sets)]
    for name, what in jobs:
        try:
            sys.stdout.write(_line(one(name, what)))
        except BenchError as error:
            missing += 1
            sys.stdout.write(f"{what:8} {name}: {error}\n")
    if missing:
        raise BenchError(
            f"expected {len(jobs)} things at hand, found {len(jobs) - missing}; each line above "
            "says what to do"
        )


def _line(item: Item) -> str:
    size = f", {item.size / 2**20:.1f} MiB" if item.size else ""
    hashed = "hash right" if item.hashed else "no hash known"
    how = "downloaded" if item.fresh else "was here"
    return f"{item.what:8} {item.name}: {item.where}{size}; {hashed}; {how}\n"

"""`leaderboard/planted.md`: the bias of nets against the best classifier of planted data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.board.claims.cells import Found
from bench.board.claims.page import signed
from bench.board.claims.planted import USUAL, Point, kind, value_of
from bench.board.tabular import tabular
from bench.board.text import NONE, markdown, number
from bench.figures import bias

TITLE = "# Planted data: where do nets look although the signal lies elsewhere?\n"
HOW = """\
Images are Gaussian noise with a 1 / radius^slope spectrum plus the template of their class,
which has energy in one radial band only (`bench/studies/planted.py`). So the best classifier
there can be is linear, and its minimal perturbations and their spectrum are known exactly; the
same attack and the same Fourier analysis as of every net give it that value within .001. A
net's **bias** is its mean RFC minus the optimum's, on the images that both classify correctly:
what the architecture, its training, and too few images or steps add to what the data ask for.

Bias in brackets: 95 % over seeds, Student's t, each by itself. Templates and images are drawn
anew for every seed, so that the interval covers them too. Where a seed diverged there is none:
those that are left were chosen by what happened to them. A bias goes with the accuracy that is
lost: a net that has not found the signal is not an architecture's last word on where it looks.
Seeds whose accuracy is below twice chance are counted as near chance beside it, and take no part in
the study's claims. *n* is the number of images of the seed with the fewest.
"""


def page(found: Found, some: Sequence[Point], figure: str | None) -> str:
    """Return the page of one study of planted data."""
    study = found.study
    lines = [TITLE, HOW, f"## {markdown(study.title)}\n"]
    rest = " What is shown is provisional until the others are." * (
        len(found.nets) < len(found.planned)
    )
    lines.append(f"{len(found.nets)} of {len(found.planned)} cells are measured.{rest}")
    lines.append(f"The study's claims are in [claims.md](claims.md#{_first_claim(found)}).\n")
    if not some:
        lines.append(f"Not run: `bench study run {study.name}`.\n")
    if figure is not None:
        lines.append(f"![bias by band]({figure})\n\n{bias.CAPTION}\n")
    by_law: dict[str, list[Point]] = {}
    for point in some:
        by_law.setdefault(_law(point), []).append(point)
    for law, mine in by_law.items():
        lines.append(f"### {law}\n")
        lines.append(tabular([_row(p) for p in _ordered(mine)], "github") + "\n")
    for title, notes in (
        ("Notes", study.notes),
        ("Known when the plan was written", study.known),
        ("Deviations from the written plan", study.deviations),
    ):
        if notes:
            lines += [f"{title}:\n", *(f"- {markdown(n)}" for n in notes), ""]
    return "\n".join(lines) + "\nMade by `bench study report`; never edited by hand.\n"


def _first_claim(found: Found) -> str:
    return found.study.claims[0].name if found.study.claims else ""


def _law(point: Point) -> str:
    values: Mapping[str, object] = {key: value_of(point, key) for key in USUAL}
    colour = "gray" if values["channels"] == 1 else f"{values['channels']} channels"
    boxed = ", twice the contrast: many pixels at the ends of [0, 1]" if values["boxed"] else ""
    size = values["image_size"]
    return f"{size} pixels, {colour}, power as radius to the minus {values['slope']:g}{boxed}"


def _ordered(some: Sequence[Point]) -> list[Point]:
    def key(point: Point) -> tuple[object, ...]:
        f = point.factors
        return f.relu, -f.learning_rate, -(f.train_count or 0), f.band or 0.0, f.family

    return sorted(some, key=key)


def _row(point: Point) -> dict[str, object]:
    return {
        "Net": point.factors.family,
        "Kind": kind(point),
        "Images": point.factors.train_count or NONE,
        "Band": number(point.factors.band or 0.0, 1),
        "Optimum's RFC": number(point.optimum),
        "RFC": number(point.own),
        "Bias": signed(point.bias),
        "Bias without box": NONE if point.free != point.free else f"{point.free:+.3f}",
        "Accuracy, %": number(point.accuracy, 1)
        + (f", {point.near_chance} near chance" if point.near_chance else ""),
        "Optimum's, %": number(point.best, 1),
        "Seeds": f"{point.seeds}, {point.diverged} diverged" if point.diverged else point.seeds,
        "n": point.ids,
    }

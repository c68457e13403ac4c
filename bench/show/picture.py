"""The picture of one result: what a notebook shows, and what is written as PNG, SVG or a page."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError, unknown_name
from bench.figures.ink import LIGHT, Ink
from bench.figures.sheet import Sheet
from bench.figures.style import png, styled, svg
from bench.files import expanded, write_bytes
from bench.show import parts, text
from bench.show.nets import by_family, nets
from bench.show.numbers import numbers
from bench.show.result import Result

KINDS = (".png", ".svg", ".html")
DPI = 150


class Picture:
    """One result at a glance. A notebook shows it as it is.

    Args:
        result: what is shown.
        attack: whose perturbations.
        beside: the board's nets.
    """

    def __init__(self, result: Result, attack: str, beside: Sequence[Result]) -> None:
        self.result, self.attack, self.beside = result, attack, tuple(beside)

    def __repr__(self) -> str:
        name = self.result.name
        return f"<picture of {name} under {self.attack}: save('{name}.png'), .svg or .html>"

    @property
    def figure(self) -> Any:
        """The sheet as matplotlib's Figure, drawn anew, to be changed."""
        with styled():
            return self.sheet().draw()

    def sheet(self, ink: Ink = LIGHT) -> Sheet:
        """Return what the sheet shows."""
        result, attack = self.result, self.attack
        return Sheet(
            title=f"{result.name} on {result.dataset.title}",
            lines=[*_wrapped(text.sentence(result, attack)), *self._notes()],
            table=[text.cells(found) for found in numbers(result)],
            radial=parts.radial(result, attack, self.beside, ink),
            spectrum=parts.spectrum(result, attack, ink),
            distances=parts.distances(result, attack, self.beside, ink),
            examples=parts.examples(result, attack, ink),
            ink=ink,
        )

    def _notes(self) -> list[str]:
        return [line for note in text.warnings_of(self.result) for line in _wrapped(note)]

    def png(self, dpi: int = DPI) -> bytes:
        """Return the sheet as PNG."""
        return png(self.sheet(), dpi)

    def svg(self) -> bytes:
        """Return the sheet as SVG."""
        sheet = self.sheet()
        curves = [sheet.radial.own, sheet.distances.own, self.result.hash, sheet.lines, sheet.table]
        return svg(sheet, hashlib.sha256(repr(curves).encode()).hexdigest())

    def html(self) -> str:
        """Return one page that needs nothing else: no script, no network."""
        from bench.show.page import page

        return page(self.result, self.attack, self.beside)

    def save(self, path: str | Path) -> Path:
        """Write it to a file; its suffix says how: .png, .svg or .html.

        Raises:
            BenchError: another suffix, or nothing can be written there.
        """
        target = expanded(Path(path))
        if target.suffix not in KINDS:
            raise BenchError(f"expected a file {', '.join(KINDS)} for the picture, got {path}")
        made: dict[str, Callable[[], bytes]] = {
            ".png": self.png,
            ".svg": self.svg,
            ".html": self._page,
        }
        write_bytes(target, made[target.suffix]())
        return target

    def _page(self) -> bytes:
        return self.html().encode()

    def _repr_png_(self) -> bytes:
        return self.png(110)


def picture(found: Sequence[Result], attack: str | None, submissions: Path | None) -> Picture:
    """Return the picture of the one result that was found.

    Raises:
        BenchError: several models, or an attack that the result does not have.
    """
    if len(found) != 1:
        names = ", ".join(one.name for one in found[:4])
        raise BenchError(
            f"expected rows of one model, got {len(found)} ({names}); choose one with "
            'table[table["model"] == ...]'
        )
    (result,) = found
    if attack is not None and attack not in result.attacks:
        raise unknown_name("attack of this result", attack, result.attacks)
    return Picture(result, attack or result.primary, by_family(nets(result, submissions)))


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, 150)

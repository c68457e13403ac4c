"""Functions that an engine's workers import by name: they work, fail, or kill their process."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import BenchError


def told(folder: Path, name: str) -> int:
    """Count the calls of a name in a folder that all processes see; return how many there were."""
    path = folder / f"{name}.calls"
    with path.open("a") as stream:
        stream.write("x")
    return len(path.read_text())


def call(unit: tuple[str, str]) -> str:
    """Do what a unit's name says: `ok-1`, `dies-2` (twice), `raises-9` (nine times), `wrong`."""
    folder, name = Path(unit[0]), unit[1]
    what, _, times = name.partition("-")
    count = told(folder, name)
    if what == "wrong":
        raise BenchError("expected something else; correct it")
    if what == "dies" and count <= int(times):
        os._exit(1)
    if what == "raises" and count <= int(times):
        raise ValueError("it does not work")
    return f"{name} by thread count {os.environ.get('OMP_NUM_THREADS')}"


class Poisoned:
    """A measurer that counts the units it measures and dies or raises at some of them."""

    def __init__(self, threads: int, folder: str, deeds: dict[str, int]) -> None:
        from bench.run.measurer import Measurer

        self._inner, self._folder, self._deeds = Measurer(threads), Path(folder), deeds

    def hello(self) -> None:
        """Be there."""

    def plan(self, *arguments):  # type: ignore[no-untyped-def]
        """As a measurer."""
        told(self._folder, "plan")
        return self._inner.plan(*arguments)

    def pace(self, *arguments):  # type: ignore[no-untyped-def]
        """As a measurer."""
        return self._inner.pace(*arguments)

    def measure(self, request, plan, unit):  # type: ignore[no-untyped-def]
        """As a measurer, but for some units."""
        name = f"{unit.attack}-{min(unit.ids)}"
        count = told(self._folder, name)
        if count <= self._deeds.get(f"dies {name}", 0):
            os._exit(1)
        if count <= self._deeds.get(f"raises {name}", 0):
            raise RuntimeError("it does not work")
        return self._inner.measure(request, plan, unit)

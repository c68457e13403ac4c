"""`bench selftest`: known values, measured again on this machine."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.known.value import Line


def selftest(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<i>.")] = "auto",
) -> None:
    """Measure known values again, in under 30 s: each line with expected, found and tolerance.

    Closed forms of the spectral quantities, white noise, minima of linear models, the fast search
    against the plain reference, and the constants of the theory. Exit code 2 if one is off: then
    something on this machine (a library, its FFT, a GPU's arithmetic) is not as it should be, and
    its results are not to be trusted.
    """
    from bench.run.choose import choose_device, spelt_device

    spelt_device(device)
    from bench.known.run import selftest as measure  # torch, once the word makes sense

    chosen, begin = choose_device(device), time.perf_counter()
    sys.stdout.write(f"On {chosen}.\n{'':4} {'expected':>10} {'found':>10} {'tolerance':>10}\n")
    lines = measure(chosen, _show)
    off = [line for line in lines if not line.ok]
    seconds = time.perf_counter() - begin
    sys.stdout.write(f"{len(lines) - len(off)} of {len(lines)} values hold ({seconds:.0f} s).\n")
    if off:
        names = "; ".join(line.known.name for line in off)
        raise BenchError(
            f"expected all known values on {chosen}, found {len(off)} off: {names}; try --device "
            "cpu, and the versions of torch and numpy that pyproject.toml asks for"
        )


def _show(line: Line) -> None:
    known = line.known
    sys.stdout.write(
        f"{'ok' if line.ok else 'OFF':4} {known.expected:10.6f} {line.found:10.6f} "
        f"{known.tolerance:10.1e}  {known.name}{': ' * bool(line.problem)}{line.problem}\n"
    )
    sys.stdout.flush()

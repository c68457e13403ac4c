"""Which engine, with how many workers and what of its own: options that all long verbs share."""

from __future__ import annotations

import re
from typing import Self

from pydantic import model_validator

from bench.entries.fields import Frozen
from bench.errors import BenchError, unknown_name

ENGINES = ("local", "ray", "slurm")
OWN = {
    "address": ("ray",),
    "gpus_per_task": ("ray", "slurm"),
    "partition": ("slurm",),
    "engine_options": ("ray", "slurm"),
}
"""Option -> the engines that take it."""
_SETTING = re.compile(r"^(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)=(?P<value>.*)$", re.DOTALL)


class Engine(Frozen):
    """Who does the work, with how many workers."""

    engine: str = "local"
    """"local", "ray" or "slurm"."""
    workers: int = 1
    threads: int | None = None
    """Of one worker; None: torch's number, divided between the workers."""
    address: str | None = None
    """Of a Ray cluster; None: Ray is started on this machine."""
    gpus_per_task: float | None = None
    """GPUs of one worker, with Ray also a part of one; None: none is asked of SLURM, and with Ray
    the workers share those that there are, one each at most."""
    partition: str | None = None
    """Of SLURM; None: its default."""
    engine_options: tuple[str, ...] = ()
    """`KEY=VALUE`, handed to the engine as they are."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.workers < 1:
            raise BenchError(f"expected --workers of at least 1, got {self.workers}")
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES)
        for name, engines in OWN.items():
            if getattr(self, name) and self.engine not in engines:
                option = "--engine-option" if name == "engine_options" else f"--{name}"
                raise BenchError(
                    f"expected {option.replace('_', '-')} with --engine {' or '.join(engines)}, "
                    f"got it with {self.engine}; add that, or leave it out"
                )
        if self.gpus_per_task is not None and not 0 <= self.gpus_per_task <= 64:
            raise BenchError(f"expected --gpus-per-task from 0 to 64, got {self.gpus_per_task}")
        if self.engine == "slurm" and (self.gpus_per_task or 0) % 1:
            raise BenchError(
                f"expected a whole number for --gpus-per-task with --engine slurm, got "
                f"{self.gpus_per_task}; Ray shares a GPU between workers"
            )
        self.settings()
        return self

    def settings(self) -> dict[str, str]:
        """Return what is handed to the engine as it is.

        Raises:
            BenchError: one is not spelt KEY=VALUE.
        """
        found = {}
        for text in self.engine_options:
            match = _SETTING.match(text)
            if match is None:
                raise BenchError(f"expected --engine-option KEY=VALUE, got {text!r}")
            found[match["key"]] = match["value"]
        return found

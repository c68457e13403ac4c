"""Where a process begins in work that is shared: `--shard I/N`, or a SLURM array's task.

It is no partition. Whoever comes late, starts again or is alone does all that is left; the claims
of `bench.results.claims` see to it that nothing is measured twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bench.errors import BenchError

_SHARD = re.compile(r"^(?P<index>[0-9]{1,9})/(?P<count>[0-9]{1,9})$")


@dataclass(frozen=True)
class Shard:
    """One of several processes that begin at equal distances.

    Attributes:
        index: in [0, count).
        count: how many there are.
    """

    index: int = 0
    count: int = 1

    @property
    def start(self) -> float:
        """The share of all work that lies before its beginning, in [0, 1)."""
        return self.index / self.count

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `I/N`, where the first of N processes is 0.

        Raises:
            BenchError: it is not spelt so, or there is no such process.
        """
        match = _SHARD.match(text)
        if match is None or int(match["index"]) >= int(match["count"]):
            raise BenchError(
                f"expected --shard I/N with I from 0 to N - 1, as 0/4 or 3/4, got {text!r}"
            )
        return cls(int(match["index"]), int(match["count"]))

    def split(self, index: int, count: int) -> Shard:
        """Return where one of `count` processes begins that share this one's part."""
        return Shard(self.index * count + index, self.count * count)


def shard_of(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard:
    """Return the shard that was asked for, else that of the SLURM array's task that this is.

    Arrays may begin at any number and have any step, as `--array=5-20:5`. An array with gaps
    (`--array=1,7,8`) tells its tasks no place: its ids are counted round.

    Raises:
        BenchError: it is not spelt `I/N`.
    """
    if text is not None:
        return Shard.parse(text)
    keys = ("ID", "COUNT", "MIN", "STEP")
    task, count, first, step = (_number(environment.get(f"SLURM_ARRAY_TASK_{k}")) for k in keys)
    if task is None or not count:
        return Shard()
    return Shard((task - (first or 0)) // (step or 1) % count, count)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

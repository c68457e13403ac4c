"""A result as it is shown: its rows by attack, from a file or from the frame of `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.entries.attacks import AttackSettings
from bench.entries.dataset import DatasetEntry
from bench.entries.protocol import Protocol
from bench.results.extras import Extras
from bench.results.schema import BROKEN

Array = npt.NDArray[Any]

TEXTS = ("attack", "status")
FLAGS = ("clean_correct", "success")
NUMBERS = ("l1", "l2", "linf", "rfc", "hfe", "image_rfc")
NEEDED = (*TEXTS, "sample_id", *FLAGS, *NUMBERS)
"""Columns that a result must have to be summed up."""


@dataclass(frozen=True)
class Rows:
    """The rows of one attack, by sample id.

    Attributes:
        sample_id: (n,) increasing.
        clean_correct: (n,) bool.
        fooled: (n,) bool, clean-correct and fooled by an attack that did its work.
        norm: (n,) of the perturbation in the attack's own norm; NaN where there is none.
        values: name -> (n,), each of NUMBERS.
        energy: (n, 64) energy share per radial bin, NaN where there is none; None: in no row.
    """

    sample_id: Array
    clean_correct: Array
    fooled: Array
    norm: Array
    values: Mapping[str, Array]
    energy: Array | None

    @property
    def kept(self) -> Array:
        """(n,) fooled, with a spectrum."""
        found: Array = self.fooled & ~np.isnan(self.values["rfc"])
        return found


@dataclass(frozen=True)
class Result:
    """What was measured of one model.

    Attributes:
        name: `<model>[@random][@seedN]`.
        dataset, protocol: their entries.
        hash: the protocol's on this data set, as the result states it.
        size: (H, W) of the model's input.
        attacks: attack or witness -> rows, in the protocol's order.
        extras: mean spectra and example images.
        made: what is known of its making (keys of `bench.run.call.MADE`), maybe nothing.
        where: its file; None: nowhere.
    """

    name: str
    dataset: DatasetEntry
    protocol: Protocol
    hash: str
    size: tuple[int, int]
    attacks: Mapping[str, Rows]
    extras: Extras
    made: Mapping[str, Any]
    where: str | None

    @property
    def settings(self) -> Mapping[str, AttackSettings]:
        """Settings of the attacks and witnesses of its protocol."""
        return {**self.protocol.attacks, **self.protocol.witnesses}

    @property
    def primary(self) -> str:
        """The attack that is shown: the protocol's primary one, else the first that is there."""
        first = self.protocol.primary_attack
        return first if first in self.attacks else next(iter(self.attacks))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is partial; none: it is not, or nothing is known."""
        return tuple(str(one) for one in self.made.get("partial_reasons") or ())

    @property
    def control(self) -> bool:
        """Whether its weights are random."""
        return bool(self.made.get("control")) or "@random" in self.name

    @property
    def linear(self) -> bool:
        """Whether it is one of the nets without a nonlinearity."""
        entry = self.made.get("entry")
        net = entry.get("net") if isinstance(entry, Mapping) else None
        return isinstance(net, Mapping) and net.get("relu") is False


def rows_of(columns: Mapping[str, Array], norm: str, chosen: Array) -> Rows:
    """Return the rows of one attack.

    Args:
        columns: NEEDED, and `radial_energy` (N, 64) if there is any.
        norm: the attack's own.
        chosen: (N,) bool, its rows.
    """
    place = np.flatnonzero(chosen)
    place = place[np.argsort(columns["sample_id"][place], kind="stable")]
    broken = np.isin(columns["status"][place], BROKEN)
    correct = columns["clean_correct"][place].astype(bool)
    energy = columns.get("radial_energy")
    if energy is not None:
        energy = energy[place]
        energy = None if np.isnan(energy).all() else energy
    return Rows(
        sample_id=columns["sample_id"][place],
        clean_correct=correct,
        fooled=columns["success"][place].astype(bool) & correct & ~broken,
        norm=columns[norm][place],
        values={name: columns[name][place] for name in NUMBERS},
        energy=energy,
    )

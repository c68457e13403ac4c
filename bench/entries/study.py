"""Studies: `registry/studies/<name>.toml`, written down before the numbers are seen.

A study trains nets under all combinations of some factors and seeds, measures them along training,
and says which differences it will look at. A cell is one training run with its measurements; its
identity is the hash of all that decides its numbers, so that a study may grow, or its claims be
written better, without a cell being measured again.
"""

from __future__ import annotations

import hashlib
import json
from itertools import product
from typing import Annotated, Any

from pydantic import Field, model_validator

from bench.entries.claims import Claim, Contrast
from bench.entries.factors import Factors, Value
from bench.entries.fields import Count, Frozen, Line, Name, Seed


class Group(Frozen):
    """Cells that belong together: all combinations of factor values and seeds."""

    name: Name
    title: Line
    priority: Annotated[int, Field(ge=1, le=9)]
    """Groups with a lower number are run first."""
    factors: dict[str, tuple[Value, ...]]
    seeds: tuple[Seed, ...] = Field(min_length=1)
    checkpoints: tuple[Annotated[int, Field(ge=0, le=1000)], ...] | None = None
    """Epochs after which the nets are measured, increasing; None: those of the study."""
    together: tuple[str, ...] = ()
    """Factors (or "seed") whose cells share a block file: for cells that take seconds."""


class Cell(Frozen):
    """One training run and its measurements; JSON carries it to whoever runs it."""

    study: Name
    group: Name
    factors: Factors
    seed: Seed
    checkpoints: tuple[int, ...]
    samples: Count
    end_samples: Count
    protocol: Name
    attack: Name

    @property
    def name(self) -> str:
        """Its name, from what its factors are other than usual: `local-conv-relu-lr0.01-seed0`."""
        return f"{self.factors.name}-seed{self.seed}"

    @property
    def epochs(self) -> int:
        """Epochs that are trained."""
        return self.factors.epochs

    def samples_at(self, epoch: int) -> int:
        """Return how many test images it is measured on after an epoch."""
        return self.end_samples if epoch == self.epochs else self.samples

    @property
    def identity(self) -> str:
        """SHA-256 of what decides its numbers, 64 hex digits; not its study and group."""
        content = self.model_dump(mode="json", exclude={"study", "group"})
        return _digest(content | {"factors": self.factors.normative})


class Block(Frozen):
    """Cells that are measured by one process and lie in one file."""

    name: Name
    cells: tuple[Cell, ...] = Field(min_length=1)

    @property
    def identity(self) -> str:
        """SHA-256 over its cells' identities, 64 hex digits."""
        return _digest([[cell.name, cell.identity] for cell in self.cells])

    def identity_of(self, limit: int | None) -> str:
        """Return the identity of a trial on the first images only; None: the block's own."""
        return self.identity if limit is None else _digest([self.identity, limit])


class Study(Frozen):
    """A controlled study: `registry/studies/<name>.toml`."""

    name: Name
    title: Line
    notes: tuple[Line, ...] = ()
    known: tuple[Line, ...] = ()
    """Numbers that were known when the plan was written."""
    deviations: tuple[Line, ...] = ()
    """What was done otherwise than first written, and why."""
    protocol: Name = "minimal2026"
    attack: Name = "min-l2"
    checkpoints: tuple[Annotated[int, Field(ge=0, le=1000)], ...] = (0, 1, 2, 4, 8, 16)
    samples: Count = 300
    """Test images, the first ones, that a net is measured on after an epoch."""
    linear_samples: Count = 1000
    """The same of nets without nonlinearity after the last epoch."""
    fixed: dict[str, Value] = Field(default_factory=dict)
    """Factor -> value in all groups that do not vary it."""
    groups: tuple[Group, ...] = Field(min_length=1)
    smallest: float = Field(default=0.02, gt=0)
    """Smallest effect of interest: a difference that is surely nearer to 0 counts as none."""
    contrasts: tuple[Contrast, ...] = ()
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> Study:
        for what, names in (
            ("group", [g.name for g in self.groups]),
            ("contrast", [c.name for c in self.contrasts]),
            ("claim", [c.name for c in self.claims]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"expected one {what} of a name, found two {twice[0]!r}")
        known = {c.name for c in self.contrasts}
        for claim in self.claims:
            unknown = sorted({*claim.contrasts, *claim.beside} - known)
            if unknown:
                raise ValueError(f"claim {claim.name!r} names no contrast here: {unknown[0]!r}")
        for group in self.groups:
            if len(set(group.seeds)) < len(group.seeds):
                raise ValueError(f"group {group.name!r} has a seed twice")
        self.blocks()
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of the whole text as data, 64 hex digits: what stood when a cell was measured."""
        return _digest(self.model_dump(mode="json"))

    def cells(self, group: Group) -> list[Cell]:
        """Return a group's cells, seed by seed.

        Raises:
            ValueError: factor values that do not go together.
        """
        names = list(group.factors)
        found = []
        for seed in group.seeds:
            for values in product(*group.factors.values()):
                chosen = {**self.fixed, **dict(zip(names, values, strict=True))}
                found.append(self._cell(group, chosen, seed))
        return found

    def _cell(self, group: Group, chosen: dict[str, Value], seed: int) -> Cell:
        try:
            factors = Factors.of(chosen)
        except ValueError as error:
            raise ValueError(f"group {group.name!r}: {error}") from None
        points = group.checkpoints or self.checkpoints
        points = tuple(e for e in points if e <= factors.epochs)
        if points != tuple(sorted(set(points))) or not points or points[-1] != factors.epochs:
            raise ValueError(
                f"group {group.name!r}: checkpoints must increase up to the last epoch "
                f"{factors.epochs}, not be {list(points)}"
            )
        linear = not factors.relu
        return Cell(
            study=self.name,
            group=group.name,
            factors=factors,
            seed=seed,
            checkpoints=points,
            samples=self.samples,
            end_samples=max(self.samples, self.linear_samples) if linear else self.samples,
            protocol=self.protocol,
            attack=self.attack,
        )

    def blocks(self) -> list[Block]:
        """Return all blocks in the order in which they are run; a cell is in one of them only.

        Raises:
            ValueError: two cells of one name that are not the same, or values that do not fit.
        """
        seen: dict[str, Cell] = {}
        found: dict[str, list[Cell]] = {}
        for group in sorted(self.groups, key=lambda g: g.priority):
            for cell in self.cells(group):
                before = seen.setdefault(cell.name, cell)
                if before is not cell:
                    if before.identity != cell.identity:
                        raise ValueError(
                            f"groups {before.group!r} and {cell.group!r} have different cells of "
                            f"the name {cell.name!r}"
                        )
                    continue
                found.setdefault(_block_name(group, cell), []).append(cell)
        return [Block(name=name, cells=tuple(cells)) for name, cells in found.items()]


def _block_name(group: Group, cell: Cell) -> str:
    if not group.together:
        return cell.name
    head = cell.factors.name_without(group.together)
    seed = "" if "seed" in group.together else f"-seed{cell.seed}"
    return f"{group.name}-{head}{seed}".strip("-") if head else f"{group.name}{seed}"


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

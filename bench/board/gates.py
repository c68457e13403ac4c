"""Why a result is not ranked: the protocol's gates, each only where the protocol sets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from bench.board.numbers import AttackSummary
from bench.entries.rules import Rules
from bench.results.samples import Samples
from bench.stats.bootstrap import Bools
from bench.stats.intervals import Interval

Places = npt.NDArray[np.int64]


def incomplete(
    name: str, schema_version: int, rules: Rules, attacks: Mapping[str, AttackSummary]
) -> tuple[str, ...]:
    """Return what of the protocol's samples is missing in a file of that name."""
    return tuple(
        f"{attack}: {attacks[attack].samples} of {len(rules.ids)} samples present"
        for attack in rules.needed(name, schema_version)
        if attacks[attack].samples < len(rules.ids)
    )


def failed(
    rows: Samples,
    rules: Rules,
    clean: Interval,
    attacks: Mapping[str, AttackSummary],
    order: Places,
) -> tuple[str, ...]:
    """Return the gates that a result fails (design contract, gates).

    Args:
        rows: the result's rows.
        rules: what it was measured under.
        clean: its clean accuracy.
        attacks: its numbers.
        order: from :func:`witness_places`.
    """
    found = [*_accuracy(rules, clean), *_kept(rules, attacks), *_success(rules, attacks)]
    found += [*_broken(rules, attacks), *_witnessed(rows, rules, order), *_minimum(rules, attacks)]
    return tuple(found)


def _accuracy(rules: Rules, clean: Interval) -> Iterator[str]:
    times = rules.gates.min_accuracy_over_chance
    needed = times * rules.dataset.chance
    if not clean.mean >= needed:
        yield f"clean accuracy {clean.mean:.1%} is below {needed:.1%}, {times:g} x chance"


def _kept(rules: Rules, attacks: Mapping[str, AttackSummary]) -> Iterator[str]:
    name, needed = rules.gates.kept_attack, rules.gates.min_kept
    if attacks[name].kept < needed:
        yield f"{name}: {attacks[name].kept} samples kept, {needed} needed"


def _success(rules: Rules, attacks: Mapping[str, AttackSummary]) -> Iterator[str]:
    needed = rules.gates.min_minimal_success
    for name, spec in rules.attacks.items():
        found = attacks[name].success.mean
        there = attacks[name].samples > 0  # what is missing is said by `incomplete`
        if needed is not None and there and spec.minimal and not found >= needed:
            yield f"{name} fools {found:.1%} of the clean-correct, {needed:.0%} needed"


def _broken(rules: Rules, attacks: Mapping[str, AttackSummary]) -> Iterator[str]:
    most, primary = rules.gates.max_broken, attacks[rules.primary]
    if most is not None and primary.correct and primary.broken > most * primary.correct:
        yield (
            f"{rules.primary} broke down or stalled on {primary.broken} of {primary.correct} "
            f"clean-correct samples, {most:.0%} allowed"
        )


def _witnessed(rows: Samples, rules: Rules, order: Places) -> Iterator[str]:
    """A gate that nobody measured must not pass."""
    gates = rules.gates
    if gates.max_above_best is None and gates.max_mean_excess is None:
        return
    here = list(rules.attacks).index(rules.primary)
    subset = order[rows.clean_correct[here][order]][: rules.protocol.witness_count]
    missing = int((~witnessed(rows, rules, rules.primary)[subset]).sum())
    if missing:
        have = len(subset) - missing
        yield f"witnesses of {rules.primary}: {have} of {len(subset)} samples present"


def _minimum(rules: Rules, attacks: Mapping[str, AttackSummary]) -> Iterator[str]:
    gates, found = rules.gates, attacks[rules.primary].optimality
    if found is None:
        return
    name, of = rules.primary, f"{found.n} samples"
    if gates.max_above_best is not None and not found.longer.mean <= gates.max_above_best:
        yield (
            f"{name} is more than 1 % above the best known distance on {found.longer.mean:.1%} of "
            f"{of}, {gates.max_above_best:.0%} allowed"
        )
    if gates.max_mean_excess is not None and not found.excess.mean <= gates.max_mean_excess:
        yield (
            f"{name} is {found.excess.mean:.2%} above the best known distance in the mean of {of}, "
            f"{gates.max_mean_excess:.2%} allowed"
        )


def rivals(rules: Rules, attack: str) -> list[str]:
    """Return the witnesses of an attack's norm."""
    norm = rules.attacks[attack].norm
    return [name for name, spec in rules.witnesses.items() if spec.norm == norm]


def witnessed(rows: Samples, rules: Rules, attack: str) -> Bools:
    """Return (n,) whether a witness of the attack's norm was run on a sample."""
    found = [~np.isnan(rows.witnesses[name]) for name in rivals(rules, attack)]
    return np.any(found, axis=0) if found else np.zeros(len(rules.ids), dtype=bool)


def witness_places(rules: Rules) -> Places:
    """Return the places of the protocol's ids in the order that witnesses take them in."""
    place = {sample: i for i, sample in enumerate(rules.ids)}
    return np.array([place[i] for i in rules.protocol.witness_order(rules.dataset.name)])

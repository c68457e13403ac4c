"""Rows of the board's Markdown tables: head -> cell."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.board.flags import badges, verified
from bench.board.seeds import Seeds
from bench.board.shown import short_name
from bench.board.table import Contrasted, Row, Table
from bench.board.text import (
    NONE,
    NORMS,
    count,
    counted,
    interval,
    markdown,
    median,
    number,
    over,
    percent,
    ranks,
    significant,
)
from bench.stats.optimality import Optimality

Cells = Mapping[str, str]


def model_link(row: Row) -> str:
    """Return the model's name, linked to its entry."""
    base = row.name.split("@")[0]
    dataset = row.model.submission.rules.dataset.name
    return f"[{markdown(short_name(row))}](../registry/models/{dataset}/{base}.toml)"


def input_text(row: Row) -> str:
    """Return "native 28; none": the data set's resolution and the evaluation transform."""
    submission = row.model.submission
    return f"native {submission.rules.dataset.native_size}; {submission.transform or NONE}"


def seeds_text(seeds: Seeds) -> str:
    """Return how many training seeds count, in words for one and two."""
    n = len(seeds.counted)
    return {0: "no seed", 1: "one seed", 2: "two seeds"}.get(n, f"{n} seeds")


def survives(row: Row) -> str:
    """Return the seed SD up to which every claim of a checkpoint stands."""
    if row.rank is None:
        return NONE
    return "no claim" if math.isnan(row.seed_sd) else number(row.seed_sd, 4)


def ranked(row: Row, table: Table) -> Cells:
    """The main table: these weights, and what their rank rests on; at most eight columns."""
    found = {"Rank set": ranks(row.rank) + (f" ({row.group})" if row.group else "")}
    return {**found, **plain(row, table)}


def plain(row: Row, table: Table) -> Cells:
    """The numbers of a model under the primary attack, without ranks."""
    rules, model = table.rules, row.model
    primary = model.attacks[rules.primary]
    return {
        "Model": model_link(row),
        "RFC": interval(primary.rfc),
        "n kept / correct": f"{counted(primary.kept)} / {primary.correct}",
        clean_head(table): clean(row, table),
        "Success %": percent(primary.success),
        f"Median {NORMS[rules.attacks[rules.primary].norm]}": median(primary.norm),
        "Flags": flag_text(row, table),
    }


def of_recipe(row: Row, table: Table) -> Cells:
    """A model that has training seeds enough for a rank of its recipe."""
    seeds = row.seeds
    return {
        "Rank set, recipe": ranks(row.recipe_rank) + f" ({row.recipe_group})",
        "Model": model_link(row),
        "RFC over seeds": interval(seeds.mean),
        "Seeds": str(len(seeds.counted)),
        "Seed SD": number(seeds.sd, 4),
        "n that all seeds keep": counted(seeds.common),
        "Claims about the weights stand up to seed SD": survives(row),
    }


def clean_head(table: Table) -> str:
    """Return the head of the column of clean accuracy."""
    return f"Clean acc. % (n = {len(table.rules.ids)})"


def clean(row: Row, table: Table) -> str:
    """Return clean accuracy, with n where samples are missing."""
    n = row.model.samples
    return percent(row.model.clean) + (f" (n = {n})" if n != len(table.rules.ids) else "")


def flag_text(row: Row, table: Table) -> str:
    """Return the flags of a model, short."""
    return ", ".join(markdown(flag) for flag, _ in badges(row, table.rules)) or NONE


def unranked(row: Row, table: Table) -> Cells:
    """A model that fails a gate, and why."""
    found = dict(plain(row, table))
    reasons = "; ".join(markdown(reason) for reason in row.model.reasons)
    return {"Model": found.pop("Model"), "Why": reasons, **found}


def of_seed(row: Row, table: Table) -> Cells:
    """The training seeds of a model, one by one."""
    seeds = row.seeds
    each = ", ".join(f"{seed}: {number(value, 4)}" for seed, value in seeds.each.items())
    out = "; ".join(f"{seed}: {markdown(why)}" for seed, why in seeds.left_out.items())
    return {
        "Model": model_link(row),
        "RFC of each seed": each or NONE,
        "Mean": interval(seeds.mean, 4),
        "SD": number(seeds.sd, 4),
        "n that all seeds keep": counted(seeds.common),
        "Left out": out or NONE,
    }


def of_contrast(found: Contrasted) -> Cells:
    """A contrast between recipes."""
    return {
        "Contrast": found.name,
        "RFC": interval(found.interval) if not found.why else NONE,
        "Matched pairs": str(found.pairs),
        "Seeds": str(found.seeds),
        "n": counted(found.ids) if found.ids else NONE,
        "Not shown because": found.why or NONE,
    }


def of_witnesses(row: Row, table: Table) -> Cells:
    """How near a model's minimal attacks come to the best known distances."""
    found = {"Model": model_link(row)}
    for name, spec in table.rules.attacks.items():
        if spec.minimal:
            found |= {
                f"{name}: {head}": cell
                for head, cell in _optimality(row.model.attacks[name].optimality).items()
            }
    return found


def _optimality(found: Optimality | None) -> Cells:
    if found is None:
        return dict.fromkeys(("> 1 % too long, %", "mean excess, %", "optimality", "n"), NONE)
    return {
        "> 1 % too long, %": percent(found.longer),
        "mean excess, %": percent(found.excess, 3),
        "optimality": interval(found.score, 5),
        "n": counted(found.n),
    }


def of_excess(row: Row, table: Table) -> Cells:
    """How far a model's norms are above the minimum."""
    found = {"Model": model_link(row)}
    for name, spec in table.rules.attacks.items():
        here = row.excess.get(name)
        if spec.minimal:
            found |= {
                f"{name}: median excess, %": number(100 * here.median, 1) if here else NONE,
                f"{name}: > 1 % too long, %": percent(here.longer) if here else NONE,
                f"{name}: n": str(here.n) if here else NONE,
                f"{name}: RFC - minimum's": over(here.rfc, here.common) if here else NONE,
            }
    return found


def of_model(row: Row, table: Table) -> Cells:
    """What a model is, and its other spectral numbers."""
    meta = row.model.submission.metadata
    primary = row.model.attacks[table.rules.primary]
    return {
        "Model": model_link(row),
        "Family": markdown(meta.family),
        "Type": markdown(meta.type),
        "Input": input_text(row),
        "Params": count(meta.n_params),
        "HFE": over(primary.hfe, primary.kept),
        "HFX": over(primary.hfx, primary.kept),
        "Verified": markdown(verified(row.model)) or NONE,
    }


def of_attacks(row: Row, table: Table) -> Cells:
    """Success and median norm under every attack."""
    model = row.model
    found = {"Model": model_link(row), "n": str(model.attacks[table.rules.primary].correct)}
    for name in table.rules.attacks:
        attack = model.attacks[name]
        share = number(100 * attack.success.mean, 1)
        other = f", n = {attack.correct}" if str(attack.correct) != found["n"] else ""
        lost = f", {attack.broken} broken" if attack.broken else ""
        norm = significant(attack.norm.mean)
        found[name] = f"{share} % / {norm}{other}{lost}" if attack.samples else NONE
    return found


def of_frequencies(row: Row, table: Table) -> Cells:
    """RFC under every attack, over the model's own kept samples."""
    attacks = {name: row.model.attacks[name] for name in table.rules.attacks}
    return {"Model": model_link(row)} | {
        name: over(found.rfc, found.kept) for name, found in attacks.items()
    }


def of_common(row: Row, table: Table) -> Cells:
    """RFC under every attack, over the samples that all compared models keep."""
    return {"Model": model_link(row)} | {
        f"{name} (n = {counted(n)})": interval(table.common.rfc[name][row.name])
        for name, n in table.common.ids.items()
    }

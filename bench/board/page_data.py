"""What the page knows of each table: rows, plots and what stands behind them, ready for JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.board import lean, notes
from bench.board.details import details
from bench.board.flags import badges
from bench.board.markdown import heading, slug
from bench.board.page_columns import COLUMNS, OF_ATTACK, titles
from bench.board.shown import Shown, is_linear, mark, short_name
from bench.board.spectra import rings
from bench.board.table import Contrasted, Row, Table
from bench.figures.mark import colours
from bench.figures.profiles import Profile
from bench.grid import above_white, white_noise

MAPS_DECADES = 2.0
"""Mean spectra are stored as bytes over this many decades below and above white noise."""


def columns() -> list[dict[str, Any]]:
    """Return the table's columns without their cells."""
    return [
        {name: getattr(c, name) for name in ("key", "title", "help", "show", "view", "primary")}
        for c in COLUMNS
    ]


def of_table(
    table: Table, shown: Shown | None, figures: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Return a table without its rows.

    Args:
        table: what to show.
        shown: the spectra of its models.
        figures: (file, caption) of its figures.
    """
    rules = table.rules
    clean = shown.clean if shown else None
    return {
        "slug": slug(table),
        "dataset": rules.dataset.title,
        "page": f"{rules.dataset.name}.md",
        "heading": heading(table),
        "about": notes.about(table, white_noise(*table.size)["rfc"]).replace("`", ""),
        "primary": rules.primary,
        "ranks": table.ranks and len(table.ranked) > 1,
        "recipes": table.recipes.models > 1,
        "told": notes.told(table).replace("\\*", "*"),
        "contrasts": [_contrast(found) for found in table.contrasts if not found.why],
        "attacks": {
            name: {"minimal": spec.minimal, "titles": titles(table, name)}
            for name, spec in rules.attacks.items()
        },
        "white": _round(white_noise(*table.size)["rfc"]),
        "radius": _numbers(rings(*table.size).radius),
        "clean": {"mean": _numbers(clean.mean), "n": clean.n} if clean else None,
        "colours": dict(colours([mark(row) for row in table.rows])),
        "figures": [list(figure) for figure in figures],
        "resampling": lean.resampling(table),
    }


def of_row(row: Row, table: Table) -> dict[str, Any]:
    """Return a row's cells and what stands behind it, without its plots."""
    model, rules = row.model, table.rules
    fixed = [column for column in COLUMNS if column.key not in OF_ATTACK]
    moving = [column for column in COLUMNS if column.key in OF_ATTACK]
    return {
        "name": row.name,
        "label": short_name(row),
        "family": mark(row).family,
        "linear": is_linear(row),
        "control": model.control,
        "ranked": row.rank is not None,
        "recipe": row.recipe_rank is not None,
        "seeds3": [_round(value) for value in row.seeds.mean],
        "cells": {c.key: c.cell(row, table, rules.primary) for c in fixed},
        "attacks": {
            name: {
                "rfc3": [_round(value) for value in model.attacks[name].rfc],
                **{c.key: c.cell(row, table, name) for c in moving},
            }
            for name in rules.attacks
        },
        "badges": badges(row, rules),
        "reasons": list(model.reasons),
        "details": details(row, table),
    }


def plots(row: Row, table: Table, shown: Shown | None) -> dict[str, Any]:
    """Return what a row's plots and comparisons need: profiles, mean map, lean samples."""
    name = row.model.name
    return {
        "profiles": _profiles(shown.profiles.get(name, {})) if shown else {},
        "map": _map(shown, name, table.rules.primary) if shown else None,
        "samples": lean.of_row(row, table) if shown else None,
    }


def _contrast(found: Contrasted) -> dict[str, Any]:
    low, high = found.interval.low, found.interval.high
    return {
        "name": found.name,
        "text": f"{found.interval.mean:.3f} [{low:.3f}, {high:.3f}]",
        "n": found.ids,
    }


def _profiles(found: Mapping[str, Profile]) -> dict[str, Any]:
    return {
        name: {"mean": _numbers(p.mean), "low": _numbers(p.low), "high": _numbers(p.high)}
        for name, p in found.items()
    }


def _map(shown: Shown, model: str, attack: str) -> dict[str, Any] | None:
    """A mean spectrum as bytes: 0 is DECADES below white noise, 255 as much above."""
    side = shown.extras.get(model)
    if side is None or attack not in side.maps:
        return None
    values, n = side.maps[attack]
    scaled = np.nan_to_num(
        (above_white(values) / MAPS_DECADES + 1) * 127.5, nan=0, posinf=255, neginf=0
    )
    raw = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8).tobytes()
    return {"shape": list(values.shape), "n": n, "bytes": base64.b64encode(raw).decode()}


def _round(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _numbers(values: Any) -> list[float | None]:
    return [float(f"{v:.3g}") if math.isfinite(v) else None for v in values]

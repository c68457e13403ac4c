"""The board as one self-contained page: data, style and script in a single file."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from bench.board import notes
from bench.board.cells import input_text, seeds_text
from bench.board.flags import MEANINGS, flags, verified
from bench.board.markdown import heading, slug
from bench.board.shown import Shown, is_linear
from bench.board.spectra import rings
from bench.board.table import Board, Contrasted, Row, Table
from bench.figures.profiles import Profile
from bench.grid import above_white, white_noise
from bench.stats.intervals import NOTHING, Interval

MAPS_DECADES = 2.0
"""Mean spectra are stored as bytes over this many decades below and above white noise."""


def page(board: Board, shown: Mapping[str, Shown], figures: Mapping[str, Sequence[str]]) -> str:
    """Return the page's HTML.

    Args:
        board: what to show.
        shown: table slug -> spectra of its models.
        figures: table slug -> file names of its figures.
    """
    data = {
        "tables": [
            _table(table, shown.get(slug(table)), figures.get(slug(table), ()))
            for table in board.tables
        ],
        "flags": MEANINGS,
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    # inside <script> nothing may look like a tag's end, and JSON allows these escapes
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    result = _asset("page.html")
    for mark, content in (
        ("/*STYLE*/", _asset("page.css")),
        ("/*SCRIPT*/", _asset("page.js") + _asset("plot.js")),
        ("/*DATA*/", text),
    ):
        result = result.replace(mark, content, 1)
    return result


def _asset(name: str) -> str:
    return (resources.files("bench.board") / "assets" / name).read_text(encoding="utf-8")


def _table(table: Table, shown: Shown | None, figures: Sequence[str]) -> dict[str, Any]:
    rules = table.rules
    ring = rings(*table.size)
    clean = shown.clean if shown else None
    return {
        "slug": slug(table),
        "dataset": rules.dataset.title,
        "page": f"{rules.dataset.name}.md",
        "heading": heading(table),
        "hash": rules.hash,
        "samples": len(rules.ids),
        "primary": rules.primary,
        "ranks": table.ranks,
        "told": notes.told(table),
        "contrasts": [_contrast(found) for found in table.contrasts],
        "common": dict(table.common.ids),
        "attacks": {
            name: {
                "norm": spec.norm,
                "minimal": spec.minimal,
                "epsilon": spec.describe().get("budget"),
            }
            for name, spec in rules.attacks.items()
        },
        "white": _round(white_noise(*table.size)["rfc"]),
        "radius": _numbers(ring.radius),
        "clean": {"mean": _numbers(clean.mean), "n": clean.n} if clean else None,
        "figures": list(figures),
        "models": [_model(row, table, shown) for row in table.rows],
    }


def _model(row: Row, table: Table, shown: Shown | None) -> dict[str, Any]:
    model, rules = row.model, table.rules
    meta = model.submission.metadata
    return {
        "name": row.name,
        "family": meta.family,
        "type": meta.type,
        "linear": is_linear(row),
        "control": model.control,
        "params": meta.n_params,
        "input": input_text(row),
        "clean": _interval(model.clean),
        "rank": list(row.rank) if row.rank else None,
        "group": row.group,
        "recipe": list(row.recipe_rank) if row.recipe_rank else None,
        "recipeGroup": row.recipe_group,
        "seeds": _seeds(row),
        "reasons": list(model.reasons),
        "flags": flags(row, rules),
        "verified": verified(model),
        "links": _links(row),
        "attacks": {name: _attack(row, table, name) for name in rules.attacks},
        "profiles": _profiles(shown.profiles.get(model.name, {})) if shown else {},
        "map": _map(shown, model.name, rules.primary) if shown else None,
    }


def _contrast(found: Contrasted) -> dict[str, Any]:
    return {"name": found.name, "rfc": _interval(found.interval), "n": found.ids, "why": found.why}


def _seeds(row: Row) -> dict[str, Any]:
    seeds = row.seeds
    return {
        "n": len(seeds.counted),
        "text": seeds_text(seeds),
        "rfc": _interval(seeds.mean),
        "sd": _round(seeds.sd),
        "survives": _round(row.seed_sd),
    }


def _attack(row: Row, table: Table, name: str) -> dict[str, Any]:
    found = row.model.attacks[name]
    tested, beside = found.optimality, row.excess.get(name)
    shared = table.common.rfc.get(name, {}).get(row.name, NOTHING)
    return {
        "correct": found.correct,
        "kept": found.kept,
        "success": _interval(found.success),
        "norm": _interval(found.norm),
        "rfc": _interval(found.rfc),
        "common": _interval(shared),
        "hfe": _interval(found.hfe),
        "hfx": _interval(found.hfx),
        # against the witnesses, or another protocol's attack against the minimum
        "long": _interval(tested.longer if tested else beside.longer if beside else NOTHING),
        "longOf": tested.n if tested else beside.n if beside else 0,
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


def _links(row: Row) -> dict[str, str]:
    """Where to read on; addresses of a stranger only if they are plain https."""
    name, submission = row.model.name, row.model.submission
    dataset, protocol = submission.rules.dataset.name, submission.rules.protocol.name
    found = {
        "entry": f"../registry/models/{dataset}/{name.split('@')[0]}.toml",
        "data": f"../submissions/{protocol}/{dataset}/{name}.parquet",
    }
    stated = submission.metadata.entry.get("credits")
    credit = stated if isinstance(stated, dict) else {}
    for label, url in (
        ("paper", credit.get("link")),
        ("code", credit.get("code")),
        ("weights", submission.metadata.weights.url),
    ):
        if isinstance(url, str) and url.startswith("https://") and url.isprintable():
            found[label] = url
    return found


def _interval(found: Interval) -> list[float | str | None]:
    return [_round(value) for value in found]


def _round(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else "inf"


def _numbers(values: Any) -> list[float | str | None]:
    return [None if math.isnan(v) else float(f"{v:.3g}") for v in values]

"""`bench list`: what the registry holds."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bench.errors import BenchError, BenchWarning, unknown_name

if TYPE_CHECKING:
    from bench.entries.model import ModelEntry

Row = dict[str, Any]
E = TypeVar("E")


def list_entries(
    kind: Annotated[
        str, typer.Argument(help="models, datasets, protocols, attacks or metrics.")
    ] = "models",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List models, datasets, protocols, attacks or metrics.

    Any timm `arch.tag` works with `bench eval` as well, and any kernel size of a local net:
    `fashionmnist-local-conv-k7-relu`.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    rows = KINDS[kind]()
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    from bench.board.tabular import tabular

    shown = [{key: _cell(value) for key, value in row.items()} for row in rows]
    sys.stdout.write(tabular(shown) + "\n")
    sys.stdout.write(f"{len(rows)} {kind}\n")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)


def _readable(read: Callable[[str], E], name: str) -> E | None:
    """Return an entry; None, with a warning that says why, for a file that is none."""
    try:
        return read(name)
    except BenchError as error:
        warnings.warn(f"{error} (left out of the list)", BenchWarning, stacklevel=2)
        return None


def _models() -> list[Row]:
    from bench.entries import registry

    rows = []
    for name in registry.model_names():
        entry = _readable(registry.model, name)
        if entry is None:
            continue
        rows.append(
            {
                "model": name,
                "dataset": entry.dataset,
                "family": entry.family,
                "type": entry.type,
                "weights": _weights(entry),
                "accuracy_here": entry.weights.test_accuracy if entry.weights else None,
                "accuracy_paper": entry.paper.top1 if entry.paper else None,
            }
        )
    return rows


def _weights(entry: ModelEntry) -> str:
    """Return where a model's trained weights come from."""
    if entry.weights is not None and entry.weights.file is not None:
        return "included"
    if entry.source == "timm":
        return "hub"
    return "train" if entry.source == "net" else "--weights PATH"


def _datasets() -> list[Row]:
    from bench.entries import registry

    rows = []
    for name in registry.dataset_names():
        entry = _readable(registry.dataset, name)
        if entry is None:
            continue
        here = [key for key in ("embedded", "samples") if getattr(entry, key) is not None]
        rows.append(
            {
                "dataset": name,
                "classes": len(entry.classes),
                "size": f"{entry.channels}x{entry.size}x{entry.size}",
                "test_images": entry.test_count,
                "offline": here,
                "hub": entry.hub.id if entry.hub else None,
                "layouts": list(entry.layouts),
            }
        )
    return rows


def _protocols() -> list[Row]:
    from bench.entries import registry

    rows = []
    for name in registry.protocol_names():
        entry = _readable(registry.protocol, name)
        if entry is None:
            continue
        rows.append(
            {
                "protocol": name,
                "title": entry.title,
                "attacks": list(entry.attacks),
                "samples": len(entry.sample_ids("default")),
                "primary": entry.primary_attack,
                "seed": entry.seed,
            }
        )
    return rows


def _attacks() -> list[Row]:
    from bench.entries import registry

    rows = []
    for protocol in registry.protocol_names():
        entry = _readable(registry.protocol, protocol)
        for name, spec in entry.attacks.items() if entry is not None else ():
            said = spec.describe()
            budget = said.get("budget")
            rows.append(
                {
                    "attack": name,
                    "protocol": protocol,
                    "algorithm": spec.algorithm,
                    "norm": spec.norm,
                    "steps": said.get("steps"),
                    "step": said.get("step"),
                    "step_scale": said.get("step_scale"),
                    "budget": "minimal" if budget is None else f"{budget:.4g}",
                    "budget_scale": said.get("budget_scale"),
                }
            )
    return rows


def _metrics() -> list[Row]:
    from bench.metrics import METRICS

    measured = [
        {
            "metric": m.name,
            "of": "sample",
            "unit": m.unit,
            "range": m.range,
            "direction": m.direction,
            "missing": m.missing.value,
            "since": m.since,
            "definition": m.definition,
            "meaning": m.meaning,
        }
        for m in METRICS
    ]
    return [*measured, *(_column(*said) for said in COLUMNS), *(_figure(*said) for said in BOARD)]


def _column(name: str, unit: str, span: str, meaning: str) -> Row:
    """A column of the result file that is no metric."""
    return _said(name, "sample", unit, span, "none", meaning)


def _figure(name: str, unit: str, span: str, direction: str, meaning: str) -> Row:
    """A number of the board, over the samples of a model."""
    return _said(name, "board", unit, span, direction, meaning)


def _said(name: str, of: str, unit: str, span: str, direction: str, meaning: str) -> Row:
    return {
        "metric": name,
        "of": of,
        "unit": unit,
        "range": span,
        "direction": direction,
        "missing": None,
        "since": None,
        "definition": None,
        "meaning": meaning,
    }


COLUMNS = (
    ("label", "class", "0 ..", "true class"),
    ("clean_pred", "class", "0 ..", "class of the clean image"),
    ("adv_pred", "class", "0 ..", "class of the perturbed image, predicted anew after the attack"),
    ("clean_correct", "flag", "", "clean_pred is the label"),
    ("success", "flag", "", "clean_correct, and adv_pred is not the label"),
    ("status", "word", "", "ok, clean_wrong, not_fooled, init_failed, zero, nonfinite or stalled"),
    ("zero_grad", "flag", "", "the loss gradient at the clean image is exactly zero"),
    ("seconds", "s", "[0, inf)", "attack time charged to the sample"),
)
"""Columns of the result file besides metrics and names."""
HIGHER = "larger: higher frequency"
BOARD = (
    ("hfx", "share", "0: like the images, 1: white", HIGHER,
     "high-frequency excess: (RFC - image RFC) / (white RFC - image RFC), of means"),
    ("median_norm", "[0,1] pixels", "[0, inf]", "larger: harder to fool",
     "median over the clean-correct, an unfooled sample being infinite"),
    ("optimality", "share", "(-inf, 1]", "none",
     "1: a minimal attack found every best known distance"),
    ("mean_excess", "share", "[0, inf]", "none", "mean of distance / best known distance - 1"),
    ("above_best_rate", "share", "[0, 1]", "none",
     "samples more than 1 % above the best known distance"),
)  # fmt: skip
"""Numbers of the board that are no column of a result."""


KINDS: dict[str, Callable[[], list[Row]]] = {
    "models": _models,
    "datasets": _datasets,
    "protocols": _protocols,
    "attacks": _attacks,
    "metrics": _metrics,
}

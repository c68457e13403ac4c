"""The columns of a result file (design contract) and of its side files."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from bench.metrics import METRICS, Metric
from bench.results.metadata import VERSION as VERSION

METADATA_KEY = b"bench"

STATUSES = ("ok", "clean_wrong", "not_fooled", "init_failed", "zero", "nonfinite", "stalled")
"""What came of a sample. init_failed: no start point; nonfinite: attack or logits broke down;
stalled: the attack could not take its steps; zero: the perturbation is zero; not_fooled: the
prediction is still the label. The first that holds, in this order; else ok."""
UNMEASURED = ("clean_wrong", "init_failed", "nonfinite")
"""Statuses without any measured quantity."""
BROKEN = ("nonfinite", "stalled")
"""Statuses of samples that the attack failed on: in no mean, and not fooled in a median."""

BROKEN = ("nonfinite", "stalled")
"""Statuses of samples that the attack failed on: in no mean, and not fooled in a median."""

_NAME = pa.dictionary(pa.int32(), pa.string())

_HEAD = (
    pa.field("protocol", _NAME),
    pa.field("protocol_hash", _NAME),
    pa.field("attack_hash", _NAME),
    pa.field("model", _NAME),
    pa.field("dataset", _NAME),
    pa.field("attack", _NAME),
    pa.field("sample_id", pa.int64()),
    pa.field("label", pa.int32()),
    pa.field("clean_pred", pa.int32()),
    pa.field("adv_pred", pa.int32()),
    pa.field("clean_correct", pa.bool_()),
    pa.field("success", pa.bool_()),
    pa.field("status", pa.string()),
)
_TAIL = (pa.field("zero_grad", pa.bool_()), pa.field("seconds", pa.float32()))
_LATER = {"attack_hash": 2}
"""Columns that version 1 did not have -> the version that they came with."""


def metric_field(metric: Metric) -> pa.Field:
    """Return a metric's column."""
    number = metric.length is None
    return pa.field(metric.name, pa.float64() if number else pa.list_(pa.float32(), metric.length))


def rows(version: int = VERSION, metrics: Collection[str] | None = None) -> pa.Schema:
    """Return the columns that a file of a version has, without metadata.

    Args:
        version: of the file's layout.
        metrics: names of its metrics; None: all that there are now.
    """
    head = [field for field in _HEAD if _LATER.get(field.name, 1) <= version]
    measured = [metric_field(m) for m in METRICS if metrics is None or m.name in metrics]
    return pa.schema([*head, *measured, *_TAIL])


def statuses(version: int = VERSION) -> tuple[str, ...]:
    """Return the statuses that a file of a version may have."""
    return STATUSES if version > 1 else STATUSES[:-1]


ROWS = rows()
"""One row per (attack, sample_id)."""

EXTRAS = pa.schema(
    [
        pa.field("attack", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("n", pa.int64()),
        pa.field("shape", pa.list_(pa.int32())),
        pa.field("values", pa.list_(pa.float32())),
        pa.field("delta", pa.list_(pa.float32())),
    ]
)
"""kind "spectrum": the mean p over n kept samples, fftshifted, at most 64 x 64, in `values`;
kind "example": one clean image in `values` and its perturbation in `delta`, (C, H, W); kind
"radial_energy" or another profile: its mean over n kept samples in `values`, where a submission
does not have it sample by sample."""

PERTURBATIONS = pa.schema(
    [
        pa.field("attack", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("shape", pa.list_(pa.int32())),
        pa.field("delta", pa.list_(pa.float32())),
        pa.field("bits", pa.int8()),
    ]
)
"""`bits`: precision of the values, 16 (rounded to a float16's 11 significant bits) or 32; null in
files of before, which are exact."""

CLEAN = pa.schema(
    [
        pa.field("sample_id", pa.int64()),
        pa.field("label", pa.int32()),
        pa.field("pred", pa.int32()),
        pa.field("label_rank", pa.int32()),
    ]
)
"""label_rank: how many classes have a larger logit than the label; 0 is top-1."""

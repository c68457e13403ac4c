"""The columns of a result file (design contract) and of its side files."""

from __future__ import annotations

import pyarrow as pa

from bench.metrics import METRICS

VERSION = 2
"""Version of the result file's layout, in its metadata."""
READABLE = (1, 2)
"""Versions that are read, merged and ranked."""

METADATA_KEY = b"bench"

STATUSES = ("ok", "clean_wrong", "not_fooled", "init_failed", "zero", "nonfinite")

BROKEN = ("nonfinite", "stalled")
"""Statuses of samples that the attack failed on: in no mean, and not fooled in a median."""

_NAME = pa.dictionary(pa.int32(), pa.string())


def _metric_fields() -> list[pa.Field]:
    return [
        pa.field(m.name, pa.float64() if m.length is None else pa.list_(pa.float32(), m.length))
        for m in METRICS
    ]


ROWS = pa.schema(
    [
        pa.field("protocol", _NAME),
        pa.field("protocol_hash", _NAME),
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
        *_metric_fields(),
        pa.field("zero_grad", pa.bool_()),
        pa.field("seconds", pa.float32()),
    ]
)
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
kind "example": one clean image in `values` and its perturbation in `delta`, (C, H, W)."""

PERTURBATIONS = pa.schema(
    [
        pa.field("attack", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("shape", pa.list_(pa.int32())),
        pa.field("delta", pa.list_(pa.float32())),
    ]
)

CLEAN = pa.schema(
    [
        pa.field("sample_id", pa.int64()),
        pa.field("label", pa.int32()),
        pa.field("pred", pa.int32()),
        pa.field("label_rank", pa.int32()),
    ]
)
"""label_rank: how many classes have a larger logit than the label; 0 is top-1."""

"""What a result file says of its making: one typed model, for what is written and what is read.

A file may be a stranger's, so every number and text has a bound. Keys that this version does not
know are kept, within the same bounds: a later version may have added them. Files of schema
version 1 are read through the same model, which fills in what they did not state yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.entries.fields import Sha256
from bench.errors import BenchError
from bench.metrics import FIRST

VERSION = 2
"""Version of the result file's layout that is written."""
MAX_BYTES = 1_000_000
"""Of the JSON text."""
MAX_TEXT = 20_000
"""Characters of one text."""
MAX_DEPTH = 12
MAX_VALUES = 100_000
LARGEST = 2**63 - 1

Short = Annotated[str, Field(max_length=300)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Seed = Annotated[int, Field(ge=0, le=LARGEST)]
Side = Annotated[int, Field(ge=1, le=4096)]


class Part(BaseModel):
    """Base: immutable, no silent conversion, unknown keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class WeightsUsed(Part):
    """Which weights were measured."""

    kind: Literal["default", "random", "path"]
    where: Short | None = None
    """File name, hub id, or the seed of random weights."""
    file_sha256: Sha256 | None = None
    state_dict_sha256: Sha256 | None = None
    url: Short | None = None
    revision: Short | None = None


class DataUsed(Part):
    """Which images were measured."""

    source: Short
    fingerprint: Short | None = None
    fingerprint_of: Count | None = None
    """How many images the fingerprint covers."""


class Commit(Part):
    """The checkout that ran; None outside of one."""

    commit: Short | None = None
    dirty: bool | None = None


class Metadata(Part):
    """The JSON under the key `bench` of a result file."""

    schema_version: int = Field(ge=1, le=VERSION)
    protocol: Short
    protocol_hash: Sha256
    attacks: dict[str, dict[str, Any]]
    """Attack -> its settings, witnesses too."""
    attack_hashes: dict[str, Sha256]
    """Attack -> its identity. Version 1 did not state it; the registry knows it."""
    metrics: dict[str, Annotated[int, Field(ge=1, le=10_000)]]
    """Metric -> the definition that its column follows. Version 1: the sixteen of then."""
    model: Short
    """`<model>[@random][@seedN]`."""
    dataset: Short
    family: Short
    type: Short
    entry: dict[str, Any]
    """The model's entry as it was."""
    protocol_text: dict[str, Any] = {}
    input_shape: Annotated[list[Side], Field(min_length=3, max_length=3)]
    """[C, H, W]."""
    native_size: Side | None = None
    transform: Short | None = None
    preprocessing: dict[str, Any] | None = None
    n_params: int = Field(ge=1, le=10**15)
    weights: WeightsUsed
    weights_sha256: Sha256
    probe: dict[str, Any] | None = None
    """Logits on the probe images of `bench.models.identity`."""
    control: bool
    """Whether the weights are random."""
    seed: Seed
    protocol_seed: Seed | None = None
    device: Short
    numerics: dict[str, Any] = {}
    versions: dict[str, Short]
    git: Commit
    data: DataUsed | None = None
    data_fingerprint: Short
    batch_size: Annotated[int, Field(ge=1, le=10**6)] | None = None
    step: dict[str, Any] | None = None
    """How the model's steps were taken (`bench.steps.calibrate`)."""
    expected: dict[str, Count]
    """Attack -> samples that the run was to measure."""
    present: dict[str, Count] | None = None
    """Attack -> samples that the file has."""
    complete: bool | None = None
    partial: bool
    partial_reasons: list[str] = []
    started: Short
    ended: Short | None = None
    """None while the run goes on."""

    @model_validator(mode="before")
    @classmethod
    def _version_1(cls, found: Any) -> Any:
        if isinstance(found, dict) and found.get("schema_version") == 1:
            return {**found, "metrics": dict(FIRST), "attack_hashes": {}}
        return found

    @property
    def size(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's input."""
        channels, height, width = self.input_shape
        return channels, height, width

    @property
    def identity(self) -> dict[str, str]:
        """What names the rules that it was measured under (`bench.entries.rules.rules_for`)."""
        names = ("protocol", "dataset", "protocol_hash")
        return {name: str(getattr(self, name)) for name in names}

    @property
    def net(self) -> Mapping[str, Any]:
        """The entry's table `net`; empty for other sources."""
        found = self.entry.get("net")
        return found if isinstance(found, dict) else {}

    def as_json(self) -> dict[str, Any]:
        """Return what was stated, JSON-ready."""
        return self.model_dump(mode="json", exclude_unset=True)

    @classmethod
    def of(cls, found: object, where: str) -> Self:
        """Return the metadata that a JSON value states.

        Args:
            found: the value.
            where: the file, for the message.

        Raises:
            BenchError: a key is missing or has a value that it can't have.
        """
        wrong = problems(found)
        if wrong:
            key, text = wrong[0]
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise BenchError(f"{text}{more}, in metadata {key} of {where}; see `bench check`")
        return cls.model_validate(found)


def from_bytes(raw: bytes | None, where: str) -> Metadata:
    """Return the metadata of a file's key `bench`.

    Raises:
        BenchError: there is none, it is no JSON, or it states what can't be.
    """
    if raw is None:
        raise BenchError(f"expected a result file of this project at {where}, found no metadata")
    try:
        found = load_json(raw)
    except ValueError as error:
        raise BenchError(f"{error}, in the metadata of {where}; see `bench check`") from None
    return Metadata.of(found, where)


def load_json(raw: bytes) -> Any:
    """Return a JSON value of bounded size.

    Raises:
        ValueError: too long, or not JSON; the text says what was expected and found.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES:,} bytes, found {len(raw):,}")
    try:
        return json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"expected JSON, found something else ({text[:160]})") from None


def problems(found: object) -> list[tuple[str, str]]:
    """Return all that is wrong with metadata: (key, "expected this, found that")."""
    if not isinstance(found, dict):
        return [("", f"expected a JSON object, found {type(found).__name__}")]
    wrong: dict[str, str] = {}
    for key, text in _unbounded(found):
        wrong.setdefault(key, text)
        if key == "" or len(wrong) > 20:
            return list(wrong.items())
    try:
        Metadata.model_validate(found)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=True):
            key = ".".join(str(part) for part in item["loc"])
            wrong.setdefault(key, _text(dict(item)))
    return list(wrong.items())


def _unbounded(found: Any) -> Iterator[tuple[str, str]]:
    """Every text, number and nesting that is out of bounds, in known and unknown keys."""
    waiting: list[tuple[str, Any, int]] = [("", found, 0)]
    seen = 0
    while waiting:
        key, value, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            yield "", "expected flat JSON, found it nested too deep"
        elif seen > MAX_VALUES:
            yield "", f"expected at most {MAX_VALUES:,} values, found more"
        elif isinstance(value, dict):
            for name, inner in value.items():
                waiting.append((f"{key}.{name}".strip("."), inner, depth + 1))
                waiting.append((f"{key} (a key)".strip(), str(name), depth + 1))
        elif isinstance(value, list):
            waiting += [(f"{key}[{i}]", inner, depth + 1) for i, inner in enumerate(value)]
        elif isinstance(value, str) and len(value) > MAX_TEXT:
            yield key, f"expected short text, found {len(value)} characters"
        elif isinstance(value, str) and not all(c.isprintable() or c in "\n\t" for c in value):
            yield key, f"expected printable text, found {_show(value)}"
        elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            yield key, f"expected a number below 2^63, found {_show(value)}"


_WORDS = {
    "missing": "this key",
    "string_type": "str",
    "int_type": "int",
    "bool_type": "bool",
    "dict_type": "dict",
    "list_type": "list",
    "model_type": "dict",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "too_short": "{min_length} values",
    "too_long": "{max_length} values",
    "string_too_long": "short text",
    "string_pattern_mismatch": "64 hex digits",
    "literal_error": "{expected}",
}
"""pydantic's kind of error -> what was expected."""


def _text(error: Mapping[str, Any]) -> str:
    """Return "expected X, found Y" for one of pydantic's errors."""
    kind, context = error["type"], error.get("ctx", {})
    wanted = _WORDS.get(kind, error["msg"]).format_map(context)
    shown = "none" if kind == "missing" else _show(error["input"])
    if kind == "string_too_long":
        shown = f"{len(error['input'])} characters"
    return f"expected {wanted}, found {shown}"


def _show(value: object) -> str:
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")

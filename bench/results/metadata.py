"""What a result file says of its making: one typed model, for what is written and what is read.

A file may be a stranger's, so every number and text has a bound. Keys that this version does not
know are kept, within the same bounds: a later version may have added them. Files of schema
version 1 are read through the same model, which fills in what they did not state yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.entries.fields import Sha256
from bench.errors import BenchError
from bench.metrics import FIRST
from bench.results.bounds import LARGEST, expected, load_json, unbounded

VERSION = 2
"""Version of the result file's layout that is written."""
Short = Annotated[str, Field(max_length=300)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Seed = Annotated[int, Field(ge=0, le=LARGEST)]
Side = Annotated[int, Field(ge=1, le=4096)]


class Part(BaseModel):
    """Base: immutable, no silent conversion, unknown keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class WeightsUsed(Part):
    """Which weights were measured."""

    kind: Literal["default", "random", "path", "memory"]
    where: Short | None = None
    """File name, hub id, the seed of random weights, or the class of a model in memory."""
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


def problems(found: object) -> list[tuple[str, str]]:
    """Return all that is wrong with metadata: (key, "expected this, found that")."""
    if not isinstance(found, dict):
        return [("", f"expected a JSON object, found {type(found).__name__}")]
    wrong: dict[str, str] = {}
    for key, text in unbounded(found):
        wrong.setdefault(key, text)
        if key == "" or len(wrong) > 20:
            return list(wrong.items())
    try:
        Metadata.model_validate(found)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=True):
            key = ".".join(str(part) for part in item["loc"])
            wrong.setdefault(key, expected(dict(item)))
    return list(wrong.items())

"""Is the metadata of a submission complete, true to the registry and true to its place?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.rules import Rules
from bench.errors import BenchError
from bench.results import schema
from bench.results.written import settings_as_written
from bench.submissions.check.entries import lacks
from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, short

SHA256 = re.compile(r"^[0-9a-f]{64}$")
ENTRY = "add the model's TOML file to registry/models/ in the same pull request"
MAX_TEXT = 20_000

TYPES: dict[str, type | tuple[type, ...]] = {
    "schema_version": int,
    "protocol": str,
    "protocol_hash": str,
    "attacks": dict,
    "model": str,
    "dataset": str,
    "family": str,
    "type": str,
    "input_shape": list,
    "n_params": int,
    "weights": dict,
    "weights_sha256": str,
    "control": bool,
    "seed": int,
    "device": str,
    "versions": dict,
    "git": dict,
    "data_fingerprint": str,
    "expected": dict,
    "partial": bool,
    "started": str,
    "ended": str,
}
"""Keys that must be there, with their types."""


def check_metadata(
    meta: Mapping[str, Any], place: Place, rules: Rules, findings: Findings
) -> ModelEntry | None:
    """Check the metadata; return the model's entry if there is one.

    Args:
        meta: the JSON under the key `bench`.
        place: where the file lies.
        rules: the protocol on the data set that the place names.
        findings: gets what is wrong.
    """
    sound = _types(meta, findings)
    _texts(meta, findings)
    _identity(meta, place, rules, findings)
    entry = _entry(meta, place, rules.dataset, findings)
    if sound:
        _measured(meta, rules, findings)
        _input(meta, rules.dataset, entry, findings)
        _weights(meta, place, entry, findings)
    return entry


def _types(meta: Mapping[str, Any], findings: Findings) -> bool:
    before = len(findings.problems)
    for key, kind in TYPES.items():
        value = meta.get(key)
        wrong = isinstance(value, bool) and kind is int
        if key not in meta:
            findings.add(f"metadata {key}", "expected this key, found none")
        elif wrong or not isinstance(value, kind):
            name = kind.__name__ if isinstance(kind, type) else str(kind)
            findings.add(f"metadata {key}", f"expected {name}, found {short(value)}")
    return len(findings.problems) == before


def _texts(meta: Mapping[str, Any], findings: Findings) -> None:
    for path, text in _strings(meta, ""):
        if len(text) > MAX_TEXT:
            findings.add(f"metadata {path}", f"expected short text, found {len(text)} characters")
        elif not all(c.isprintable() or c in "\n\t" for c in text):
            findings.add(f"metadata {path}", f"expected printable text, found {short(text)}")


def _strings(value: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(path, value)]
    if isinstance(value, Mapping):
        pairs = [(f"{path}.{k}".strip("."), v) for k, v in value.items()]
        return [(f"{path} (a key)", str(k)) for k in value] + [
            s for key, v in pairs for s in _strings(v, key)
        ]
    if isinstance(value, list):
        return [s for i, v in enumerate(value) for s in _strings(v, f"{path}[{i}]")]
    return []


def _identity(meta: Mapping[str, Any], place: Place, rules: Rules, findings: Findings) -> None:
    if meta.get("schema_version") not in schema.READABLE:
        found = short(meta.get("schema_version"))
        findings.add("metadata schema_version", f"expected {schema.VERSION}, found {found}")
    for key, wanted in (
        ("protocol", place.protocol),
        ("dataset", place.dataset),
        ("model", place.name),
    ):
        if key in meta and meta[key] != wanted:
            text = f"expected {wanted!r} (from the file's place), found {short(meta[key])}"
            findings.add(f"metadata {key}", text, "put the file where it belongs: `bench submit`")
    if meta.get("protocol_hash") not in rules.hashes:
        found = short(meta.get("protocol_hash"), 20)
        findings.add(
            "metadata protocol_hash",
            f"expected {rules.hash[:16]}... ({place.protocol} of the registry), found {found}",
        )
    version = meta.get("schema_version")
    specs = {name: settings_as_written(s, version) for name, s in rules.attacks.items()}
    if isinstance(meta.get("attacks"), dict) and meta["attacks"] != specs:
        findings.add("metadata attacks", "expected the settings of the registry's protocol")


def _entry(
    meta: Mapping[str, Any], place: Place, dataset: DatasetEntry, findings: Findings
) -> ModelEntry | None:
    try:
        entry = registry.model(place.model)
    except BenchError as error:
        findings.add("", f"expected an entry for model {place.model!r}: {error}", ENTRY)
        return None
    if entry.notes == "" and entry.type == "Other" and place.model not in registry.model_names():
        findings.add("", f"expected an entry for model {place.model!r}, found none", ENTRY)
        return None
    if entry.dataset != dataset.name:
        text = f"expected a model of {dataset.name}, its entry says {entry.dataset}"
        findings.add("", text, "put the file where it belongs: `bench submit`")
    for key in ("family", "type"):
        if key in meta and meta[key] != getattr(entry, key):
            text = f"expected {getattr(entry, key)!r} as its entry says, found {short(meta[key])}"
            findings.add(f"metadata {key}", text, "correct the entry, or measure again with it")
    _same_entry(meta.get("entry"), entry, findings)
    for text, remedy in lacks(entry):
        findings.add("", text, remedy)
    return entry


def _same_entry(found: Any, entry: ModelEntry, findings: Findings) -> None:
    """The entry that was measured must build the same model as the registry's."""
    if not isinstance(found, dict):
        findings.add("metadata entry", f"expected the model's entry, found {short(found)}")
        return
    wanted = entry.model_dump(mode="json", exclude_none=True)
    for key in ("source", "tag", "factory", "net", "input_size", "dataset"):
        if found.get(key) != wanted.get(key):
            text = f"expected {short(wanted.get(key))} as in the registry, "
            findings.add(f"metadata entry.{key}", f"{text}found {short(found.get(key))}")


def _measured(meta: Mapping[str, Any], rules: Rules, findings: Findings) -> None:
    if meta["partial"]:
        reasons = short(meta.get("partial_reasons"))
        findings.add("metadata partial", f"expected a whole measurement, found {reasons}")
    if meta.get("complete") is False:
        findings.add("metadata complete", "expected a complete measurement, found false")
    if meta["seed"] != rules.protocol.seed:
        text = f"expected the protocol's {rules.protocol.seed}, found {short(meta['seed'])}"
        findings.add("metadata seed", text)
    wanted = dict.fromkeys(rules.attacks, len(rules.ids))
    for key in ("expected", "present"):
        if key in meta and meta[key] != wanted:
            text = f"expected {len(rules.ids)} for each attack, found {short(meta[key])}"
            findings.add(f"metadata {key}", text)
    known = rules.dataset.fingerprints.first1000
    first = rules.ids == tuple(range(1000))
    if first and known is not None and meta["data_fingerprint"] != known:
        text = f"expected {known[:16]}... (the registry's images), found "
        findings.add("metadata data_fingerprint", text + short(meta["data_fingerprint"], 20))
    if meta["ended"] < meta["started"]:
        findings.add("metadata ended", "expected it not before `started`")


def _input(
    meta: Mapping[str, Any], dataset: DatasetEntry, entry: ModelEntry | None, findings: Findings
) -> None:
    shape = meta["input_shape"]
    whole = [isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= 4096 for v in shape]
    if len(shape) != 3 or not all(whole):
        findings.add("metadata input_shape", f"expected [C, H, W], found {short(shape)}")
        return
    size = dataset.size
    if entry is not None and entry.input_size is not None:
        size = entry.input_size
    fixed = not dataset.transform or (entry is not None and entry.input_size is not None)
    if shape[0] != dataset.channels or (fixed and shape[1:] != [size, size]):
        text = f"expected [{dataset.channels}, {size}, {size}], found {short(shape)}"
        findings.add("metadata input_shape", text)
    if meta["n_params"] < 1:
        findings.add("metadata n_params", f"expected at least 1, found {meta['n_params']}")


def _weights(
    meta: Mapping[str, Any], place: Place, entry: ModelEntry | None, findings: Findings
) -> None:
    weights, digest = meta["weights"], meta["weights_sha256"]
    if not SHA256.match(digest):
        findings.add("metadata weights_sha256", f"expected 64 hex digits, found {short(digest)}")
    control = weights.get("kind") == "random"
    if meta["control"] != control or ("@random" in place.name) != control:
        findings.add(
            "metadata control",
            "expected control, weights.kind = random and @random in the name together or not at "
            f"all, found {meta['control']}, {short(weights.get('kind'))}, {place.name!r}",
        )
    if control or entry is None:
        return
    stated = entry.weights.sha256 if entry.weights is not None else None
    if stated is not None and digest != stated and "@seed" not in place.name:
        text = f"expected {stated[:16]}... as its entry states, found {digest[:16]}..."
        findings.add("metadata weights_sha256", text, "state the weights that were measured")

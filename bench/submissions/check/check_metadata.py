"""Is the metadata of a submission complete, true to the registry and true to its place?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.rules import Rules
from bench.errors import BenchError
from bench.metrics import METRICS, definitions
from bench.results.metadata import Metadata, problems
from bench.results.written import same_settings
from bench.submissions.check.check_rows import accepted
from bench.submissions.check.entries import lacks
from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, short

ENTRY = "add the model's TOML file to registry/models/ in the same pull request"


def check_metadata(
    meta: Mapping[str, Any], place: Place, rules: Rules, findings: Findings
) -> tuple[ModelEntry | None, Metadata | None]:
    """Check the metadata; return the model's entry and the metadata, None where they are wrong.

    Args:
        meta: the JSON under the key `bench`.
        place: where the file lies.
        rules: the protocol on the data set that the place names.
        findings: gets what is wrong.
    """
    wrong = problems(meta)
    for key, text in wrong:
        findings.add(f"metadata {key}".strip(), text)
    found = Metadata.model_validate(meta) if not wrong else None
    _identity(meta, place, rules, findings)
    entry = _entry(meta, place, rules.dataset, findings)
    if found is not None:
        _hashes(found, rules, findings)
        _measured(found, place, rules, findings)
        _input(found, rules.dataset, entry, findings)
        _weights(found, place, entry, findings)
    return entry, found


def _identity(meta: Mapping[str, Any], place: Place, rules: Rules, findings: Findings) -> None:
    version = meta.get("schema_version")
    for key, wanted in (
        ("protocol", place.protocol),
        ("dataset", place.dataset),
        ("model", place.name),
    ):
        if key in meta and meta[key] != wanted:
            text = f"expected {wanted!r} (from the file's place), found {short(meta[key])}"
            findings.add(f"metadata {key}", text, "put the file where it belongs: `bench submit`")
    if meta.get("protocol_hash") not in accepted(rules, 1 if version == 1 else 2):
        text = f"expected {rules.hash[:16]}... ({place.protocol} of the registry"
        text += " when files were of version 1)" if version == 1 else ")"
        found = short(meta.get("protocol_hash"), 20)
        findings.add("metadata protocol_hash", f"{text}, found {found}")


def _hashes(found: Metadata, rules: Rules, findings: Findings) -> None:
    """Attacks and metrics are the registry's; a witness or a metric of later may be left out."""
    for name in {**rules.everything, **found.attacks}:
        settings = rules.everything.get(name)
        if name not in found.attacks and name in rules.witnesses:
            continue
        if settings is None or not same_settings(
            found.attacks.get(name), settings, found.schema_version
        ):
            where = f"metadata attacks.{name}"
            findings.add(where, "expected the settings of the registry's protocol, found others")
    if found.schema_version == 1:
        return
    stated = {name: rules.attack_hashes.get(name) for name in found.attacks}
    if found.attack_hashes != stated:
        text = "expected the identity of each attack as the registry has it, found others"
        findings.add("metadata attack_hashes", text)
    last = max((m.since for m in METRICS if m.name in found.metrics), default=1)
    names = definitions(last).keys()
    if found.metrics.keys() != names:
        text = f"expected the {len(names)} metrics of version {last}, found "
        findings.add("metadata metrics", text + short(", ".join(found.metrics)))
    for metric in METRICS:
        stated_as = found.metrics.get(metric.name, 1)
        if stated_as > metric.definition:
            text = f"expected at most {metric.definition}, found {stated_as}"
            findings.add(f"metadata metrics.{metric.name}", text)


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
        return
    wanted = entry.model_dump(mode="json", exclude_none=True)
    for key in ("source", "tag", "factory", "net", "input_size", "dataset"):
        if found.get(key) != wanted.get(key):
            text = f"expected {short(wanted.get(key))} as in the registry, "
            findings.add(f"metadata entry.{key}", f"{text}found {short(found.get(key))}")


def _measured(found: Metadata, place: Place, rules: Rules, findings: Findings) -> None:
    if found.partial:
        reasons = short(found.partial_reasons)
        findings.add("metadata partial", f"expected a whole measurement, found {reasons}")
    if found.complete is False:
        findings.add("metadata complete", "expected a complete measurement, found false")
    if found.seed != rules.protocol.seed:
        text = f"expected the protocol's {rules.protocol.seed}, found {found.seed}"
        findings.add("metadata seed", text)
    wanted = dict.fromkeys(rules.needed(place.name, found.schema_version), len(rules.ids))
    for key in ("expected", "present"):
        stated = getattr(found, key)
        if stated is not None and _without(stated, rules.witnesses) != wanted:
            text = f"expected {len(rules.ids)} for each attack, found {short(stated)}"
            findings.add(f"metadata {key}", text)
    known = rules.dataset.fingerprints.first1000
    first = rules.ids == tuple(range(1000))
    if first and known is not None and found.data_fingerprint != known:
        text = f"expected {known[:16]}... (the registry's images), found "
        findings.add("metadata data_fingerprint", text + short(found.data_fingerprint, 20))
    if found.ended is None:
        findings.add("metadata ended", "expected this key, found none")
    elif found.ended < found.started:
        findings.add("metadata ended", "expected it not before `started`")


def _without(counts: Mapping[str, int], names: Collection[str]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if name not in names}


def _input(
    found: Metadata, dataset: DatasetEntry, entry: ModelEntry | None, findings: Findings
) -> None:
    size = dataset.size
    if entry is not None and entry.input_size is not None:
        size = entry.input_size
    fixed = not dataset.transform or (entry is not None and entry.input_size is not None)
    shape = found.size
    if shape[0] != dataset.channels or (fixed and shape[1:] != (size, size)):
        text = f"expected [{dataset.channels}, {size}, {size}], found {list(shape)}"
        findings.add("metadata input_shape", text)


def _weights(found: Metadata, place: Place, entry: ModelEntry | None, findings: Findings) -> None:
    control = found.weights.kind == "random"
    if found.control != control or ("@random" in place.name) != control:
        findings.add(
            "metadata control",
            "expected control, weights.kind = random and @random in the name together or not at "
            f"all, found {found.control}, {found.weights.kind}, {place.name!r}",
        )
    if control or entry is None:
        return
    digest, stated = found.weights_sha256, _stated(place, entry, findings)
    if stated is not None and digest != stated:
        text = f"expected {stated[:16]}... as its entry states, found {digest[:16]}..."
        findings.add("metadata weights_sha256", text, "state the weights that were measured")


def _stated(place: Place, entry: ModelEntry, findings: Findings) -> str | None:
    """The hash that the entry states for the weights that the file's name means, if it does."""
    _, mark, number = place.name.partition("@seed")
    if not mark:
        return entry.weights.sha256 if entry.weights is not None else None
    seed = entry.seed_of(int(number))
    if seed is None:
        listed = ", ".join(str(s.seed) for s in entry.seeds) or "none"
        text = f"expected a training seed that its entry lists ({listed}), found {number[:20]}"
        findings.add("", text, "add [[seeds]] with seed, sha256 and test_accuracy to the entry")
        return None
    return seed.sha256

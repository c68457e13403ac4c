"""What stands behind a row of the board: paper, code, data, seeds, verification, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.board.cells import input_text
from bench.board.flags import MEANINGS, flag_key, flags, verified
from bench.board.table import Row, Table
from bench.board.text import NONE, count, interval, median, number
from bench.stats.intervals import Interval

Item = tuple[str, str] | tuple[str, str, str]
"""Label and text, with an address or without."""
MOST = 200
"""Characters of a stranger's text."""
PAPER = "https://doi.org/10.3389/fncom.2024.1387077"
SHOWN_VERSIONS = ("torch", "timm", "foolbox", "python")


def details(row: Row, table: Table) -> list[tuple[str, list[Item]]]:
    """Return titled lists of what stands behind a row, as plain texts.

    Addresses are of this repository, or a stranger's if they are plain https.
    """
    return [
        ("Model", list(_model(row))),
        ("Training", list(_training(row))),
        ("Every attack", list(_attacks(row, table))),
        ("Training seeds", list(_seeds(row))),
        ("Signs and reasons", list(_signs(row, table))),
        ("Provenance", list(_provenance(row))),
    ]


def _model(row: Row) -> Iterator[Item]:
    submission = row.model.submission
    meta, name = submission.metadata, row.model.name.split("@")[0]
    dataset = submission.rules.dataset
    yield "Entry", name, f"../registry/models/{dataset.name}/{name}.toml"
    yield "Family, type", f"{_text(meta.family)}, {_text(meta.type)}"
    yield "Parameters", count(meta.n_params)
    yield "Input", input_text(row)
    credit, paper = _part(meta.entry, "credits"), _part(meta.entry, "paper")
    if paper:
        stated = f"{_text(paper.get('name'))}, top-1 {_text(paper.get('top1'))} %"
        yield "Paper", f"Caro et al. 2024: {stated}", PAPER
    if credit.get("authors"):
        yield "Authors", _text(credit["authors"])
    if credit.get("paper") or credit.get("link"):
        yield _linked("Paper", credit.get("paper") or credit["link"], credit.get("link"))
    yield from [_linked("Code", credit["code"], credit["code"])] if credit.get("code") else []
    if credit.get("licence"):
        yield "Licence", _text(credit["licence"])


def _training(row: Row) -> Iterator[Item]:
    submission = row.model.submission
    meta, dataset = submission.metadata, submission.rules.dataset
    credit, recipe = _part(meta.entry, "credits"), _part(meta.entry, "recipe")
    weights = _part(meta.entry, "weights")
    if row.model.control:
        yield "Training data", "none: random initial weights"
    elif credit.get("training_data"):
        yield "Training data", _text(credit["training_data"])
    elif recipe:
        yield "Training data", f"{dataset.title}, all {dataset.train_count} training images"
    if recipe and not row.model.control:
        words = ("learning_rate", "batch_size", "momentum", "weight_decay")
        yield "Recipe", ", ".join(f"{w.replace('_', ' ')} {_text(recipe.get(w))}" for w in words)
        yield "Epochs run", _text(weights.get("epochs", NONE))
    if isinstance(weights.get("test_accuracy"), int | float) and not row.model.control:
        yield "Test accuracy", f"{_text(weights['test_accuracy'])} % of the whole test split"
    yield "Weights", _text(meta.weights.where or meta.weights.kind)
    if meta.weights.url:
        yield _linked("Weights from", meta.weights.url, meta.weights.url)
    yield "SHA-256 of the weights", meta.weights_sha256[:16] + "\N{HORIZONTAL ELLIPSIS}"
    if weights.get("command"):
        yield "Trained by", _text(weights["command"])


def _attacks(row: Row, table: Table) -> Iterator[Item]:
    for name in table.rules.attacks:
        found = row.model.attacks[name]
        if not found.samples:
            yield name, "not measured"
            continue
        share = Interval(*(100 * value for value in found.success))
        lost = f"; {found.broken} broken" if found.broken else ""
        yield (
            name,
            f"RFC {interval(found.rfc)}, HFE {interval(found.hfe)}, "
            f"success {interval(share, 1)} %, median norm {median(found.norm)}; "
            f"n = {found.kept} of {found.correct}{lost}",
        )


def _seeds(row: Row) -> Iterator[Item]:
    seeds = row.seeds
    for seed, value in seeds.each.items():
        yield f"Seed {seed}", f"RFC {number(value, 4)}"
    if len(seeds.counted) > 1:
        yield "Mean", f"{interval(seeds.mean, 4)}, n = {seeds.common} that all seeds keep"
        yield "SD over seeds", number(seeds.sd, 4)
    for seed, why in seeds.left_out.items():
        yield f"Seed {seed}", f"left out: {why}"
    if row.rank is not None and row.seed_sd == row.seed_sd:
        yield "Claims stand", f"up to a seed SD of {number(row.seed_sd, 4)}"


def _signs(row: Row, table: Table) -> Iterator[Item]:
    found = [flag for flag in flags(row, table.rules) if not flag.startswith("seed left out")]
    for reason in row.model.reasons:
        yield "Not ranked", reason
    for flag in found:
        yield flag, MEANINGS.get(flag_key(flag), "")
    if not row.model.reasons and not found:
        yield "None", "passes every gate, no sign that a number misleads"


def _provenance(row: Row) -> Iterator[Item]:
    submission = row.model.submission
    meta, rules, name = submission.metadata, submission.rules, row.model.name
    path = f"../submissions/{rules.protocol.name}/{rules.dataset.name}/{name}.parquet"
    yield "Rows", f"{name}.parquet", path
    yield "Verified", verified(row.model) or "not yet"
    yield "Measured", f"{_text(meta.started)} to {_text(meta.ended or NONE)}, {_text(meta.device)}"
    state = {True: ", with uncommitted changes", False: "", None: ""}[meta.git.dirty]
    yield "Commit", _text(meta.git.commit or "unknown")[:12] + state
    yield (
        "Versions",
        ", ".join(
            f"{package} {_text(meta.versions[package])}"
            for package in SHOWN_VERSIONS
            if package in meta.versions
        ),
    )
    if meta.data is not None:
        yield "Images", _text(meta.data.source)
    yield "Protocol hash", rules.hash[:16] + "\N{HORIZONTAL ELLIPSIS}"


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    """A stranger's text: one short printable line."""
    shown = "".join(c if c.isprintable() else " " for c in str(value)[: MOST + 1])
    return shown if len(shown) <= MOST else shown[:MOST] + "\N{HORIZONTAL ELLIPSIS}"


def _linked(label: str, text: object, url: object) -> Item:
    if isinstance(url, str) and url.startswith("https://") and url.isprintable() and len(url) < 500:
        return label, _text(text), url
    return label, _text(text)

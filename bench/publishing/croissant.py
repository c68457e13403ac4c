"""Croissant metadata of the submissions: which files, with their hashes, and what columns say.

Source: Croissant 1.1, https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.metrics import METRICS
from bench.publishing.facts import AUTHORS, DESCRIPTION, KEYWORDS, LICENCE_URL, PAPER, SHORT
from bench.results.read import file_sha256, find, stored_columns

TYPES = {"string": "TEXT", "bool": "BOOL", "int": "INTEGER", "float": "FLOAT"}
WORDS = {
    "protocol": "what fixes attacks, budgets, samples and seeds",
    "protocol_hash": "SHA-256 over the protocol's attacks and its own normative fields",
    "attack_hash": "SHA-256 over the attack's algorithm, settings, ids and seed",
    "model": "<model>[@random][@seedN]",
    "dataset": "data set of the images",
    "attack": "name of the attack",
    "sample_id": "index of the image in the split",
    "label": "class of the image",
    "clean_pred": "predicted class of the clean image",
    "adv_pred": "predicted class of the perturbed image",
    "clean_correct": "clean_pred is label",
    "success": "clean_correct and adv_pred is not label",
    "status": "ok, clean_wrong, not_fooled, init_failed, zero, nonfinite or stalled",
    "zero_grad": "the loss gradient at the clean image is exactly zero",
    "seconds": "attack time charged to the sample",
}
"""Column -> what it says; the metrics say it themselves."""


def croissant(submissions: Path, repository: str, version: str, published: str) -> dict[str, Any]:
    """Return the metadata as JSON-LD, valid for mlcroissant.

    Args:
        submissions: the folder of submissions.
        repository: `owner/name` of the data set on Hugging Face that holds it.
        version: of the benchmark.
        published: date of the newest result, ISO 8601.

    Raises:
        BenchError: mlcroissant is missing, or finds something wrong.
    """
    mlc = _library()
    with warnings.catch_warnings():
        # of mlcroissant's own libraries
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            metadata = _metadata(mlc, submissions, repository, version, published)
            found: dict[str, Any] = metadata.to_json()
            mlc.Dataset(jsonld=found)
        except mlc.ValidationError as error:
            raise BenchError(f"expected valid Croissant metadata, found: {error}") from None
    return found


def _metadata(mlc: Any, submissions: Path, repository: str, version: str, published: str) -> Any:
    url = f"https://huggingface.co/datasets/{repository}"
    files = find(submissions)
    protocols = sorted({path.parent.parent.name for path in files})
    distribution: list[Any] = [
        mlc.FileObject(
            id="repository", name="repository", content_url=url, sha256="main",
            encoding_formats=["git+https"], description="All files.",
        )
    ]  # fmt: skip
    for name in protocols:
        distribution.append(
            mlc.FileSet(
                id=f"files-{name}", name=f"files-{name}", contained_in=["repository"],
                encoding_formats=["application/x-parquet"], description=f"Results under {name}.",
                # by name: side files have other columns
                includes=[
                    f"submissions/{path.relative_to(submissions).as_posix()}"
                    for path in files
                    if path.parent.parent.name == name
                ],
            )
        )  # fmt: skip
    distribution += [_file(mlc, path, submissions, url) for path in files]
    return mlc.Metadata(
        name=SHORT, description=DESCRIPTION, url=url, license=[LICENCE_URL], version=version,
        date_published=published, keywords=list(KEYWORDS), distribution=distribution,
        creators=[mlc.Organization(name=AUTHORS, url=url)],
        cite_as=f"{PAPER['title']}. https://doi.org/{PAPER['doi']}",
        record_sets=[
            _rows(mlc, name, [p for p in files if p.parent.parent.name == name])
            for name in protocols
        ],
    )  # fmt: skip


def _library() -> Any:
    try:
        import mlcroissant
    except ImportError:
        raise BenchError(
            "expected the package mlcroissant, which writes and validates Croissant metadata, "
            "found none; run: pip install 'frequency-bench[publish]'"
        ) from None
    return mlcroissant


def _file(mlc: Any, path: Path, submissions: Path, url: str) -> Any:
    place = path.relative_to(submissions).as_posix()
    return mlc.FileObject(
        id=place, name=place, sha256=file_sha256(path), encoding_formats=["application/x-parquet"],
        content_url=f"{url}/resolve/main/submissions/{place}",
        content_size=f"{path.stat().st_size} B",
    )  # fmt: skip


def _rows(mlc: Any, protocol: str, files: Sequence[Path]) -> Any:
    """The rows of every result of one protocol: the columns that all its files have."""
    said = WORDS | {metric.name: metric.meaning for metric in METRICS}
    stored = [stored_columns(path) for path in files]
    shared = [name for name in stored[0] if all(name in columns for columns in stored)]
    return mlc.RecordSet(
        id=f"rows-{protocol}", name=f"rows-{protocol}",
        description=f"An attack on an image, under {protocol}.",
        fields=[
            _field(mlc, protocol, name, *stored[0][name], said.get(name, name)) for name in shared
        ],
    )  # fmt: skip


def _field(mlc: Any, protocol: str, name: str, kind: str, length: int | None, text: str) -> Any:
    array = {} if length is None else {"is_array": True, "array_shape": str(length)}
    return mlc.Field(
        id=f"rows-{protocol}/{name}", name=name, description=text,
        data_types=[getattr(mlc.DataType, TYPES[kind])],
        source=mlc.Source(file_set=f"files-{protocol}", extract=mlc.Extract(column=name)), **array,
    )  # fmt: skip


def newest(dates: Sequence[str | None]) -> str:
    """Return the newest of some ISO 8601 dates, without its time."""
    return max((date for date in dates if date), default="1970-01-01")[:10]

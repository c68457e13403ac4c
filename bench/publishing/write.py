"""Every file for other places, as text; and the upload, which happens on request alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bench
from bench.board.build import build
from bench.errors import BenchError
from bench.files import atomic
from bench.publishing import huggingface
from bench.publishing.croissant import croissant, newest
from bench.publishing.facts import citation, zenodo

REPOSITORY = "frequency-bench/frequency-bench"
"""Name in the files unless another is given; nobody has made it."""


def files(submissions: Path, repository: str = REPOSITORY) -> dict[str, str]:
    """Return path -> text of everything that can be published.

    Args:
        submissions: the folder of submissions.
        repository: `owner/name` of the data set on Hugging Face.

    Raises:
        BenchError: no such folder, nothing that can be shown, a name that is none, or no
            mlcroissant.
    """
    if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", repository):
        raise BenchError(f"expected --repository as owner/name, found {repository!r}")
    board = build(submissions)
    if not board.tables:
        raise BenchError(f"expected submissions that can be shown in {submissions}, found none")
    rows = [row for table in board.tables for row in table.rows]
    published = newest([row.model.submission.metadata.ended for row in rows])
    found = {
        "CITATION.cff": _yaml(citation()),
        ".zenodo.json": _json(zenodo()),
        "huggingface/README.md": huggingface.card(board),
        "huggingface/eval.yaml": _yaml(huggingface.benchmark(board)),
        "huggingface/croissant.json": _json(
            croissant(submissions, repository, bench.__version__, published)
        ),
    }
    entries = huggingface.results(board, repository)
    return found | {f"huggingface/{path}": _yaml(each) for path, each in entries.items()}


def write(found: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the files below a folder and return their paths."""
    paths = []
    for name, text in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def upload(folder: Path, submissions: Path, repository: str) -> str:
    """Open a pull request on the Hub's data set with the written files and the submissions.

    Nothing reaches its main branch before somebody merges it. The models' result files are not
    uploaded: they belong to other people's repositories.

    Returns:
        The address of the pull request.

    Raises:
        BenchError: the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    names = ("README.md", "eval.yaml", "croissant.json")
    sent = {name: folder / "huggingface" / name for name in names}
    sent |= {
        f"submissions/{path.relative_to(submissions).as_posix()}": path
        for path in sorted(submissions.glob("*/*/*"))
        if path.is_file()
    }
    try:
        done = HfApi().create_commit(
            repo_id=repository,
            repo_type="dataset",
            operations=[
                CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(path))
                for name, path in sent.items()
            ],
            commit_message=f"Results of frequency-bench {bench.__version__}",
            create_pr=True,
        )
    except Exception as error:  # whatever the Hub or the network says
        first = (str(error).splitlines() or [""])[0][:300]
        raise BenchError(
            f"expected the Hub to take a pull request to {repository}, found "
            f"{type(error).__name__}: {first}; log in with `hf auth login`"
        ) from None
    return str(done.pr_url)


def _yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    return text


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"

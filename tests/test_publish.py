"""`bench publish`: files that their own readers accept, and nothing that leaves without --yes."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import board_cases as cases
import huggingface_hub
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import REPOSITORY

import bench
from bench.board.build import build
from bench.cli.main import call
from bench.cli.publish import publish
from bench.errors import BenchError
from bench.publishing import write
from bench.publishing.facts import citation, zenodo

pytestmark = [
    pytest.mark.usefixtures("caro_ranks"),
    # of mlcroissant's own libraries, and of its use of pandas
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning"),
]
HUB = "somebody/frequencies"


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("publish") / "submissions"
    for case in (cases.CASES[2], cases.CASES[1], cases.CASES[9]):
        cases.write(folder, case)
    return folder


@pytest.fixture(scope="module")
def files(submissions: Path, caro_ranks: None) -> dict[str, str]:
    return write.files(submissions, HUB)


def test_the_hub_reads_every_result(files: dict[str, str], submissions: Path) -> None:
    (table,) = build(submissions).tables
    found = {}
    for name, text in files.items():
        if "/.eval_results/" in name:
            (entry,) = huggingface_hub.parse_eval_result_entries(yaml.safe_load(text))
            found[name.split("/")[2]] = entry
    assert set(found) == {row.name for row in table.ranked}  # the untrained twin has none
    (task,) = yaml.safe_load(files["huggingface/eval.yaml"])["tasks"]
    for row in table.ranked:
        entry, numbers = found[row.name], row.model.attacks["bb-l2"]
        assert (entry.dataset_id, entry.task_id) == (HUB, task["id"])
        assert entry.value == pytest.approx(numbers.rfc.mean, abs=1e-6)
        assert f"n = {numbers.kept}; rank set" in entry.notes
        assert "not more robust" in entry.notes
        assert entry.source_url.startswith(f"https://huggingface.co/datasets/{HUB}/blob/main/sub")


def test_the_benchmark_has_what_its_format_asks_for(files: dict[str, str]) -> None:
    found = yaml.safe_load(files["huggingface/eval.yaml"])
    assert list(found) == ["name", "description", "evaluation_framework", "tasks"]
    front = yaml.safe_load(files["huggingface/README.md"].split("---")[1])
    (config,) = front["configs"]
    assert config["config_name"] == found["tasks"][0]["config"]
    assert len(config["data_files"]) == 3
    assert not any("extras" in name for name in config["data_files"])


def test_croissant_is_valid_and_reads_the_rows(files: dict[str, str], submissions: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    text = json.loads(files["huggingface/croissant.json"])
    root = submissions.parent
    found = mlcroissant.Dataset(jsonld=text, mapping={"repository": str(root)})
    hashes = {f["@id"]: f["sha256"] for f in text["distribution"] if "/" in f["@id"]}
    paths = {p.relative_to(submissions).as_posix(): p for p in submissions.glob("*/*/*.parquet")}
    paths = {name: path for name, path in paths.items() if "extras" not in name}
    assert hashes == {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in paths.items()}
    (rows,) = text["recordSet"]
    stored = pq.read_schema(next(iter(paths.values()))).names
    assert [field["name"] for field in rows["field"]] == stored
    assert all(len(field["description"]) > 5 for field in rows["field"])
    broken = json.loads(files["huggingface/croissant.json"].replace("sc:Float", "sc:Nonsense"))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=broken)
    first = next(iter(found.records("rows-caro2024")))
    (file,) = [p for p in paths.values() if p.stem.encode() == first["rows-caro2024/model"]]
    assert first["rows-caro2024/rfc"] == pytest.approx(pq.read_table(file)["rfc"][0].as_py())


def test_the_citation_is_that_of_the_repository() -> None:
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text()) == citation()
    found = zenodo()
    assert found["version"] == bench.__version__
    assert found["related_identifiers"][0]["identifier"] == "10.3389/fncom.2024.1387077"


def test_nothing_is_uploaded_without_yes(
    submissions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    sent: list[dict[str, Any]] = []

    class Api:
        def create_commit(self, **given: Any) -> SimpleNamespace:
            sent.append(given)
            return SimpleNamespace(pr_url="https://huggingface.co/pr/1")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    publish(submissions, tmp_path, dry_run=True)
    publish(submissions, tmp_path, HUB)
    assert "nothing uploaded" in capsys.readouterr().out
    assert sent == []
    publish(submissions, tmp_path, HUB, yes=True)
    (given,) = sent
    assert (given["repo_id"], given["repo_type"], given["create_pr"]) == (HUB, "dataset", True)
    names = {operation.path_in_repo for operation in given["operations"]}
    assert {"eval.yaml", "croissant.json", "README.md"} < names
    assert not any(".eval_results" in name for name in names)
    assert "https://huggingface.co/pr/1" in capsys.readouterr().out


def test_the_hubs_refusal_is_one_line(
    submissions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, **given: Any) -> None:
        raise OSError("no way\nand more")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", refuse)
    write.write(write.files(submissions, HUB), tmp_path)
    with pytest.raises(BenchError, match=r"found OSError: no way; log in"):
        write.upload(tmp_path, submissions, HUB)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--yes"], "--repository owner/name with --yes"),
        (["--yes", "--dry-run", "--repository", HUB], "--dry-run or --yes, found both"),
        (["--repository", "no-owner"], "as owner/name"),
        (["--submissions", "nowhere"], "nowhere"),
    ],
)
def test_wrong_options(options: list[str], said: str, capsys: Any) -> None:
    assert call(["publish", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_library_is_named(submissions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    with pytest.raises(BenchError, match=r"frequency-bench\[publish\]"):
        write.files(submissions)

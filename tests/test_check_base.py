"""`bench check` of a whole: signed records, copies, entries, changes against a base."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import board_cases as cases
import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY

from bench.cli.check import check as check_command
from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.results import schema
from bench.submissions.check.entries import check_entry, entry_files
from bench.submissions.check.everything import Checked, check_everything
from bench.submissions.check.problems import MAX_PROBLEMS, Findings, short
from bench.submissions.submit import submit
from bench.submissions.verify.records import (
    Record,
    append_record,
    read_records,
    records_path,
    standing,
)
from bench.submissions.verify.signatures import SIGNERS, sign, signer

FIRST, SECOND = cases.CASES[2], cases.CASES[5]

ENTRY = """
name = "mine"
source = "factory"
factory = "mine:build"
dataset = "fashionmnist"
family = "cnn"
type = "Convolutional"
[weights]
file = "checkpoints/mine.safetensors"
sha256 = "{sha}"
[credits]
authors = "Ada"
training_data = "FashionMNIST"
licence = "MIT"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two right submissions."""
    folder = tmp_path_factory.mktemp("made")
    for case in (FIRST, SECOND):
        _, problems = submit(cases.write(folder / "results", case), folder / "submissions")
        assert problems == []
    return folder / "submissions"


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout `head` whose registry is in use, and its base beside it, the same."""
    head = tmp_path / "head"
    shutil.copytree(made, head / "submissions")
    shutil.copytree(REPOSITORY / "registry" / "models", head / "registry" / "models")
    for name in ("datasets", "data", "protocols", "checkpoints"):
        (head / "registry" / name).symlink_to(REPOSITORY / "registry" / name)
    shutil.copytree(head, tmp_path / "base", symlinks=True)
    monkeypatch.setenv("BENCH_REGISTRY", str(head / "registry"))
    registry._files.cache_clear()
    registry._read.cache_clear()
    return head


def result(root: Path, name: str = FIRST.name) -> Path:
    return root / "submissions" / cases.PROTOCOL / cases.DATASET / f"{name}.parquet"


def checked(head: Path) -> Checked:
    return check_everything([head / "submissions"], str(head.parent / "base"))


def texts(head: Path) -> str:
    return "\n".join(map(str, checked(head).problems))


def put(path: Path, *records: dict[str, Any]) -> Path:
    side = records_path(path)
    side.write_text(json.dumps({"records": records}))
    return side


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two key pairs, `ours` and `theirs`, made for these tests."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name]
        subprocess.run([*command, "-f", str(folder / name)], check=True)
    return folder


def allow(root: Path, keys: Path, *names: str) -> None:
    lines = [f"{name}@example.org {(keys / f'{name}.pub').read_text()}" for name in names]
    (root / "registry" / SIGNERS).write_text("".join(lines))


# ---------------------------------------------------------------- records and signatures


def test_the_same_as_the_base_is_right(world: Path) -> None:
    found = checked(world)
    assert (found.problems, found.changes, found.submissions) == ([], [], 2)
    assert found.entries == len(registry.model_names())


def test_an_unsigned_record_is_refused_whatever_it_says(world: Path, keys: Path) -> None:
    for root in (world, world.parent / "base"):
        allow(root, keys, "ours")
    record = cases.record(result(world), who="the maintainers", reproduced=5000, rows=5000)
    put(result(world), record)
    assert "record 0: expected a signature of a maintainer" in texts(world)
    # and is right where the base has it: what stands there stays
    put(result(world.parent / "base"), record)
    assert texts(world) == ""


def test_a_signed_record_is_accepted_by_the_bases_keys_only(world: Path, keys: Path) -> None:
    base = world.parent / "base"
    record = Record.model_validate_json(json.dumps(cases.record(result(world))))
    ours, theirs = (sign(record, keys / name) for name in ("ours", "theirs"))
    path = put(result(world), ours.content())
    # no keys in the base: nobody may
    assert "expected a signature" in texts(world)
    # a pull request's own keys don't count
    allow(world, keys, "ours", "theirs")
    assert "expected a signature" in texts(world)
    allow(base, keys, "ours")
    assert texts(world) == ""
    put(result(world), theirs.content())
    assert "found no valid one" in texts(world)
    # a signature is of these very words
    for change in ({"reproduced": 15, "unsettled": 1}, {"who": "x"}, {"file_sha256": "0" * 64}):
        put(result(world), {**ours.content(), **change})
        assert "found no valid one" in texts(world)
    put(result(world), {**ours.content(), "signature": "nonsense"})
    assert "found no valid one" in texts(world)
    assert read_records(path)[0].signature == "nonsense"


def test_a_signature_for_something_else_is_none(tmp_path: Path, keys: Path, made: Path) -> None:
    record = Record.model_validate_json(json.dumps(cases.record(result(made.parent))))
    content = tmp_path / "content"
    content.write_bytes(record.signed_bytes())
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", "file", "-f", str(keys / "ours")]
    subprocess.run([*command, str(content)], check=True, capture_output=True)
    other = record.model_copy(update={"signature": Path(f"{content}.sig").read_text()})
    (tmp_path / "registry").mkdir()
    allow(tmp_path, keys, "ours")
    signers = tmp_path / "registry" / SIGNERS
    assert signer(other, signers) is None
    assert signer(sign(record, keys / "ours"), signers) == "ours@example.org"
    assert signer(sign(record, keys / "theirs"), signers) is None
    with pytest.raises(BenchError, match="expected a signature with"):
        sign(record, tmp_path / "no-key")


def test_a_contradiction_can_not_be_taken_away(world: Path) -> None:
    bad = cases.record(result(world), reproduced=1, contradicted=15, verdict="contradicted")
    put(result(world.parent / "base"), cases.record(result(world)), bad)
    put(result(world), cases.record(result(world)))
    assert "found 1 taken away" in texts(world)
    records_path(result(world)).unlink()
    assert "found 2 taken away" in texts(world)
    # with the submission it may go, and that is named
    for path in result(world).parent.glob(f"{FIRST.name}.*"):
        path.unlink()
    found = checked(world)
    assert found.problems == []
    assert f"removed: submissions/{cases.PROTOCOL}/{cases.DATASET}/{FIRST.name}.parquet" in (
        found.changes
    )


def test_contradicted_wins_over_any_date(made: Path) -> None:
    def record(**changes: Any) -> Record:
        return Record.model_validate_json(json.dumps(cases.record(result(made.parent), **changes)))

    good = record(when="9999-01-01T00:00:00+00:00")
    bad = record(when="1999-01-01T00:00:00+00:00", verdict="contradicted", others=["n_params"])
    assert standing((good, bad)) == standing((bad, good)) == bad
    assert standing((record(), good)) == good
    assert standing(()) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"when": "9999-01-01T00:00:00+00:00"}, "expected a past time"),
        ({"when": "2026-01-01T00:00:00"}, "expected a past time"),
        ({"when": "yesterday"}, "expected an ISO 8601 time"),
        ({"reproduced": 15}, "counts that add up to 16, found 15"),
        ({"of_rows": 3}, "counts that add up"),
        ({"others": ["n_params"]}, "a verdict as the counts say"),
        ({"reproduced": 10**400}, "verification records"),
        ({"rows": 10**7, "reproduced": 10**7}, "verification records"),
        ({"who": "x" * 201}, "verification records"),
        ({"signature": "x" * 5000}, "verification records"),
        ({"versions": {"x" * 300: "y"}}, "verification records"),
    ],
)
def test_wrong_records(made: Path, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    shutil.copytree(made, tmp_path / "submissions")
    put(result(tmp_path), cases.record(result(tmp_path), **changes))
    found = check_everything([tmp_path / "submissions"]).problems
    assert any(words in str(problem) for problem in found), found


def test_the_committed_records_are_the_authors_and_stay() -> None:
    folder = REPOSITORY / "submissions" / "caro2024" / "fashionmnist"
    found = [read_records(path) for path in sorted(folder.glob("*.verify.json"))]
    assert len(found) == 12
    for path, records in zip(sorted(folder.glob("*.verify.json")), found, strict=True):
        assert [one.content() for one in records] == json.loads(path.read_text())["records"]
        assert all(one.signature is None for one in records)


def test_a_new_record_keeps_the_old_ones_of_the_file(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.verify.json"
    mine = cases.record(result(made.parent), verdict="contradicted", others=["n_params"])
    other = {**cases.record(result(made.parent)), "file_sha256": "0" * 64}
    path.write_text(json.dumps({"records": [mine, *[other] * 99]}))
    new = Record.model_validate_json(json.dumps(cases.record(result(made.parent))))
    append_record(path, new)
    assert [r.verdict for r in read_records(path)] == ["contradicted", "reproduced"]
    path.write_text("[[[")
    append_record(path, new)
    assert read_records(path) == (new,)


# ---------------------------------------------------------------- changes


def test_every_change_is_named(world: Path) -> None:
    models = world / "registry" / "models"
    one = next(p for p in models.rglob("*.toml") if p.stem == FIRST.name)
    one.write_text(one.read_text() + "\n# another word\n")
    other = next(p for p in models.rglob("resnet50d.toml"))
    other.unlink()
    (models / "new.txt").write_text("x")
    registry._files.cache_clear()
    table = pq.read_table(result(world))
    pq.write_table(table, result(world), compression="gzip")
    place = f"submissions/{cases.PROTOCOL}/{cases.DATASET}"
    assert checked(world).changes == [
        f"changed: {place}/{FIRST.name}.parquet",
        f"changed: registry/{one.relative_to(world / 'registry').as_posix()}",
        f"removed: registry/{other.relative_to(world / 'registry').as_posix()}",
        "added: registry/models/new.txt",
    ]


def test_a_base_may_be_a_revision(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "start")
    put(result(world), cases.record(result(world)))
    check_command([Path("submissions")])
    with pytest.raises(BenchError, match="found 1 in 1 files"):
        check_command([Path("submissions")], against="HEAD")
    text = capsys.readouterr().out
    assert f"added: submissions/{cases.PROTOCOL}/{cases.DATASET}/{FIRST.name}.verify.json" in text
    for base in ("nonsense", "--upload-pack=x", "HEAD~9"):
        with pytest.raises(BenchError, match="a revision for --against"):
            check_command([Path("submissions")], against=base)


# ---------------------------------------------------------------- copies


def rename(path: Path, new: str, **changes: Any) -> Path:
    """Write a submission under another name, as a copier would."""
    table = pq.read_table(path)
    meta = {**json.loads(table.schema.metadata[schema.METADATA_KEY]), "model": new, **changes}
    names = table.column("model").to_pylist()
    at = table.schema.get_field_index("model")
    import pyarrow as pa

    column = pa.array([new] * len(names)).dictionary_encode()
    table = table.set_column(at, "model", column)
    target = path.with_name(f"{new}.parquet")
    raw = {schema.METADATA_KEY: json.dumps(meta)}
    pq.write_table(table.replace_schema_metadata(raw), target, compression="zstd")
    return target


def test_equal_rows_under_another_name_are_refused(world: Path) -> None:
    other = "fashionmnist-local-conv"
    entry = registry.model(other)
    assert entry.weights is not None
    assert entry.weights.sha256 is not None
    weights = {"kind": "default", "state_dict_sha256": entry.weights.sha256}
    rename(result(world), other, family=entry.family, type=entry.type, weights=weights,
           weights_sha256=entry.weights.sha256,
           entry=entry.model_dump(mode="json", exclude_none=True))  # fmt: skip
    assert f"other rows than those of {FIRST.name}, found the same norm and RFC" in texts(world)
    # also where the original is gone: the base had it
    for path in result(world).parent.glob(f"{FIRST.name}.*"):
        path.unlink()
    assert f"other rows than those of {FIRST.name}" in texts(world)
    assert "other rows" not in "\n".join(
        map(str, check_everything([world / "submissions"]).problems)
    )


def test_equal_weights_under_another_name_are_refused(world: Path) -> None:
    meta = json.loads(pq.read_schema(result(world)).metadata[schema.METADATA_KEY])
    path = result(world, SECOND.name)
    table = pq.read_table(path)
    mine = json.loads(table.schema.metadata[schema.METADATA_KEY])
    for key in ("weights_sha256", "weights"):
        changed = {**mine, key: meta[key]}
        raw = {schema.METADATA_KEY: json.dumps(changed)}
        pq.write_table(table.replace_schema_metadata(raw), path, compression="zstd")
        assert f"other weights than those of {FIRST.name}" in texts(world)


def test_two_entries_of_one_file_of_weights_are_refused(world: Path) -> None:
    one = next(p for p in (world / "registry/models").rglob("*.toml") if p.stem == FIRST.name)
    text = one.read_text().replace(f'name = "{FIRST.name}"', 'name = "twin"')
    one.with_name("twin.toml").write_text(text)
    assert "weights.sha256: expected other weights than those of" in texts(world)


# ---------------------------------------------------------------- entries


@pytest.fixture
def entry(world: Path) -> Callable[[str], str]:
    """Write an entry that no submission names, and say what is wrong with it."""
    folder = world / "registry"
    (folder / "checkpoints").unlink()
    shutil.copytree(REPOSITORY / "registry" / "checkpoints", folder / "checkpoints")
    (folder / "checkpoints" / "mine.safetensors").write_bytes(b"weights")
    path = folder / "models" / "mine.toml"

    def write(text: str) -> str:
        path.write_text(text)
        findings = Findings(str(path))
        check_entry(path, findings)
        return "\n".join(map(str, findings.problems))

    return write


def right_entry() -> str:
    import hashlib

    return ENTRY.format(sha=hashlib.sha256(b"weights").hexdigest())


def test_an_entry_that_no_submission_names_is_checked(
    world: Path, entry: Callable[[str], str]
) -> None:
    assert entry(right_entry()) == ""
    assert texts(world) == ""
    entry(right_entry().replace("mine.safetensors", "gone.safetensors"))
    assert "mine.toml: expected checkpoints/gone.safetensors in the registry" in texts(world)


def test_wrong_entries(entry: Callable[[str], str]) -> None:
    right = right_entry()
    file, sha = '"checkpoints/mine.safetensors"', right.split('sha256 = "')[1][:64]
    for old, new, words in (
        (file, '"checkpoints/gone.safetensors"', "expected checkpoints/gone.safetensors in the"),
        (file, '"../registry/checkpoints/mine.safetensors"', "without . or .."),
        (file, '"checkpoints/./mine.safetensors"', "without . or .."),
        (file, '"/etc/passwd"', "below registry/"),
        (file, r'"C:\\weights"', "below registry/"),
        (file, '"-rf"', "below registry/"),
        (file, '"a b"', "below registry/"),
        (file, '"checkpoints"', "expected checkpoints as a plain file"),
        (sha, "0" * 64, "expected 0000000000000000... of checkpoints/mine.safetensors"),
        (f'sha256 = "{sha}"\n', "", "expected weights.sha256 in its entry"),
        (f'file = {file}\nsha256 = "{sha}"', 'url = "https://example.org/x"', "weights.sha256"),
        ('"MIT"', '""', "must not be empty"),
        ('"MIT"', '"  "', "must not be empty"),
        ('"Ada"', '"' + "a" * 501 + '"', "at most 500 "),
        ('"Ada"', r'"\u001b[2J"', "expected plain text"),
        ('family = "cnn"', 'family = "' + "c" * 61 + '"', "at most 60 "),
        ('dataset = "fashionmnist"', 'dataset = "nonsense"', "unknown dataset"),
        ('licence = "MIT"', "licence = " + "[" * 5000, "mine.toml"),
        ('licence = "MIT"', "licence = " + "1" * 5000, "mine.toml"),
        ('licence = "MIT"', 'licence = "' + "x" * 1_400_000 + '"', "at most 64,000 bytes"),
        ("[credits]", "[credit]", "credit"),
        (right[right.index("[credits]") :], "", "expected [credits] with authors"),
        (right[right.index("[weights]") : right.index("[credits]")], "", "where the weights are"),
        (right, "\x00\xff", "mine.toml"),
    ):
        assert old in right
        found = entry(right.replace(old, new))
        assert words in found, (new[:60], found[:500])
        assert found.isprintable() or "\n" in found


def test_a_link_in_the_registry_is_not_followed(world: Path, entry: Callable[[str], str]) -> None:
    assert entry(right_entry()) == ""
    weights = world / "registry" / "checkpoints" / "mine.safetensors"
    weights.rename(world / "elsewhere")
    weights.symlink_to(world / "elsewhere")
    assert "as a plain file in the registry, found a link" in entry(right_entry())
    path = world / "registry" / "models" / "mine.toml"
    path.rename(world / "mine.toml")
    path.symlink_to(world / "mine.toml")
    findings = Findings(str(path))
    assert check_entry(path, findings) is None
    assert "expected a plain file, found a link" in str(findings.problems[0])


def test_every_entry_of_the_registry_can_be_submitted() -> None:
    for path in entry_files():
        findings = Findings(str(path))
        assert isinstance(check_entry(path, findings), ModelEntry)
        assert findings.problems == []


# ---------------------------------------------------------------- what is printed


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, 10**5000, -(10**400), ["x" * 10**5] * 10**5, {"a": {"b": {"c": {"d": 1}}}},
     {str(i): i for i in range(10**5)}, "\x1b[2J", None, 1.5, True],
    ids=range(10),
)  # fmt: skip
def test_what_is_shown_of_a_value_is_short(value: object) -> None:
    text = short(value)
    assert len(text) <= 80
    assert text.isprintable()


def test_the_problems_of_a_file_are_bounded() -> None:
    findings = Findings("x")
    for number in range(10 * MAX_PROBLEMS):
        findings.add(str(number), "y" * 10**5)
    assert len(findings.problems) == MAX_PROBLEMS
    assert "found more" in str(findings.problems[-1])
    assert max(len(str(problem)) for problem in findings.problems) < 2000

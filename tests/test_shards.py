"""Where processes begin, several models in one command, and units that fail."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import work_cases
from conftest import MODEL
from work_cases import QUICK, check, task

from bench.cli.main import call
from bench.errors import BenchError, BenchWarning
from bench.results.campaign import Unit
from bench.results.failures import TRIES
from bench.results.presence import here
from bench.results.tables import Tables
from bench.results.workplace import at_work
from bench.run.attempts import Attempts
from bench.run.finished import finished
from bench.run.request import Request
from bench.run.several import in_turns, not_measured
from bench.run.shard import Shard, shard_of


def slurm(task_id: int, count: int, first: int, last: int, step: int) -> dict[str, str]:
    """What SLURM tells a task of an array (man sbatch, "Output environment variables")."""
    values = {"ID": task_id, "COUNT": count, "MIN": first, "MAX": last, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{key}": str(value) for key, value in values.items()}


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        (None, {}, Shard(0, 1)),
        ("2/5", {}, Shard(2, 5)),
        ("2/5", slurm(3, 4, 0, 3, 1), Shard(2, 5)),
        (None, slurm(3, 4, 0, 3, 1), Shard(3, 4)),
        (None, slurm(1, 4, 1, 4, 1), Shard(0, 4)),  # --array=1-4
        (None, slurm(20, 4, 5, 20, 5), Shard(3, 4)),  # --array=5-20:5
        (None, slurm(8, 3, 1, 8, 1), Shard(1, 3)),  # --array=1,7,8 has no step
        (None, {"SLURM_ARRAY_TASK_ID": "2"}, Shard(0, 1)),
    ],
)
def test_where_a_process_begins(
    text: str | None, environment: dict[str, str], shard: Shard
) -> None:
    assert shard_of(text, environment) == shard


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/2", "1/0", "1/2/3", ""])
def test_a_shard_that_there_is_not(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["eval", "-m", MODEL, "--shard", text]) == 2
    assert "expected --shard I/N with I from 0 to N - 1" in capsys.readouterr()[1]


def test_workers_of_a_shard_spread_over_its_part() -> None:
    starts = [Shard(1, 2).split(k, 4).start for k in range(4)]
    assert starts == [0.5, 0.625, 0.75, 0.875]


# ---------------------------------------------------------------- several models


def order(names: str, start: float) -> list[tuple[str, float, bool]]:
    tried = []

    def attempt(place: int, begin_at: float, stay: bool) -> bool:
        tried.append((names[place], begin_at, stay))
        return True

    assert in_turns(names, start, attempt) == []
    return tried


def test_processes_begin_at_different_models_and_go_round() -> None:
    assert order("a", 0.25) == [("a", 0.25, True)]
    for index, first in enumerate(["abcd", "bcda", "cdab", "dabc"]):  # one model a task
        assert order("abcd", index / 4) == [(name, 0.0, False) for name in first]
    assert [order("ab", k / 6)[0] for k in range(6)] == [
        (name, pytest.approx(k / 3), False) for name in "ab" for k in range(3)
    ]


def test_a_process_waits_for_others_only_when_there_is_nothing_to_take() -> None:
    tried = []

    def attempt(place: int, begin_at: float, stay: bool) -> bool:
        tried.append(("abc"[place], stay))
        return stay or place == 1

    assert in_turns("abc", 0.0, attempt) == []
    assert tried == [("a", False), ("b", False), ("c", False), ("a", True), ("c", True)]


def test_what_cannot_be_measured_is_listed_and_the_rest_is() -> None:
    done = []

    def attempt(place: int, begin_at: float, stay: bool) -> bool:
        if place == 1:
            raise BenchError("expected weights, found none; run `x`")
        done.append(place)
        return True

    (refused,) = in_turns("abc", 0.5, attempt)
    assert (refused.name, refused.reason) == ("b", "expected weights, found none; run `x`")
    assert done == [2, 0]
    assert "found 1 that could not be" in str(not_measured([refused], 3))
    assert str(not_measured([refused], 1)) == refused.reason, "all for one reason"
    (refused,) = in_turns("b", 0.0, lambda place, begin_at, stay: attempt(1, begin_at, stay))
    assert refused.name == "b"


def test_a_pattern_runs_what_it_can(
    quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = "fashionmnist-fully-connected-relu"
    names = ["fashionmnist-deep-full-conv-relu", trained, "fashionmnist-deep-fully-connected"]
    command = ["eval", "--protocol", "quick", "-a", "pgd-l1", "--limit", "4", "-o", str(tmp_path)]
    assert call([*command, *(x for name in names for x in ("-m", name))]) == 2
    out, err = capsys.readouterr()
    assert f"{trained} on FashionMNIST" in out
    for name in (names[0], names[2]):
        line = next(line for line in err.splitlines() if line.startswith(f"not measured: {name}:"))
        assert f"run `bench train --model {name}`" in line
    assert err.splitlines()[-1] == (
        "bench: error: expected 3 models measured, found 2 that could not be, listed above with "
        "what helps; the others are done"
    )
    assert call([*command, "-m", names[0], "-m", "fashionmnist-deep-full-conv-relu"]) == 2
    assert "not measured" not in capsys.readouterr()[1]


def test_a_finished_model_needs_no_help(quick: Path, tmp_path: Path) -> None:
    asked = Request.of(model=MODEL, protocol="quick", output=tmp_path)
    file = tmp_path / "quick" / "fashionmnist" / f"{MODEL}.parquet"
    assert not finished(asked)
    import pyarrow.parquet as pq

    from bench.entries import registry
    from bench.results import schema

    def write(**known: object) -> None:
        text = json.dumps({"schema_version": 2, **known})
        table = schema.ROWS.with_metadata({schema.METADATA_KEY: text}).empty_table()
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file)

    digest = registry.protocol("quick").hash("fashionmnist")
    write(complete=False, protocol_hash=digest)
    assert not finished(asked)
    write(complete=True, protocol_hash="0" * 64)
    assert not finished(asked)
    write(complete=True, protocol_hash=digest)
    assert finished(asked)
    for other in ({"limit": 3}, {"seed": 9}, {"overwrite": True}, {"attacks": ["pgd-l1"]}):
        assert not finished(asked.but(**other))
    (tmp_path / "quick" / "fashionmnist" / f"{MODEL}.blocks").mkdir()
    note = tmp_path / "quick" / "fashionmnist" / f"{MODEL}.blocks" / "note.json"
    note.write_text("{}")
    assert not finished(asked)


# ---------------------------------------------------------------- units that fail


def trying(folder: Path, fails: dict[str, int], done: list[str] | None = None) -> None:
    """Measure in one process, where units named in `fails` fail so many times."""
    asked = task(folder)
    left = dict(fails)

    def measure(unit: Unit) -> Tables:
        name = f"{unit.attack}-{min(unit.ids)}"
        if left.get(name, 0) > 0:
            left[name] -= 1
            raise RuntimeError("the device said no")
        if done is not None:
            done.append(name)
        return work_cases.tables(unit)

    with at_work(asked, QUICK) as place:
        place.begin({**asked.metadata, "pace": {}})
        attempts = Attempts(place)
        while True:
            for unit in place.units():
                found = attempts.of(unit, lambda unit=unit: measure(unit))
                if found is not None:
                    place.write(unit, found)
            if place.finish(work_cases.describe):
                return
            failed = place.given_up()
            if failed is not None:
                raise failed


def test_a_unit_that_fails_is_tried_again_after_the_others(tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.warns(BenchWarning, match="pgd-l2, samples 4 to 7: RuntimeError: the device said"):
        trying(tmp_path, {"pgd-l2-4": TRIES - 1}, done)
    assert done[-1] == "pgd-l2-4"
    assert len(done) == 6
    check(tmp_path)


def test_a_unit_that_always_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    with (
        pytest.warns(BenchWarning, match="it is tried 3 times in all"),
        pytest.raises(
            BenchError, match=r"1 that failed 3 times \(4 rows are missing\): bb-l2, sam"
        ),
    ):
        trying(tmp_path, {"bb-l2-0": 99})
    assert len(list(tmp_path.rglob("*.rows.parquet"))) == 5
    assert not list(tmp_path.rglob("*.failed.*")), "the same command tries again"
    done: list[str] = []
    trying(tmp_path, {}, done)
    assert done == ["bb-l2-0"]
    check(tmp_path)


def test_where_everything_fails_one_does_not_go_on_for_hours(tmp_path: Path) -> None:
    with (
        pytest.warns(BenchWarning, match="the device said no"),
        pytest.raises(BenchError, match="the first 3 all failed"),
    ):
        trying(tmp_path, {f"{a}-{i}": 99 for a in ("pgd-l2", "bb-l2") for i in (0, 4, 8)})


def test_processes_count_the_failures_together(tmp_path: Path) -> None:
    """Three at once: a bad unit is tried three times in all, not nine."""
    asked, tried, errors = task(tmp_path), [], []
    ready = threading.Barrier(3)

    def one() -> None:
        try:
            with at_work(asked, QUICK) as place:
                place.begin({**asked.metadata, "pace": {}})
                ready.wait()
                for unit in place.units():
                    if unit.attack == "bb-l2" and min(unit.ids) == 4:
                        tried.append(unit)
                        place.failures.add(unit, "no")
                    else:
                        place.write(unit, work_cases.tables(unit))
                errors.append(place.given_up())
                ready.wait()
        except BaseException as error:
            ready.abort()
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["bb-l2, samples 4 to 7: no" in str(error) for error in errors] == [True] * 3
    assert len(tried) == TRIES


def test_a_unit_that_kills_its_process_is_given_up_after_three(tmp_path: Path) -> None:
    asked = task(tmp_path)
    with at_work(asked, QUICK) as place:
        place.begin({**asked.metadata, "pace": {}})
        unit = place.campaign.missing(4, [])[0]
        name = f"{place.campaign.folder}/{unit.name}"
        for number in range(TRIES):
            assert unit in place.open_units()[1]
            dead = tmp_path / f"{place.task.store.address.blocks}/workers/{number}.json"
            dead.write_text(json.dumps({**here(), "begun": "1"}))
            place.task.store.files.claim(
                f"{name}.claim.{number:06d}", json.dumps({"owner": str(number)}).encode()
            )
        assert unit not in place.open_units()[1]
        assert "ended in the middle of it" in str(place.given_up())
        with at_work(asked, QUICK) as later:
            assert unit in later.open_units()[1], "who comes later tries again"


def test_a_gpu_that_is_gone_ends_its_process_and_leaves_the_rest(tmp_path: Path) -> None:
    asked = task(tmp_path)

    def broken() -> Tables:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with at_work(asked, QUICK) as place:
        place.begin({**asked.metadata, "pace": {}})
        units = place.units()
        place.write(next(units), work_cases.tables(place.campaign.missing(4)[0]))
        bad = next(units)
        with (
            pytest.warns(BenchWarning, match="illegal memory access"),
            pytest.raises(BenchError, match=r"device that works, got .*illegal memory access.* in"),
        ):
            Attempts(place).of(bad, broken)
    assert len(list(tmp_path.rglob("*.rows.parquet"))) == 1
    assert len(work_cases.work(asked)) == 5
    check(tmp_path)

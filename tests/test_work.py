"""Runs that share a result: claims, races, kills, overwriting; nothing is lost, nothing doubled."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import MODEL, REPOSITORY
from work_cases import ADDRESS, ATTACKS, QUICK, check, metadata, result, task, work

from bench.errors import BenchError, BenchWarning
from bench.results.campaign import Unit
from bench.results.filesystem import LocalFiles
from bench.results.presence import Presence, Watch, here, surely_gone
from bench.results.store import Store
from bench.results.turns import Turns
from bench.results.workplace import Workplace, at_work

pytestmark = pytest.mark.usefixtures("caro_ranks")

HERE = Path(__file__).parent


class Killed(BaseException):
    """Ends a run as Ctrl-C does."""


def interrupted(folder: Path, after: int, **options: Any) -> None:
    """Run a task and stop it when so many units are written."""
    left = [after]

    def stop(place: Workplace, unit: Unit) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    version = options.pop("version", 0.0)
    with pytest.raises(Killed):
        work(task(folder, **options), each=stop, version=version)


# ---------------------------------------------------------------- one after the other


@pytest.mark.parametrize("after", range(6))
def test_an_interrupted_run_goes_on_and_measures_nothing_twice(after: int, tmp_path: Path) -> None:
    interrupted(tmp_path, after)
    assert len(work(task(tmp_path))) == 6 - after
    check(tmp_path)
    assert work(task(tmp_path)) == []


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_interrupted_overwrite_leaves_the_finished_file_alone(
    after: int, tmp_path: Path
) -> None:
    work(task(tmp_path))
    before = result(tmp_path).read_bytes()
    interrupted(tmp_path, after, anew=True, version=1.0)
    assert result(tmp_path).read_bytes() == before
    assert work(task(tmp_path)) == []
    check(tmp_path, tidy=after == 0)
    assert len(work(task(tmp_path, anew=True), version=1.0)) == 6 - after
    check(tmp_path, version=lambda attack, sample: 1.0)


def test_overwriting_some_samples_keeps_the_others(tmp_path: Path) -> None:
    work(task(tmp_path))
    work(task(tmp_path, range(4), ["bb-l2"], anew=True), version=1.0)
    rows = pq.read_table(result(tmp_path)).to_pandas().set_index(["attack", "sample_id"])["rfc"]
    assert len(rows) == 24
    assert rows["bb-l2", 3] == 3.251
    assert rows["bb-l2", 4] == 4.25
    assert rows["pgd-l2", 3] == 3.0
    spectra = pq.read_table(result(tmp_path, ".extras")).to_pandas()
    spectra = spectra[spectra["kind"] == "spectrum"].set_index("attack")["n"]
    assert spectra["pgd-l2"] == 9
    assert spectra["bb-l2"] == 3, "a mean over replaced samples is not kept"


@pytest.mark.parametrize("after", [0, 1, 5])
def test_perturbations_asked_for_later(after: int, tmp_path: Path) -> None:
    work(task(tmp_path))
    interrupted(tmp_path, after, deltas=True)
    assert work(task(tmp_path)) == []
    work(task(tmp_path, deltas=True))
    check(tmp_path)
    saved = pq.read_table(result(tmp_path, ".perturbations")).to_pylist()
    assert len(saved) == 2 * 9
    assert all(row["delta"] == [row["sample_id"]] * 4 for row in saved)
    work(task(tmp_path, attacks=["bb-l2"], anew=True))
    left = pq.read_table(result(tmp_path, ".perturbations"))["attack"].to_pylist()
    assert left == ["pgd-l2"] * 9, "perturbations of rows that were replaced are gone with them"


def test_more_samples_and_attacks_join_the_file(tmp_path: Path) -> None:
    work(task(tmp_path, range(6), ["bb-l2"]))
    assert len(work(task(tmp_path))) == 5  # four ids, two of a cell, and three cells
    check(tmp_path)


def test_what_another_protocol_has_measured_is_taken_over(tmp_path: Path) -> None:
    from bench.results.takeover import take_over

    work(task(tmp_path))
    other = metadata(protocol="other", protocol_hash="o" * 64)
    other["attacks"] = {"bb-l2": {"steps": 3}, "pgd-l2": {"steps": 4}}
    asked = replace(
        task(tmp_path),
        store=Store(LocalFiles(tmp_path), ADDRESS.of("other")),
        metadata=other,
    )
    with at_work(asked, QUICK) as place:
        place.begin(other)
        assert take_over(place.campaign, asked) == ["bb-l2"]
    assert [name.split("/")[0] for name in work(asked)] == ["pgd-l2"] * 3
    rows = asked.store.read().to_pandas()
    assert set(rows["protocol"]) == {"other"}
    assert set(rows["protocol_hash"]) == {"o" * 64}
    there = tmp_path / "there"
    there.mkdir()
    (tmp_path / "other").rename(there / "quick")
    check(there, attacks=["bb-l2", "pgd-l2"])


# ---------------------------------------------------------------- something else at the same place


def test_another_model_is_refused_and_overwriting_keeps_the_old_file(tmp_path: Path) -> None:
    work(task(tmp_path))
    other = task(tmp_path, weights_sha256="x" * 64)
    with pytest.raises(BenchError, match="was made with weights_sha256 = wwwwwwwwwwww"):
        other.store.check(other.metadata)
    work(task(tmp_path, attacks=["bb-l2"], anew=True, weights_sha256="x" * 64))
    check(tmp_path, attacks=["bb-l2"])
    (kept,) = (tmp_path / "quick" / "digits").glob("toy.parquet.replaced-*")
    assert len(pq.read_table(kept)) == 24


def test_other_settings_of_one_attack_are_refused_by_name(tmp_path: Path) -> None:
    work(task(tmp_path))
    attacks = {"pgd-l2": {"steps": 3}, "bb-l2": {"steps": 4}}
    other = task(tmp_path, attacks=["pgd-l2"])
    changed = {**other.metadata, "attacks": attacks}
    with pytest.raises(BenchError, match="made with other settings of bb-l2"):
        other.store.check(changed)
    same = {**other.metadata, "protocol_hash": "another", "attacks": {**attacks}}
    same["attacks"] = {name: {"steps": 3} for name in (*ATTACKS, "new")}
    other.store.check(same)  # a protocol that has grown shares what it has in common


def test_a_running_run_of_something_else_is_named(tmp_path: Path) -> None:
    first = task(tmp_path)
    with at_work(first, QUICK) as place:
        place.begin({**first.metadata, "pace": {}})
        for anew in (False, True):
            other = task(tmp_path, weights_sha256="x" * 64, anew=anew)
            with pytest.raises(BenchError, match=r"another run is at work: .*weights_sha256"):
                work(other)
    interrupted(tmp_path, 1)
    with pytest.raises(BenchError, match=r"an unfinished run, was made with weights_sha256"):
        work(task(tmp_path, weights_sha256="x" * 64))
    work(task(tmp_path, weights_sha256="x" * 64, anew=True))
    check(tmp_path)


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("kind", ["rows", "extras", "perturbations"])
def test_a_truncated_block_is_named_set_aside_and_measured_again(kind: str, tmp_path: Path) -> None:
    deltas = kind == "perturbations"
    interrupted(tmp_path, 5, deltas=deltas)
    block = sorted(tmp_path.rglob(f"*.{kind}.parquet"))[0]
    block.write_bytes(block.read_bytes()[:100])
    with pytest.warns(BenchWarning, match=r"rows\.parquet is damaged; it is kept as .*\.damaged"):
        assert len(work(task(tmp_path, deltas=deltas))) == 2
    check(tmp_path, tidy=False)
    assert len(list(tmp_path.rglob("*.damaged"))) == 1


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_damaged_note_is_set_aside(text: str, tmp_path: Path) -> None:
    interrupted(tmp_path, 2)
    (note,) = tmp_path.rglob("note.json")
    note.write_text(text)
    with pytest.warns(BenchWarning, match=r"note\.json is damaged"):
        assert len(work(task(tmp_path))) == 4
    check(tmp_path, tidy=False)


# ---------------------------------------------------------------- claims


def test_a_stale_claim_is_judged_by_ones_own_clock(tmp_path: Path) -> None:
    """The owner, on another machine, beats while its clock goes backwards; then it stops."""
    files, now = LocalFiles(tmp_path), [0.0]
    watch = Watch(files, "x", stale=120, clock=lambda: now[0])
    path = tmp_path / "x" / "workers" / "far.json"
    path.parent.mkdir(parents=True)
    for beat in range(5):
        far = {**here(), "boot": "another", "beat": beat, "time": -3600 * beat}
        path.write_text(json.dumps(far))
        now[0] += 119
        assert watch.alive("far")
    now[0] += 119
    assert watch.alive("far")
    now[0] += 2
    assert not watch.alive("far")
    path.write_text(json.dumps({**here(), "boot": "another", "beat": 6}))
    assert watch.alive("far"), "it was only slow"


def test_the_same_number_on_another_machine_is_another_process(tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead = {**here(), "pid": int(gone.stdout), "begun": "1"}
    assert surely_gone(dead)
    assert surely_gone({**here(), "begun": "1"}), "the number was given to a later process"
    assert not surely_gone(here())
    for other in ({"host": "b"}, {"boot": "b"}, {"pids": "pid:[1]"}):
        assert not surely_gone({**dead, **other})


def test_a_unit_of_a_dead_process_is_taken_over_and_one_of_a_living_is_not(tmp_path: Path) -> None:
    first = task(tmp_path)
    with at_work(first, replace(QUICK, stale=60)) as place:
        place.begin(first.metadata)
        keys = place.campaign.look()
        unit = place.campaign.missing(4, keys)[0]
        name = f"{place.campaign.folder}/{unit.name}"
        assert place.claims.take(name, keys)
        with at_work(first, QUICK) as other:
            keys = other.campaign.look()
            assert not other.claims.take(name, keys)
            path = tmp_path / f"{ADDRESS.blocks}/workers/{place.presence.id}.json"
            path.write_text(json.dumps({**here(), "begun": "1"}))
            assert other.claims.take(name, keys)
            assert not place.claims.take(name, place.campaign.look()), "the next number counts"


def test_who_stalled_in_a_merge_cannot_commit_after_another_took_over(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    slow, quick = (Turns(files, "x", me, Watch(files, "x")) for me in ("slow", "quick"))
    number = slow.take()
    assert number is not None
    (tmp_path / "x" / "workers").mkdir()
    alive = tmp_path / "x" / "workers" / "slow.json"
    alive.write_text(json.dumps({**here(), "beat": 0}))
    assert quick.take() is None
    alive.unlink()  # it seems gone
    mine = quick.take()
    assert mine is not None
    for me in ("slow", "quick"):
        (tmp_path / me).write_text(me)
    nothing = {"base": None, "writes": {}, "deletes": []}
    assert not slow.commit(number, {**nothing, "moves": [["slow", "target"]]})
    assert quick.commit(mine, {**nothing, "moves": [["quick", "target"]]})
    assert (tmp_path / "target").read_text() == "quick"


def test_a_commit_on_an_older_file_is_dropped(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    turns = Turns(files, "x", "me", Watch(files, "x"))
    number = turns.take()
    assert number is not None
    (tmp_path / "target").write_text("newer")
    (tmp_path / "staged").write_text("older")
    what = {"base": None, "moves": [["staged", "target"]], "writes": {}, "deletes": ["target"]}
    turns.commit(number, what)
    assert (tmp_path / "target").read_text() == "newer"
    assert not (tmp_path / "staged").exists()


def test_claim_is_for_one_of_many(tmp_path: Path) -> None:
    files, won = LocalFiles(tmp_path), []
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
    assert len(won) == 1
    assert (tmp_path / "deep" / "er" / "x").read_text() == str(won[0])
    assert files.keys("deep") == ["deep/er/x"]


def test_the_heart_beats_and_stops(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    path = tmp_path / "x" / "workers"
    with Presence(files, "x", beat=0.01) as presence:
        seen = set()
        while len(seen) < 3:
            seen.add(json.loads((path / f"{presence.id}.json").read_text())["beat"])
    assert not list(path.iterdir())


# ---------------------------------------------------------------- at once


def together(folder: Path, tasks: Sequence[dict[str, Any]], seed: int) -> list[list[str]]:
    """Run tasks in threads, each with pauses at random, and return which units each measured."""
    done: list[list[str]] = [[] for _ in tasks]
    errors: list[BaseException] = []

    def one(place: int, options: dict[str, Any]) -> None:
        rng = random.Random(seed * 100 + place)

        def pause(*_: object) -> None:
            threading.Event().wait(rng.random() * 0.01)

        try:
            done[place] = work(task(folder, **options), each=pause, begin_at=place / len(tasks))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return done


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_the_units_and_all_rows_are_there(
    count: int, seed: int, tmp_path: Path
) -> None:
    done = together(tmp_path, [{}] * count, seed)
    check(tmp_path)
    names = [name for each in done for name in each]
    assert len(names) == len(set(names)) == 6, "no unit is measured twice"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "tasks",
    [
        [{"attacks": ["bb-l2"]}, {"attacks": ["pgd-l2"]}, {}],
        [{"ids": range(6)}, {"ids": range(12)}, {"ids": range(9)}],
        [{}, {"deltas": True}],
        [{}, {"anew": True}],
        [{"anew": True}, {"anew": True}],
    ],
)
def test_different_wishes_at_once_lose_nothing(
    tasks: list[dict[str, Any]], seed: int, tmp_path: Path
) -> None:
    together(tmp_path, tasks, seed)
    check(tmp_path)


@pytest.mark.parametrize("scenario", ["fresh", "resumed", "anew", "deltas", "crowd"])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.timeout(600)
def test_killed_before_any_change_of_a_folder_a_run_loses_nothing(
    scenario: str, tmp_path: Path
) -> None:
    found = subprocess.run(
        [sys.executable, str(HERE / "kill_everywhere.py"), scenario, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout.split()[0]) >= 50


# ---------------------------------------------------------------- the command itself


@pytest.mark.parametrize("count", [2, 3])
def test_commands_at_once_all_end_with_all_rows(count: int, quick: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "eval", "-m", MODEL, "--protocol", "quick"]
    command += ["-a", "pgd-l2", "--batch-size", "8", "-o", str(tmp_path)]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    said = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0] * count, said
    assert all("/48 " in out for out, _ in said)
    (file,) = tmp_path.rglob(f"{MODEL}.parquet")
    assert pq.read_table(file)["sample_id"].to_pylist() == list(range(48))
    assert not list(tmp_path.rglob("*.blocks"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, str(HERE / "memory_case.py"), "100000", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) < 300 * 2**20

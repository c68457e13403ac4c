"""SIGKILL at random moments, many times; the rows are the same bits as those of a quiet run.

    python tests/kills.py ENGINE KILLS FOLDER [SEED]

ENGINE is `one` (a process), `four` (processes that share a folder), `slurm` (a real cluster of one
node, started for this; needs root) or `ray` (two actors). Whoever is killed is started again by
who started it: here the same command, SLURM's follower, or the pool. Models are measured anew until
the kills are used up; each finished file is held against the SHA-256 of a quiet run's rows. A unit
in which three processes die in a row is given up, as it says; then the same command goes on.
`one` and `four` are forked from this process, so that a kill costs no new start of Python.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest import MODEL, REPOSITORY, write_quick
from kill_everywhere import forked
from one_hash import rows_sha256

import bench
from bench.errors import BenchError

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "bench", "eval", "-m", MODEL, "--protocol", "quick"]
COMMAND += ["--batch-size", "8"]
"""Ten units: five attacks on 32 and 16 samples."""
LONGEST = 600.0
"""Seconds without an end after which something is wrong."""


def file_of(folder: Path) -> Path:
    """The finished file."""
    return folder / "quick" / "fashionmnist" / f"{MODEL}.parquet"


def measure(folder: Path, shard: str = "0/1") -> None:
    """What a process does."""
    known = {"protocol": "quick", "batch_size": 8, "submissions": None, "progress": False}
    bench.evaluate(MODEL, output=folder, shard=shard, **known)


def right(folder: Path, truth: Path) -> None:
    """Hold a finished file against a quiet run's; nothing may be left beside it."""

    def check() -> None:
        assert rows_sha256(file_of(folder)) == rows_sha256(file_of(truth))
        assert not list(folder.rglob("*.blocks"))

    assert forked(check) == 0, f"{folder}: see above"


def started(folder: Path, place: int, count: int) -> int:
    """Fork a process that measures; return its id."""
    child = os.fork()
    if child == 0:
        try:
            measure(folder, f"{place}/{count}")
            os._exit(0)
        except BenchError as error:
            sys.stderr.write(f"note: {error}\n")
            os._exit(2)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
    return child


def crew(count: int, kills: int, folder: Path, truth: Path, rng: random.Random) -> int:
    """So many processes at once; return how many files they finished."""
    begun = time.monotonic()
    assert forked(lambda: measure(truth)) == 0, "the quiet run failed"
    whole, rounds = time.monotonic() - begun, 0
    while kills:
        place, rounds = folder / str(rounds), rounds + 1
        at_work = {started(place, i, count): i for i in range(count)}
        until = time.monotonic() + LONGEST
        while at_work:
            assert time.monotonic() < until, f"{place}: somebody waits for ever"
            time.sleep(rng.uniform(0.0, whole / count))
            victim = rng.choice(list(at_work)) if kills else None
            if victim is not None:
                os.kill(victim, signal.SIGKILL)
            for child in list(at_work):
                ended, status = os.waitpid(child, 0 if child == victim else os.WNOHANG)
                if not ended:
                    continue
                code, number = os.waitstatus_to_exitcode(status), at_work.pop(child)
                assert code in (0, 2, -signal.SIGKILL), f"{place}: exit code {code}"
                kills -= code == -signal.SIGKILL
                if code:
                    at_work[started(place, number, count)] = number
        right(place, truth)
    return rounds


def commands(
    options: list[str], victims: Callable[[int], list[str]], kill: Callable[[str], object]
) -> Callable[[int, Path, Path, random.Random], int]:
    """Return what gives a command again and again, and kills a worker after each new block.

    Args:
        options: of the command.
        victims: process id of the command -> who may be killed at the moment.
        kill: kills one.
    """

    def run(kills: int, folder: Path, truth: Path, rng: random.Random) -> int:
        assert forked(lambda: measure(truth)) == 0, "the quiet run failed"
        rounds = 0
        while kills:
            place, rounds = folder / str(rounds), rounds + 1
            while not file_of(place).exists() or list(place.rglob("*.blocks")):
                process = subprocess.Popen([*COMMAND, "-o", str(place), *options])
                until, before = time.monotonic() + LONGEST, -1
                while process.poll() is None:
                    assert time.monotonic() < until, f"{place}: it waits for ever"
                    time.sleep(rng.uniform(0.0, 2.0))
                    blocks = sum(1 for _ in place.rglob("*.rows.parquet"))
                    there = victims(process.pid) if kills and blocks not in (0, before) else []
                    if there:
                        kill(rng.choice(there))
                        kills, before = kills - 1, blocks
                assert process.returncode in (0, 2), f"{place}: exit code {process.returncode}"
            right(place, truth)
        return rounds

    return run


def running_tasks(_: int) -> list[str]:
    """Tasks of SLURM's arrays that run."""
    command = ["squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def kill_task(task: str) -> None:
    """Kill the processes of a task; it may have ended."""
    subprocess.run(["scancel", "--signal=KILL", task], capture_output=True, check=False)


def actors(command: int) -> list[str]:
    """Ids of the processes of a command's actors."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for path in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            names[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    found = []
    for pid, name in names.items():
        up = pid
        while up in parents and up != command:
            up = parents[up]
        if up == command and name.startswith("ray::Measurer"):
            found.append(str(pid))
    return found


def kill_process(pid: str) -> None:
    """Kill a process; it may have ended."""
    with suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGKILL)


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A cluster, for the commands that are begun meanwhile."""
    from slurm_cluster import cluster, lacking

    assert lacking() is None, lacking()
    with cluster(folder) as environment:
        os.environ.update(environment)
        yield


def main(engine: str, kills: int, folder: Path, seed: int = 0) -> None:
    """Kill, and print what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["BENCH_REGISTRY"] = str(write_quick(folder / "registry"))
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(HERE)])
    rng, truth = random.Random(seed), folder / "truth"
    crews: Mapping[str, int] = {"one": 1, "four": 4}
    engines = {
        "slurm": (["--engine", "slurm", "--workers", "3"], running_tasks, kill_task),
        "ray": (["--engine", "ray", "--workers", "2"], actors, kill_process),
    }
    if engine in crews:
        found = crew(crews[engine], kills, folder / "runs", truth, rng)
    else:
        with slurm(folder / "slurm") if engine == "slurm" else nullcontext():
            found = commands(*engines[engine])(kills, folder / "runs", truth, rng)
    print(f"{kills} kills, {found} files, each with the rows of the quiet run")


if __name__ == "__main__":
    import torch

    import bench.run.evaluate  # children find everything loaded

    torch.set_num_threads(1)
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).absolute(), *map(int, sys.argv[4:5]))

"""Settings of the process: freed memory is kept, and threads come back."""

import subprocess
import sys

import pytest
import torch

from bench.run.machine import SMALL_WORK, threads_for

PROGRAM = """
import resource, sys
import torch
from bench.run.machine import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    print("none"); raise SystemExit
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(8 << 20)  # 32 MiB: above the largest threshold that glibc adapts by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def test_kept_memory_is_not_mapped_again() -> None:
    """The kernel's page faults say so: one per page and tensor by default, next to none if kept."""
    found = {
        how: subprocess.run(
            [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
        ).stdout.strip()
        for how in ("default", "keep")
    }
    if found["keep"] == "none":
        pytest.skip("this C library has no mallopt")
    assert int(found["keep"]) < int(found["default"]) / 10


@pytest.mark.parametrize(("values", "fewer"), [(SMALL_WORK, True), (SMALL_WORK + 1, False)])
def test_small_work_runs_on_one_thread(values: int, fewer: bool) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threads_for(values, torch.device("cpu")):
            assert torch.get_num_threads() == (1 if fewer else 2)
        with threads_for(values, torch.device("meta")):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

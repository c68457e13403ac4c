"""A plan leaves the process as it found it."""

import os
from pathlib import Path

import pytest

import bench


@pytest.mark.parametrize("before", [None, "0"])
def test_offline_ends_with_the_call(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if before is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", before)
    with pytest.raises(bench.BenchError, match="offline"):
        bench.evaluate(
            model="mnist-local-conv-relu", weights="random", offline=True, output=tmp_path
        )
    assert os.environ.get("HF_HUB_OFFLINE") == before

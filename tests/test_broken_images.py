"""Images that do not decode stop `bench eval` before it computes: named, counted, one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagenet_cases import VIT, WRITERS, jpegs, photos, small_imagenet

from bench.cli.main import call

pytestmark = pytest.mark.usefixtures("caro_ranks")

COUNT = 6
LABELS = [0, 7, 7, 999, 500, 65]
BROKEN = {2: b"", 4: b"<html>not found</html>"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Six JPEGs in a registry whose ImageNet has six images."""
    monkeypatch.setenv("BENCH_REGISTRY", str(small_imagenet(tmp_path / "registry", COUNT)))
    return jpegs(photos(COUNT))


def name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def where(layout: str, number: int) -> str:
    return f"row {number - 1} of " if layout == "parquet" else name(number)


def run(data: Path, output: Path, *more: str) -> int:
    return call(
        ["eval", "-m", VIT, "--weights", "random", "--protocol", "short", "--data-dir", str(data),
         "-o", str(output), *more]
    )  # fmt: skip


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("more", [[], ["-a", "clean"]], ids=["attacks", "clean"])
def test_all_broken_images_are_counted_and_named_before_anything_runs(
    layout: str,
    more: list[str],
    files: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    half = files[name(1)]
    files |= {name(number): data for number, data in BROKEN.items()}
    files[name(1)] = half[: len(half) // 2]
    data = WRITERS[layout](tmp_path / "data", files, LABELS)
    assert run(data, tmp_path / "out", *more) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert "expected 6 readable images, got 3 broken ones" in line
    for number in (1, 2, 4):
        assert where(layout, number) in line
    assert "replace these files" in line
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


@pytest.mark.parametrize("layout", WRITERS)
def test_one_broken_image_is_told_with_its_reason(
    layout: str, files: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files[name(3)] = b"\xff\xd8\xff" + bytes(50)
    data = WRITERS[layout](tmp_path / "data", files, LABELS)
    assert run(data, tmp_path / "out", "-a", "clean") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "53 bytes that do not decode" in line
    assert where(layout, 3) in line
    assert "replace the file" in line
    # the broken one is not among the first two
    assert run(data, tmp_path / "out", "-a", "clean", "--limit", "2") == 0
    assert "of 2)" in capsys.readouterr().out


@pytest.mark.parametrize("layout", WRITERS)
def test_whole_images_run(
    layout: str, files: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = WRITERS[layout](tmp_path / "data", files, LABELS)
    assert run(data, tmp_path / "out", "-a", "clean") == 0
    assert "of 6)" in capsys.readouterr().out

"""Fixtures that several test files use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # several at once: a thread each, before torch counts
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench.entries import registry

REPOSITORY = Path(__file__).resolve().parents[1]

MODEL = "fashionmnist-local-conv-relu"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("BENCH_CACHE", str(folder))
        yield folder


def shorten(protocol: str) -> str:
    """Return a protocol's TOML with 48 samples and 15 steps of each attack."""
    short = protocol.replace("count = 1000", "count = 48", 1)
    for steps in ("1000", "200"):
        short = short.replace(f"steps = {steps}\n", "steps = 15\n")
    assert short.count("steps = 15") == 5
    return short


@pytest.fixture(scope="session")
def quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with the repository's models and data and the short protocol `quick`."""
    return write_quick(tmp_path_factory.mktemp("registry"))


def write_quick(folder: Path) -> Path:
    """Write a registry with the short protocol `quick` into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("models", "datasets", "data", "checkpoints"):
        (folder / name).symlink_to(REPOSITORY / "registry" / name)
    (folder / "protocols").mkdir()
    for source in (REPOSITORY / "registry" / "protocols").iterdir():
        (folder / "protocols" / source.name).write_bytes(source.read_bytes())
    text = (REPOSITORY / "registry" / "protocols" / "caro2024.toml").read_text()
    quick = shorten(text).replace('name = "caro2024"', 'name = "quick"')
    (folder / "protocols" / "quick.toml").write_text(quick)
    return folder


@pytest.fixture
def quick(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the registry with the protocol `quick` the one in use."""
    monkeypatch.setenv("BENCH_REGISTRY", str(quick_folder))
    assert registry.registry_dir() == quick_folder
    return quick_folder


@pytest.fixture(scope="module")
def caro_ranks() -> Iterator[None]:
    """Boards rank under caro2024, which the made-up results of these tests are of."""
    from bench.entries import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "RANKING", ("caro2024",))
        yield

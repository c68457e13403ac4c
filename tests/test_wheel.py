"""The wheel carries the registry: built, unpacked, and used outside of the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import REPOSITORY


@pytest.mark.slow
def test_the_wheel_finds_its_registry_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import sys, json; from bench.cli.main import call; import bench; "
        "print(bench.__file__, file=sys.stderr); sys.exit(call(['list', 'models', '--json']))"
    )
    # -I and -S: neither the checkout nor its editable install can be imported
    packages = json.dumps([str(site), *(p for p in sys.path if p.endswith("site-packages"))])
    script = f"import sys; sys.path[:0] = {packages}; {code}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "BENCH"))}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert str(site) in done.stderr
    assert len(json.loads(done.stdout)) == 92
    names = [p.name for p in (site / "bench" / "_registry" / "checkpoints").iterdir()]
    assert "fashionmnist-local-conv-relu.safetensors" in names
    assert (site / "bench" / "_registry" / "data" / "LICENSE.fashionmnist").is_file()

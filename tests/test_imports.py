"""What imports what: light verbs stay light, nothing imports upward, each library has its home."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

PACKAGE = REPOSITORY / "bench"

HEAVY = ("torch", "timm", "foolbox", "torchvision", "datasets", "numba")
TABLES = ("pandas", "pyarrow")


def loaded(code: str, modules: tuple[str, ...]) -> list[str]:
    """Run code in a fresh interpreter and return which of the modules it has loaded."""
    script = f"import sys\n{code}\nprint([m for m in {modules!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found = ast.literal_eval(done.stdout.splitlines()[-1])
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["eval", "--help"], ["probe", "--help"], ["list"], ["list", "metrics"]],
)
def test_help_and_list_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import contextlib, io\nfrom bench.cli.main import call\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n    call({arguments!r})"
    )
    assert loaded(code, HEAVY + TABLES) == []


def test_import_bench_is_light_and_its_calls_are_there() -> None:
    assert loaded("import bench", HEAVY + TABLES) == []
    assert loaded("import bench; bench.spectrum", HEAVY) == ["torch"]
    code = "import bench, bench.api; assert callable(bench.evaluate) and callable(bench.load_model)"
    assert "torch" in loaded(code, HEAVY)


def test_this_test_sees_a_heavy_import() -> None:
    assert loaded("import pyarrow", HEAVY + TABLES) == ["pyarrow"]


# from the bottom to the top: a part imports only what stands before it
LAYERS = [
    "errors", "entries", "registry", "spectrum", "metrics", "memory", "machine",
    "resampling", "stats",
    "results", "data", "models", "attacks", "batch_size", "job", "rows", "evaluation",
    "calibration", "request", "description", "planning", "cost", "engines", "clean", "training",
    "api", "board", "submissions", "probes", "verbs", "cli",
]  # fmt: skip


def runtime_imports(path: Path) -> set[str]:
    """Return the bench modules that a file imports, outside of TYPE_CHECKING blocks."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = [ast.Pass()]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bench"):
            module = node.module.removeprefix("bench").lstrip(".")
            names |= {f"{module}.{a.name}".lstrip(".") for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {
                a.name.removeprefix("bench.") for a in node.names if a.name.startswith("bench.")
            }
    return names


def test_nothing_imports_upward() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if part.startswith("__"):
            continue
        allowed = LAYERS[: LAYERS.index(part) + 1]
        for name in runtime_imports(path):
            first = name.split(".")[0]
            if first not in allowed and not first.startswith("__"):
                wrong.append(f"{path.relative_to(REPOSITORY)} imports bench.{name}")
    assert wrong == []


HOMES = {  # third-party package -> where in bench/ it may be imported
    "timm": {"models/timm_source.py"},
    "datasets": {"data/"},
    "torchvision": {"data/"},
    "foolbox": {"attacks/"},
    "numba": {"attacks/"},
    "tabulate": {"cli/", "board/"},
    "typer": {"cli/"},
    "rich": {"cli/"},
    "safetensors": {"models/"},
    "pyarrow": {"results/", "data/", "board/", "submissions/"},
}


def test_each_library_has_one_home() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                homes = HOMES.get(name.split(".")[0])
                if homes is not None and not any(place.startswith(h) for h in homes):
                    wrong.append(f"bench/{place} imports {name}")
    assert wrong == []

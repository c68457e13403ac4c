"""How every figure looks, and SVG text that is the same whenever its data are."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from bench.board.build import Row

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "svg.hashsalt": "frequency-bench",
    "svg.fonttype": "path",
}

FAMILY_COLOURS = {
    "fully-connected": "#0072B2",
    "full-conv": "#009E73",
    "locally-connected": "#B5539C",
    "local-conv": "#D55E00",
}
_OTHERS = ("#0072B2", "#D55E00", "#009E73", "#B5539C", "#E69F00", "#3A9BD9", "#8C564B", "#6B6B6B")

MAX_MODELS = 24
"""Models in a figure; more can't be told apart."""


@contextmanager
def styled() -> Iterator[None]:
    """Draw with this project's style, whatever the user's configuration."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, RC))
        yield


def meta(row: Row, key: str) -> str:
    """Return a name from a model's metadata, printable and short."""
    text = str(row.model.submission.metadata.get(key, "?"))
    return plain(text)


def plain(text: str) -> str:
    """Return text that matplotlib draws as it stands: printable, no mathematics."""
    return "".join(c if c.isprintable() else " " for c in text)[:60].replace("$", r"\$")


def colours(rows: Sequence[Row]) -> dict[str, str]:
    """Return family -> colour; the paper's four families always have theirs."""
    families = sorted({meta(row, "family") for row in rows})
    if all(name in FAMILY_COLOURS for name in families):
        return FAMILY_COLOURS
    return {name: _OTHERS[i % len(_OTHERS)] for i, name in enumerate(families)}


def is_linear(row: Row) -> bool:
    """Whether the model is one of the nets without a nonlinearity."""
    entry = row.model.submission.metadata.get("entry")
    net = entry.get("net") if isinstance(entry, dict) else None
    return isinstance(net, dict) and net.get("relu") is False


def short(row: Row) -> str:
    """Return the model's name without its data set; "untrained" for a control."""
    prefix = row.model.submission.rules.dataset.name + "-"
    name = row.model.name.removeprefix(prefix)
    return plain(name.replace("@random", " (untrained)").replace("@seed", ", seed "))


def decimals(axis: Axis) -> None:
    """Label a logarithmic axis with plain decimals."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axis.set_minor_formatter(NullFormatter())


def chosen(rows: Sequence[Row], primary: str) -> list[Row]:
    """Return the rows that a figure shows: the first that have a spectrum."""
    return [row for row in rows if row.model.attacks[primary].kept > 0][:MAX_MODELS]


def svg(figure: Figure, digest: str) -> bytes:
    """Return a figure as SVG, ending in a line that names its data and its own hash.

    Args:
        figure: the figure.
        digest: hash of everything that it shows.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(rb"[ \t]+\n", b"\n", stream.getvalue())
    return text + f"<!-- data {digest} svg {hashlib.sha256(text).hexdigest()} -->\n".encode()


def is_current(content: bytes, digest: str) -> bool:
    """Return whether an SVG shows the data of this digest and was not edited since.

    Another version of matplotlib draws the same data with other bytes; that is not stale.
    """
    body, mark, _ = content.rpartition(b"<!-- data ")
    own = hashlib.sha256(body).hexdigest()
    return bool(mark) and content[len(body) :] == f"<!-- data {digest} svg {own} -->\n".encode()

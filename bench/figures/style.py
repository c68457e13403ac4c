"""How every figure looks, and SVG text that is the same whenever its data are."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

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
OTHER_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#B5539C",
    "#E69F00",
    "#3A9BD9",
    "#8C564B",
    "#6B6B6B",
)


@contextmanager
def styled() -> Iterator[None]:
    """Draw with this project's style, whatever the user's configuration."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, RC))
        yield


def plain(text: str) -> str:
    """Return text that matplotlib draws as it stands: printable, no mathematics."""
    return "".join(c if c.isprintable() else " " for c in text)[:60].replace("$", r"\$")


def decimals(axis: Axis) -> None:
    """Label a logarithmic axis with plain decimals."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axis.set_minor_formatter(NullFormatter())


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

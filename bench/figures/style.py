"""How every figure looks, and SVG text that is the same whenever its data are."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    "#8C564B",
    "#B08900",
    "#3A9BD9",
    "#7A6FC0",
    "#6B8E23",
    "#D1495B",
    "#777777",
    "#17889A",
)
"""For families that are not the paper's: none of these is one of theirs."""


REFERENCE: dict[str, Any] = {"color": "#444444", "lw": 0.9, "ls": (0, (4, 3))}
"""How a line is drawn that values are held against, such as white noise."""
NARROWEST = 4.6
"""Width of a figure of panels, inches, however few they are."""


class Drawing(Protocol):
    """What a figure shows, ready to be drawn."""

    def draw(self) -> Figure:
        """Return the figure."""


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


def panels(
    count: int,
    most: int,
    size: tuple[float, float],
    margin: tuple[float, float],
    *,
    share: bool = False,
) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure and its panels in lines; places without one are empty.

    Args:
        count: number of panels, at least 1.
        most: of them in a line.
        size: (width, height) of a panel, inches.
        margin: (width, height) beside them, inches.
        share: the panels share both axes.
    """
    from matplotlib.figure import Figure

    columns, lines = min(most, count), -(-count // most)
    width = max(NARROWEST, size[0] * columns + margin[0])
    figure = Figure(figsize=(width, size[1] * lines + margin[1]), layout="constrained")
    axes = figure.subplots(lines, columns, sharex=share, sharey=share, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, list(axes[:count])


def bare(axis: Axes) -> None:
    """Leave a picture alone: no ticks, no grid, no frame."""
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    for side in axis.spines.values():
        side.set_visible(False)


DARK = {
    "#ffffff": "#14181e",
    "#222222": "#e5e9ef",
    "#000000": "#e5e9ef",
    "#333333": "#c6ced8",
    "#444444": "#c6ced8",
    "#555555": "#a3afbd",
    "#666666": "#a3afbd",
    "#e4e4e4": "#343c47",
    "#b9b9b9": "#5c6673",
}
"""Ink and paper -> what they become where a reader prefers a dark page; colours of data stay."""


def dark_rules() -> str:
    """Return the style sheet that darkens an SVG of matplotlib's, which states styles inline."""
    rules = [
        f'[style*="{name}: {light}"]{{{name}:{dark}!important}}'
        for light, dark in DARK.items()
        for name in ("fill", "stroke")
    ]
    return (
        "<style>@media (prefers-color-scheme:dark){"
        "svg{background:#14181e}g[id^=text_]{fill:#e5e9ef}"
        f"{''.join(rules)}}}</style>"
    )


def png(drawing: Drawing, dpi: int) -> bytes:
    """Return a figure as PNG."""
    stream = io.BytesIO()
    with styled():
        drawing.draw().savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def svg(drawing: Drawing, digest: str) -> bytes:
    """Return a figure as SVG, ending in a line that names its data and its own hash.

    Args:
        drawing: the figure.
        digest: hash of everything that it shows.
    """
    stream = io.BytesIO()
    with styled():
        figure = drawing.draw()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(rb"[ \t]+\n", b"\n", stream.getvalue())
    text = text.replace(b"</defs>", b"</defs>\n " + dark_rules().encode(), 1)
    return text + f"<!-- data {digest} svg {hashlib.sha256(text).hexdigest()} -->\n".encode()


def is_current(content: bytes, digest: str) -> bool:
    """Return whether an SVG shows the data of this digest and was not edited since.

    Another version of matplotlib draws the same data with other bytes; that is not stale.
    """
    body, mark, _ = content.rpartition(b"<!-- data ")
    own = hashlib.sha256(body).hexdigest()
    return bool(mark) and content[len(body) :] == f"<!-- data {digest} svg {own} -->\n".encode()

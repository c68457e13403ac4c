"""The report as a page: Markdown, and HTML that needs no other file."""

from __future__ import annotations

import html as escaping
from collections.abc import Mapping, Sequence
from typing import Any

from bench.theory.statements import Statement

INTRODUCTION = (
    "What the supplement of Caro et al. 2024 (section 2) says, held against one net. **proved**: a "
    "theorem; the numbers say how it looks here. **violated**: false as it stands; the numbers are "
    "cases. **measured**: neither; so it is in this net. Numbers are least, median and largest "
    "over n filters, classes or cases; fails: the share of them for which the statement is false."
)
NOTES = (
    "kappa off a set: the norm there over the whole norm, DC included. S: a window of the kernel's "
    "size (3 x 3 where kernels are larger), put over the most energy of each kernel. Omega: the "
    "low frequencies |ky| <= H/8, |kx| <= W/8. The exact constant is sqrt(1 - sigma^2), sigma the "
    "largest singular value of the DFT's Omega x S block.",
    "The bound says that a kernel confined to S can't be confined to Omega as well. It does not "
    "say that it is high: kappa off Omega of a flat spectrum, such as one pixel's, is the line to "
    "compare with, and random kernels of any size have that spectrum on average.",
    "The whole argument is blind to low against high: multiplying every filter by (-1)^(x+y) keeps "
    "its places and norms and mirrors all spectra, so that each bound on the lowest frequencies "
    "holds as well for the highest, and R_BWC of a predictor and of its mirror image are equal "
    "(even D).",
    "The normalised product bound fails by arithmetic, not by training: it fails for untrained "
    "nets just as well. With the unnormalised DFT the norms obey |B on Omega| <= product of |M_l "
    "on Omega|; dividing by the norms would need |B| >= product of |M_l|.",
    "R_BWC is of one channel, two layers (a kernel of K places and a free read-out) and circular "
    "convolution, by a convex program with a lower bound from its dual; for these nets, with 32 "
    "channels, it is a picture, not a measurement. With every layer confined to K places it is "
    "infinite for each predictor wider than L (K - 1) + 1 of them, and as monotone: the sets are "
    "nested whatever the spectra, so that Lemma 1 holds, but not for the reason that its proof "
    "gives. No statement here is about what gradient descent has found.",
    "The product bounds need circular convolutions: of fully and locally connected nets they say "
    "nothing, and there are no lines of them. The supplement multiplies the hidden layers; lines "
    "with the read-out go one factor further, to what the images are multiplied with.",
    "Of a net with ReLUs there is no one beta, and the products are of its kernels only; the "
    "spectrum of its input gradients is the column grad_rfc of its results.",
)
HEAD = (
    "status", "statement", "of", "quantity", "n", "trained", "fails",
    "untrained", "fails untrained",
)  # fmt: skip
NO_NET_HEAD = (*HEAD[:5], "least / median / largest", "fails")

Lines = Mapping[str, Sequence[Statement]]


def number(value: float) -> str:
    """Return a number in four digits; nothing for NaN."""
    return "" if value != value else f"{value:.4g}"


def spread(line: Statement | None) -> str:
    """Return least, median and largest as text, without those that there are not."""
    if line is None:
        return ""
    return " / ".join(filter(None, (number(v) for v in (line.low, line.median, line.high))))


def _share(line: Statement | None) -> str:
    return "" if line is None or line.share != line.share else f"{100 * line.share:.0f} %"


def _table(lines: Lines) -> list[tuple[str, ...]]:
    """Return the lines of the net's table, trained beside untrained."""
    twin = {(s.statement, s.scope): s for s in lines["untrained"]}
    return [
        (
            s.status, s.statement, s.scope, s.quantity, str(s.n), spread(s), _share(s),
            spread(twin.get((s.statement, s.scope))), _share(twin.get((s.statement, s.scope))),
        )
        for s in lines["trained"]
    ]  # fmt: skip


def _without_net(lines: Lines) -> list[tuple[str, ...]]:
    return [
        (s.status, s.statement, s.scope, s.quantity, str(s.n), spread(s), _share(s))
        for s in lines["none"]
    ]


def markdown(name: str, lines: Lines, picture: str, metadata: Mapping[str, Any]) -> str:
    """Return the report as Markdown; `picture` is the figure's file beside it."""
    parts = [
        f"# Theory: {name}", INTRODUCTION, "## This net", _rows(HEAD, _table(lines)),
        f"![Kernels, R_BWC, product bound, beta]({picture})",
        "## Without a net", _rows(NO_NET_HEAD, _without_net(lines)),
        "## How to read it", "\n".join(f"- {note}" for note in NOTES), _made(metadata),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def cells(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

    return "\n".join([cells(head), "|" + "---|" * len(head), *(cells(r) for r in rows)])


def html(name: str, lines: Lines, picture: str, metadata: Mapping[str, Any]) -> str:
    """Return the report as one HTML file; `picture` is the figure's SVG."""
    text = escaping.escape

    def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        top = "".join(f"<th>{text(h)}</th>" for h in head)
        body = "".join(
            f'<tr class="{row[0]}">' + "".join(f"<td>{text(c)}</td>" for c in row) + "</tr>"
            for row in rows
        )
        return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"

    notes = "".join(f"<li>{text(note)}</li>" for note in NOTES)
    drawn = picture[picture.index("<svg") :].partition("<!-- data")[0]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Theory: {text(name)}'
        f"</title><style>{STYLE}</style></head><body><h1>Theory: {text(name)}</h1>"
        f"<p>{text(INTRODUCTION).replace('**', '')}</p>"
        f"<h2>This net</h2>{table(HEAD, _table(lines))}"
        f"<figure>{drawn}</figure><h2>Without a net</h2>"
        f"{table(NO_NET_HEAD, _without_net(lines))}"
        f"<h2>How to read it</h2><ul>{notes}</ul><p>{text(_made(metadata))}</p></body></html>\n"
    )


STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem;"
    "color:#222}table{border-collapse:collapse;font-size:13px}td,th{border-bottom:1px solid #ddd;"
    "padding:.25rem .5rem;text-align:left;vertical-align:top}tr.violated td:first-child{color:"
    "#b3261e;font-weight:600}tr.proved td:first-child{color:#1b6e3c}svg{max-width:100%;height:auto}"
    "figure{margin:1rem 0}"
)


def _made(metadata: Mapping[str, Any]) -> str:
    return f"Made {metadata['made']} with weights {metadata['weights']!r}."

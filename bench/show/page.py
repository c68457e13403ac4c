"""The page of one result: HTML in one file, light and dark, for a wide screen and a telephone."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import Any

from bench.figures.ink import DARK, LIGHT
from bench.figures.sheet import Part
from bench.figures.style import png, svg
from bench.show import parts, text
from bench.show.numbers import numbers
from bench.show.result import Result

CSS = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1b1b; --quiet: #5a5a5a;
  --line: #dcdcdc; --note: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --back: #16181c; --text: #f0f0f0;
  --quiet: #a8adb5; --line: #3b4048; --note: #40330f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 1.2rem 1rem 3rem; background: var(--back);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
.note { background: var(--note); border-radius: .4rem; padding: .5rem .8rem; margin: .6rem 0; }
.quiet, figcaption { color: var(--quiet); font-size: .88rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.4rem 2rem;
  margin-top: 1.2rem; }
@media (max-width: 820px) { main { grid-template-columns: minmax(0, 1fr); } }
figure { margin: 0; min-width: 0; }
figure img { width: 100%; height: auto; display: block; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem 1rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 500px) { dl { grid-template-columns: minmax(0, 1fr); }
  dd { margin-bottom: .5rem; } }
"""

CAPTIONS = {
    "radial": "Energy of the perturbations per frequency, white noise of the same energy being 1. "
    "Black or white: this model, with its 95 % band over the images. Broad gray: the images "
    "themselves.",
    "spectrum": "The same by direction: mean share of each frequency over the fooled samples.",
    "distances": "From the smallest perturbations that were found: a smaller one may exist, so "
    "the true accuracy lies on the curve or below it. At 0 it is the clean accuracy.",
    "examples": "The first samples that were fooled. Perturbations are each on their own scale; "
    "red is brighter, blue darker. Spectra: zero frequency in the centre, red is more than white "
    "noise, blue less.",
}
BESIDE = (
    " Thin: the board's trained nets on the same data (dashed: without a nonlinearity), of all of "
    "the protocol's samples."
)
"""Of the radial figure, if there are such nets."""


def page(result: Result, attack: str, nets: Sequence[Result]) -> str:
    """Return the page.

    Args:
        result: what is shown.
        attack: whose perturbations.
        nets: the board's, beside it.
    """
    name, title = html.escape(result.name), html.escape(result.dataset.title)
    notes = "".join(f'<p class="note">{html.escape(n)}</p>' for n in text.warnings_of(result))
    figures = {
        "radial": lambda ink: parts.radial(result, attack, nets, ink),
        "distances": lambda ink: parts.distances(result, attack, nets, ink),
        "spectrum": lambda ink: parts.spectrum(result, attack, ink),
        "examples": lambda ink: parts.examples(result, attack, ink),
    }
    alts = {kind: _alt(kind, result, attack) for kind in figures}
    told = {**CAPTIONS, "radial": CAPTIONS["radial"] + (BESIDE if nets else "")}
    shown = "".join(_figure(kind, made, alts[kind], told[kind]) for kind, made in figures.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: where it is attackable</title>
<style>{CSS}</style>
</head>
<body>
<h1>{name} on {title}</h1>
<p>{html.escape(text.sentence(result, attack))}</p>
{notes}
<main>{shown}</main>
<h2>Numbers</h2>
{_table(result)}
<p class="quiet">{html.escape(text.legend(result))}</p>
<h2>Provenance</h2>
{_made(result)}
</body>
</html>
"""


def _figure(kind: str, made: Any, alt: str, caption: str) -> str:
    light, dark = (_uri(made(ink), kind) for ink in (LIGHT, DARK))
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{html.escape(alt, quote=True)}"></picture>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>\n"
    )


def _uri(part: Part, kind: str) -> str:
    """Lines as SVG, pictures as PNG: each is the smaller and the sharper for it."""
    lines = kind in ("radial", "distances")
    content = svg(part, kind) if lines else png(part, 190)
    form = "svg+xml" if lines else "png"
    return f"data:image/{form};base64,{base64.b64encode(content).decode()}"


def _alt(kind: str, result: Result, attack: str) -> str:
    found = next(each for each in numbers(result) if each.attack == attack)
    if kind == "radial":
        return f"Radial energy profile of {result.name}. {text.sentence(result, attack)}"
    if kind == "spectrum":
        return f"Map of the mean spectrum of {found.kept} perturbations under {attack}."
    if kind == "examples":
        return f"Clean images, perturbations under {attack} and their spectra."
    return f"Curve of the accuracy left at each budget; median norm {text.median(found)}."


def _table(result: Result) -> str:
    rows = [text.cells(found) for found in numbers(result)]
    head = "".join(f'<th scope="col">{html.escape(key)}</th>' for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row.values()) + "</tr>"
        for row in rows
    )
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Numbers of every attack"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _made(result: Result) -> str:
    made = result.made
    known = {
        "protocol": f"{result.protocol.name} ({result.hash[:16]})",
        "input": " x ".join(str(side) for side in made.get("input_shape") or result.size),
        "family": made.get("family"),
        "weights (SHA-256)": made.get("weights_sha256"),
        "images": made.get("data_fingerprint"),
        "device": made.get("device"),
        "measured": made.get("ended") or made.get("started"),
        "file": None if result.where is None else result.where.rpartition("/")[2],
    }
    lines = [
        f"<dt>{html.escape(key)}</dt><dd>{html.escape(str(value))}</dd>"
        for key, value in known.items()
        if value
    ]
    return f"<dl>{''.join(lines)}</dl>"

"""Links to the pages that stand beside the board: what studies, planted data and probes say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

MARK = "<!--BESIDE-->"
"""Where the links stand in the index and in the page; no text of a file can hold it there."""
STUDIES = {
    "claims.md": "claims, and what each rests on",
    "sensitivity.md": "which of them survive other choices",
    "planted.md": "planted data, whose right answer is known",
}


def linked(files: Mapping[str, bytes], folder: Path) -> dict[str, bytes]:
    """Return the board's files with links to the pages that are there.

    Args:
        files: path -> content, as `render` makes them.
        folder: of the board, where `bench study report` keeps its pages.
    """
    pages = {name: text for name, text in STUDIES.items() if (folder / name).is_file()}
    for name in sorted(files):
        if name.startswith("probes-") and name.endswith(".md"):
            pages[name] = f"probes of {name.removeprefix('probes-').removesuffix('.md')}"
    as_text = _line(f"[{text}]({name})" for name, text in pages.items())
    as_html = _line(f'<a href="{escape(name)}">{escape(text)}</a>' for name, text in pages.items())
    found = dict(files)
    for name, line in (("README.md", as_text), ("index.html", as_html)):
        found[name] = files[name].replace(MARK.encode(), line.encode(), 1)
    return found


def _line(links: Iterable[str]) -> str:
    text = "; ".join(links)
    return f"Beside this: {text}." if text else ""

"""The claims page, which `bench study report` writes beside the board: what the board shows."""

from __future__ import annotations

import re
from pathlib import Path

CLAIMS = "claims.md"
MOST = 6
"""Paragraphs that are shown."""


def claims(folder: Path) -> list[str]:
    """Return the first paragraphs of the claims page as plain text; empty without one.

    Headings, tables, figures and lists stay there.
    """
    path = folder / CLAIMS
    if not path.is_file():
        return []
    blocks = re.split(r"\n\s*\n", path.read_text(encoding="utf-8", errors="replace"))
    found = [" ".join(block.split()) for block in blocks]
    return [plain(text) for text in found if text and text[0] not in "#|!<-*>`:[\\"][:MOST]


def plain(text: str) -> str:
    """Return Markdown without its signs for links, emphasis and code."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[*_`]{1,2}([^*_`]+)[*_`]{1,2}", r"\1", text).replace("\\", "")

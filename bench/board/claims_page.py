"""The claims page, which `bench study report` writes beside the board: what the board shows."""

from __future__ import annotations

import re
from pathlib import Path

CLAIMS = "claims.md"
MOST = 24
"""Claims, or paragraphs, that are shown."""


def claims(folder: Path) -> list[str]:
    """Return what the claims page says in short, as plain text; empty without one.

    Its first table, a claim with its verdict and reason a line; without such a table the first
    paragraphs.
    """
    path = folder / CLAIMS
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return (_verdicts(text) or _paragraphs(text))[:MOST]


def _verdicts(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[plain(c) for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    if not rows or not {"Sentence", "Verdict"} <= set(rows[0]):
        return []
    sentence, verdict = rows[0].index("Sentence"), rows[0].index("Verdict")
    because = rows[0].index("Because") if "Because" in rows[0] else None
    found = []
    for row in rows[2:]:
        if len(row) != len(rows[0]) or row[0] == rows[0][0]:
            break
        why = f" ({row[because]})" if because is not None else ""
        found.append(f"{row[verdict].capitalize()}: {row[sentence]}{why}")
    return found


def _paragraphs(text: str) -> list[str]:
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text)]
    return [plain(block) for block in blocks if block and block[0] not in "#|!<-*>`:[\\"]


def plain(text: str) -> str:
    """Return Markdown without its signs for links, emphasis and code."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(?<!\\)(\*\*|__|[*_`])(.+?)(?<!\\)\1", r"\2", text)
    text = re.sub(r"\\(.)", r"\1", text).strip()
    for sign, code in (("<", "&lt;"), (">", "&gt;"), ("&", "&amp;")):
        text = text.replace(code, sign)
    return text

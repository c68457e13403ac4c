"""What was joined, as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from bench.board.csv_file import HEADER, safe_text
from bench.board.join.column import cells
from bench.board.join.join import Joined
from bench.board.tabular import tabular
from bench.board.text import NONE, interval, markdown, ranks, significant
from bench.stats.correlation import FEWEST, Correlation


def csv_text(parts: Sequence[Joined]) -> str:
    """Return the joined CSV: a line a model, the board's columns, then each public table's.

    Tables of the board without any match are left out.

    `<table>.matched` says by what a model was found (empty: it was not); then its columns.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    external = parts[0].external
    head = [*HEADER]
    for table in external:
        columns = ["matched", "matched_row", *table.numbers, *table.texts]
        head += [f"{table.prefix}.{name}" for name in columns]
    writer.writerow(head)
    for joined in (part for part in parts if part.matched):
        for place in range(len(joined.rows)):
            writer.writerow(_csv_line(joined, place))
    return stream.getvalue()


def _csv_line(joined: Joined, place: int) -> list[str]:
    result = list(cells(joined.rows[place], joined.table, joined.attack).values())
    for table, found in zip(joined.external, joined.matches, strict=True):
        match = found[place]
        if match.place is None:
            result += [""] * (2 + len(table.numbers) + len(table.texts))
            continue
        result += [str(match.how), safe_text(table.rows[match.place].key)]
        numbers = [column[match.place] for column in table.numbers.values()]
        result += ["" if value != value else repr(value) for value in numbers]
        result += [safe_text(column[match.place]) for column in table.texts.values()]
    return result


def markdown_text(parts: Sequence[Joined]) -> str:
    """Return the report: correlations, joined numbers, and who was matched how."""
    shown = [joined for joined in parts if joined.matched]
    lines = [line for joined in shown for line in _section(joined)]
    if len(shown) < len(parts):
        lines += [f"Tables of the board without any of these models: {len(parts) - len(shown)}", ""]
    return "\n".join(lines)


def _section(joined: Joined) -> list[str]:
    rules, (height, width) = joined.table.rules, joined.table.size
    return [
        f"# {markdown(rules.dataset.title)}: `{joined.metric}` of `{joined.attack}` beside public "
        "numbers",
        "",
        f"Protocol {rules.protocol.name} `{rules.hash[:16]}`, {height} x {width} px. "
        f"{len(joined.matched)} of {len(joined.rows)} models matched.",
        "",
        *_correlations(joined),
        "## Joined numbers",
        "",
        _table(_numbers(joined)),
        "",
        "## Who was matched how",
        "",
        _table(_matches(joined)),
        "",
    ]


def _correlations(joined: Joined) -> list[str]:
    found = joined.correlations
    lines = ["## Rank correlations", ""]
    if not any(c.n >= FEWEST for c in found.values()):
        most = max((c.n for c in found.values()), default=0)
        lines += [
            f"None: {most} ranked models have a joined number, and fewer than {FEWEST} say nothing "
            "about an order.",
            "",
        ]
        return lines
    table = [_correlation(name, c) for name, c in found.items()]
    shown = sum(c.n >= FEWEST and c.spearman.mean == c.spearman.mean for c in found.values())
    carried = (
        "and, for each model, over the protocol's sample ids"
        if joined.carried
        else "alone: each model's own uncertainty over samples is not in them"
    )
    lines += [
        _table(table),
        "",
        f"n: ranked models with both numbers. Brackets: 95 % intervals, bootstrapped over models "
        f"{carried}; never narrower than the closed form, which counts for few models. Of "
        f"{shown} columns about one in 20 would leave out 0 by chance. These models are no random "
        "sample of all models, and an order that two numbers share is not a cause.",
        "",
    ]
    return lines


def _correlation(name: str, found: Correlation) -> dict[str, str]:
    why = ""
    if found.n < FEWEST:
        why = f"fewer than {FEWEST} models"
    elif found.spearman.mean != found.spearman.mean:
        why = "the same for all models"
    return {
        "column": markdown(name),
        "n": str(found.n),
        "Spearman's rho": why or interval(found.spearman, 2),
        "Kendall's tau-b": why or interval(found.kendall, 2),
    }


def _numbers(joined: Joined) -> list[dict[str, str]]:
    rows = []
    for place, row in enumerate(joined.rows):
        if all(found[place].place is None for found in joined.matches):
            continue
        own = cells(row, joined.table, joined.attack)
        line = {"rank": ranks(row.rank), "model": markdown(row.model.name)}
        line[f"`{joined.metric}`"] = _own(own, joined.metric)
        line["n"] = own["n_samples" if joined.metric == "clean_accuracy" else "n_kept"]
        for table, found in zip(joined.external, joined.matches, strict=True):
            at = found[place].place
            for name, column in table.numbers.items():
                value = float("nan") if at is None else column[at]
                line[markdown(f"{table.prefix}.{name}")] = _short(value)
        rows.append(line)
    return rows


def _own(own: dict[str, str], metric: str) -> str:
    if not own[metric]:
        return NONE
    bounds = [own.get(f"{metric}_low", ""), own.get(f"{metric}_high", "")]
    text = significant(float(own[metric]))
    if "" in bounds:
        return text
    low, high = (significant(float(bound)) for bound in bounds)
    return f"{text} [{low}, {high}]"


def _short(value: float) -> str:
    """A stranger's number as it was written, or nearly."""
    return NONE if value != value else f"{value:.6g}"


def _matches(joined: Joined) -> list[dict[str, str]]:
    rows = []
    for table, found in zip(joined.external, joined.matches, strict=True):
        for row, match in zip(joined.rows, found, strict=True):
            if match.place is None and row.model.control:
                continue
            at = None if match.place is None else table.rows[match.place]
            rows.append(
                {
                    "table": markdown(table.prefix),
                    "model": markdown(match.model),
                    "matched by": match.how or "not matched",
                    "row": NONE if at is None else f"{markdown(at.key)} (line {at.line})",
                    "note": markdown(match.note),
                }
            )
    return rows


def _table(rows: list[dict[str, str]]) -> str:
    return tabular(rows, "pipe")

"""`leaderboard/claims.md`: every claim with its verdict and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.board.claims.cells import Found
from bench.board.claims.estimates import Estimate
from bench.board.claims.judge import Judged, cells_of
from bench.board.claims.reasons import left_out, missing
from bench.board.claims.text import HOW, PEEKING, RUNS, TITLE
from bench.board.tabular import tabular
from bench.board.text import NONE, markdown
from bench.entries.claims import Contrast
from bench.figures import dynamics, forest, series
from bench.stats.intervals import Interval
from bench.stats.verdicts import says, state

SAYS = {"agree": "agrees", "oppose": "opposes", "small": "too small", "open": "open"}
"""What an interval says of a claim, in words."""


def page(
    judged: Sequence[Judged],
    studies: Sequence[Found],
    figures: Mapping[str, str],
    links: Sequence[tuple[str, str]],
) -> str:
    """Return the page.

    Args:
        judged: the claims.
        studies: what is measured of each study.
        figures: name of a claim or study -> path of its figure, where there is one.
        links: title and path of further pages.
    """
    claims = judged[0].claims if judged else 1
    smallest = studies[0].study.smallest if studies else 0.02
    error = 1 - 0.95 ** (1 / claims)
    parts = [TITLE, HOW.format(error=error, claims=claims, smallest=smallest)]
    if any(j.provisional for j in judged):
        counts = ", ".join(
            f"{len(f.nets)} of the {len(f.planned)} training runs of {f.study.name}"
            for f in studies
        )
        parts.append(PEEKING.format(counts=f"Measured are {counts}"))
    if links:
        parts.append("More: " + ", ".join(f"[{text}]({path})" for text, path in links) + ".\n")
    parts.append(_overview(judged))
    for found in studies:
        mine = [j for j in judged if j.found is found]
        if mine:
            parts.append(_study(found, figures))
            parts += [_claim(j, figures) for j in mine]
    parts.append("Made by `bench study report` from the studies' blocks; never edited by hand.\n")
    return "\n".join(parts)


def _overview(judged: Sequence[Judged]) -> str:
    rows = [
        {
            "Claim": f"[{j.claim.name}](#{j.claim.name})",
            "Sentence": markdown(j.claim.sentence),
            "Verdict": f"**{j.verdict.word}**" + ", provisional" * j.provisional,
            "Runs": f"{j.cells_there} of {len(j.cells)}" if j.cells else NONE,
            "Because": markdown(j.why),
        }
        for j in judged
    ]
    return "## Verdicts\n\n" + tabular(rows, "github") + "\n\n" + RUNS


def _study(found: Found, figures: Mapping[str, str]) -> str:
    study = found.study
    lines = [f"## Study {study.name}: {markdown(study.title)}\n"]
    rest = f"Verdicts are provisional until `bench study run {study.name}` has run the others.\n"
    lines.append(
        f"{len(found.nets)} of {len(found.planned)} cells (training runs) are measured. "
        + rest * (len(found.nets) < len(found.planned))
    )
    for title, notes in (
        ("How", study.notes),
        ("Known when the plan was written", study.known),
        ("Deviations from the written plan", study.deviations),
        ("Not used", _unused(found)),
    ):
        if notes:
            lines.append(f"{title}:\n\n" + "\n".join(f"- {markdown(n)}" for n in notes) + "\n")
    if study.name in figures:
        lines.append(f"![RFC along training]({figures[study.name]})\n\n{dynamics.CAPTION}\n")
    return "\n".join(lines)


def _unused(found: Found) -> list[str]:
    diverged = sorted(n for n, net in found.nets.items() if net.diverged is not None)
    untrained = {name for c in found.study.contrasts if c.epoch == 0 for name in cells_of(found, c)}
    but = "; only the untrained net is compared"
    lines = [f"{name}: training diverged" + but * (name in untrained) for name in diverged]
    return lines + list(found.stale)


def _claim(judged: Judged, figures: Mapping[str, str]) -> str:
    claim, study = judged.claim, judged.found.study
    lines = [f'<a id="{claim.name}"></a>\n', f"### {markdown(claim.sentence)}\n"]
    word = f"**{judged.verdict.word}**" + " (provisional)" * judged.provisional
    lines.append(f"{word}: {markdown(judged.why)}.\n")
    lines.append(f"Source: {markdown(claim.source)}.")
    if claim.reading:
        lines.append(f"Read as: {markdown(claim.reading)}")
    if claim.needs:
        lines.append(f"Missing: {markdown(claim.needs)}")
    lines.append(_measured(judged) + "\n")
    if claim.name in figures:
        lines.append(f"![{claim.name}]({figures[claim.name]})\n\n{forest.CAPTION}\n")
    for contrast in judged.contrasts:
        if (name := series_name(judged.found, contrast)) in figures:
            caption = f"{markdown(contrast.title)}. {series.CAPTION}"
            lines.append(f"![{contrast.name}]({figures[name]})\n\n{caption}\n")
    for title, made in (("", judged.estimates), ("Beside it, deciding nothing:", judged.beside)):
        names = dict.fromkeys(e.contrast.name for e in made)
        if title and names:
            lines.append(title + "\n")
        for name in names:
            some = [e for e in made if e.contrast.name == name]
            lines.append(_table(some, study.smallest, deciding=not title))
    command = _command(judged)
    return "\n".join(lines) + (f"\nNot run; it takes: `{command}`\n" if command else "")


def series_name(found: Found, contrast: Contrast) -> str:
    """Return the name of a trend's figure."""
    return f"{found.study.name}-{contrast.name}"


def _measured(judged: Judged) -> str:
    """Return one sentence on what there is."""
    made = [e for e in judged.estimates if e.measured and e.comparable]
    others = missing([e for e in judged.estimates if not e.measured]) + left_out(judged.estimates)
    if not made:
        count = len(judged.estimates)
        none = f"none of {count} comparisons" if count > 1 else "nothing yet"
        return f"Measured: {'; '.join([none, *others])}."
    rest = f" Of the others {', '.join(others)}." if others else ""
    seeds, ids = ([getattr(e, key) for e in made] for key in ("seeds", "ids"))
    what = "recipes" if made[0].contrast.kind == "agreement" else "images"
    parts = [f"{len(made)} of {len(judged.estimates)} comparisons", f"{_range(ids)} {what}"]
    if any(seeds):
        parts.insert(1, f"{_range(seeds)} seeds")
    return f"Measured: {', '.join(parts)}." + rest


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _command(judged: Judged) -> str:
    missing = [e for e in (*judged.estimates, *judged.beside) if not e.measured]
    groups = sorted({g for e in missing for g in e.groups})
    if not groups:
        return ""
    chosen = " ".join(f"--group {g}" for g in groups)
    return f"bench study run {judged.found.study.name} {chosen}"


def _table(made: Sequence[Estimate], smallest: float, *, deciding: bool) -> str:
    of = made[0].contrast
    margin = of.within or smallest
    says_ = f"expected: {of.expect}" + (f" within {margin:g}" if of.within else "")
    if of.kind != "agreement":
        says_ += f"; smallest effect {margin:g}" if not of.within else ""
    rows = [_row(some, margin) for some in _together(made)]
    if not deciding:  # nothing is read together with others here
        rows = [{key: v for key, v in row.items() if key != "Together"} for row in rows]
    if not any(e.accuracies for e in made):
        rows = [{key: v for key, v in row.items() if key != "Accuracy, %"} for row in rows]
    return f"{markdown(of.title)} ({says_}):\n\n" + tabular(rows, "github") + "\n"


def _together(made: Sequence[Estimate]) -> list[tuple[Estimate, ...]]:
    """Return estimates one by one; ways of one comparison of which nothing has run, together."""
    groups: list[tuple[Estimate, ...]] = []
    for e in made:
        last = groups[-1][0] if groups else None
        empty = not e.measured and math.isnan(e.own.mean)
        if last is not None and empty and (last.where, last.measured) == (e.where, e.measured):
            groups[-1] = (*groups[-1], e)
        else:
            groups.append((e,))
    return groups


def _row(some: Sequence[Estimate], margin: float) -> dict[str, object]:
    found = some[0]
    word = _word(found, margin)
    if not found.measured:
        few = "too few recipes" if found.contrast.kind == "agreement" else "too few seeds"
        word = few if found.begun else "not run"
    elif not found.comparable:
        word = "no comparison"
    note = "; ".join(markdown(t) for t in (found.detail, found.why) if t)
    if not math.isnan(found.images.low) and math.isnan(found.own.low):
        seeds = "" if found.seeds < 2 else " of the first seed"
        note += f"; weights{seeds} as they are, over images alone: {signed(found.images)}"
    return {
        "Nets": markdown(found.label),
        "Compared": markdown(found.way) if len(some) == 1 else f"in {len(some)} ways",
        "Difference": signed(found.own),
        "Together": bounds(found.together),
        "SD over seeds": _number(found.seed_sd),
        "Seeds": found.seeds or NONE,
        "n": found.ids or NONE,
        "Accuracy, %": _accuracy(found.accuracies),
        "Says": word,
        "Note": note or NONE,
    }


def _accuracy(sides: Sequence[float]) -> str:
    """Return "84.3 / 84.5" of two sides, "84.3 to 84.6" of more."""
    if not sides or any(math.isnan(a) for a in sides):
        return NONE
    if len(sides) > 2:
        return f"{min(sides):.1f} to {max(sides):.1f}"
    return " / ".join(f"{a:.1f}" for a in sides)


def _word(found: Estimate, margin: float) -> str:
    """Return what an interval says of the claim; where it opposes one, whether by smallness."""
    answer = says(found.contrast.expect, found.own, margin)
    if answer == "small":
        return f"its side, but within {margin:g} of 0"
    small = answer == "oppose" and state(found.own, margin) == "none"
    return SAYS[answer] + (f": within {margin:g} of 0" if small else "")


def signed(found: Interval) -> str:
    """Return "+0.143 [+0.101, +0.185]"."""
    if math.isnan(found.mean):
        return NONE
    return _plus(found.mean) + (f" {bounds(found)}" if not math.isnan(found.low) else "")


def bounds(found: Interval) -> str:
    """Return "[+0.101, +0.185]"; a dash where there is no interval."""
    return NONE if math.isnan(found.low) else f"[{_plus(found.low)}, {_plus(found.high)}]"


def _plus(value: float) -> str:
    """Return a number with its sign; as small as to be shown as 0, with one digit that is not."""
    if value == 0 or abs(value) >= 0.0005:
        return f"{value:+.3f}"
    return f"{value:+.1g}" if abs(value) < 1e-5 else f"{value:+.5f}"


def _number(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.4f}"

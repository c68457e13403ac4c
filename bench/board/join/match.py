"""Which row of a stranger's table is about which model of the board.

The same architecture exists with many weights, so a guess would put one model's numbers beside
another's. A timm model is found by its full `arch.tag`, else by its entry's name (which may be
timm's old name), else by the bare architecture if nothing else could be meant; any other model
only by its entry's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.board.join.table import External, TableRow

How = Literal["tag", "name", "bare name"]


@dataclass(frozen=True)
class Known:
    """What names a model of the board.

    Attributes:
        name: `<model>[@random][@seedN]`.
        tag: timm's `arch.tag` if it has timm's own weights, else None.
        width: of its input in pixels.
        own_weights: a timm model that was measured with a weights file.
    """

    name: str
    tag: str | None
    width: int
    own_weights: bool = False

    @property
    def arch(self) -> str | None:
        """The tag's part before the dot."""
        return None if self.tag is None else self.tag.partition(".")[0]


@dataclass(frozen=True)
class Match:
    """What was found for one model in one table.

    Attributes:
        model: its name on the board.
        place: index of its row in the table, None if there is none.
        how: by what it was found, None if it was not.
        note: what a reader should know: why not, or what the numbers are of.
    """

    model: str
    place: int | None
    how: How | None
    note: str = ""


def known(name: str, entry: Mapping[str, Any], weights: str, width: int) -> Known:
    """Return what names a model, from its file's metadata.

    Args:
        name: `<model>[@random][@seedN]`.
        entry: of the model, as the result states it.
        weights: their kind: default, random or path.
        width: of the model's input in pixels.
    """
    tag = entry.get("tag")
    timm = entry.get("source") == "timm" and isinstance(tag, str) and "@" not in name
    return Known(name, str(tag) if timm else None, width, timm and weights == "path")


def match(models: Sequence[Known], table: External) -> list[Match]:
    """Return what a table says of each model, in the models' order.

    Args:
        models: of one table of the board.
        table: the stranger's table.
    """
    by_key: dict[str, list[int]] = {}
    for place, row in enumerate(table.rows):
        by_key.setdefault(row.key, []).append(place)
    return [_match(model, models, by_key, table.rows) for model in models]


def _match(
    model: Known,
    models: Sequence[Known],
    by_key: Mapping[str, list[int]],
    rows: Sequence[TableRow],
) -> Match:
    if model.tag is not None and model.tag in by_key:
        return _at_size(model, by_key[model.tag], rows, "tag")
    if model.name in by_key:
        return _at_size(model, by_key[model.name], rows, "name")
    if model.arch is None or model.tag is None:
        return Match(model.name, None, None, "no row of this name")
    tagged = [key for key in by_key if key.partition(".")[0] == model.arch and "." in key]
    if "." not in model.tag:
        if len(tagged) == 1:
            return _at_size(model, by_key[tagged[0]], rows, "bare name")
        note = f"its bare name {model.arch!r} could be {_list(tagged)}" if tagged else ""
        return Match(model.name, None, None, note or "no row of this name")
    if model.arch not in by_key:
        note = f"only other weights of it: {_list(tagged)}" if tagged else "no row of this name"
        return Match(model.name, None, None, note)
    rivals = [m.name for m in models if m is not model and model.arch in (m.arch, m.name)]
    if rivals or tagged:
        note = f"the bare name {model.arch!r} could be {_list([*rivals, *tagged])} as well"
        return Match(model.name, None, None, note)
    return _at_size(model, by_key[model.arch], rows, "bare name")


def _at_size(model: Known, places: Sequence[int], rows: Sequence[TableRow], how: How) -> Match:
    """Of several rows of one model, the one at the size that was measured here."""
    chosen = places[0]
    if len(places) > 1:
        agreeing = [place for place in places if rows[place].size == model.width]
        if not agreeing:
            sizes = ", ".join(str(rows[place].size) for place in places)
            note = f"rows at {sizes} px, measured here at {model.width} px"
            return Match(model.name, None, None, note)
        chosen = agreeing[0]
    notes = []
    if (size := rows[chosen].size) is not None and size != model.width:
        notes.append(f"the row is at {size} px, measured here at {model.width} px")
    if how == "bare name":
        notes.append(f"{rows[chosen].key!r} does not say which weights")
    if model.own_weights:
        notes.append("measured here with a weights file")
    return Match(model.name, chosen, how, "; ".join(notes))


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(set(names))[:4])
    return shown + (f" and {len(set(names)) - 4} more" if len(set(names)) > 4 else "")

"""The Python call `bench.evaluate`: names, patterns or a module -> rows."""

from __future__ import annotations

import base64
import contextlib
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.errors import BenchError, BenchWarning
from bench.run.asked import check_asked, check_spelt, entry_names
from bench.run.request import Request
from bench.run.several import Refused, in_turns, judged, not_measured

if TYPE_CHECKING:
    import pandas as pd

    from bench.models.memory import InMemory
    from bench.run.plan import Plan
    from bench.run.progress import Progress

MADE = ("family", "type", "entry", "input_shape", "control", "partial_reasons", "weights_sha256")
"""What of a run's metadata stays with the rows (`table.attrs`)."""
MOST_EXTRAS = 4_000_000
"""Bytes of mean spectra and example images that stay with rows that are on no disk."""


def evaluate_models(
    model: object, name: object, output: object, progress: object, options: Mapping[str, Any]
) -> pd.DataFrame:
    """Evaluate what `bench.evaluate` was given; the arguments are its.

    The frame's `attrs["bench"]` says of each model where its result is, or holds its mean spectra
    and example images (Parquet as base64) if it is nowhere: text, so that frames stay writable.

    Raises:
        BenchError: the request can't be met.
    """
    request = Request.of(**options)
    memory = _module(model, name, request)
    names = [memory.entry.name] if memory is not None else _names(model, name, request)
    if memory is None:
        check_spelt(names)
    possible, refused = judged(names, lambda one: _check(request.but(model=one), memory))
    if memory is not None and _is_of_the_registry(memory, request):
        memory = None
    with _folder(output) as folder, watching(progress, request.how.engine) as watcher:
        asked = [request.but(model=one, output=folder) for one in possible]
        plans, failed = _measured(asked, memory, watcher) if asked else ({}, [])
        found = [_rows(plans[place], memory, output is None) for place in sorted(plans)]
    refused += failed
    if not found:
        raise not_measured(refused, len(names))
    for each in refused:
        warnings.warn(f"not measured: {each.name}: {each.reason}", BenchWarning, stacklevel=3)
    return _together(found)


def _measured(
    asked: Sequence[Request], memory: InMemory | None, watcher: Progress
) -> tuple[dict[int, Plan], list[Refused]]:
    """Measure models; return the plans of those that are done by their place, and the others."""
    plans: dict[int, Plan] = {}
    names = [request.what.model for request in asked]
    if asked[0].how.engine == "local":
        from bench.run.evaluate import take_part
        from bench.run.shard import shard_of

        def attempt(place: int, begin_at: float, stay: bool) -> bool:
            run, done = take_part(
                asked[place], watcher, begin_at=begin_at, stay=stay, memory=memory
            )
            if done:
                plans[place] = run.plan
            return done

        return plans, in_turns(names, shard_of(asked[0].how.shard).start, attempt)
    told = Told(plans, watcher)
    if asked[0].how.engine == "ray":
        from bench.run.engines.start import evaluate_in_pool

        return plans, evaluate_in_pool(asked, told)
    from bench.run.engines.array import evaluate_in_array

    return plans, evaluate_in_array(asked, told, told.done)


class Told:
    """Keeps the plans of models that are done, and passes on how far they are.

    Args:
        plans: place of a model -> its plan.
        watcher: who is told.
    """

    def __init__(self, plans: dict[int, Plan], watcher: Progress) -> None:
        self._plans, self._watcher = plans, watcher
        self._total = self._through = 0

    def planned(self, place: int, plan: Plan) -> Progress:
        """A model was opened."""
        return self._watcher

    def done(self, place: int, plan: Plan) -> None:
        """A model's file has every row."""
        self._plans[place] = plan

    def set(self, total: int, done: int, text: str) -> None:
        """So many samples of the models that were opened so far, so many of them done."""
        if total > self._total:
            self._watcher.begin("all", total - self._total, 0)
            self._total = total
        if done > self._through:
            self._watcher.advance("all", done - self._through)
            self._through = done


def _together(found: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    if len(found) == 1:
        return found[0]
    made = [one for table in found for one in table.attrs["bench"]]
    for table in found:
        table.attrs = {}
    result = pd.concat(found, ignore_index=True)
    result.attrs["bench"] = made
    return result


def _module(model: object, name: object, request: Request) -> InMemory | None:
    """Return the model in memory that was given; None for anything else."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return None
    from bench.models.memory import in_memory

    if name is not None and not isinstance(name, str):
        raise BenchError(f"expected text for name, got {name!r} ({type(name).__name__})")
    if request.how.workers > 1:
        raise BenchError(
            f"expected workers=1 for a model in memory, got {request.how.workers}: other processes "
            "can't open it; save it and write an entry with a factory (submissions/README.md)"
        )
    if request.how.engine != "local":
        raise BenchError(
            f"expected engine='local' for a model in memory, got {request.how.engine!r}: its "
            "workers can't open it; save it and write an entry with a factory "
            "(submissions/README.md)"
        )
    if request.what.weights != "default":
        raise BenchError(
            f"expected no weights= with a model in memory, got {request.what.weights!r}: it is "
            "measured with the weights that it has"
        )
    return in_memory(model, name, request.data.dataset)


def _names(model: object, name: object, request: Request) -> list[str]:
    several = list(model) if isinstance(model, list | tuple) else [model]
    wrong = [one for one in several if not isinstance(one, str | Path)]
    if wrong or not several:
        raise BenchError(_no_model(wrong[0] if wrong else model))
    if name is not None:
        raise BenchError(
            f"expected name= only with a model in memory, got name={name!r} and model={model!r}"
        )
    return entry_names([str(one) for one in several], request.data.dataset)


def _no_model(found: object) -> str:
    wanted = "expected a model's name, a list of names, or an nn.Module"
    kind = type(found).__name__
    if isinstance(found, type):
        return f"{wanted}, got the class {found.__name__}; make a model of it: {found.__name__}()"
    if kind == "list" or kind == "tuple":
        return f"{wanted}, got an empty {kind}"
    if isinstance(found, dict):
        return f"{wanted}, got a {kind}; load a state dict into its module"
    if "torch" in sys.modules and isinstance(found, sys.modules["torch"].nn.Module):
        return f"{wanted}, got a module in a list; evaluate one module at a time"
    if callable(found):
        return f"{wanted}, got a {kind}; call it in the forward of an nn.Module"
    return f"{wanted}, got {str(found)[:40]!r} ({kind})"


def _check(request: Request, memory: InMemory | None) -> None:
    """Judge a request before anything heavy; a module's name is no name to be looked up."""
    if memory is None:
        check_asked(request)
    else:
        check_asked(request, named=False)


def _is_of_the_registry(memory: InMemory, request: Request) -> bool:
    from bench.models.memory import its_entry

    return its_entry(memory, request.what.trust) is not None


@contextlib.contextmanager
def _folder(output: object) -> Iterator[object]:
    if output is not None:
        yield output
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield folder


@contextlib.contextmanager
def watching(progress: object, engine: str = "local") -> Iterator[Progress]:
    """Give who is told how far a run is.

    Args:
        progress: as `bench.evaluate` takes it.
        engine: who runs; with another than "local" several models are under way at once.

    Raises:
        BenchError: neither True, False, None nor somebody who can be told.
    """
    from bench.run.progress import Silent

    if progress is None or isinstance(progress, bool):
        from bench.screen import Bars, OneBar, Sum, is_watched

        if progress is False or (progress is None and not is_watched()):
            yield Silent()
            return
        if engine != "local":
            with OneBar() as bar:
                yield Sum(bar, engine)
            return
        with Bars() as bars:
            yield bars
    elif all(hasattr(progress, told) for told in ("begin", "advance", "note")):
        yield cast("Progress", progress)
    else:
        raise BenchError(
            "expected True, False, None or an object with begin, advance and note for progress, "
            f"got {progress!r}"
        )


def _rows(plan: Plan, memory: InMemory | None, nowhere: bool) -> pd.DataFrame:
    from bench.run.evaluate import rows_of

    rows = rows_of(plan)
    rows.attrs["bench"] = [_made(plan, nowhere)]
    if memory is not None:
        _warn_of_chance(plan, rows)
    return rows


def _made(run: Plan, nowhere: bool) -> dict[str, Any]:
    """Return what stays with the rows of one model, JSON-ready."""
    found = {key: run.metadata[key] for key in MADE}
    key = run.store.side("extras")
    if not nowhere:
        return {"model": run.metadata["model"], "file": run.store.where, **found}
    extras = b""
    if not run.request.clean and run.store.files.exists(key):
        with run.store.files.open(key) as stream:
            extras = stream.read(MOST_EXTRAS + 1)
    text = base64.b64encode(extras).decode() if len(extras) <= MOST_EXTRAS else ""
    return {"model": run.metadata["model"], "file": None, "extras": text, **found}


def _warn_of_chance(run: Plan, rows: pd.DataFrame) -> None:
    """Warn if a model in memory is no better than chance: its images may need a normalisation."""
    from bench.stats.intervals import proportion_interval

    if "clean_correct" in rows:
        first = rows.drop_duplicates("sample_id")
        right, count = int(first["clean_correct"].sum()), len(first)
    else:
        right, count = int((rows["label_rank"] == 0).sum()), len(rows)
    if proportion_interval(right, count).high < 2 * run.dataset.chance:
        text = (
            f"{run.entry.name} classifies {right} of {count} images correctly, little more "
            "than chance: it is given images in [0, 1], so its normalisation must be inside"
        )
        warnings.warn(text, BenchWarning, stacklevel=2)

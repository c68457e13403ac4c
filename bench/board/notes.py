"""What a reader of the board must know, in words."""

from __future__ import annotations

import math

from bench.board.table import Table, Told
from bench.board.text import number
from bench.stats.bootstrap import DRAWS, LEVEL
from bench.stats.intervals import FEW
from bench.stats.recipes import FEWEST_SEEDS

CAUTION = (
    '**A lower RFC is not "more robust":** it says at which frequencies the smallest perturbation '
    "of a model lies, not how large it is. The order is not a ladder of robustness."
)

READING = f"""\
RFC (radial frequency centroid, in units of the Nyquist frequency) is the energy-weighted mean
frequency of the minimal L2 perturbation; HFE is the share of its energy above half of Nyquist; HFX
places RFC between the images' own (0) and white noise (1), and is not comparable across data sets,
whose images differ. These are means over the kept samples (classified correctly, then fooled by an
attack that did its work); success and median norm are over the correct ones. Brackets are 95 %
intervals over samples, for the weights that were measured; one sample has none, and fewer than
{FEW} (marked \\*) make them too narrow. A row is a model: architecture and recipe. Its two ranks
are sets of places, and different questions. The checkpoint rank is about these very weights;
images are its only source of error. The recipe rank is about training the same model anew; it needs
{FEWEST_SEEDS} training seeds. Models of one tie group are not told apart from the group's first.
Input states the data set's native resolution in pixels and what an image passes before the model
sees it (none: it is used as stored)."""


def about(table: Table, white: float) -> str:
    """Return what a table was measured under."""
    rules = table.rules
    text = (
        f"Protocol {rules.protocol.name}, hash `{rules.hash[:16]}`, {len(rules.ids)} samples, "
        f"primary attack {rules.primary}. White noise of this size has RFC {white:.4f}."
    )
    if not table.ranks:
        text += " This protocol does not rank; its numbers are shown for comparison."
    return text


def told(table: Table) -> str:
    """Return what the ranks of a table can tell, with n, level and method."""
    if not table.ranked:
        return ""
    n, level = len(table.rules.ids), f"{100 * LEVEL:.0f} %"
    text = (
        f"Lower RFC first. Each rank is a set; all sets of one kind hold together in {level} of "
        f"boards. Checkpoint rank ({_models(table.checkpoints)}): pairs of models on the samples "
        f"that both keep, of n = {n}; {_method(table.checkpoints, 'max-|t|')}; "
        f"{_gap(table.checkpoints)}. "
    )
    if table.recipes.models:
        text += (
            f"Recipe rank ({_models(table.recipes)} with {FEWEST_SEEDS} training seeds or more): "
            "pairs on the samples that all seeds of both keep, Student's t over seeds beside the "
            f"images' error; {_method(table.recipes, 'max-|t|')}; {_gap(table.recipes)}. "
        )
    else:
        text += f"Recipe rank: no model has {FEWEST_SEEDS} training seeds yet. "
    return text + (
        "The claims of a checkpoint hold for training anew only while the standard deviation over "
        "seeds is below the one that they stand up to: there the first of a model's claims against "
        "another would fall, if both scattered so much."
    )


def _models(found: Told) -> str:
    return "1 model" if found.models == 1 else f"{found.models} models"


def _method(found: Told, name: str) -> str:
    if found.drawn:
        return f"stepdown {name} over all pairs with {DRAWS} resamples that they share"
    return "Bonferroni over all pairs, in closed form and wider, since there are so many models"


def _gap(found: Told) -> str:
    if math.isnan(found.gap):
        return "no pair has samples enough to be compared"
    return f"the smallest gap that half of the pairs would tell is {number(found.gap)}"


def contrasts(table: Table) -> str:
    """Return what the table of contrasts says."""
    shown = sum(not found.why for found in table.contrasts)
    level = f"simultaneous over the {shown} shown" if shown > 1 else "of one contrast"
    return (
        "Mean difference of RFC between pairs of recipes, over training seeds (paired by number) "
        "and images, on the samples that all of them keep under all seeds; 95 % intervals, "
        f"{level}. A pair is equal in all that its names say besides the factor: whether positions "
        "share weights, ReLU, depth, training. So local minus full has two kinds of pairs, "
        "local-conv with full-conv and locally-connected with fully-connected, and these nets "
        "differ in more than the kernel: the convolutions in padding, the connected nets in bias, "
        "number of units and initial law.\n\n"
        f"{_rates(table)}These contrasts compare recipes; they do not show that the factor is the "
        "cause."
    )


def _rates(table: Table) -> str:
    """Return in which pairs of the contrasts that are shown the learning rates differ."""
    texts = []
    for found in table.contrasts:
        if not found.matched:
            continue
        other = [pair for pair in found.matched if not pair.one_rate]
        each = "; ".join(
            f"{pair.plus} against {pair.minus} ({_rate(pair.rates[0])}, {_rate(pair.rates[1])})"
            for pair in other
        )
        where = f"in {len(other)} of {len(found.matched)} pairs: {each}" if other else "in no pair"
        unknown = any(None in pair.rates for pair in other)
        verb = "differ, or are not known," if unknown else "differ"
        texts.append(f"The learning rates of {found.name} {verb} {where}. ")
    return "".join(texts)


def _rate(value: float | None) -> str:
    return "not known" if value is None else f"{value:g}"


def witnesses(table: Table) -> str:
    """Return what the table of witnesses says, and what the gates are."""
    gates = table.rules.gates
    text = (
        "A minimal attack against the best known distance d\\*: the smallest that it and its "
        "witnesses (" + ", ".join(table.rules.witnesses) + ") found. Share of the n clean-correct "
        "samples with d > 1.01 d\\*, mean of d / d\\* - 1, and optimality, "
        "1 - (mean d - mean d\\*) / (D - mean d\\*) with both cut at D, the largest d\\* "
        "(AttackBench, arXiv 2404.19460; shown, gates nothing). RFC is always of the attack's own "
        "perturbations."
    )
    limits = [
        f"{what} at most {value:{form}}"
        for what, value, form in (
            ("share", gates.max_above_best, ".0%"),
            ("mean excess", gates.max_mean_excess, ".1%"),
        )
        if value is not None
    ]
    return text + (f" Gates of {table.rules.primary}: {', '.join(limits)}." if limits else "")


EXCESS = (
    "The same weights under the ranking protocol's minimal attack of the same norm, whose distance "
    "is d\\*: median of d / d\\* - 1 and share of samples with d > 1.01 d\\* over the n that are "
    "correct in both and that the minimum fools; RFC minus the minimum's over the samples that "
    "both keep."
)


SEEDS = (
    "Every number is over the samples that all seeds of the model keep; mean +- "
    "sqrt(1.96^2 Vimg + t^2 s^2 / S) from three seeds on. A seed that fails a gate is left out."
)
OWN = (
    "Each model over its own kept samples. Under a budget these are the ones with small margins, "
    "others for each model: compare models in the next table."
)


def common(table: Table) -> str:
    """Return what the table of common ids says."""
    if table.common.why:
        return f"Not shown: {table.common.why}."
    return (
        "A budget attack keeps the samples with small margins, others for each model. Here every "
        f"model is averaged over the samples that all {len(table.passing)} models that pass the "
        "gates keep under that attack; n in the head."
    )

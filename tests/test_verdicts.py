"""The rule from intervals to verdicts, by hand and by simulation; contrasts under other choices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from bench.stats.choices import chosen_contrast, image_interval
from bench.stats.contrasts import contrast, sidak
from bench.stats.intervals import Interval
from bench.stats.recipes import split_t
from bench.stats.verdicts import Expected, Reading, says, state, verdict

NAN = float("nan")


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.03, 0.2, "above"),
        (0.001, 0.2, "above"),
        (0.001, 0.019, "none"),  # surely above 0, and surely too small to matter
        (-0.01, 0.01, "none"),
        (-0.01, 0.03, "open"),
        (-0.3, -0.01, "below"),
        (NAN, NAN, "open"),
        (0.0, 0.2, "open"),
    ],
)
def test_where_an_interval_lies(low: float, high: float, expected: str) -> None:
    assert state(interval(low, high), 0.02) == expected


@pytest.mark.parametrize(
    ("expect", "low", "high", "answer"),
    [
        ("greater", 0.03, 0.2, "agree"),
        ("greater", -0.2, -0.03, "oppose"),
        ("greater", -0.01, 0.01, "oppose"),
        ("greater", -0.01, 0.03, "open"),
        ("greater", 0.003, 0.017, "small"),
        ("less", -0.017, -0.003, "small"),
        ("less", 0.003, 0.017, "oppose"),
        ("less", -0.2, -0.03, "agree"),
        ("equal", -0.01, 0.01, "agree"),
        ("equal", 0.01, 0.2, "open"),
        ("equal", 0.03, 0.2, "oppose"),
        ("equal", -0.2, -0.03, "oppose"),
        ("equal", NAN, NAN, "open"),
    ],
)
def test_what_an_interval_says_of_a_claim(
    expect: Expected, low: float, high: float, answer: str
) -> None:
    assert says(expect, interval(low, high), 0.02) == answer


UP, DOWN, NONE, OPEN = (0.05, 0.1), (-0.1, -0.05), (-0.01, 0.01), (-0.1, 0.1)
SMALL = (0.003, 0.017)


def readings(*found: tuple[float, float], together: bool = True) -> list[Reading]:
    wide = [interval(*f) if together else interval(-1, 1) for f in found]
    return [Reading("greater", 0.02, interval(*f), w) for f, w in zip(found, wide, strict=True)]


def test_a_verdict_is_never_stronger_than_its_weakest_comparison() -> None:
    assert verdict(readings(UP, UP)).word == "supported"
    assert verdict(readings(UP, UP, OPEN)).word == "undecided"
    assert verdict(readings(DOWN, NONE)).word == "contradicted"
    assert verdict(readings(DOWN, SMALL)).word == "undecided"
    assert verdict(readings(UP, NONE)).word == "depends"
    assert verdict(readings(UP, DOWN, OPEN)).word == "depends"
    # what exists must be seen by the intervals that hold together
    assert verdict(readings(UP, DOWN, together=False)).word == "undecided"
    assert verdict([]).word == "undecided"
    found = verdict(readings(UP, OPEN, DOWN))
    assert (found.agree, found.oppose, found.open) == ((0,), (2,), (1,))


def test_effects_too_small_to_matter_are_neither_for_nor_against_a_claim() -> None:
    """+.01, surely positive and surely below .02: three of these do not contradict "greater"."""
    assert verdict(readings(SMALL, SMALL, SMALL)).word == "negligible"
    assert verdict(readings(SMALL, NONE)).word == "negligible"
    found = verdict(readings(UP, SMALL, OPEN))
    assert (found.word, found.agree, found.oppose, found.small) == ("depends", (0,), (), (1,))


def test_a_claim_depends_only_where_two_comparisons_surely_differ() -> None:
    """[.001, .021] and [.003, .017] may both come from +.01."""
    found = verdict(readings((0.001, 0.021), SMALL))
    assert (found.word, found.agree, found.small) == ("undecided", (0,), (1,))
    assert verdict(readings((0.018, 0.03), SMALL)).word == "depends"


def test_no_verdict_where_most_comparisons_or_a_whole_way_cannot_be_made() -> None:
    up = readings(UP)[0]._replace(way="at the end")
    lost = up._replace(comparable=False, own=interval(NAN, NAN), together=interval(NAN, NAN))
    assert verdict([up, up, lost]).word == "supported"
    most = verdict([up, lost, lost])
    assert (most.word, most.thin) == ("undecided", "2 of 3 comparisons can't be made")
    of_loss = lost._replace(way="at equal loss")
    assert verdict([up, up, of_loss]).thin == "no comparison can be made at equal loss"
    assert verdict([up, up, of_loss]).word == "undecided"
    assert verdict([up, up, of_loss, up._replace(way="at equal loss")]).word == "supported"
    # what two comparisons say of each other needs no others
    down = readings(DOWN)[0]._replace(way="at the end")
    assert verdict([up, down, lost, lost, lost]).word == "depends"


def test_what_is_not_run_forbids_a_verdict_and_what_cannot_be_compared_does_not() -> None:
    up, other = readings(UP, UP)
    missing = other._replace(measured=False, own=interval(NAN, NAN), together=interval(NAN, NAN))
    assert verdict([up, missing]).word == "undecided"
    assert verdict([up, missing]).missing == (1,)
    assert verdict([up, missing._replace(comparable=False)]).word == "undecided"
    assert verdict([up, other._replace(comparable=False, own=interval(NAN, NAN))]).word == (
        "supported"
    )
    assert verdict([other._replace(comparable=False)]).word == "undecided"


CLAIMS, COMPARISONS, IDS = 11, 8, 100


def study(rng: np.random.Generator, truth: np.ndarray, seeds: int) -> list[str]:
    """Words of a study of eleven claims with eight comparisons each, of the given true effects.

    Comparisons of a claim share nets, so their errors hang together; seed SDs differ."""
    words = []
    for effects in truth:
        sd = rng.uniform(0.002, 0.02, COMPARISONS)
        shared = rng.normal(size=(seeds, 1)) * 0.6
        apart = rng.normal(size=(seeds, COMPARISONS)) * 0.8
        images = rng.normal(size=(IDS, 1)) * 0.6 + rng.normal(size=(IDS, COMPARISONS)) * 0.8
        found = []
        for c, effect in enumerate(effects):
            values = effect + (shared + apart)[:, c, None] * sd[c] + images[None, :, c] * 0.1
            found.append(
                Reading(
                    "greater",
                    0.02,
                    split_t(values, sidak(CLAIMS)),
                    split_t(values, sidak(CLAIMS * COMPARISONS)),
                )
            )
        words.append(verdict(found).word)
    return words


def is_wrong(word: str, effects: np.ndarray) -> bool:
    if word == "supported":
        return bool((effects <= 0).any())
    if word == "contradicted":
        return bool((effects > 0.02).any())
    if word == "negligible":
        return bool((np.abs(effects) > 0.02).any())
    if word == "depends":
        return not ((effects > 0).any() and (effects < 0.02).any() and np.ptp(effects) > 0)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_a_page_of_verdicts_holds_in_95_percent_of_studies(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    wrong, told, studies = 0, 0, 150
    for _ in range(studies):
        truth = rng.choice([-0.1, 0.0, 0.01, 0.0201, 0.1], (CLAIMS, 1)) * np.ones(COMPARISONS)
        # hardest: all but one comparison are clearly above, and that one is at the edge
        truth[0], truth[0, 0] = 0.2, 0.0
        truth[1], truth[1, 0] = -0.2, 0.0201
        words = study(rng, truth, seeds)
        wrong += any(is_wrong(w, t) for w, t in zip(words, truth, strict=True))
        told += sum(w != "undecided" for w in words)
    assert told > studies / 10, "a rule that never speaks would never be wrong"
    assert scipy.stats.binomtest(wrong, studies, 0.05, alternative="greater").pvalue > 1e-3


def test_this_simulation_sees_a_rule_that_is_too_bold() -> None:
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(60):
        values = rng.normal(size=(COMPARISONS, 3, 1)) * 0.01 + np.zeros((1, 1, IDS))
        bold = [split_t(v, 0.3) for v in values]
        found = [Reading("greater", 0.02, i, i) for i in bold]
        wrong += verdict(found).word == "depends" and any(state(i, 0.02) == "above" for i in bold)
    assert wrong > 3


def test_means_under_no_other_choice_are_the_contrast_itself() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 4, 300)) * 0.1 + rng.normal(size=(2, 4, 1)) * 0.02
    kept = rng.random((2, 4, 300)) < 0.97
    outside = contrast(values, kept, [1, -1])
    found, seeds, ids = chosen_contrast(values, kept, [1, -1])
    assert found.mean == pytest.approx(outside.interval.mean)
    assert (seeds, ids) == (outside.seeds, outside.ids)
    width = found.high - found.low
    assert width == pytest.approx(outside.interval.high - outside.interval.low, rel=0.1)


def test_statistics_by_hand() -> None:
    values = np.array([[[1.0, 2.0, 9.0]] * 3, [[0.0, 0.0, 0.0]] * 3])
    kept = np.ones(values.shape, dtype=bool)
    energy = np.array([[[1.0, 1.0, 2.0]] * 3] * 2)
    assert chosen_contrast(values, kept, [1, -1], statistic="median")[0].mean == 2
    pooled = chosen_contrast(values, kept, [1, -1], statistic="pooled", energy=energy)[0]
    assert pooled.mean == pytest.approx((1 + 2 + 18) / 4)
    kept[1, :, 2] = False
    assert chosen_contrast(values, kept, [1, -1])[0].mean == pytest.approx(1.5)
    own, _, ids = chosen_contrast(values, kept, [1, -1], own=True)
    assert own.mean == pytest.approx(4)
    assert ids == 2
    few = chosen_contrast(values[:, :2], kept[:, :2], [1, -1])[0]
    assert np.isnan(few.low)
    assert few.mean == pytest.approx(1.5)
    none, seeds, ids = chosen_contrast(values, np.zeros_like(kept), [1, -1])
    assert (np.isnan(none.mean), seeds, ids) == (True, 0, 0)


def test_the_error_of_a_median_is_that_of_theory() -> None:
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=(1, 1, 400)), 3, axis=1)
    found, _, _ = chosen_contrast(values, np.ones(values.shape), [1.0], statistic="median")
    # SD of a normal sample's median: sqrt(pi / 2 n)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.sqrt(np.pi / 800), rel=0.35)


def test_an_interval_over_images_is_scipys_normal_one() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 50))
    kept = np.ones(values.shape, dtype=bool)
    kept[0, :10] = False
    found = image_interval(values, kept, [1, -1])
    d = (values[0] - values[1])[10:]
    low, high = scipy.stats.norm.interval(0.95, d.mean(), d.std() / np.sqrt(40))
    assert found == pytest.approx((d.mean(), low, high))
    assert np.isnan(image_interval(values[:, :1], kept[:, :1], [1, -1]).mean)

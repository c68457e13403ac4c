"""`heatmap`, `filters`, `gradient` and their controls on small cases: plain loops, closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import job, linear

from bench.attacks.minimum.settings import Minimum
from bench.grid import frequency_grid
from bench.measure.job import Job
from bench.probes.bands.probe import Bands
from bench.probes.controls import noise
from bench.probes.filters.measure import low_mask, split, third_masks
from bench.probes.filters.probe import CUTOFFS, IMAGES, Filters
from bench.probes.filters.report import crossing, verdict
from bench.probes.gradient.probe import Gradient
from bench.probes.heatmap.measure import directions, draws
from bench.probes.heatmap.probe import CLIPPED, FREE, Heatmap
from bench.probes.heatmap.report import weights
from bench.probes.modes import EACH, STRATA, modes
from bench.probes.tables import Subject


def minimal_job(batch: int = 16, classes: int = 3) -> Job:
    attack = {"min-l2": Minimum(norm="l2", version=1)}
    made = job(linear(classes), count=20, classes=classes, batch=batch)
    return replace(made, attacks=attack)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(2, 12))
def test_modes_are_half_of_the_plane(height: int, width: int) -> None:
    chosen = modes(height, width, 0)
    seen = {(int(y) % height, int(x) % width) for y, x in zip(chosen.ky, chosen.kx, strict=True)}
    mirrored = {(-y % height, -x % width) for y, x in seen}
    assert seen | mirrored == {(y, x) for y in range(height) for x in range(width)}
    own = int(chosen.single().sum())
    assert own == (1 + (height % 2 == 0)) * (1 + (width % 2 == 0))
    assert len(chosen) == chosen.total == (height * width + own) // 2
    expected = [2 * math.hypot(y / height, x / width)
                for y, x in zip(chosen.ky, chosen.kx, strict=True)]  # fmt: skip
    np.testing.assert_allclose(chosen.radius, expected)


def test_large_images_have_some_modes_of_each_stratum() -> None:
    chosen = modes(224, 224, 3)
    assert np.bincount(chosen.stratum).tolist() == [EACH] * STRATA
    assert len(set(chosen.number.tolist())) == len(chosen)
    assert not np.array_equal(chosen.number, modes(224, 224, 4).number)


def test_a_direction_has_norm_1_and_one_frequency() -> None:
    images = torch.rand(3, 2, 6, 7, dtype=torch.float64)
    chosen = modes(6, 7, 0)
    for place, found in enumerate(directions(chosen, images, [4, 5, 9], seed=1)):
        np.testing.assert_allclose(found.flatten(1).norm(dim=1), 1.0)
        power = np.abs(np.fft.fft2(found.numpy())) ** 2
        ky, kx = int(chosen.ky[place]), int(chosen.kx[place])
        here = power[..., ky, kx].copy()
        power[..., ky, kx] = power[..., -ky % 6, -kx % 7] = 0
        assert here.min() > 0.1
        assert power.max() < 1e-20


@pytest.mark.parametrize("part", [FREE, CLIPPED])
def test_the_heat_map_is_that_of_a_plain_loop(part: str) -> None:
    probe, made, ids = Heatmap(draws=2), minimal_job(), range(6)
    found = probe.measure(made, part, ids, False)
    assert list(found) == ["label", "reference", "status", *probe.columns]
    model, chosen = made.model, modes(8, 8, made.seed)
    norm = 8 / 7  # rms 1/7 of 64 pixels
    yy, xx = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    for place, sample in enumerate(ids):
        image = made.load([sample])[0].double().numpy()
        label = int(made.labels([sample])[0])
        logits = model(torch.from_numpy(image[None]).float())[0]
        if int(logits.argmax()) != label:
            assert found["status"][place] == "clean_wrong"
            assert found["change"][place] is None
            continue
        before = float(logits[label] - max(v for k, v in enumerate(logits) if k != label))
        assert found["margin"][place] == pytest.approx(before, abs=1e-5)
        drawn = draws(chosen.total, 1, sample, made.seed)
        for number in range(len(chosen)):
            ky, kx = int(chosen.ky[number]), int(chosen.kx[number])
            own = (2 * ky) % 8 == 0 and (2 * kx) % 8 == 0
            phase = 0.0 if own else 2 * np.pi * drawn[number, 0]
            wave = np.cos(2 * np.pi * (ky * yy + kx * xx) / 8 + phase)
            wave *= -1 if drawn[number, 1] < 0.5 else 1
            moved = image + norm * wave / np.sqrt((wave**2).sum())
            moved = np.clip(moved, 0, 1) if part == CLIPPED else moved
            after = model(torch.from_numpy(moved[None]).float())[0]
            margin = float(after[label] - max(v for k, v in enumerate(after) if k != label))
            assert found["change"][place][number] == pytest.approx(margin - before, abs=2e-5)
            assert found["wrong"][place][number] == (margin < 0)


def test_a_heat_map_that_is_linear_in_radius_has_that_slope() -> None:
    for size in (8, 28, 224):
        chosen = modes(size, size, 0)
        _, _, slope = weights(chosen)
        assert slope @ (0.3 - 0.7 * chosen.radius) == pytest.approx(-0.7)
        assert slope @ np.ones(len(chosen)) == pytest.approx(0, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 12), st.integers(3, 12), st.sampled_from(CUTOFFS), st.integers(0, 999))
def test_low_and_high_pass_are_exactly_complementary(
    height: int, width: int, cutoff: float, seed: int
) -> None:
    x = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(seed)).double()
    low, high = split(x, low_mask(height, width, cutoff))
    torch.testing.assert_close(low + high, x, rtol=0, atol=1e-14)
    spectrum = np.fft.fft2(x.numpy())
    inside = frequency_grid(height, width).radius.reshape(height, width) <= cutoff + 1e-9
    np.testing.assert_allclose(low.numpy(), np.fft.ifft2(spectrum * inside).real, atol=1e-13)
    np.testing.assert_allclose(high.numpy(), np.fft.ifft2(spectrum * ~inside).real, atol=1e-13)
    np.testing.assert_allclose(high.numpy().mean(axis=(2, 3)), 0, atol=1e-14)
    assert float(high.min()) <= 0
    torch.testing.assert_close(sum(third_masks(height, width)), torch.ones(height, width).double())


def test_a_frequency_on_the_cutoff_is_passed() -> None:
    for number, cutoff in enumerate(CUTOFFS, start=1):
        mask = low_mask(32, 32, cutoff)
        assert mask[number, number] == mask[-number, number] == 1
        assert mask[0, 0] == 1


def test_a_third_of_an_affine_models_perturbation_fools_at_one_over_its_share() -> None:
    made = minimal_job(classes=2)
    found = Filters().measure(made, "attack", range(20), False)
    weight = (made.model[1].weight[1] - made.model[1].weight[0]).double().view(8, 8)
    masks = [m.numpy() for m in third_masks(8, 8)]
    checked = 0
    for place, status in enumerate(found["status"]):
        if status != "ok":
            continue
        image = made.load([place])[0, 0].double()
        label = found["reference"][place]
        w = weight if label == 0 else -weight
        bias = made.model[1].bias.double()
        missing = -float((w * image).sum() + (bias[1] - bias[0]) * (1 if label == 0 else -1))
        # the exact minimum in the box, by bisection on the multiplier
        low, high = 0.0, 1e3
        for _ in range(200):
            t = (low + high) / 2
            delta = (image + t * w).clamp(0, 1) - image
            low, high = (t, high) if float((w * delta).sum()) < missing else (low, t)
        spectrum = np.fft.fft2(delta.numpy())
        for third, mask in enumerate(masks):
            part = np.fft.ifft2(spectrum * mask).real
            gain = float((w.numpy() * part).sum()) / missing
            multiple = found["multiple"][place][third]
            if gain > 1 / 60:
                assert multiple == pytest.approx(1 / gain, rel=1e-2)
                assert found["only"][place][third] == (gain > 0.5)
                checked += 1
            energy = (np.abs(spectrum * mask) ** 2).sum() / (np.abs(spectrum) ** 2).sum()
            assert found["share"][place][third] == pytest.approx(energy, abs=1e-3)
    assert checked >= 12


def test_filtered_images_are_measured_for_every_sample_and_nothing_is_clipped() -> None:
    made = minimal_job()
    found = Filters().measure(made, IMAGES, range(10), False)
    assert set(found["status"]) == {"ok"}
    for place in range(10):
        x = made.load([place]).double()
        label = int(made.labels([place])[0])
        for number, cutoff in enumerate(CUTOFFS):
            low, high = split(x, low_mask(8, 8, cutoff))
            for name, seen in (("low", low), ("high", high), ("high_mean", high + x.mean())):
                right = int(made.model(seen.float())[0].argmax()) == label
                assert found[name][place][number] == right


def test_low_and_high_cross_where_they_do() -> None:
    steps = np.arange(len(CUTOFFS))
    low = np.repeat((steps >= 6)[None], 30, axis=0).astype(float)
    high = 1 - low
    both = crossing(low, high, np.ones(30, dtype=bool), 1)
    assert both.mean == pytest.approx((CUTOFFS[5] + CUTOFFS[6]) / 2)
    assert both.low == both.high == both.mean
    never = crossing(low * 0, high * 0 + 1, np.ones(30, dtype=bool), 1)
    assert math.isnan(never.mean)


def test_the_perturbation_of_an_affine_model_has_the_spectrum_of_its_gradient() -> None:
    made = minimal_job(classes=2)
    gray = replace(made.images, pixels=(made.images.pixels // 8 + 112).astype(np.uint8))
    labels = made.model(torch.from_numpy(gray.pixels[:, None]).float() / 255).argmax(1).numpy()
    made = replace(made, images=replace(gray, labels=labels.astype(np.int64)))
    found = Gradient().measure(made, "samples", range(20), False)
    kept = [i for i, s in enumerate(found["status"]) if s == "ok"]
    assert len(kept) == 20
    for place in kept:
        assert found["cos_margin"][place] == pytest.approx(1, abs=1e-4)
        assert found["cos_loss"][place] == pytest.approx(1, abs=1e-4)
        assert found["overlap_margin"][place] == pytest.approx(1, abs=2e-3)
        assert found["attack_rfc"][place] == pytest.approx(found["margin_rfc"][place], abs=1e-3)
        assert sum(found["attack_bands"][place]) == pytest.approx(1)
        assert found["overlap_white"][place] < 0.9


def test_controls_are_drawn_for_the_sample_and_not_for_the_batch() -> None:
    images = torch.zeros(4, 1, 16, 16)
    for kind in ("white", "pink", "sign"):
        together = noise(kind, images, [3, 5, 7, 9], 1, "x")
        alone = noise(kind, images[:1], [7], 1, "x")
        assert torch.equal(together[2], alone[0])
        np.testing.assert_allclose(together.flatten(1).norm(dim=1), 1, rtol=1e-6)
        assert not torch.equal(alone, noise(kind, images[:1], [7], 2, "x"))
        assert not torch.equal(alone, noise(kind, images[:1], [7], 1, "y"))
    many = noise("pink", torch.zeros(200, 1, 16, 16), range(200), 1, "x").double().numpy()
    power = (np.abs(np.fft.fft2(many)) ** 2).mean(axis=(0, 1)).ravel()
    radius = frequency_grid(16, 16).radius
    assert power[0] < 1e-12
    slope = np.polyfit(np.log(radius[1:]), np.log(power[1:]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.1)
    white = noise("white", torch.zeros(50, 1, 16, 16), range(50), 1, "x").flatten().numpy()
    assert abs(float((white**4).mean() / (white**2).mean() ** 2) - 3) < 0.1
    assert noise("sign", images[:1], [1], 1, "x").abs().unique().numel() == 1


@pytest.mark.parametrize("probe", [Bands(), Heatmap(), Filters(), Gradient()])
def test_batches_do_not_matter_and_controls_are_held_to_their_own_predictions(
    probe: Bands | Heatmap | Filters | Gradient,
) -> None:
    part = probe.parts((1, 8, 8))[-1]
    one, many = (probe.measure(minimal_job(b), part, range(10), False) for b in (3, 16))
    for name in probe.columns:
        for a, b in zip(one[name], many[name], strict=True):
            if a is None or b is None:
                assert a is b
            else:
                np.testing.assert_allclose(
                    np.asarray(a, float), np.asarray(b, float), rtol=2e-3, atol=1e-4
                )
    assert "clean_wrong" in one["status"]
    own = probe.measure(minimal_job(), part, range(10), True)
    assert "clean_wrong" not in own["status"]
    model, images = minimal_job().model, minimal_job().load(range(10))
    assert own["reference"] == model(images).argmax(1).tolist()


def net(kind: str, shares: tuple[float, float, float], twin: Subject | None = None) -> Subject:
    """A measured net whose thirds fool so often alone, of 50 images; white noise never does."""
    reach = np.array([[2.0 if i < 50 * share else 9.0 for share in shares] for i in range(50)])
    flags, status = np.zeros((50, len(CUTOFFS))), np.array(["ok"] * 50)
    same = {"status": status, "whole": np.ones(50), "low": flags, "high": flags}
    same |= {"only": flags[:, :3], "without": flags[:, :3], "share": flags[:, :3]}
    parts = {"attack": same | {"multiple": reach}, "white": same | {"multiple": reach * 0 + 99}}
    return Subject({"type": kind, "model": "m", "seed": 1}, parts, twin)


def test_the_claim_is_decided_by_counting_nets() -> None:
    white = net("Convolutional", (0, 0, 0))
    as_claimed = net("Convolutional", (0, 0.9, 0.8), white)
    low = net("Convolutional", (1, 0.9, 0), as_claimed)
    vit = net("ViT", (0.7, 0.6, 0))
    said = verdict([as_claimed, low])
    assert "undecided, 1 of 2 nets as claimed (50 images each" in said
    assert "low in 1, middle in 2, high in 1); untrained: 1 of 2 as claimed" in said
    assert "ViT (claimed: low and middle): no net, nothing is decided" in said
    assert "Convolutional (claimed: middle and high): refuted, 0 of 1 nets" in verdict([low])
    assert "ViT (claimed: low and middle): confirmed, 1 of 1 nets" in verdict([vit])
    # a third that fools no more often than noise may is no carrier
    assert "low in 0, middle in 0, high in 0" in verdict([net("Convolutional", (0.02, 0, 0))])

"""What calibration guarantees: a choice is as accurate as the plain step, and pays."""

import copy
from collections.abc import Callable

import pytest
import torch
from attack_cases import frozen, random_images
from machines import machine
from step_cases import IMAGES, LABELS, Mixing, plain, residual
from torch import Tensor, nn

from bench.steps import calibrate as calibration
from bench.steps.calibrate import SMALLEST_GAIN, StepChoice, calibrate, prepare
from bench.steps.fold import fold_batchnorm
from bench.steps.race import fastest
from bench.steps.step import GradientStep, cross_entropy_cotangent, margin_cotangent


def test_calibration_packs_where_it_pays() -> None:
    torch.manual_seed(0)
    model, images = frozen(Mixing()), torch.rand(7, 3, 64, 64)
    assert calibrate(model, images, LABELS[:7], timer=machine(pack=-0.1)) == StepChoice()
    choice = calibrate(model, images, LABELS[:7], timer=machine(pack=0.1))
    assert choice == StepChoice(pack_linear=True)
    expected = GradientStep(model)(images, LABELS[:7], margin_cotangent)
    found = prepare(model, choice, images)(images, LABELS[:7], margin_cotangent)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_calibration_refuses_what_changes_the_numbers() -> None:
    """Folding a convolution that something else reads is wrong, however fast it is."""
    tapped = residual(tapped=True)
    wrong, pairs = fold_batchnorm(tapped, IMAGES)
    assert pairs == 2
    assert (wrong(IMAGES) - tapped(IMAGES)).abs().max() > 0.1
    fast = machine(fold=0.9)
    assert calibrate(tapped, IMAGES, LABELS, timer=fast) == StepChoice()
    honest = residual(tapped=False)
    assert calibrate(honest, IMAGES, LABELS, timer=fast) == StepChoice(fold_batchnorm=True)


def test_calibration_refuses_what_is_almost_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that float32 could not tell from rounding shows in float64."""

    def almost(model: nn.Module, images: Tensor) -> tuple[nn.Module, int]:
        folded, pairs = fold_batchnorm(model, images)
        folded.conv.weight.data.mul_(1 + 1e-6)
        return folded, pairs

    monkeypatch.setattr(calibration, "fold_batchnorm", almost)
    choice = calibrate(residual(tapped=False), IMAGES, LABELS, timer=machine(fold=0.9))
    assert not choice.fold_batchnorm


class Kinked(nn.Module):
    """In float64 some pixels of one image stand within float32's rounding of the ReLU's kink."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.conv = nn.Conv2d(3, 6, 1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6 * 64, 10)
        with torch.no_grad():
            self.conv.weight.copy_(torch.randn(6, 3, 1, 1, generator=generator))
            self.norm.running_var.uniform_(0.3, 3.0, generator=generator)
            self.norm.running_mean.copy_(self.conv.weight.sum((1, 2, 3)) * 0.7)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.conv(images)).relu().flatten(1))
        return logits


def test_calibration_allows_what_differs_only_by_the_side_of_a_kink() -> None:
    torch.manual_seed(0)
    model, images = frozen(Kinked()), IMAGES.clone()
    images[0] = 0.7  # the mean that the norm subtracts: 0 up to rounding, everywhere
    folded, _ = fold_batchnorm(model, images)
    (_, one), (_, two) = (
        GradientStep(m)(images, LABELS, margin_cotangent) for m in (model, folded)
    )
    error = (one - two).flatten(1).norm(dim=1) / one.flatten(1).norm(dim=1)
    assert error[0] > 0.1, "here the gradients differ"
    assert error[1:].max() < 1e-4, "and nowhere else"
    assert calibrate(model, images, LABELS, timer=machine(fold=0.5)).fold_batchnorm


def test_calibration_judges_by_the_typical_image() -> None:
    """One image stands so near a kink that folding alone takes the wrong side: it is allowed."""
    torch.manual_seed(0)
    model, images = Kinked(), IMAGES.clone()
    with torch.no_grad():  # the weights cancel on a gray image, until a fold rescales them
        model.conv.weight.copy_((model.conv.weight * 8).round() / 8)
        model.conv.weight[:, 2] = -model.conv.weight[:, 0] - model.conv.weight[:, 1]
        model.norm.running_mean.zero_()
        model.norm.bias.fill_(1e-9)
    frozen(model)
    images[0] = 0.5
    folded, _ = fold_batchnorm(model, images)
    truth = GradientStep(copy.deepcopy(model).double())(images.double(), LABELS, margin_cotangent)
    errors = [
        (GradientStep(m)(images, LABELS, margin_cotangent)[1] - truth[1]).flatten(1).norm(dim=1)
        / truth[1].flatten(1).norm(dim=1)
        for m in (model, folded)
    ]
    assert errors[0].max() < 1e-5, "the plain model is right everywhere"
    assert errors[1][0] > 0.1, "the folded one is not, on the first image"
    assert errors[1][1:].max() < 1e-4
    assert calibrate(model, images, LABELS, timer=machine(fold=0.5)).fold_batchnorm


@pytest.mark.parametrize(
    ("plain", "other", "wanted"),
    [
        # one lucky turn of the plain step does not outweigh that the other saves a tenth as a rule
        ([1.0, 0.5, 1.0, 1.0, 1.0], [0.9] * 5, "other"),
        # nor one lucky turn of the other that it saves nothing
        ([1.0] * 5, [1.0, 0.5, 1.0, 1.0, 1.0], "plain"),
        # a machine that slows down slows both: 4 % saved in every turn are found
        ([1.0, 2, 3, 4, 5], [0.96, 1.92, 2.88, 3.84, 4.8], "other"),
        ([1.0] * 5, [0.99] * 5, "plain"),
    ],
)
def test_what_counts_is_saved_as_a_rule(
    plain: list[float], other: list[float], wanted: str
) -> None:
    times = {"plain": plain, "other": other, "slow": [9.0] * 5}
    assert fastest(times, SMALLEST_GAIN) == wanted


def test_calibration_prefers_the_plain_step_on_a_tie() -> None:
    assert calibrate(residual(tapped=False), IMAGES, LABELS, timer=machine()) == StepChoice()


@pytest.mark.parametrize(
    ("trait", "saved", "changed"),
    [("fold", 0.01, False), ("fold", 0.03, True), ("parts", 0.03, False), ("parts", 0.06, True)],
)
def test_a_choice_must_save_enough(trait: str, saved: float, changed: bool) -> None:
    """2 % of the time, small passes 5 %: less is the noise of a clock."""
    timer = machine(**{trait: saved})
    found = calibrate(residual(tapped=False), IMAGES, LABELS, timer=timer)
    assert (found != StepChoice()) is changed
    assert found.fold_batchnorm is (changed and trait == "fold")
    assert (found.micro_batch is not None) is (changed and trait == "parts")


MODELS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "residual": (lambda: residual(tapped=False), IMAGES),
    "tapped": (lambda: residual(tapped=True), IMAGES),
    "kinked": (lambda: frozen(Kinked()), IMAGES),
    "mixing": (lambda: frozen(Mixing()), random_images(13, channels=3, size=64)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_pays_the_choice_is_as_accurate_as_the_plain_step(name: str, seed: int) -> None:
    make, images = MODELS[name]
    torch.manual_seed(seed)
    model = make()
    gains = (0.19 * torch.rand(5)).tolist()
    timer = machine(**dict(zip(("fold", "last", "column", "pack", "parts"), gains, strict=True)))
    choice = calibrate(model, images, LABELS, timer=timer)
    assert choice != StepChoice(), "small passes at least are right for every model"
    wide = copy.deepcopy(model).double()
    truth = plain(wide, images.double(), LABELS)
    chosen = prepare(model, choice, images)(images, LABELS, cross_entropy_cotangent)
    for true, one, two in zip(truth, chosen, plain(model, images, LABELS), strict=True):
        wrong, usual = (
            (value.double() - true).flatten(1).norm(dim=1) / true.flatten(1).norm(dim=1)
            for value in (one, two)
        )
        assert wrong.median() <= max(1e-5, 4 * float(usual.median()))


class Contiguous(nn.Module):
    """Can't take a channels_last batch (`view` refuses it) of more than some images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.conv, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6 * 64, 10)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        flat = maps.flatten(1) if len(images) <= self.most else maps.view(len(images), -1)
        logits: Tensor = self.head(flat)
        return logits


@pytest.mark.parametrize("most", [0, 8])
def test_what_fails_is_not_chosen(most: int) -> None:
    """Neither if it fails on the images that are judged nor if it fails on the whole batch only."""
    model, timer = frozen(Contiguous(most)), machine(last=0.9)
    with pytest.raises(RuntimeError, match="view"):
        prepare(model, StepChoice(channels_last=True), IMAGES)(IMAGES, LABELS, margin_cotangent)
    assert calibrate(model, IMAGES, LABELS, timer=timer) == StepChoice()
    assert calibrate(frozen(Contiguous(99)), IMAGES, LABELS, timer=timer).channels_last


def test_a_plain_step_that_fails_is_an_error() -> None:
    class Small(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            assert len(images) <= 8, "too large a batch"
            return images.flatten(1)[:, :10] * 1.0

    with pytest.raises(AssertionError, match="too large a batch"):
        calibrate(Small(), IMAGES, LABELS)


def test_calibration_by_the_real_clock_computes_what_the_model_computes() -> None:
    model = residual(tapped=False)
    step = prepare(model, calibrate(model, IMAGES, LABELS, rounds=1), IMAGES)
    found = step(IMAGES, LABELS, cross_entropy_cotangent)
    torch.testing.assert_close(found, plain(model, IMAGES, LABELS), rtol=1e-4, atol=1e-5)


def test_a_model_of_nan_keeps_the_plain_step() -> None:
    class Broken(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).flatten(1)[:, :10] * torch.nan

    assert calibrate(frozen(Broken(3, 4, 3)), IMAGES, LABELS, rounds=1) == StepChoice()


def test_a_choice_survives_the_metadata() -> None:
    choice = StepChoice(True, False, True, False, 16, True)
    assert StepChoice(**choice.describe()) == choice  # type: ignore[arg-type]

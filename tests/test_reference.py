"""The plain reference against truths from outside, and the fast code against the reference."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import toy
from conftest import REPOSITORY
from minimum_cases import boxed_minimum, distances, run
from scipy.optimize import minimize
from test_minimum_milp import digits, trained
from torch import Tensor

import bench
import bench.reference as reference
from bench.attacks.pgd import PGD
from bench.attacks.run import perturb
from bench.data.base import load_batch
from bench.data.load import load_images
from bench.entries import registry
from bench.measure.block import run_block
from bench.reference import Search, board_row, row, spectrum, to_cuts, to_plane
from bench.spectrum import spectral_metrics

Array = npt.NDArray[np.float64]
NETS = ["fully-connected", "full-conv", "local-conv", "fully-connected-relu", "local-conv-relu"]


def fashion(count: int) -> tuple[Tensor, list[int]]:
    """Return the first images (count, 1, 28, 28) of the protocol, and their labels."""
    data = load_images(
        registry.dataset("fashionmnist"), "test", data="embedded",
        registry_dir=registry.registry_dir(),
    )  # fmt: skip
    return load_batch(data, range(count)), data.labels[:count].tolist()


def test_it_is_one_short_file_of_numpy_and_torch() -> None:
    path = Path(reference.__file__)
    assert len(path.read_text().splitlines()) <= 300
    tree = ast.walk(ast.parse(path.read_text()))
    names = {n.module for n in tree if isinstance(n, ast.ImportFrom)}
    assert names <= {"__future__", "collections.abc", "typing", "torch"}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 9, 14), (2, 7, 8)])
def test_the_fast_spectrum_is_the_plain_one(shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(sum(shape))
    delta = torch.randn(4, *shape, generator=generator)
    delta[1] = 0.0
    delta[2] = 0.25
    fast = spectral_metrics(delta)
    for place in range(len(delta)):
        for name, value in spectrum(delta[place]).items():
            np.testing.assert_allclose(
                fast[name][place].numpy(), value, rtol=1e-9, atol=1e-11, err_msg=name
            )


def test_a_sinusoid_and_a_pixel() -> None:
    y, x = np.mgrid[:16, :16]
    wave = torch.from_numpy(np.cos(2 * np.pi * (3 * x + 4 * y) / 16))[None]
    assert spectrum(wave)["rfc"] == pytest.approx(5 / 8)
    pixel = torch.zeros(1, 16, 16)
    pixel[0, 3, 5] = 1
    assert spectrum(pixel)["hfe"] == pytest.approx(
        1 - 48 / 255
    )  # 48 frequencies lie within r <= .5


@pytest.mark.parametrize("name", ["pgd-linf", "pgd-l2", "pgd-l1"])
def test_pgd_takes_the_fast_code_s_steps(name: str) -> None:
    epsilon, steps, _ = reference.PGD[name]
    scale = "mean" if name == "pgd-l1" else "sum"
    settings = PGD(
        norm=name.removeprefix("pgd-"), steps=steps, epsilon=epsilon, epsilon_scale=scale,
        step_size=0.1, version=1,
    )  # fmt: skip
    protocol = registry.protocol("minimal2026").attacks[name]
    assert settings == protocol  # Table 10 as printed
    net, job = toy.linear(), toy.job(toy.linear())
    images, labels = job.load(range(2)), job.labels(range(2))
    fast = perturb(settings, net, images, labels).adversarial
    for image, label, found in zip(images, labels.tolist(), fast, strict=True):
        plain = reference.pgd(net, image, label, name)
        assert (plain - found).abs().max() < 1e-5


def test_a_plane_and_cuts_against_slsqp() -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        x, a = rng.uniform(size=7), rng.standard_normal((3, 7))
        inside = rng.uniform(size=7) - x
        h = a @ inside - 0.05 * rng.uniform(size=3)  # there is such a point
        found, m = to_cuts(x, [(a[k], float(h[k])) for k in range(3)])
        limits = [
            {"type": "ineq", "fun": lambda d, a=a, h=h, k=k: a[k] @ d - h[k]} for k in range(3)
        ]
        exact = minimize(
            lambda d: d @ d, inside, jac=lambda d: 2 * d, bounds=list(zip(-x, 1 - x, strict=True)),
            constraints=limits, method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        np.testing.assert_allclose(found, exact.x, atol=2e-5)
        assert (m >= 0).all()
        assert (a @ found >= h - 1e-9).all()
        if h[0] > 0:
            one = to_cuts(x, [(a[0], float(h[0]))])[0]
            np.testing.assert_allclose(to_plane(x, a[0], float(h[0])), one, atol=1e-9)


def test_out_of_the_box_s_reach_is_infinitely_far() -> None:
    assert np.isinf(to_plane(np.full(3, 0.5), np.ones(3), 1.6)).all()


def test_an_affine_net_s_minimum_is_exact_and_the_rows_are_the_fast_ones() -> None:
    job = toy.job(toy.linear())
    images, labels = job.load(range(20)), job.labels(range(20)).tolist()
    layer = toy.linear()[1]
    weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
    settings = registry.protocol("minimal2026").attacks["min-l2"]
    fast = run_block(toy.job(toy.linear()), "pgd-l2", range(20)).columns
    kept = 0
    found = distances(run(toy.linear(), images, torch.tensor(labels), "l2"), images, "l2")
    assert settings.norm == "l2"
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        measured = row(toy.linear(), image, label)
        assert measured["clean_pred"] == fast["clean_pred"][place]
        if not measured["clean_correct"]:
            continue
        kept += 1
        exact = boxed_minimum(image.flatten().double().numpy(), weight, bias, label, "l2")
        assert measured["l2"] == pytest.approx(exact, rel=1.5e-3)
        assert measured["l2"] == pytest.approx(float(found[place]), rel=1e-3)
        assert measured["image_rfc"] == pytest.approx(fast["image_rfc"][place], abs=1e-9)
        assert measured["grad_rfc"] == pytest.approx(fast["grad_rfc"][place], abs=1e-5)
    assert kept >= 10


def test_min_l2_s_rows_of_an_affine_net_are_the_reference_s() -> None:
    net, (images, labels) = bench.load_model("fashionmnist-local-conv"), fashion(24)
    found = bench.evaluate(
        "fashionmnist-local-conv", attacks=["min-l2"], limit=24, output=None, submissions=None
    ).set_index("sample_id")
    plain = [row(net, image, label) for image, label in zip(images, labels, strict=True)]
    exact = ("rfc", "hfe", "kappa_high", "dc_share", "axis_share", "image_rfc", "grad_rfc", "l2")
    for place, measured in enumerate(plain):
        fast = found.loc[place]
        assert (measured["status"], measured["success"]) == (fast["status"], fast["success"])
        if measured["success"]:
            for name in exact:
                assert measured[name] == pytest.approx(fast[name], abs=1e-4, rel=1e-3), name
            np.testing.assert_allclose(measured["radial_energy"], fast["radial_energy"], atol=1e-4)
    kept = found[found["success"]]
    board = board_row(plain)
    assert board["rfc"] == pytest.approx(kept["rfc"].mean(), abs=1e-4)
    assert (board["n"], board["n_kept"]) == (24, len(kept))
    assert board["rfc_low"] < board["rfc"] < board["rfc_high"]


def test_a_relu_net_s_ends_are_local_minima_and_the_fast_search_lands_there() -> None:
    """At the end the margin's gradients balance delta: no cut of nearby points lets it shrink."""
    net = trained(32)
    images, labels = digits()
    right = (net(images).argmax(1) == labels).nonzero()[:10, 0]
    images, labels = images[right], labels[right]
    fast = distances(run(net, images, labels, "l2"), images, "l2")
    ratios = []
    for image, label, size in zip(images, labels.tolist(), fast.tolist(), strict=True):
        found = row(net, image, label)
        assert found["success"]
        ratios.append(size / found["l2"])
        search = Search(net, image, label)
        delta = search.best(search.first_order())
        logits = search.at(delta)[1].detach()
        top = max(search.others, key=lambda j, z=logits: float(z[j]))
        rng = np.random.default_rng(0)
        # every linearisation within 1e-4 of the end, as a cut: the shortest point is the end still
        cuts = []
        for _ in range(60):
            near = delta + 1e-4 * rng.standard_normal(len(delta)) / 8
            margin, slope = search.margin(near, top)
            cuts.append((slope, float(search.aim - margin + slope @ near)))
        shortest = np.linalg.norm(to_cuts(search.x, cuts)[0])
        assert shortest >= np.linalg.norm(delta) * (1 - 1e-3)
    assert np.median(ratios) == pytest.approx(1, abs=1e-3)
    assert min(ratios) > 0.97
    assert max(ratios) < 1.03


def test_board_row_by_hand() -> None:
    rows = [
        {"clean_correct": True, "success": True, "rfc": r, "hfe": 0.5, "image_rfc": 0.2, "l2": d}
        for r, d in ((0.4, 1.0), (0.6, 3.0))
    ]
    rows += [{"clean_correct": True, "success": False}, {"clean_correct": False, "success": False}]
    found = board_row(rows)
    assert (found["n"], found["n_kept"]) == (4, 2)
    assert found["clean_accuracy"] == 0.75
    assert found["success"] == pytest.approx(2 / 3)
    assert found["rfc"] == pytest.approx(0.5)
    assert found["median_l2"] == 3.0
    with pytest.raises(ValueError, match="found none"):
        board_row(rows[2:])


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_the_board_s_rows_are_the_reference_s(net: str) -> None:
    """The first images of five nets against the submissions; benchmarks/reference.py takes 100."""
    import pandas as pd

    count = {"fully-connected-relu": 6, "local-conv-relu": 2}.get(net, 40)  # 2 and 11 s an image
    model, (images, labels) = bench.load_model(f"fashionmnist-{net}"), fashion(count)
    folder = REPOSITORY / "submissions" / "minimal2026" / "fashionmnist"
    stored = pd.read_parquet(folder / f"fashionmnist-{net}.parquet")
    fast = stored[stored["attack"] == "min-l2"].set_index("sample_id").loc[: count - 1]
    plain = [row(model, image, label) for image, label in zip(images, labels, strict=True)]
    assert [r["success"] for r in plain] == fast["success"].tolist()
    kept = fast["success"].to_numpy()
    rfc, l2 = (np.array([r.get(name, np.nan) for r in plain])[kept] for name in ("rfc", "l2"))
    apart = rfc - fast["rfc"].to_numpy()[kept]
    if net.endswith("-relu"):  # the same local minima, as far as the fast search's stopping tells
        assert abs(apart.mean()) <= 1e-3
        assert np.median(fast["l2"].to_numpy()[kept] / l2) == pytest.approx(1, abs=1e-3)
    else:
        assert np.abs(apart).max() <= 1e-4

"""The theory's numbers against brute force in small sizes, and the report of real nets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import bench
from bench.cli.main import call
from bench.entries import registry
from bench.errors import BenchError
from bench.models.collapse import collapse
from bench.theory import statements
from bench.theory.bounded_width import cost, rises_as_kernels_shrink, targets
from bench.theory.concentration import concentration
from bench.theory.nets import filters, open_net
from bench.theory.product import product, transfer
from bench.theory.statements import quasi_norm
from bench.theory.uncertainty import Sets, ghobber_jaming, sigma

CARRIED = REPOSITORY / "registry" / "checkpoints" / "fashionmnist-local-conv@seed1.safetensors"

# ---------------------------------------------------------------- the exact constant


def ratio(w: np.ndarray, window: int, low: int) -> float:
    """Return (norm off S + norm off Omega) / norm of w, by plain definition."""
    size = len(w)
    spectrum = np.fft.fft(w, norm="ortho")
    k = np.abs(np.rint(np.fft.fftfreq(size, 1 / size)))
    off = np.linalg.norm(w[window:]) + np.linalg.norm(spectrum[k > low])
    return float(off / np.linalg.norm(w))


@pytest.mark.parametrize(("size", "window", "low"), [(12, 3, 2), (9, 2, 1), (16, 5, 3)])
def test_the_constant_is_the_minimum_and_the_singular_vector_attains_it(
    size: int, window: int, low: int
) -> None:
    exact = math.sqrt(1 - sigma(size, window, low) ** 2)
    dft = np.fft.fft(np.eye(size), norm="ortho")
    k = np.abs(np.rint(np.fft.fftfreq(size, 1 / size)))
    block = dft[k <= low][:, :window]
    _, values, right = np.linalg.svd(block)
    assert sigma(size, window, low) == pytest.approx(values[0], abs=1e-12)
    vector = np.r_[right[0].conj(), np.zeros(size - window)]
    assert ratio(vector, window, low) == pytest.approx(exact, abs=1e-9)
    best = min(
        minimize(ratio, np.random.default_rng(s).standard_normal(size), (window, low)).fun
        for s in range(3)
    )
    assert best >= exact - 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 24), st.data())
def test_no_vector_is_below_the_constant_and_the_published_one_is_weaker(
    size: int, data: st.DataObject
) -> None:
    window, low = data.draw(st.integers(1, size)), data.draw(st.integers(0, (size - 1) // 2))
    values = data.draw(st.lists(st.floats(-1, 1), min_size=size, max_size=size))
    w = np.array(values)
    exact = math.sqrt(max(0.0, 1 - sigma(size, window, low) ** 2))
    if np.linalg.norm(w) > 1e-6:
        assert ratio(w, window, low) >= exact - 1e-7
    published = ghobber_jaming(size, window, 2 * low + 1)
    assert math.isnan(published) or published <= exact + 1e-7


def test_in_two_dimensions_sigma_is_the_product() -> None:
    sets = Sets.of((8, 12), (3, 2))
    dft = np.kron(np.fft.fft(np.eye(8), norm="ortho"), np.fft.fft(np.eye(12), norm="ortho"))
    inside = ~sets.outside.ravel()
    place = np.zeros((8, 12), dtype=bool)
    place[:3, :2] = True
    values = np.linalg.svd(dft[inside][:, place.ravel()], compute_uv=False)
    assert sets.sigma == pytest.approx(values[0], abs=1e-12)
    assert (sets.places, sets.frequencies) == (6, int(inside.sum()))
    assert sets.white == pytest.approx(math.sqrt(1 - inside.mean()))


def test_kappa_by_definition_and_the_window_finds_its_place() -> None:
    rng = np.random.default_rng(0)
    kernels = np.zeros((3, 2, 8, 8))
    kernels[:, :, 3:6, 6:8] = rng.standard_normal((3, 2, 3, 2))  # shifted, within a 3 x 3 window
    kernels[1] += 0.1 * rng.standard_normal((2, 8, 8))
    kernels[2] = 0
    sets = Sets.of((8, 8), (3, 3))
    found = concentration(kernels, sets)
    assert found.space[0] == 0
    assert math.isnan(found.space[2])
    best = max(
        np.roll(kernels[1], (-y, -x), (1, 2))[:, :3, :3].ravel() @
        np.roll(kernels[1], (-y, -x), (1, 2))[:, :3, :3].ravel()
        for y in range(8) for x in range(8)
    )  # fmt: skip
    assert found.space[1] == pytest.approx(math.sqrt(1 - best / (kernels[1] ** 2).sum()))
    power = np.abs(np.fft.fft2(kernels[1])) ** 2
    assert found.frequency[1] == pytest.approx(
        math.sqrt(power[:, sets.outside].sum() / power.sum())
    )


# ---------------------------------------------------------------- the product bound


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3))
def test_the_unnormalised_bound_always_holds(seed: int, channels: int, layers: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [int(rng.integers(1, 4)) for _ in range(layers + 1)]
    chain = [
        transfer(rng.standard_normal((sizes[i + 1], sizes[i], 3, 3)) * channels, (6, 6))
        for i in range(layers)
    ]
    found = product([chain], Sets.of((6, 6), (3, 3)).outside.ravel())
    assert found.holds
    if layers == 1:
        assert found.kappa == pytest.approx(found.bound)
        assert not found.fails.any()


def test_where_the_normalised_bound_holds_it_is_not_said_to_fail() -> None:
    """Two filters that share one frequency pair only: the product lies there, and so do they."""
    n = np.arange(16)
    high = np.fft.fft(np.cos(2 * np.pi * 6 * n / 16) + 1e-3)[None, None]
    low = np.fft.fft(np.cos(2 * np.pi * n / 16) + np.cos(2 * np.pi * 6 * n / 16))[None, None]
    outside = np.abs(np.rint(np.fft.fftfreq(16, 1 / 16))) > 2
    assert not product([[low, high]], outside).fails.any()


# ---------------------------------------------------------------- R_BWC


def direct(beta: np.ndarray, kernel: int) -> float:
    """Return R_K by minimising over the kernel itself, from several starts: no convexity used."""
    power = np.abs(np.fft.fft(beta)) ** 2 / len(beta)

    def value(w: np.ndarray) -> float:
        return float(
            w @ w + (power / np.maximum(np.abs(np.fft.fft(w, len(beta))) ** 2, 1e-9)).sum()
        )

    starts = (np.random.default_rng(s).standard_normal(kernel) for s in range(8))
    return min(float(minimize(value, w, method="BFGS").fun) for w in starts)


@pytest.mark.parametrize("name", ["three ones", "random", "smooth random"])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_r_bwc_against_a_search_over_kernels(name: str, kernel: int) -> None:
    beta = targets(8)[name]
    found = cost(beta, kernel)
    assert found.gap < 1e-6
    assert direct(beta, kernel) == pytest.approx(found.high, rel=1e-4)


@pytest.mark.parametrize("size", [7, 8])
def test_r_bwc_s_ends_scaling_monotony_and_mirror(size: int) -> None:
    for beta in targets(size).values():
        costs = [cost(beta, k) for k in range(1, size + 1)]
        assert costs[0].high == pytest.approx(2 * np.linalg.norm(beta))
        full = 2 / size * np.abs(np.fft.fft(beta)).sum()
        assert costs[-1].high == pytest.approx(full, rel=1e-6)
        assert rises_as_kernels_shrink(costs)
        assert max(c.gap for c in costs) < 1e-6
        assert cost(5 * beta, 3).high == pytest.approx(5 * costs[2].high)
        if size % 2 == 0:
            mirrored = cost(beta * (-1.0) ** np.arange(size), 3).high
            assert mirrored == pytest.approx(costs[2].high, rel=1e-9)
    assert not rises_as_kernels_shrink(costs[::-1])


def test_the_quasi_norm_by_hand() -> None:
    pixel = np.zeros((1, 1, 4, 4))
    pixel[0, 0, 1, 1] = 3
    for layers in (1, 2, 4):
        assert quasi_norm(pixel, layers) == pytest.approx(1)
    flat = np.ones((1, 1, 4, 4))  # one frequency of 16
    assert quasi_norm(flat, 2) == pytest.approx(1 / 4)
    assert quasi_norm(flat, 4) == pytest.approx(1 / 64)


# ---------------------------------------------------------------- nets


@pytest.mark.parametrize("family", ["full-conv", "local-conv", "deep-local-conv"])
def test_the_chain_is_the_net_s_beta(family: str) -> None:
    """The product of the channel matrices is the spectrum of the collapsed net's weights."""
    entry = registry.model(f"fashionmnist-{family}")
    net = open_net(entry, "default")
    found = filters(entry, net)
    assert found.readout is not None
    whole = found.readout
    for layer in reversed(found.chain):
        whole = np.einsum("oif,ijf->ojf", whole, layer)
    exact = collapse(net, (1, 28, 28)).weight.detach().double().numpy().reshape(10, 1, 28, 28)
    assert found.beta is not None
    np.testing.assert_allclose(found.beta, exact, atol=1e-6)
    spectrum = np.abs(np.fft.fft2(exact)).reshape(10, 1, -1)
    np.testing.assert_allclose(np.abs(whole), spectrum, rtol=1e-4, atol=1e-4 * spectrum.max())


def test_locally_connected_kernels_are_rows_of_the_layer_s_jacobian() -> None:
    entry = registry.model("fashionmnist-locally-connected")
    net = open_net(entry, "random")
    kernels = next(iter(filters(entry, net).layers.values()))
    layer = net.hidden[0].float()
    for y, x, o in ((0, 0, 3), (5, 27, 0), (14, 9, 31)):
        image = torch.zeros(1, 1, 28, 28, requires_grad=True)
        (row,) = torch.autograd.grad(layer(image)[0, o, y, x], image)
        padded = torch.nn.functional.pad(row[0, 0], (1, 1, 1, 1))[y : y + 3, x : x + 3]
        mine = kernels[(y * 28 + x) * 32 + o, 0]
        np.testing.assert_allclose(mine, padded.numpy(), atol=1e-6)


def test_the_report_of_a_linear_net(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["theory", "-m", "fashionmnist-local-conv", "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    stem = tmp_path / "probes" / "fashionmnist" / "fashionmnist-local-conv.theory"
    table = pq.read_table(f"{stem}.parquet").to_pandas()
    assert set(table["status"]) == {"proved", "measured", "violated"}
    assert set(table["weights"]) == {"trained", "untrained", "none"}
    assert len(
        [line for line in shown.splitlines() if line.startswith(("proved", "measured", "viol"))]
    ) == len(table)
    normalised = table[table["statement"].str.startswith("product bound, normalised")]
    assert (normalised["share"] == 1).all()
    assert (normalised["status"] == "violated").all()
    slack = table[(table["quantity"] == "slack") & (table["status"] == "proved")]
    assert (slack["low"] >= 0).all()
    page = Path(f"{stem}.md").read_text()
    for text in set(table["statement"]):
        assert text.replace("|", "\\|") in page
    alone = Path(f"{stem}.html").read_text()
    assert "<svg" in alone
    for name in ("src=", "<link", "<script", "url("):  # nothing from elsewhere
        assert name not in alone.replace("url(#", "")


def test_the_python_call_and_a_relu_net() -> None:
    found = bench.check_theory("fashionmnist-local-conv-relu", output=None)
    assert "beta" not in set(found["scope"])
    products = found[found["statement"].str.startswith("product bound")]
    assert products["scope"].str.endswith("as if there were no ReLU)").all()
    assert (found.loc[found["quantity"] == "slack", "low"] >= 0).all()


def test_a_number_that_contradicts_a_theorem_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = registry.model("fashionmnist-local-conv")
    net = filters(entry, open_net(entry, "random"))
    monkeypatch.setattr(Sets, "exact", property(lambda self: 1.5))
    with pytest.raises(AssertionError, match="the uncertainty principle is a theorem"):
        statements.of_kernels(net)


@pytest.mark.parametrize(
    ("model", "weights", "said"),
    [
        ("resnet50d", "default", "expected one of the paper's nets"),
        ("fashionmnist-local-conv", "random", "leave it out"),
        ("fashionmnist-local-conv", "nowhere.safetensors", "expected a weights file"),
        ("mnist-local-conv", "default", "expected trained weights"),
        ("fashionmnist-local-conv", str(CARRIED), "found the one affine map"),
    ],
)
def test_what_can_t_be_checked_is_said(model: str, weights: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        bench.check_theory(model, weights=weights, output=None)


def test_what_is_said_to_be_violated_is_found_and_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror image costs the same; were it cheaper, the line would not say violated."""
    lines, _ = statements.of_widths()
    said = {one.statement.partition(":")[0].partition(" (")[0]: one for one in lines}
    favours, energy = said["a small kernel favours high frequencies"], said[
        "a smaller kernel has more energy in high frequencies"
    ]  # fmt: skip
    assert (favours.status, favours.share) == ("violated", 1.0)
    assert max(abs(favours.low), abs(favours.high)) < 1e-9
    assert (energy.status, energy.share) == ("violated", 0.5)  # of two pairs one
    assert energy.low < -0.2 < 0.2 < energy.high
    plain = statements.cost

    def cheaper(beta: np.ndarray, kernel: int) -> object:
        found = plain(beta, kernel)
        low = statements._low(beta) or kernel == len(beta)
        return found if low else type(found)(kernel, found.low * 0.9, found.high * 0.9)

    monkeypatch.setattr(statements, "cost", cheaper)
    values, lower = statements._turned()
    assert lower.all()
    assert (values < -0.05).all()


@pytest.mark.parametrize("family", ["fully-connected", "locally-connected", "deep-full-conv"])
def test_all_kernels_together_are_those_one_by_one_as_channels(family: str) -> None:
    entry = registry.model(f"fashionmnist-{family}")
    net = filters(entry, open_net(entry, "random"))
    lines, _ = statements.of_kernels(net)
    whole = [one for one in lines if "together" in one.statement]
    assert len(whole) == len(net.layers)
    assert all(one.status == "proved" and one.low >= 0 for one in whole)
    name, kernels = next(iter(net.layers.items()))
    some = kernels[:40]
    sets = Sets.of(net.size, net.window)
    grid = statements._padded(some, net.size).reshape(1, -1, *net.size)
    together = statements._together(some, sets)
    plain = concentration(grid, sets)
    assert together.slack == pytest.approx(plain.slack)
    assert together.norm == pytest.approx(plain.norm)
    assert whole[0].scope == name

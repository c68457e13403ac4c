"""The frequency grid against plain loops and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.grid import BINS, frequency_grid, ring_counts, white_noise


@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 32), (7, 7), (9, 14), (64, 48)])
def test_radii_bins_and_masks_are_those_of_a_plain_loop(height: int, width: int) -> None:
    grid = frequency_grid(height, width)
    place = 0
    for fy in np.fft.fftfreq(height):
        for fx in np.fft.fftfreq(width):
            r = math.hypot(fx, fy) / 0.5
            assert grid.radius[place] == pytest.approx(r, abs=1e-12)
            edge = r / math.sqrt(2) * BINS
            if abs(edge - round(edge)) > 1e-9:
                assert grid.bin[place] == int(edge)
            assert grid.radii[grid.radius_index[place]] == grid.radius[place]
            if abs(r - 0.5) > 1e-9:
                assert grid.high[place] == (r > 0.5)
            outside = abs(fy * height) > height / 8 + 1e-9 or abs(fx * width) > width / 8 + 1e-9
            assert grid.outside_box[place] == outside
            place += 1


def test_the_corner_lies_in_the_closed_last_bin_and_half_of_nyquist_is_not_high() -> None:
    grid = frequency_grid(32, 32)
    corner = 16 * 32 + 16
    assert grid.radius[corner] == math.sqrt(2)
    assert grid.bin[corner] == BINS - 1
    assert not grid.high[8]  # r = 0.5 exactly
    assert ring_counts(32, 32).sum() == 1024


def test_the_shared_grid_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        frequency_grid(8, 8).radius[0] = 1


def test_white_noise_has_its_exact_rfc() -> None:
    # science: .7669, .7665, .7652
    for size, value in ((28, 0.7669), (32, 0.7665), (224, 0.7652)):
        assert white_noise(size, size)["rfc"] == pytest.approx(value, abs=5e-5)

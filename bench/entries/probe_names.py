"""The names of all probes. It imports nothing: help and the names of files read it too.

A probe is one folder in `bench/probes/` and one entry here; no other place has to know it. A figure
of its own is drawn in `bench/figures/`, as every figure is.
"""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """Where a probe is, and what the help of its command says first.

    Attributes:
        where: "module:class" of its settings. The module must not import torch by itself: the
            board reads it too.
        help: one line for the list of commands; then, after an empty line, what it measures.
    """

    where: str
    help: str


PROBES: dict[str, Listed] = {
    "bands": Listed(
        "bench.probes.bands.probe:Bands",
        """Find the nearest boundary within each of 8 annuli of the spectrum, in L2.

    min-l2's own search, held to a band, without the bounds of [0, 1]; beside it PGD in the band,
    random directions of the band, and what the box does: how much of a clipped perturbation leaves
    the band, and for how many images one exists that keeps band and box.
        """,
    ),
    "heatmap": Listed(
        "bench.probes.heatmap.probe:Heatmap",
        """Add every real Fourier basis direction of a fixed norm: error and margin change.

    The heat map of Yin et al. 2019, with phase and sign drawn for each image and mode: every mode
    up to 32 pixels, a stratified sample of them beyond; and the slope against the radius.
        """,
    ),
    "filters": Listed(
        "bench.probes.filters.probe:Filters",
        """Pass images and perturbations through low- and high-pass filters.

    Accuracy on filtered images, and success of min-l2's filtered perturbations, with exactly
    complementary masks: which frequencies carry the attack.
        """,
    ),
    "gradient": Listed(
        "bench.probes.gradient.probe:Gradient",
        """Hold the spectrum of the loss gradient against that of the minimal perturbation.

    Over samples, and over models if several are named: correlations with intervals.
        """,
    ),
}
"""Name -> the probe. Of letters and digits: the name is a command and the kind of its files, so
that no model's name may end in `.<name>`."""

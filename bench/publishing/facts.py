"""What the benchmark is called, who made it and what it follows: one text for every place."""

from __future__ import annotations

from typing import Any

import bench

TITLE = "frequency-bench: frequency robustness of image classifiers"
SHORT = "frequency-bench"
AUTHORS = "The frequency-bench authors"
LICENCE = "Apache-2.0"
LICENCE_URL = "https://www.apache.org/licenses/LICENSE-2.0"
DESCRIPTION = (
    "Where in the frequency spectrum is an image classifier attackable? Mean radial frequency "
    "(RFC, 1 = Nyquist) of minimal adversarial perturbations under a fixed protocol, with "
    "intervals and controls. A lower RFC is not more robust: it says at which frequencies the "
    "smallest perturbation lies, not how large it is."
)
KEYWORDS = ("adversarial robustness", "frequency", "Fourier", "image classification", "benchmark")
PAPER: dict[str, Any] = {
    "type": "article",
    "title": (
        "Translational symmetry in convolutions with localized kernels causes an implicit bias "
        "toward high frequency adversarial examples"
    ),
    "authors": [
        {"family-names": family, "given-names": given}
        for family, given in (
            ("Caro", "Josue O."),
            ("Ju", "Yilong"),
            ("Pyle", "Ryan"),
            ("Dey", "Sourav"),
            ("Brendel", "Wieland"),
            ("Anselmi", "Fabio"),
            ("Patel", "Ankit B."),
        )
    ],
    "journal": "Frontiers in Computational Neuroscience",
    "volume": 18,
    "start": "1387077",
    "year": 2024,
    "doi": "10.3389/fncom.2024.1387077",
}
"""The paper whose protocol the benchmark follows, in the words of the citation file format."""


def citation() -> dict[str, Any]:
    """Return CITATION.cff (citation file format 1.2.0)."""
    return {
        "cff-version": "1.2.0",
        "title": TITLE,
        "message": (
            "If you use this benchmark, please cite it and the paper whose protocol it follows."
        ),
        "type": "software",
        "license": LICENCE,
        "version": bench.__version__,
        "authors": [{"name": AUTHORS}],
        "references": [PAPER],
    }


def zenodo() -> dict[str, Any]:
    """Return .zenodo.json, which Zenodo reads when it archives a release."""
    return {
        "title": TITLE,
        "description": DESCRIPTION,
        "upload_type": "dataset",
        "version": bench.__version__,
        "license": LICENCE,
        "creators": [{"name": AUTHORS}],
        "keywords": list(KEYWORDS),
        "related_identifiers": [
            {
                "identifier": PAPER["doi"],
                "relation": "isSupplementTo",
                "scheme": "doi",
                "resource_type": "publication-article",
            }
        ],
    }

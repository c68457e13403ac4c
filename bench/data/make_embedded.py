"""Make the embedded FashionMNIST file of the registry from the original IDX files.

    python -m bench.data.make_embedded FOLDER_WITH_IDX_FILES

FashionMNIST is MIT-licensed by Zalando SE; the notice lies beside the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.data.check import check_fingerprint
from bench.data.formats import embedded, idx
from bench.entries import registry
from bench.errors import BenchError

COUNT = 1000
"""Exactly the sample ids that the protocols measure on."""


def make(folder: Path, registry_dir: Path) -> Path:
    """Write the first 1000 FashionMNIST test images and return the file's path.

    Args:
        folder: the IDX files, as in Debian's package dataset-fashion-mnist.
        registry_dir: the registry to write into.

    Raises:
        BenchError: the folder does not hold FashionMNIST's test split.
    """
    entry = registry.dataset("fashionmnist")
    images = idx.read(folder, entry, "test")
    if images is None:
        raise BenchError(f"expected {idx.expects(entry, 'test')}, found none, in {folder}")
    check_fingerprint(images, entry, "test")
    assert entry.embedded is not None, "the FashionMNIST entry names its embedded file"
    path = registry_dir / entry.embedded
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded.write(path, images, COUNT)
    return path


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), registry.registry_dir()))

"""The board's rows of min-l2 against the plain reference (bench/reference.py), sample by sample.

    python tests/benchmarks/reference.py                             # five nets, 100 images
    python tests/benchmarks/reference.py --model fashionmnist-local-conv-relu --images 20

The rows are those of the submission; the reference measures the same images again, one by one. An
affine net has one minimum, and both must reach it. Of a ReLU net both search, with different starts
and stopping rules: the fast search stops where it can gain 2e-4, the reference where it can gain
1e-9, so the same local minimum is known to that precision only.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import torch
from tabulate import tabulate

import bench
from bench.data.base import load_batch
from bench.data.load import load_images
from bench.entries import registry
from bench.reference import board_row, row

NETS = ["fully-connected", "full-conv", "local-conv", "fully-connected-relu", "local-conv-relu"]


def compare(model: str, images: int, folder: str) -> list[object]:
    """Return one line: how far reference and submission are apart."""
    entry = registry.model(model)
    data = load_images(
        registry.dataset(entry.dataset), "test", data="embedded",
        registry_dir=registry.registry_dir(),
    )  # fmt: skip
    stored = pd.read_parquet(f"{folder}/{entry.dataset}/{model}.parquet").set_index("attack")
    fast = stored.loc["min-l2"].set_index("sample_id").loc[: images - 1]
    net, begin = bench.load_model(model), time.perf_counter()
    pairs = zip(load_batch(data, range(images)), data.labels[:images], strict=True)
    plain = [row(net, image, int(label)) for image, label in pairs]
    seconds = time.perf_counter() - begin
    success = np.array([r["success"] for r in plain])
    alone = (success != fast["success"].to_numpy()).nonzero()[0].tolist()
    kept = fast["success"].to_numpy() & success
    rfc, l2 = (np.array([r.get(name, np.nan) for r in plain])[kept] for name in ("rfc", "l2"))
    apart = np.abs(rfc - fast["rfc"].to_numpy()[kept])
    ratio = fast["l2"].to_numpy()[kept] / l2
    same = [r["adv_pred"] for r, k in zip(plain, kept, strict=True) if k]
    classes = np.mean(np.array(same) == fast["adv_pred"].to_numpy()[kept])
    mean = float(rfc.mean() - fast["rfc"].to_numpy()[kept].mean())
    return [
        model, int(kept.sum()), board_row(plain)["rfc"], f"{mean:+.1e}",
        *(f"{np.mean(apart <= t):.2f}" for t in (1e-4, 1e-3)), f"{apart.max():.1e}",
        f"{classes:.2f}", f"{ratio.mean() - 1:+.1e}",
        int((ratio > 1.001).sum()), int((ratio < 0.999).sum()), alone, f"{seconds / images:.2f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="*", default=[f"fashionmnist-{net}" for net in NETS])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--submissions", default="submissions/minimal2026")
    options = parser.parse_args()
    torch.set_num_threads(1)
    header = [
        "net", "kept", "RFC", "reference - board", "within 1e-4", "within 1e-3", "largest",
        "same class", "mean excess", "> .1 % longer", "> .1 % shorter",
        "fooled by one only", "s an image",
    ]  # fmt: skip
    for model in options.model:
        print(tabulate([compare(model, options.images, options.submissions)], header), flush=True)


if __name__ == "__main__":
    main()

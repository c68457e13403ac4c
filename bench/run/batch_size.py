"""The automatic batch size: the largest useful one that fits, found without dying.

A pass with one image and a pass with a few show what an image costs; the batch is what fits into
a share of the free memory, up to a size beyond which nothing gets faster. Should the estimate be
wrong all the same, `bench.measure.memory` halves the batch and goes on.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.measure.memory import is_out_of_memory

LARGEST = 128
"""Small images fill two cores, and the protocol's 1000 samples divide well, long before this."""
LARGEST_VALUES = {"cpu": 16 * 3 * 224 * 224, "cuda": 128 * 3 * 224 * 224}
"""Input values of a batch, at most: 16 images of 224 x 224 pixels on a CPU, 128 on a GPU."""
SHARE = 0.5
"""Share of the free memory that a batch may take."""
FEW = 4
"""Images of the second, larger trial pass."""


def useful_batch(shape: tuple[int, int, int], device: str) -> int:
    """Return the largest batch worth having for an input shape, whatever the memory is.

    Args:
        shape: (C, H, W).
        device: "cpu" or "cuda".
    """
    values = shape[0] * shape[1] * shape[2]
    return max(1, min(LARGEST, LARGEST_VALUES[device] // values))


def automatic_batch(model: nn.Module, image: Tensor) -> int:
    """Return the batch size for a model on the device that it is on.

    Args:
        model: images in [0, 1] -> logits; eval mode, frozen.
        image: (1, C, H, W) float32, any image, on the model's device.
    """
    channels, height, width = image.shape[1:]
    wanted = useful_batch((channels, height, width), image.device.type)
    if wanted * image.numel() <= 2**18:
        return wanted  # 128 gray images of 28 x 28: no net of the paper can fill a memory with it
    try:
        one = _peak_of_a_pass(model, image)
        few = _peak_of_a_pass(model, image.expand(FEW, -1, -1, -1).contiguous())
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return 1
    cost = max((few - one) / (FEW - 1), 1.0)
    return max(1, min(wanted, int(SHARE * free_memory(image.device) / cost)))


def _peak_of_a_pass(model: nn.Module, images: Tensor) -> int:
    """Return the peak memory, bytes, of a forward and backward pass."""
    if images.is_cuda:
        torch.cuda.reset_peak_memory_stats(images.device)
    inputs = images.clone().requires_grad_(True)
    torch.autograd.grad(model(inputs).sum(), inputs)
    return peak_memory(images.device)


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of the GPU's allocator, or resident in this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_memory(device: torch.device) -> int:
    """Return the bytes that can still be allocated; a cautious 4 GiB where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 * 2**30

"""The locally connected layer as batched matrix products on views, without copying patches.

The padded input is kept as (H + 2, B, W + 2, C). There the three pixels under one row of the kernel
are 3 * C contiguous numbers for each image, so that for one output row and one kernel row the
patches of all columns are a strided view (W, B, 3 * C): a batch of matrices for `torch.bmm`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

FEW_CHANNELS = 8
"""Below, the views' matrices are too narrow for a fast product, and copying patches is cheap."""


def locally_connected(x: Tensor, weight: Tensor) -> Tensor:
    """Apply a 3x3 locally connected layer with zero padding 1.

    Args:
        x: (B, C, H, W).
        weight: (H, 3, W, 3 * C, O), see `LocallyConnected2d`.

    Returns:
        (B, O, H, W), in memory (H, W, B, O).
    """
    few = x.shape[1] < FEW_CHANNELS
    out: Tensor = _with_patches(x, weight) if few else _Rows.apply(x, weight)
    return out.permute(2, 3, 0, 1)


def _with_patches(x: Tensor, weight: Tensor) -> Tensor:
    """Return (H, W, B, O); copies every pixel nine times."""
    batch, channels, height, width = x.shape
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1)).permute(2, 3, 0, 1)
    shifts = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    patches = torch.cat(shifts, dim=3).view(height * width, batch, 9 * channels)
    by_position = weight.transpose(1, 2).reshape(height * width, 9 * channels, -1)
    return torch.bmm(patches, by_position).view(height, width, batch, -1)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        padded = x.new_zeros(height + 2, batch, width + 2, channels)
        padded[1:-1, :, 1:-1] = x.permute(2, 0, 3, 1)
        ctx.save_for_backward(padded, weight)
        out = x.new_empty(height, width, batch, weight.shape[-1])
        for row in range(height):
            # the first product writes and the others add: no pass over zeros before
            torch.bmm(_patches(padded, row), weight[row, 0], out=out[row])
            out[row].baddbmm_(_patches(padded, row + 1), weight[row, 1])
            out[row].baddbmm_(_patches(padded, row + 2), weight[row, 2])
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        padded, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _grad_input(gradient, weight).permute(2, 3, 0, 1)
        if ctx.needs_input_grad[1]:
            grad_weight = torch.empty_like(weight)
            for row in range(len(gradient)):
                for i in range(3):
                    patches = _patches(padded, row + i).mT
                    torch.bmm(patches, gradient[row], out=grad_weight[row, i])
        return grad_x, grad_weight


def _patches(padded: Tensor, row: int) -> Tensor:
    """Return the view (W, B, 3 * C) of one padded row."""
    # neighbouring columns' patches overlap in memory, so this may be read and never written
    line = padded[row]
    batch, width, channels = line.shape
    return line.as_strided(
        (width - 2, batch, 3 * channels), (channels, width * channels, 1), line.storage_offset()
    )


def _grad_input(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient (H, W, B, C) of the input from the output's, (H, W, B, O)."""
    height, width, batch, _ = gradient.shape
    channels = weight.shape[3] // 3
    out = gradient.new_empty(height, width, batch, channels)
    for row in range(height):
        target = out[row]
        # the middle kernel pixel reaches every input pixel: it writes, the others add
        torch.bmm(gradient[row], weight[row, 1, :, channels : 2 * channels].mT, out=target)
        for i in range(3):
            source = row + 1 - i
            if not 0 <= source < height:
                continue
            for j in range(3):
                # a product for each kernel pixel: views that overlap can't be summed into
                if (i, j) == (1, 1):
                    continue
                first, last = max(0, 1 - j), min(width, width + 1 - j)  # output columns
                block = weight[source, i, first:last, j * channels : (j + 1) * channels]
                target[first - 1 + j : last - 1 + j].baddbmm_(
                    gradient[source, first:last], block.mT
                )
    return out

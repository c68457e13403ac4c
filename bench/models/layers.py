"""The two layers that PyTorch lacks: circular convolution with any kernel, locally connected."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CircularConv2d(nn.Module):
    """Convolution (cross-correlation) with circular padding; the output has the input's size.

    Equal to `nn.Conv2d(..., padding="same", padding_mode="circular")` with the same state dict.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: (kh, kw), each at most the image's height and width.
        image_size: (H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        image_size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H, W)."""
        height, width = self.image_size
        kh, kw = self.weight.shape[-2:]
        kernel = F.pad(self.weight, (0, width - kw, 0, height - kh))
        kernel = torch.roll(kernel, (-((kh - 1) // 2), -((kw - 1) // 2)), (-2, -1))
        spectrum = torch.einsum(
            "bcyx,ocyx->boyx", torch.fft.rfft2(x), torch.fft.rfft2(kernel).conj()
        )
        out: Tensor = torch.fft.irfft2(spectrum, s=(height, width)) + self.bias[:, None, None]
        return out


class LocallyConnected2d(nn.Module):
    """3x3 layer with zero padding 1 whose weights differ at every position; no bias.

    The weight is (H * W, 9 * C, O), its middle axis in the order (ky, kx, c).

    Args:
        in_channels: C.
        out_channels: O.
        image_size: (H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.image_size = image_size
        height, width = image_size
        self.weight = nn.Parameter(torch.empty(height * width, 9 * in_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H, W)."""
        height, width = self.image_size
        patches = F.unfold(x, 3, padding=1).view(x.shape[0], -1, 9, height * width)
        out = torch.bmm(patches.permute(3, 0, 2, 1).flatten(2), self.weight)  # (P, B, O)
        return out.permute(1, 2, 0).reshape(x.shape[0], -1, height, width)

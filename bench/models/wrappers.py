"""What is put around a model: normalisation, a copy of its images, a choice of its classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OnUnitImages(nn.Module):
    """A model with its normalisation inside: images in [0, 1] -> logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean)[None, :, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[None, :, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images in [0, 1] to (B, classes) logits."""
        logits: Tensor = self.model((images - self.mean) / self.std)
        return logits


class SomeClasses(nn.Module):
    """A model of many classes, asked for some of them only.

    Args:
        model: images -> (B, all classes) logits.
        subset: the classes' indices, in the order in which their logits are wanted.
    """

    subset: Tensor

    def __init__(self, model: nn.Module, subset: tuple[int, ...]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("subset", torch.tensor(subset), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, len(subset)) logits."""
        logits: Tensor = self.model(images)
        return logits.index_select(1, self.subset)


class OnClones(nn.Module):
    """A model that gets a copy of its images, so that what it writes there is its own affair.

    Its logits come in float32 if the model computes in half precision.

    Args:
        model: images -> logits.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images to what the model makes of them."""
        logits: Tensor = self.model(images.clone())
        half = isinstance(logits, Tensor) and logits.dtype in (torch.float16, torch.bfloat16)
        return logits.float() if half else logits

"""Small nets that the minimal attacks were not tuned on, trained for seconds on embedded images.

Built by timm where it has the family (ResNet, ViT, MLP-Mixer); a GELU and a max-pool net besides.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPOCHS, BATCH, RATE = 30, 50, 2e-3


def resnet() -> nn.Module:
    """A residual net with batch norm and a max-pooled stem, 3 stages."""
    from timm.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10, in_chans=1, channels=(16, 32, 48, 64))


def vit() -> nn.Module:
    """A vision transformer of 4 blocks on 7 x 7 patches."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=28, patch_size=4, in_chans=1, num_classes=10, embed_dim=48, depth=4, num_heads=4
    )


def mixer() -> nn.Module:
    """An MLP-Mixer of 4 blocks."""
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(
        img_size=28, patch_size=4, in_chans=1, num_classes=10, embed_dim=64, num_blocks=4
    )


def gelu() -> nn.Module:
    """Three convolutions with GELU: curved everywhere, no kinks."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2), nn.GELU(), nn.Conv2d(16, 32, 3, stride=2), nn.GELU(),
        nn.Conv2d(32, 32, 3), nn.GELU(), nn.Flatten(), nn.Linear(32 * 16, 10),
    )  # fmt: skip


def maxpool() -> nn.Module:
    """Two convolutions with ReLU and max-pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 16, 10),
    )  # fmt: skip


NETS: dict[str, Callable[[], nn.Module]] = {
    "resnet": resnet,
    "vit": vit,
    "mixer": mixer,
    "gelu": gelu,
    "maxpool": maxpool,
}


def trained(name: str, images: Tensor, labels: Tensor, epochs: int = EPOCHS) -> nn.Module:
    """Return a net of `NETS`, trained on these images (n, 1, 28, 28), frozen; seeded."""
    torch.manual_seed(0)
    net = NETS[name]()
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    net.train()
    for _ in range(epochs):
        for part in torch.randperm(len(images)).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(net(images[part]), labels[part]).backward()
            optimiser.step()
    return net.eval().requires_grad_(False)

"""Models and images that the tests of model steps share."""

import torch
from attack_cases import frozen, random_images
from torch import Tensor, nn
from torch.nn import functional as F

IMAGES = random_images(13, channels=3)

LABELS = torch.arange(13) % 10


class Residual(nn.Module):
    """Conv + batch norm pairs, one of which must not be folded: the sum reads its convolution."""

    def __init__(self, tapped: bool) -> None:
        super().__init__()
        self.tapped = tapped
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6 * 36, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        y = self.conv(x)
        z = self.norm(y).relu() + (y if self.tapped else x)
        logits: Tensor = self.head(z.flatten(1))
        return logits


def residual(tapped: bool) -> nn.Module:
    torch.manual_seed(3)
    net = Residual(tapped)
    for norm in (net.stem[1], net.norm):
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.3, 3.0)
        norm.weight.data.normal_(1, 0.3)
        norm.bias.data.normal_(0, 0.3)
    return frozen(net)


def plain(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    leaf = images.clone().requires_grad_()
    logits = model(leaf)
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return logits.detach(), torch.autograd.grad(loss, leaf)[0]


class Mixing(nn.Module):
    """Linear layers over the last axis, over a transposed one, without bias, and a small one."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.channels = nn.Linear(192, 128, bias=False), nn.Linear(64, 96)
        self.head = nn.Linear(96, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = images.reshape(-1, 64, 192)  # (B, 64, 192)
        y = self.tokens(x.cos()).transpose(1, 2)  # (B, 128, 64), not contiguous
        logits: Tensor = self.head(self.channels(y).relu().mean(1))
        return logits

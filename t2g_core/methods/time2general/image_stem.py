"""What the picture itself says at stride 4: edges and thin things that tokens of 16 pixels miss."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.encoders.normalise import normalise

FOG_GRID = (3, 4)  # rows, columns of a field that is enlarged to the picture


class ImageStem(nn.Module):
    """A shallow network on the picture, joined with the context of the tokens.

    While it learns, its own input is distorted anew at every iteration, and the tokens' is not.
    """

    def __init__(self, channels: int, context_dim: int):
        """channels: c at stride 4; context_dim: d of the context at stride 8."""
        super().__init__()
        half = channels // 2
        self.image = nn.Sequential(
            *conv_block(3, half, 3, stride=2), *conv_block(half, channels, 3, stride=2)
        )
        self.context = conv_block(context_dim, channels, 1)
        self.join = nn.Sequential(
            *conv_block(2 * channels, channels, 3), *conv_block(channels, channels, 3)
        )
        self.distorts = True  # in training mode; a stage that holds the frame path says no

    def forward(self, images: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """images (B, h, w, 3) uint8, context (B, d, h/8, w/8) -> (B, c, h/4, w/4)."""
        x = normalise(images)
        if self.training and self.distorts:
            x = distorted(x)
        seen = self.image(x)
        wide = F.interpolate(self.context(context), size=seen.shape[-2:], mode="bilinear")
        return self.join(torch.cat([seen, wide], dim=1))


def conv_block(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; (B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def distorted(x: torch.Tensor) -> torch.Tensor:
    """Normalised pictures (B, 3, h, w) under another light, in haze, blurred and noisy; each of the
    four in half of them, by PyTorch's generator."""
    for change in (relit, hazy, blurred, noisy):
        chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
        x = torch.where(chosen, change(x), x)
    return x


def relit(x: torch.Tensor) -> torch.Tensor:
    """Another contrast, brightness and white."""
    each, colour = (len(x), 1, 1, 1), (len(x), 3, 1, 1)
    gain = between(each, 0.5, 1.5, x) * between(colour, 0.85, 1.15, x)
    return x * gain + between(each, -0.8, 0.8, x)


def hazy(x: torch.Tensor) -> torch.Tensor:
    """A grey of uneven density over it."""
    field = torch.rand(len(x), 1, *FOG_GRID, device=x.device)
    density = F.interpolate(field, size=x.shape[-2:], mode="bilinear", align_corners=True)
    density = density * between((len(x), 1, 1, 1), 0.1, 0.9, x)
    return torch.lerp(x, between((len(x), 1, 1, 1), -0.5, 2.0, x).expand_as(x), density)


def blurred(x: torch.Tensor) -> torch.Tensor:
    """A mean of 3x3 pixels."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def noisy(x: torch.Tensor) -> torch.Tensor:
    """Noise of another strength for each picture."""
    return x + between((len(x), 1, 1, 1), 0.0, 0.4, x) * torch.randn_like(x)


def between(shape: tuple[int, ...], least: float, most: float, like: torch.Tensor) -> torch.Tensor:
    """Uniform random numbers on the device of `like`."""
    return torch.empty(shape, device=like.device).uniform_(least, most)

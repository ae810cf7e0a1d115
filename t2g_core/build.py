"""The trainable part as one module: standardised tokens, then one of the heads."""

from __future__ import annotations

import torch
from torch import nn

from t2g_core.config import Config
from t2g_core.encoders.depth_anything import RGBDepthEncoder, build_depth_encoder
from t2g_core.encoders.dinov2 import FrozenEncoder
from t2g_core.model.frame_heads import FrameHead
from t2g_core.model.time2general import Time2General
from t2g_core.model.token_standardizer import TokenStandardizer

PIXEL_MEAN = (0.485, 0.456, 0.406)  # what DINOv2 was trained with
PIXEL_STD = (0.229, 0.224, 0.225)


class TrainablePart(nn.Module):
    """Everything a checkpoint holds: token statistics and the head. No encoder weights."""

    def __init__(self, config: Config, token_width: int, text: torch.Tensor):
        """text (K, E): embeddings of the class names; K is the number of classes."""
        super().__init__()
        blocks, layers = len(config.encoder.blocks), config.num_layers
        self.standardize = TokenStandardizer(layers, token_width)
        self.head: Time2General | FrameHead
        if config.time2general is not None:
            self.head = Time2General(
                config.time2general, token_width, blocks, text, has_depth=config.depth is not None
            )
        else:
            self.head = FrameHead(config.frame_head, token_width, layers, len(text))

    def remember(self, tokens: list[torch.Tensor], images: torch.Tensor) -> tuple:
        """A frame's own maps and what it leaves to others; tokens: one (B, N, C) a layer."""
        return self.head.remember(self.standardize(tokens), images)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """(..., H, W, 3) uint8 RGB -> (..., 3, H, W) float32 as the encoder expects."""
    mean = torch.tensor(PIXEL_MEAN, device=images.device) * 255
    std = torch.tensor(PIXEL_STD, device=images.device) * 255
    return ((images.float() - mean) / std).movedim(-1, -3)


def build_encoder(
    config: Config, device: str | torch.device = "cpu"
) -> FrozenEncoder | RGBDepthEncoder:
    """The frozen encoder of a config, or both of them; weights loaded."""
    encoder = FrozenEncoder(config.encoder)
    if config.depth is not None:
        depth = build_depth_encoder(config.encoder, config.depth)
        return RGBDepthEncoder(encoder, depth).to(device)
    return encoder.to(device)

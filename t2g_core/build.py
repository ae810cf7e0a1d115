"""From a config to its parts: the frozen encoder and the trainable part."""

from __future__ import annotations

import torch

from t2g_core.config import Config
from t2g_core.encoders.depth_anything import RGBDepthEncoder, build_depth_encoder
from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.methods.frame_head import FrameHead
from t2g_core.methods.frozen_tokens import TrainablePart
from t2g_core.methods.time2general.time2general import Time2General
from t2g_core.methods.token_standardizer import TokenStandardizer


def build_encoder(
    config: Config, device: str | torch.device = "cpu"
) -> FrozenEncoder | RGBDepthEncoder:
    """The frozen encoder of a config, or both of them; weights loaded."""
    encoder = FrozenEncoder(config.encoder)
    if config.depth is not None:
        depth = build_depth_encoder(config.encoder, config.depth)
        return RGBDepthEncoder(encoder, depth).to(device)
    return encoder.to(device)


def build_trainable_part(config: Config, token_width: int, text: torch.Tensor) -> TrainablePart:
    """What training fits and a checkpoint holds, with fresh weights.

    token_width: C of the encoder. text (K, E): embeddings of the class names, E = 0 without text;
    K is the number of classes.
    """
    blocks, layers = len(config.encoder.blocks), config.num_layers
    if config.time2general is not None:
        has_depth = config.depth is not None
        head = Time2General(config.time2general, token_width, blocks, text, has_depth)
    else:
        head = FrameHead(config.frame_head, token_width, layers, len(text))
    return TrainablePart(TokenStandardizer(layers, token_width), head)

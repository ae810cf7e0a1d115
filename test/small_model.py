# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A small Time2General with random weights, for tests that need a model and not its accuracy."""

from __future__ import annotations

from dataclasses import replace

import torch

from t2g_core.checkpoint import Checkpoint, save_checkpoint
from t2g_core.config import Config
from t2g_core.encoders.class_text import TextConfig
from t2g_core.encoders.depth_anything import DepthConfig
from t2g_core.encoders.frozen_vit import EncoderConfig
from t2g_core.labels import CAMVID_CLASSES, PALETTE
from t2g_core.methods.adapters.depthforge import DepthForgeConfig, DepthForgeNoDepthConfig
from t2g_core.methods.adapters.fada import FadaCodeConfig, FadaConfig
from t2g_core.methods.adapters.mask2former_head import Mask2FormerConfig
from t2g_core.methods.adapters.rein import ReinConfig
from t2g_core.methods.frame_head import FrameHeadConfig
from t2g_core.methods.method import Method
from t2g_core.methods.ssp.ssp import SSPConfig
from t2g_core.methods.time2general.config import Time2GeneralConfig
from t2g_core.methods.time2general.time2general import Time2General
from t2g_core.methods.tv3s.tv3s import TV3SConfig
from t2g_core.runtime.runtime import Labelling
from t2g_core.schedule import ALL, FRAME_PATH, TEMPORAL, StageConfig, TrainConfig
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.torch_runtime import TorchRuntime

ENCODER = EncoderConfig("vit_tiny_patch16_224", "random", (2, 5, 8, 11))
PALETTES = tuple(PALETTE[name] for name in CAMVID_CLASSES)
HEAD = Time2GeneralConfig(
    num_queries=12,
    dim=32,
    pixel_dim=16,
    num_blocks=2,
    ffn_dim=32,
    heads=4,
    clip_length=3,
    pixel_memory=True,
    write_back="over_queries",
    text_bias="per_class",
    pixel_classifier=True,
    pixels_from="tokens",
    text=TextConfig(),
)
STAGES = (
    StageConfig(2, 1e-3, frames_per_clip=1, frames_per_step=2, plain_share=0.5, trains=FRAME_PATH),
    StageConfig(2, 1e-3, frames_per_clip=3, frames_per_step=3, plain_share=0.5, trains=TEMPORAL),
)
MASKS = Mask2FormerConfig(
    dim=64, heads=4, pixel_layers=1, pixel_ffn_dim=32, decoder_layers=2, ffn_dim=32
)
ADAPTERS = {
    "rein": ReinConfig(tokens=12, rank=4, head=MASKS),
    "fada": FadaConfig(tokens=12, rank=4, head=MASKS),
    "fada_code": FadaCodeConfig(tokens=12, rank=4, head=MASKS),
    "depthforge": DepthForgeConfig(tokens=12, rank=4, head=MASKS, depth=DepthConfig("random")),
    "depthforge_nodepth": DepthForgeNoDepthConfig(tokens=12, rank=4, head=MASKS, refine_stride=16),
}
OTHERS = {
    **ADAPTERS,
    "ssp": SSPConfig(features=8),
    "tv3s": TV3SConfig(dim=16, blocks=2, window=4),
}
TRAIN = TrainConfig(
    seed=0, stages=STAGES, clip_frames=3, crop_size=(96, 64),
    zoom=(1.1, 2.0), max_class_share=1.0, distortion="harsh", strides=(0, 1), cached_clips=3,
    warmup=1, weight_decay=0.05, clip_gradient=1.0, ema_decay=0.9, points=64, set_weight=0.3,
    pixel_weight=1.0, class_balance=0.3, mtc_weight=1.0, mtc_trim=0.2, precision="fp32",
    accumulate=1,
)  # fmt: skip

VARIANTS = {  # of Time2General
    "deformable": {"attention": "deformable"},
    "no_pixel_memory": {"pixel_memory": False, "pixels_from": "maps"},
    "coarse_past": {"pixel_memory": False, "coarse_past": True, "pixels_from": "maps"},
    "queries_alone": {"pixel_classifier": False, "text_bias": "mean", "pixels_from": "maps"},
    "no_memory": {"pixel_memory": False, "clip_length": 1},
    "stem": {"stem": 8},
    "score_gate": {"score_gate": True, "pixel_memory": False},
}


def stages(iterations: int, **changes) -> tuple[StageConfig, ...]:
    """One stage of clips of the whole model."""
    return (replace(STAGES[-1], **{"iterations": iterations, "trains": ALL, **changes}),)


def small_config(head: str = "time2general") -> Config:
    """Input 96x64, T = 3; head: time2general, depth, linear, conv, or of OTHERS or VARIANTS."""
    if head == "time2general":
        return Config(ENCODER, (96, 64), HEAD, TRAIN)
    if head == "depth":
        return replace(small_config(), method=replace(HEAD, depth=DepthConfig("random")))
    if head in VARIANTS:
        return replace(small_config(), method=replace(HEAD, **VARIANTS[head]))
    train = replace(TRAIN, stages=tuple(replace(stage, trains=ALL) for stage in STAGES))
    if head in OTHERS:
        return Config(ENCODER, (96, 64), OTHERS[head], train)
    return Config(ENCODER, (96, 64), FrameHeadConfig(head), train)


def small_method(head: str = "time2general", device: str = "cpu") -> Method:
    """Random weights, seeded, class-name embeddings too; in eval mode."""
    torch.manual_seed(1)
    config = small_config(head)
    encoder = config.build_encoder(device)
    torch.manual_seed(0)
    method = config.build_method(encoder, len(CAMVID_CLASSES)).eval()
    if isinstance(method, Time2General):
        method.head.stability_queries.text.normal_()
    return method.to(device)


def small_segmenter(
    head: str = "time2general", device: str = "cpu", precision: str = "auto"
) -> StreamingSegmenter:
    """The small model behind the real streaming interface."""
    runtime = TorchRuntime(small_method(head, device), device, precision)
    return StreamingSegmenter(runtime, Labelling((96, 64), CAMVID_CLASSES, PALETTES))


def small_checkpoint(head: str = "time2general") -> Checkpoint:
    """What a file of the small model holds."""
    config = replace(small_config(head), train=None)
    return Checkpoint(config, CAMVID_CLASSES, PALETTES, small_method(head).trained_state())


def write_small_checkpoint(path, head: str = "time2general") -> None:
    """Save the small model as a checkpoint file."""
    save_checkpoint(path, small_method(head), small_config(head), CAMVID_CLASSES, "test")

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of the real model with small sizes and random weights, for tests that need speed."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from t2g_core.checkpoint import save_checkpoint
from t2g_core.config import read_config
from t2g_core.labels import CAMVID_CLASSES

CONFIG = Path(__file__).parent.parent / "config" / "time2general_small.yaml"
SMALL_SIZES = {
    "num_queries": 12,
    "dim": 32,
    "pixel_dim": 16,
    "num_blocks": 2,
    "ffn_dim": 32,
    "stem": 0,
}


def write_vit_s_checkpoint(path: Path, seed: int = 1, clip_length: int = 8) -> None:
    """Write one that resizes images to 160x112; its masks hold several classes."""
    mapping = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    mapping["input_size"] = [160, 112]
    mapping["time2general"] |= SMALL_SIZES | {"clip_length": clip_length}
    mapping.pop("train")
    config = read_config(mapping, str(CONFIG))
    with torch.device("meta"):  # no checkpoint holds it
        encoder = config.without_weights().build_encoder("meta")
    torch.manual_seed(seed)
    method = config.build_method(encoder, len(CAMVID_CLASSES))
    method.head.stability_queries.text.normal_()
    with torch.no_grad():
        for parameter in method.head.parameters():
            if parameter.ndim > 1:
                parameter *= 3  # as drawn, one class would win everywhere
    save_checkpoint(path, method, config, CAMVID_CLASSES, note="random weights, for tests only")

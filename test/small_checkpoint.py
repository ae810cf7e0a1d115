"""A checkpoint of the real model with small sizes and random weights, for tests that need speed."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from t2g_core.build import build_trainable_part
from t2g_core.checkpoint import save_checkpoint
from t2g_core.config import Config, from_mapping
from t2g_core.labels import CAMVID_CLASSES

CONFIG = Path(__file__).parent.parent / "config" / "time2general_small.yaml"
TOKEN_WIDTH = 384  # of the ViT-S/14
TEXT_WIDTH = 8
SMALL_SIZES = {"num_queries": 12, "dim": 32, "pixel_dim": 16, "num_blocks": 2, "ffn_dim": 32}


def write_vit_s_checkpoint(path: Path, seed: int = 1, clip_length: int = 8) -> None:
    """Write one that resizes images to 160x112; its masks hold several classes."""
    mapping = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    mapping["input_size"] = [160, 112]
    mapping["time2general"] |= SMALL_SIZES | {"clip_length": clip_length}
    mapping.pop("train")
    config = from_mapping(Config, mapping, str(CONFIG))
    torch.manual_seed(seed)
    text = torch.randn(len(CAMVID_CLASSES), TEXT_WIDTH)
    model = build_trainable_part(config, TOKEN_WIDTH, text)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 3  # as drawn, one class would win everywhere
    save_checkpoint(path, model, config, CAMVID_CLASSES, note="random weights, for tests only")

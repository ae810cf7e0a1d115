# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Domain-generalised video semantic segmentation, plain Python without ROS.

    from t2g_core import StreamingSegmenter, load_checkpoint, train, evaluate

Names are imported when they are first asked for: PyTorch takes seconds.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "StreamingSegmenter": "t2g_core.streaming.streaming_segmenter",
    "load_checkpoint": "t2g_core.checkpoint",
    "load_config": "t2g_core.config",
    "train": "t2g_core.training.train",
    "TrainOptions": "t2g_core.training.train",
    "evaluate": "t2g_core.evaluation.comparison",
    "EvaluateOptions": "t2g_core.evaluation.comparison",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

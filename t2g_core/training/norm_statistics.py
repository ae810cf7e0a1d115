# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Statistics of batch norms for averaged weights, measured anew before a model is saved."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from t2g_core.device import BF16
from t2g_core.methods.method import ClipBatch, Method
from t2g_core.schedule import StageConfig, TrainConfig

BATCHES = 60


@torch.no_grad()
def fit_norms(
    method: Method, batches: Iterable[ClipBatch], stage: StageConfig, precision: str
) -> None:
    """Give every batch norm the mean and variance over `batches`, each batch weighing alike.

    In training a norm follows the last ten or so batches under weights that change: at the end a
    few distorted clips of one scene each, and not even with the averaged weights. This is
    `torch.optim.swa_utils.update_bn` for clips. A method without batch norms is left alone.
    """
    norms = [module for module in method.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = method.training
    method.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    for batch in batches:
        kind = batch.target.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=precision == BF16):
            method.predict_clip(batch, stage)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    method.train(was_training)


def norm_batches(config: TrainConfig) -> list[int]:
    """Numbers of micro-batches to measure on: frames as nearly as they are at inference.

    They are spread over the stage with the largest share of undistorted frames.
    """
    ends = np.cumsum([stage.iterations for stage in config.stages]) * config.accumulate
    plainest = int(np.argmax([stage.plain_share for stage in config.stages]))
    start, end = (0, *ends)[plainest], ends[plainest]
    return np.linspace(start, end - 1, min(BATCHES, end - start)).round().astype(int).tolist()

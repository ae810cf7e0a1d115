# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A method and its losses as one module, as several processes need it."""

from __future__ import annotations

import torch
from torch import nn

from t2g_core.device import BF16
from t2g_core.methods.method import ClipBatch, Method, Prediction
from t2g_core.schedule import StageConfig, TrainConfig


class TrainingLoss(nn.Module):
    """One forward pass of a batch: the method's weighted losses by name."""

    def __init__(self, method: Method, train: TrainConfig, class_weights: torch.Tensor):
        super().__init__()
        self.method = method
        self.train_config = train
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, batch: ClipBatch, stage: StageConfig) -> dict[str, torch.Tensor]:
        """Scalars, by a name of the method's `loss_names` each.

        Raises:
            FloatingPointError: an output is NaN or infinite.
            ValueError: a loss that the method does not name.
        """
        c = self.train_config
        kind = self.class_weights.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=c.precision == BF16):
            predictions = self.method.predict_clip(batch, stage)
        predictions = [Prediction(*(x if x is None else x.float() for x in p)) for p in predictions]
        check_finite(predictions)
        losses = self.method.losses(predictions, batch, c, self.class_weights)
        unnamed = sorted(set(losses) - set(self.method.loss_names))
        if unnamed:
            raise ValueError(
                f"{type(self.method).__name__}.losses gave {', '.join(unnamed)}; loss_names has "
                f"{', '.join(self.method.loss_names)}"
            )
        return losses


def check_finite(predictions: list[Prediction]) -> None:
    """Raise FloatingPointError where an output is NaN or infinite, which no matching can use."""
    for prediction in predictions:
        for name, value in prediction._asdict().items():
            if value is not None and not torch.isfinite(value).all():
                raise FloatingPointError(f"the model's {name} are not finite")

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a training sees, as a picture: crops, their labels and the method's masks on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from t2g_core.data.datasets import Dataset
from t2g_core.device import BF16
from t2g_core.evaluation.contact_sheet import Sample, contact_sheet, save_picture
from t2g_core.methods.method import Method
from t2g_core.runtime.winners import winners
from t2g_core.schedule import StageConfig, TrainConfig
from t2g_core.training.clips.batches import collate
from t2g_core.training.clips.kept_clips import TrainingClip

MOST = 12  # frames shown


@torch.no_grad()
def save_crops(
    path: Path,
    method: Method,
    clips: list[TrainingClip],
    stage: StageConfig,
    config: TrainConfig,
    dataset: Dataset,
) -> None:
    """Write the frames of an iteration's clips, at most twelve, as a contact sheet."""
    device, was_training = next(method.parameters()).device, method.training
    method.eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == BF16):
        predictions = method.predict_clip(collate(clips, device), stage)
    method.train(was_training)
    samples = [
        _sample(f"clip {b}, frame {t}", clip, t, predictions[t].probs[b])
        for b, clip in enumerate(clips)
        for t in range(len(clip.labels))
    ]
    palette = np.array(dataset.palette, np.uint8)
    save_picture(path, contact_sheet(samples[:MOST], dataset.class_names, palette))


def _sample(caption: str, clip: TrainingClip, t: int, probs: torch.Tensor) -> Sample:
    target = clip.labels[t].numpy()
    mask, _ = winners(probs.float().cpu().numpy(), (target.shape[1], target.shape[0]))
    return Sample(caption, clip.images[t].cpu().numpy(), target, mask)

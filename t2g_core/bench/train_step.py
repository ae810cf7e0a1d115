# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One training step at a config's full size: whether it runs here, its time and its memory."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from t2g_core.config import Config
from t2g_core.device import peak_memory
from t2g_core.methods.adapters.adapter_method import AdapterConfig
from t2g_core.methods.method import ClipBatch, Method
from t2g_core.schedule import TrainConfig
from t2g_core.training.clips.augment import MOVE_STEP_S
from t2g_core.training.clips.batches import collate
from t2g_core.training.clips.kept_clips import make_clip, with_motion_images
from t2g_core.training.clips.sampler import Clip
from t2g_core.training.train import make_optimizer
from t2g_core.training.training_loss import TrainingLoss

RECOMPUTE = {  # what a line ends with
    None: "",
    True: " with the frozen blocks' activations computed again",
    False: " with them kept",
}


@dataclass(frozen=True)
class TrainStep:
    """encoders_s: the time of features that a training keeps, 0 where it keeps none; step_s:
    forward, backward and optimiser [s].

    recompute: whether the activations of frozen blocks were computed again in the backward pass;
        None for a method that has no gradient there. losses: weighted, by name. peak_bytes: see
        `peak_memory`.
    """

    frames: int
    crop_size: tuple[int, int]
    precision: str
    device: str
    encoders_s: float
    step_s: float
    losses: dict[str, float]
    peak_bytes: int
    recompute: bool | None = None

    def __str__(self) -> str:
        width, height = self.crop_size
        values = ", ".join(f"{name} {value:.3f}" for name, value in self.losses.items())
        return (
            f"one training step, {self.frames} frames of {width}x{height}, {self.precision}, on "
            f"{self.device}: frozen encoders {self.encoders_s:.1f} s, forward, backward and "
            f"optimiser {self.step_s:.1f} s; losses {values}; "
            f"peak memory {self.peak_bytes / 1e9:.2f} GB{RECOMPUTE[self.recompute]}"
        )


def measure_train_step(config: Config, classes: int, device: str) -> TrainStep:
    """Encode one clip of `clip_frames` crops, then losses, backward pass and optimiser step.

    Frames and labels are random; the batch is one clip, as nothing is cached in this step. On a
    CPU the peak is the most resident memory of this process so far, on a GPU what PyTorch held.

    Raises:
        ValueError: the config has no section train.
        FloatingPointError: a loss or a gradient is not finite.
    """
    c = config.train
    if c is None:
        raise ValueError("--train-step: the config has no section train")
    method = config.build_method(config.build_encoder(device), classes).to(device)
    inside = isinstance(config.method, AdapterConfig)
    names = [f"class {k}" for k in range(classes)]

    start = time.perf_counter()
    clip = make_clip(method, random_clip(c, classes), device, c.precision)
    batch = collate([with_motion_images(method, clip)], device)
    encoded = time.perf_counter()
    method.begin_training(names, [batch])
    begun = time.perf_counter()
    losses = _step(method, batch, c, classes)
    done = time.perf_counter()
    return TrainStep(
        frames=c.clip_frames,
        crop_size=c.crop_size,
        precision=c.precision,
        device=device,
        encoders_s=encoded - start if method.cacheable else 0.0,
        step_s=done - begun,
        losses=losses,
        peak_bytes=peak_memory(device),
        recompute=config.method.recompute if inside else None,
    )


def _step(method: Method, batch: ClipBatch, config: TrainConfig, classes: int) -> dict[str, float]:
    stage = config.stages[-1]
    method.enter_stage(stage)
    optimizer = make_optimizer(method, stage, config, None)
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * stage.learning_rate
    loss = TrainingLoss(method, config, torch.ones(classes, device=batch.target.device))
    losses = loss(batch, stage)
    sum(losses.values()).backward()
    norm = torch.nn.utils.clip_grad_norm_(method.parameters(), config.clip_gradient)
    if not torch.isfinite(norm):
        raise FloatingPointError(f"the gradient's norm is {norm.item()}")
    optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}


def random_clip(config: TrainConfig, classes: int) -> Clip:
    """Noise of the crop's size whose labels are blocks of 32 pixels, the same in every frame."""
    width, height = config.crop_size
    drawn = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (config.clip_frames, height, width, 3), generator=drawn)
    blocks = torch.randint(0, classes, (-(-height // 32), -(-width // 32)), generator=drawn)
    labels = blocks.repeat_interleave(32, 0).repeat_interleave(32, 1)[:height, :width]
    labels = labels.expand(config.clip_frames, -1, -1)
    labels = labels.to(torch.uint8).contiguous()
    images = images.to(torch.uint8).numpy()
    return Clip(images, labels.numpy(), MOVE_STEP_S, images[..., 1])

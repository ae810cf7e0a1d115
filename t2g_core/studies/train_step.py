"""One training step at a config's full size: does it run here, how long, in how much memory?"""

from __future__ import annotations

import resource
import time

import torch

from t2g_core.build import build_encoder, build_trainable_part
from t2g_core.config import Config, TrainConfig
from t2g_core.encoders.class_text import embed_class_names
from t2g_core.model.frozen_tokens import TrainablePart
from t2g_core.training.clip_sampler import Clip
from t2g_core.training.encoded_clips import EncodedClip, encode
from t2g_core.training.losses import TrainingLoss


def measure_train_step(config: Config, classes: int, device: str) -> str:
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
    encoder = build_encoder(config, device)
    names = [f"class {k}" for k in range(classes)]
    model = build_trainable_part(config, encoder.width, embed_class_names(names, config.text)).to(
        device
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), c.stages[-1].learning_rate, weight_decay=c.weight_decay
    )

    start = time.perf_counter()
    clip = encode(model.with_encoder(encoder), random_clip(c, classes), device, c.precision)
    model.standardize.fit([list(clip.tokens.to(device))])
    encoded = time.perf_counter()
    losses = _step(model, optimizer, clip, config, classes, device)
    done = time.perf_counter()
    values = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
    return (
        f"one training step, {c.clip_frames} frames of {c.crop_size[0]}x{c.crop_size[1]}, "
        f"{c.precision}, on {device}: frozen encoders {encoded - start:.1f} s, "
        f"forward, backward and optimiser {done - encoded:.1f} s; losses {values}; "
        f"peak memory {peak_memory(device) / 1e9:.1f} GB"
    )


def _step(
    model: TrainablePart,
    optimizer: torch.optim.Optimizer,
    clip: EncodedClip,
    config: Config,
    classes: int,
    device: str,
) -> dict[str, float]:
    losses = TrainingLoss(model, config, torch.ones(classes, device=device))([clip])
    sum(losses.values()).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.train.clip_gradient)
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
    return Clip(images.to(torch.uint8).numpy(), labels.to(torch.uint8).contiguous().numpy())


def peak_memory(device: str) -> int:
    """Bytes."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts kilobytes

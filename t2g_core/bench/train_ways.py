# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g bench --train`: what each way to run a training costs, beside the plain one, as ratios.

All ways are timed in turn, round after round, in one process, and a ratio is the median of the
rounds' own ratios: a machine that others use has no stable seconds.
"""

from __future__ import annotations

import copy
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from tqdm import tqdm

from t2g_core.bench.timing import WARM_ROUNDS, ratio, timed
from t2g_core.bench.train_step import random_clip
from t2g_core.config import Config
from t2g_core.device import BF16
from t2g_core.methods.adapters.adapter_method import AdapterConfig
from t2g_core.methods.method import Method
from t2g_core.schedule import TrainConfig
from t2g_core.training.clips.batches import collate
from t2g_core.training.clips.kept_clips import TrainingClip, make_clip, with_motion_images
from t2g_core.training.train import make_optimizer
from t2g_core.training.training_loss import TrainingLoss

PLAIN, FUSED, CHANNELS_LAST = "plain", "fused AdamW", "channels last"
COMPILED, KEPT = "compiled encoder", "activations kept"


@dataclass(frozen=True)
class Way:
    """One way. encode_s, step_s: medians [s] of the frozen encoders on a clip, 0 for a method that
    learns inside the encoder, and of forward, backward and optimiser; the ratios are to the plain
    way.
    """

    name: str
    encode_s: float
    step_s: float
    encode_ratio: float | None
    step_ratio: float


def measure_ways(config: Config, classes: int, device: str, rounds: int) -> list[Way]:
    """Time one clip of `clip_frames` crops in each way, `rounds` times in turn.

    Raises:
        ValueError: the config has no section train.
    """
    if config.train is None:
        raise ValueError("--train: the config has no section train")
    ways = ways_of(config, classes, device)
    encode: dict[str, list[float]] = {name: [] for name in ways}
    step: dict[str, list[float]] = {name: [] for name in ways}
    total = (WARM_ROUNDS + rounds) * len(ways)
    with tqdm(total=total, desc="bench", file=sys.stderr) as progress:
        for number in range(WARM_ROUNDS + rounds):
            for name, (encoding, stepping) in ways.items():
                found = timed(encoding, device), timed(stepping, device)
                progress.update()
                if number >= WARM_ROUNDS:
                    encode[name].append(found[0])
                    step[name].append(found[1])
    cacheable = not isinstance(config.method, AdapterConfig)
    return [
        Way(
            name,
            statistics.median(encode[name]) if cacheable else 0.0,
            statistics.median(step[name]),
            ratio(encode[name], encode[PLAIN]) if cacheable else None,
            ratio(step[name], step[PLAIN]),
        )
        for name in ways
    ]


Call = Callable[[], object]


def ways_of(config: Config, classes: int, device: str) -> dict[str, tuple[Call, Call]]:
    """By name: a call that encodes a clip, and one that trains on it."""
    config = config.without_weights()
    torch.manual_seed(0)
    plain = config.build_method(config.build_encoder(device), classes).to(device)
    names = [f"class {k}" for k in range(classes)]
    clip = make_clip(plain, random_clip(config.train, classes), device, config.train.precision)
    clip = with_motion_images(plain, clip)
    plain.begin_training(names, [collate([clip], device)])
    shared = {id(plain.encoder): plain.encoder}
    compiled = copy.deepcopy(plain)
    compiled.encoder.compile()
    methods = {
        PLAIN: plain,
        FUSED: copy.deepcopy(plain, shared.copy()),
        CHANNELS_LAST: copy.deepcopy(plain, shared.copy()).to(memory_format=torch.channels_last),
        COMPILED: compiled,
    }
    if isinstance(config.method, AdapterConfig):
        other = replace(config, method=replace(config.method, recompute=False))
        methods[KEPT] = other.build_method(plain.encoder, classes).to(device)
    return {
        name: calls(method, config.train, clip, classes, device, name == FUSED)
        for name, method in methods.items()
    }


def calls(
    method: Method,
    config: TrainConfig,
    clip: TrainingClip,
    classes: int,
    device: str,
    fused: bool,
) -> tuple[Call, Call]:
    """What encodes a clip's images, and what trains on the encoded clip, as a training does."""
    stage = config.stages[-1]
    method.enter_stage(stage)
    optimizer = make_optimizer(method, stage, config, None, fused)
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * stage.learning_rate
    loss = TrainingLoss(method, config, torch.ones(classes, device=device))
    batch, images = collate([clip], device), clip.images.to(device)
    kind = torch.device(device).type

    @torch.no_grad()
    def encode() -> None:
        if method.cacheable:
            with torch.autocast(kind, torch.bfloat16, enabled=config.precision == BF16):
                method.frozen_features(images)

    def step() -> None:
        method.zero_grad()
        sum(loss(batch, stage).values()).backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), config.clip_gradient)
        optimizer.step()

    return encode, step


def as_table(config: str, device: str, ways: list[Way]) -> str:
    """All of it as text."""
    lines = [
        f"{config}, one clip, {device}; seconds, and times those of the plain way",
        f"{'':<20}{'encoder':>10}{'':>8}{'step':>10}",
    ]
    for way in ways:
        encode = (
            f"{way.encode_s:>8.3f} s{way.encode_ratio:>8.2f}"
            if way.encode_ratio is not None
            else f"{'-':>10}{'':>8}"
        )
        lines.append(f"{way.name:<20}{encode}{way.step_s:>8.3f} s{way.step_ratio:>8.2f}")
    return "\n".join(lines)

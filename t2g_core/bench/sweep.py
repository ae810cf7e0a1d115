# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g bench --sweep`: what a step costs at several sizes, precisions or values of a model's key.

All points are timed in turn, round after round, so that ratios between them come from one run.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from tqdm import tqdm

from t2g_core.bench.info import parse_size
from t2g_core.bench.timing import WARM_ROUNDS, encode_alone, random_segmenter, ratio, timed
from t2g_core.config import Config, read_config, with_value
from t2g_core.device import PRECISIONS
from t2g_core.encoders.normalise import normalise
from t2g_core.images.windows import Windows
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

SIZE, CAMERAS, PRECISION = "size", "cameras", "precision"  # beside the keys of a config


@dataclass(frozen=True)
class Conditions:
    """What all points share: size WIDTHxHEIGHT or None for the config's, classes, device,
    precision, windows of a frame or None, rounds that are timed.
    """

    size: str | None
    classes: int
    device: str
    precision: str
    windows: Windows | None
    rounds: int


@dataclass(frozen=True)
class Point:
    """One value of a sweep: medians [s], and ratios to the encoder and to the first value's step.

    With several cameras both are of a frame of each, encoded together.
    """

    value: str
    encoder_s: float
    step_s: float
    step_over_encoder: float
    step_over_first: float


def run_sweep(
    mapping: dict, kind: str, values: Sequence[str], conditions: Conditions
) -> list[Point]:
    """Time the frozen encoder and the step at every value of `kind`.

    mapping: the config's; kind: one of the constants above, or a key `section.key` of the config.

    Raises:
        ValueError: no value, or one that cannot be.
    """
    device = conditions.device
    if not values:
        raise ValueError(f"--sweep: expected what and its values, got {[kind, *values]}")
    calls = []
    for value in values:
        point = config_at(mapping, kind, value, conditions)
        precision = value if kind == PRECISION else conditions.precision
        segmenter = random_segmenter(
            point, conditions.classes, device, precision, conditions.windows
        )
        calls.append(calls_of(segmenter, point, number(value) if kind == CAMERAS else 1))
    encoder_s: list[list[float]] = [[] for _ in values]
    step_s: list[list[float]] = [[] for _ in values]
    for done in tqdm(range(WARM_ROUNDS + conditions.rounds), desc="bench", file=sys.stderr):
        for k, (encode, step) in enumerate(calls):
            found = timed(encode, device), timed(step, device)
            if done >= WARM_ROUNDS:
                encoder_s[k].append(found[0])
                step_s[k].append(found[1])
    return [
        Point(
            value,
            statistics.median(encoder_s[k]),
            statistics.median(step_s[k]),
            ratio(step_s[k], encoder_s[k]),
            ratio(step_s[k], step_s[0]),
        )
        for k, value in enumerate(values)
    ]


def config_at(mapping: dict, kind: str, value: str, conditions: Conditions) -> Config:
    """The config at one value of a sweep."""
    if kind == PRECISION and value not in PRECISIONS:
        raise ValueError(f"--sweep precision: expected some of {PRECISIONS}, got {value!r}")
    if kind not in (SIZE, CAMERAS, PRECISION):
        mapping = with_value(mapping, kind, yaml.safe_load(value))
    config = read_config(mapping, "--sweep")
    size = value if kind == SIZE else conditions.size
    return replace(config, input_size=parse_size(size, config))


def number(value: str) -> int:
    """A whole number above zero."""
    if not value.isdigit() or not int(value):
        raise ValueError(f"--sweep: expected whole numbers above 0, got {value!r}")
    return int(value)


def calls_of(
    segmenter: StreamingSegmenter, config: Config, cameras: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    """The encoder alone on one frame of each camera, and a step of each, its memory full."""
    width, height = config.input_size
    drawn = np.random.default_rng(0)
    frames = list(drawn.integers(0, 256, (cameras, height, width, 3), dtype=np.uint8))
    states = [segmenter.start()] * cameras
    for _ in range(segmenter.clip_length):
        encoded = segmenter.encode_together(frames)
        steps = [segmenter.step_encoded(e, s) for e, s in zip(encoded, states, strict=True)]
        states = [state for _, state in steps]

    def step() -> None:
        for encoded, state in zip(segmenter.encode_together(frames), states, strict=True):
            segmenter.step_encoded(encoded, state)

    images = np.stack([segmenter.prepare(frame).image for frame in frames])
    images = normalise(torch.from_numpy(images).to(segmenter.device))
    return lambda: encode_alone(segmenter, images), step


def sweep_table(kind: str, points: list[Point]) -> str:
    """As text."""
    head = f"{kind:<12}{'encoder':>12}{'step':>12}{'step/encoder':>14}{'step/first':>12}"
    rows = [
        f"{p.value:<12}{1e3 * p.encoder_s:>9.0f} ms{1e3 * p.step_s:>9.0f} ms"
        f"{p.step_over_encoder:>14.2f}{p.step_over_first:>12.2f}"
        for p in points
    ]
    return "\n".join([head, *rows])


def plot(kind: str, points: list[Point], path: Path) -> None:
    """Encoder and step over the values, in units of the first value's encoder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    unit = points[0].encoder_s
    figure, axes = plt.subplots(figsize=(5, 3.2))
    names = [point.value for point in points]
    axes.plot(names, [p.encoder_s / unit for p in points], "o--", label="frozen encoder")
    axes.plot(names, [p.step_s / unit for p in points], "o-", label="streaming step")
    axes.set(xlabel=kind, ylabel="time, encoder of the first = 1", ylim=(0, None))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)

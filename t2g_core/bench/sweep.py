"""`t2g bench --sweep`: what a step costs at several sizes, precisions or values of a model's key.

All points are timed in turn, round after round, so that ratios between them come from one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from tqdm import tqdm

from t2g_core.bench.bench import WARM_ROUNDS, encode_alone, random_segmenter, ratio, timed
from t2g_core.bench.info import parse_size
from t2g_core.config import Config, from_mapping
from t2g_core.device import PRECISIONS
from t2g_core.methods.time2general.time2general import Time2GeneralConfig
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

SIZE, CAMERAS, PRECISION, DEPTH = "size", "cameras", "precision", "depth"


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


def run_sweep(args: argparse.Namespace, config: Config, device: str) -> list[Point]:
    """Time the frozen encoder and the step at every value of `args.sweep`."""
    kind, *values = args.sweep
    if not values:
        raise ValueError(f"--sweep: expected what and its values, got {args.sweep}")
    calls = []
    for value in values:
        point = changed(config, kind, value)
        precision = value if kind == PRECISION else args.precision
        segmenter = random_segmenter(point, args.classes, device, precision)
        calls.append(calls_of(segmenter, point, number(value) if kind == CAMERAS else 1))
    encoder_s: list[list[float]] = [[] for _ in values]
    step_s: list[list[float]] = [[] for _ in values]
    for done in tqdm(range(WARM_ROUNDS + args.rounds), desc="bench", file=sys.stderr):
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


def changed(config: Config, kind: str, value: str) -> Config:
    """The config at one value of a sweep."""
    if kind == SIZE:
        return replace(config, input_size=parse_size(value, config))
    if kind == PRECISION and value not in PRECISIONS:
        raise ValueError(f"--sweep precision: expected some of {PRECISIONS}, got {value!r}")
    if kind == DEPTH:
        if config.depth is None or value not in ("true", "false"):
            raise ValueError(
                "--sweep depth: expected a config with section depth, and true or false, got "
                f"{value!r}"
            )
        return config if value == "true" else replace(config, depth=None)
    if kind in (CAMERAS, PRECISION):
        return config
    if config.time2general is None:
        raise ValueError(f"--sweep {kind}: a frame-by-frame head has no section time2general")
    keys = asdict(config.time2general) | {kind: yaml.safe_load(value)}
    head = from_mapping(Time2GeneralConfig, keys, "--sweep, time2general")
    return replace(config, time2general=head)


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

    images = torch.cat([segmenter.prepare(frame) for frame in frames])
    return lambda: encode_alone(segmenter, images), step


def show(args: argparse.Namespace, points: list[Point]) -> None:
    """Print the table or the JSON; draw the plot where `args.plot` says."""
    if args.json:
        print(json.dumps({"sweep": args.sweep[0], "points": [asdict(point) for point in points]}))
    else:
        head = (
            f"{args.sweep[0]:<12}{'encoder':>12}{'step':>12}{'step/encoder':>14}{'step/first':>12}"
        )
        rows = [
            f"{p.value:<12}{1e3 * p.encoder_s:>9.0f} ms{1e3 * p.step_s:>9.0f} ms"
            f"{p.step_over_encoder:>14.2f}{p.step_over_first:>12.2f}"
            for p in points
        ]
        print("\n".join([head, *rows]))
    if args.plot:
        plot(args.sweep[0], points, args.plot)


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

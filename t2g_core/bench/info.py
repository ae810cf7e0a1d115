# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g info`: how large a model is, what it computes for a frame and what a stream of it keeps."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from t2g_core.bench.meters import Meters
from t2g_core.bench.train_step import TrainStep, measure_train_step
from t2g_core.config import Config, load_config
from t2g_core.data.datasets import FRAME_SIZES
from t2g_core.device import AUTO, find_device
from t2g_core.images.motion import USUAL_STEP_S
from t2g_core.images.windows import WHOLE, WINDOWS_HELP, Windows, read_windows
from t2g_core.methods.adapters.adapter_method import AdapterConfig
from t2g_core.methods.method import Method
from t2g_core.methods.sliding_windows import windowed
from t2g_core.training.train import add_set
from t2g_core.training.zoom import training_zoom

REST = "other"  # what no named part does


@dataclass(frozen=True)
class Part:
    """One line of the table: parameters, and operations for one frame."""

    name: str
    trainable: int
    frozen: int
    flops: int


@dataclass(frozen=True)
class Info:
    """state_bytes: what a stream keeps from one frame to the next, float32; clip_length: T."""

    parts: tuple[Part, ...]
    state_bytes: int
    clip_length: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g info`."""
    parser.add_argument("config", help="e.g. config/paper_vitl.yaml")
    add_set(parser)
    parser.add_argument("--size", help="WIDTHxHEIGHT of a frame (default: the config's input_size)")
    parser.add_argument("--windows", default="", metavar="SIZE/STRIDE", help=WINDOWS_HELP)
    parser.add_argument(
        "--classes", type=int, default=15, help="classes to tell apart (default: the paper's 15)"
    )
    parser.add_argument(
        "--train-step",
        action="store_true",
        help="also run one training step of the longest clip at full size, with random frozen "
        "weights, and print its time and peak memory; of a method that learns inside the encoder "
        "once with the frozen blocks' activations computed again and once with them kept",
    )
    parser.add_argument(
        "--data",
        choices=FRAME_SIZES,
        help="also print how large things are in a training crop of this data set's frames, beside "
        "inference",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--device",
        default=AUTO,
        help="of --train-step: auto, cpu, cuda or cuda:N (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, or the same as JSON."""
    config = load_config(args.config, args.changes)
    size = parse_size(args.size, config)
    windows = read_windows(args.windows)
    info = model_info(config, size, args.classes, windows)
    zoom = None
    if args.data:
        zoom = training_zoom(config, FRAME_SIZES[args.data])
    if not args.json:
        print(format_info(info, size, windows))
        if zoom:
            print(f"{args.data}: {zoom}")
    steps = train_steps(config, args.classes, args.device) if args.train_step else []
    if args.json:
        record = {"config": args.config, "size": size, "windows": args.windows or WHOLE}
        record |= asdict(info)
        record |= {"zoom": {"data": args.data, **asdict(zoom)}} if zoom else {}
        print(json.dumps(record | {"train_steps": [asdict(step) for step in steps]}))
        return 0
    for step in steps:
        print(step)
    return 0


def train_steps(config: Config, classes: int, device: str) -> list[TrainStep]:
    """A training step as the config has it; of a method inside the encoder one that computes the
    frozen blocks' activations again, then one that keeps them, which takes more memory.
    """
    config, device = config.without_weights(), find_device(device)
    if not isinstance(config.method, AdapterConfig):
        return [measure_train_step(config, classes, device)]
    ways = [replace(config, method=replace(config.method, recompute=way)) for way in (True, False)]
    return [measure_train_step(way, classes, device) for way in ways]


def parse_size(text: str | None, config: Config) -> tuple[int, int]:
    """`1024x512` -> (1024, 512), multiples of 16."""
    return config.input_size if text is None else size_of(text)


def size_of(text: str) -> tuple[int, int]:
    """`1024x512` -> (1024, 512), multiples of 16; ValueError for another text."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) and int(p) % 16 == 0 for p in parts):
        raise ValueError(f"--size: expected WIDTHxHEIGHT in multiples of 16, got {text!r}")
    return int(parts[0]), int(parts[1])


def model_info(
    config: Config, size: tuple[int, int], classes: int, windows: Windows | None = None
) -> Info:
    """Everything is built and run on the meta device: shapes alone, no weights, no time.

    size: width, height of a frame. A step costs the same however full the memory is. A
    multiplication and an addition count as two; what is no matrix product or convolution (norms,
    softmax, bilinear sampling) is not counted.
    """
    config = config.without_weights()
    with torch.device("meta"):
        method = config.build_method(config.build_encoder("meta"), classes).eval()
        method = windowed(method, windows)
        images = torch.zeros(1, size[1], size[0], 3, dtype=torch.uint8)
        with FlopCounterMode(display=False) as counter:
            with Meters(method.parts(), counter.get_total_flops) as meters:
                state = run_step(method, images)
            total = counter.get_total_flops()
    parts = [
        Part(name, *count(module), int(meters.spent[name]))
        for name, module in method.parts().items()
    ]
    own = [
        sum(values)
        for values in zip(*((p.trainable, p.frozen, p.flops) for p in parts), strict=True)
    ]
    whole = (*count(method), total)
    rest = Part(REST, *(a - b for a, b in zip(whole, own, strict=True)))
    if rest.trainable or rest.flops:
        parts.append(rest)
    kept = sum(x.numel() * x.element_size() for x in tensors_of(state))
    return Info(tuple(parts), kept, method.clip_length)


def run_step(method: Method, images: torch.Tensor) -> object:
    """One step of a stream on images of any device; the state after it."""
    features = method.encode(images)
    height, width = images.shape[1:3]
    frame = method.prepare(np.zeros((height, width, 3), np.uint8), (width, height))
    motion = tuple(
        torch.from_numpy(x).to(images.device) for x in method.motion(frame.motion_image, None)
    )
    _, state = method.step(features, method.start(features), motion, USUAL_STEP_S)
    return state


def tensors_of(state: object) -> Iterator[torch.Tensor]:
    """All tensors of nested tuples."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from tensors_of(part)


def count(module: nn.Module) -> tuple[int, int]:
    """Numbers of trainable and of frozen parameters."""
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return trainable, sum(p.numel() for p in module.parameters()) - trainable


def format_info(info: Info, size: tuple[int, int], windows: Windows | None = None) -> str:
    """The table as text."""
    total = Part(
        "total",
        sum(part.trainable for part in info.parts),
        sum(part.frozen for part in info.parts),
        sum(part.flops for part in info.parts),
    )
    seen = f" on windows of {windows.size}, {windows.stride} apart," if windows else ""
    lines = [f"{'':28}{'trainable':>12}{'frozen':>12}{'GFLOPs':>10}"]
    for part in (*info.parts, total):
        trainable, frozen = (f"{n / 1e6:.2f} M" if n else "" for n in (part.trainable, part.frozen))
        lines.append(f"{part.name:28}{trainable:>12}{frozen:>12}{part.flops / 1e9:>10.1f}")
    lines.append(
        f"for one frame of {size[0]}x{size[1]}{seen} in a stream, clip length {info.clip_length}; "
        "a multiplication and an addition are two operations"
    )
    if info.state_bytes:
        lines.append(f"kept from frame to frame: {info.state_bytes / 1e6:.1f} MB (float32)")
    return "\n".join(lines)

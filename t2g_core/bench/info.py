"""`t2g info`: how large a model is, what it computes for a frame and what it keeps of one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from t2g_core.bench.train_step import measure_train_step
from t2g_core.build import build_encoder, build_trainable_part
from t2g_core.config import Config, load_config
from t2g_core.encoders.class_text import text_width
from t2g_core.methods.frozen_tokens import FrozenTokens, TrainablePart, token_grid


@dataclass(frozen=True)
class Part:
    """One line of the table: parameters, and operations for one frame (None: none of its own)."""

    name: str
    trainable: int
    frozen: int
    flops: int | None


@dataclass(frozen=True)
class Info:
    """frame_bytes: what a frame leaves in a stream's memory, float32; frames: T of that memory."""

    parts: tuple[Part, ...]
    frame_bytes: int
    frames: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g info`."""
    parser.add_argument("config", help="e.g. config/paper_vitl.yaml")
    parser.add_argument("--size", help="WIDTHxHEIGHT of a frame (default: the config's input_size)")
    parser.add_argument(
        "--classes", type=int, default=15, help="classes to tell apart (default: the paper's 15)"
    )
    parser.add_argument(
        "--train-step",
        action="store_true",
        help="also run one training step of the longest clip at full size, with random frozen "
        "weights, and print its time and peak memory",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--device", default="cpu", help="of --train-step: cpu or cuda (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, or the same as JSON."""
    config = load_config(args.config)
    size = parse_size(args.size, config)
    info = model_info(config, size, args.classes)
    if not args.json:
        print(format_info(info, size))
    step = None
    if args.train_step:
        step = measure_train_step(without_weights(config), args.classes, args.device)
    if args.json:
        record = {"config": args.config, "size": size, **asdict(info)}
        print(json.dumps(record | ({"train_step": asdict(step)} if step else {})))
    elif step:
        print(step)
    return 0


def parse_size(text: str | None, config: Config) -> tuple[int, int]:
    """`1024x512` -> (1024, 512), multiples of 16."""
    if text is None:
        return config.input_size
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) and int(p) % 16 == 0 for p in parts):
        raise ValueError(f"--size: expected WIDTHxHEIGHT in multiples of 16, got {text!r}")
    return int(parts[0]), int(parts[1])


def model_info(config: Config, size: tuple[int, int], classes: int) -> Info:
    """Everything is built and run on the meta device: shapes alone, no weights, no time.

    size: width, height of a frame. Operations are those of one frame of a stream whose memory is
    full. A multiplication and an addition count as two; what is no matrix product or convolution
    (norms, softmax, bilinear sampling) is not counted.
    """
    with torch.device("meta"):
        model = build_trainable_part(
            config, _token_width(config), torch.zeros(classes, text_width(config.text))
        )
        images = torch.zeros(1, 3, size[1], size[0])
        encoders = _encoders(config)
        tokens, encoder_parts = [], []
        for name, encoder in encoders.items():
            found, flops = count_flops(lambda encoder=encoder: encoder(images))
            tokens += found
            encoder_parts.append(Part(name, 0, count(encoder), flops[""]))
        parts, frame_bytes = _head_parts(model, tokens, images)
    return Info((*encoder_parts, *parts), frame_bytes, model.head.clip_length)


def _head_parts(
    model: TrainablePart, tokens: list[torch.Tensor], images: torch.Tensor
) -> tuple[list[Part], int]:
    head = model.head
    (maps, memory), once = count_flops(
        lambda: model.encode_frames(FrozenTokens(tokens, token_grid(images)))
    )
    state = head.start()
    for _ in range(head.clip_length):  # until it is full
        _, state = head.step(maps, memory, state)
    _, step = count_flops(lambda: head.step(maps, memory, state))
    if memory is None:
        return [Part("frame head", count(head), 0, once[""] + step[""])], 0
    named = {
        "Stability Queries": (head.stability_queries, once.get("StabilityQueries", 0)),
        "memory decoder": (head.decoder, step.get("SpatioTemporalMemoryDecoder", 0)),
        "pixel fusion": (head.fusion, once.get("PixelFusion", 0)),
    }
    if head.pixel_memory is not None:
        named["pixel memory"] = (head.pixel_memory, step.get("MotionAwareMean", 0))
    parts = [Part(name, count(module), 0, flops) for name, (module, flops) in named.items()]
    rest = count(model) - sum(part.trainable for part in parts)
    own = parts[0].flops + named["pixel fusion"][1]  # of the frame alone
    parts.append(
        Part("class and mask heads", rest, 0, step[""] - sum(p.flops for p in parts) + own)
    )
    parts.append(Part("what others read of a frame", 0, 0, once[""] - own))
    kept = state.frames[0] if state.frames else memory
    return parts, kept.numel() * kept.element_size()


def count_flops(function: Callable) -> tuple[object, dict[str, int]]:
    """Result of a call and its operations: "" for all, and those of each module called from it."""
    with FlopCounterMode(display=False) as counter:
        result = function()
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    return result, counts | {"": counter.get_total_flops()}


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in module.parameters())


def without_weights(config: Config) -> Config:
    """The same architecture with random weights everywhere: nothing to find or download."""
    depth = None if config.depth is None else replace(config.depth, weights="random")
    text = None if config.text is None else replace(config.text, weights="random")
    encoder = replace(config.encoder, weights="random")
    return replace(config, encoder=encoder, depth=depth, text=text)


def _encoders(config: Config) -> dict[str, nn.Module]:
    built = build_encoder(without_weights(config), "meta")
    if config.depth is None:
        return {"RGB encoder": built}
    return {"RGB encoder": built.rgb, "depth encoder": built.depth}


def _token_width(config: Config) -> int:
    with torch.device("meta"):
        return build_encoder(without_weights(replace(config, depth=None)), "meta").width


def format_info(info: Info, size: tuple[int, int]) -> str:
    """The table as text."""
    total = Part(
        "total",
        sum(part.trainable for part in info.parts),
        sum(part.frozen for part in info.parts),
        sum(part.flops or 0 for part in info.parts),
    )
    lines = [f"{'':28}{'trainable':>12}{'frozen':>12}{'GFLOPs':>10}"]
    for part in (*info.parts, total):
        trainable, frozen = (f"{n / 1e6:.2f} M" if n else "" for n in (part.trainable, part.frozen))
        lines.append(f"{part.name:28}{trainable:>12}{frozen:>12}{part.flops / 1e9:>10.1f}")
    lines.append(
        f"for one frame of {size[0]}x{size[1]} in a stream, memory of {info.frames} full; "
        "a multiplication and an addition are two operations"
    )
    if info.frame_bytes:
        kept = info.frame_bytes / 1e6
        lines.append(
            f"kept of a frame: {kept:.1f} MB (float32), {kept * info.frames:.1f} MB for "
            f"{info.frames}"
        )
    return "\n".join(lines)

"""`t2g bench`: what a streaming step costs beside its frozen encoder, part by part, as ratios.

A machine that others use has no stable seconds. So all parts are timed in turn, round after round,
in one process, and a ratio is the median of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from t2g_core.bench.info import model_info, parse_size, without_weights
from t2g_core.bench.soak import soak
from t2g_core.bench.train_step import peak_memory
from t2g_core.build import build_encoder, build_trainable_part
from t2g_core.checkpoint import Checkpoint
from t2g_core.config import Config, load_config
from t2g_core.device import AUTO, PRECISIONS, find_device
from t2g_core.encoders.class_text import text_width
from t2g_core.labels import colour_of
from t2g_core.methods.time2general.image_motion import structure
from t2g_core.methods.time2general.motion_aware_mean import USUAL_STEP_S
from t2g_core.streaming.streaming_segmenter import (
    EncodedFrame,
    StreamingSegmenter,
    StreamState,
    to_result,
)

ENCODER, STEP, CLIP, MATMUL = "frozen encoder", "streaming step", "clip at once", "matrix product"
PREPARE, DECODE, FINISH = "resize, normalise", "decoder", "enlarge, arg-max"
STRUCTURE = "image structure"  # of heads that follow the motion
MATMUL_SIDE = 1536  # of the square matrices whose product gives the machine's rate
WARM_ROUNDS = 2


@dataclass(frozen=True)
class Timing:
    """Seconds of one part: the middle of the rounds, and its tenth and ninth decile."""

    median_s: float
    p10_s: float
    p90_s: float


@dataclass(frozen=True)
class Bench:
    """ratios: of medians of the rounds; parts_of_step: shares of a step, by module.

    rate_share: operations a second of a step, as a share of those of the matrix product.
    """

    config: str
    size: tuple[int, int]
    frames: int
    device: str
    precision: str
    threads: int
    rounds: int
    timings: dict[str, Timing]
    ratios: dict[str, float]
    parts_of_step: dict[str, float]
    frames_per_s: float
    gflops_of_step: float
    rate_share: float
    peak_bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g bench`."""
    parser.add_argument("config", help="e.g. config/time2general_small.yaml; weights are random")
    parser.add_argument("--size", help="WIDTHxHEIGHT of a frame (default: the config's input_size)")
    parser.add_argument(
        "--frames", type=int, help="T, frames of the memory (default: the config's clip_length)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=AUTO, help="as the node's (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=10, help="each times every part once (default: %(default)s)"
    )
    parser.add_argument("--classes", type=int, default=11, help="default: %(default)s")
    parser.add_argument(
        "--sweep",
        nargs="+",
        metavar=("WHAT", "VALUE"),
        help="time encoder and step alone at several values, in turn, of size, cameras, "
        "precision, depth (true, false) or a key of the config's section time2general: --sweep "
        "clip_length 2 4 8 16",
    )
    parser.add_argument("--plot", type=Path, help="with --sweep: also draw it into this PNG")
    parser.add_argument(
        "--soak",
        type=int,
        metavar="N",
        help="instead stream N frames: does memory grow, does the step get slower?",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--trace", type=Path, help="also profile one step into this file, for chrome://tracing"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, or the same as JSON."""
    if args.rounds < 1:
        raise ValueError(f"--rounds: expected at least 1, got {args.rounds}")
    config = load_config(args.config)
    config = replace(config, input_size=parse_size(args.size, config))
    config = with_frames(config, args.frames)
    device = find_device(args.device)
    if args.sweep:
        from t2g_core.bench.sweep import run_sweep, show

        show(args, run_sweep(args, config, device))
        return 0
    segmenter = random_segmenter(config, args.classes, device, args.precision)
    if args.soak is not None:
        found = soak(args.config, segmenter, config.input_size, args.soak)
        print(json.dumps(asdict(found)) if args.json else found)
        return 0
    bench = measure(args.config, config, segmenter, args.rounds)
    if args.trace:
        write_trace(segmenter, config, args.trace)
    print(json.dumps(asdict(bench)) if args.json else as_table(bench))
    return 0


def with_frames(config: Config, frames: int | None) -> Config:
    """The config with a memory of T frames; ValueError for a head without one."""
    if frames is None:
        return replace(config, train=None)
    if config.time2general is None:
        raise ValueError("--frames: a frame-by-frame head has no memory")
    if frames < 1:
        raise ValueError(f"--frames: expected at least 1, got {frames}")
    head = replace(config.time2general, clip_length=frames)
    return replace(config, time2general=head, train=None)


def random_segmenter(
    config: Config, classes: int, device: str, precision: str
) -> StreamingSegmenter:
    """The config's model with random weights behind the real streaming interface."""
    torch.manual_seed(0)
    config = without_weights(config)
    names = tuple(f"class {k}" for k in range(classes))
    encoder = build_encoder(config, device)
    text = torch.randn(classes, text_width(config.text))
    model = build_trainable_part(config, encoder.width, text).eval().to(device)
    checkpoint = Checkpoint(model, config, names, tuple(map(colour_of, names)))
    return StreamingSegmenter(checkpoint, encoder, device, precision)


def measure(name: str, config: Config, segmenter: StreamingSegmenter, rounds: int) -> Bench:
    """Time every part in turn, `rounds` times."""
    parts = parts_of(segmenter, config)
    seconds: dict[str, list[float]] = {part: [] for part in parts}
    shares: list[dict[str, float]] = []
    with tqdm(total=WARM_ROUNDS + rounds, desc="bench", file=sys.stderr) as progress:
        for number in range(WARM_ROUNDS + rounds):
            found = {part: timed(call, segmenter.device) for part, call in parts.items()}
            divided = divide_step(segmenter, parts[STEP])
            progress.update()
            if number >= WARM_ROUNDS:
                shares.append(divided)
                for part, value in found.items():
                    seconds[part].append(value)
    frames = segmenter.clip_length
    info = model_info(config, config.input_size, len(segmenter.class_names))
    gflops = sum(part.flops or 0 for part in info.parts) / 1e9
    matmul_gflops = 2 * MATMUL_SIDE**3 / 1e9
    return Bench(
        config=name,
        size=config.input_size,
        frames=frames,
        device=segmenter.device,
        precision=segmenter.precision,
        threads=torch.get_num_threads(),
        rounds=rounds,
        timings={part: timing(values) for part, values in seconds.items()},
        ratios={
            "step_over_encoder": ratio(seconds[STEP], seconds[ENCODER]),
            "decoder_over_encoder": ratio(seconds[DECODE], seconds[ENCODER]),
            "clip_frame_over_encoder": ratio(seconds[CLIP], seconds[ENCODER]) / frames,
            "first_mask_of_clip_over_step": ratio(seconds[CLIP], seconds[STEP]),
        },
        parts_of_step={
            part: statistics.median(share[part] for share in shares) for part in shares[0]
        },
        frames_per_s=1 / statistics.median(seconds[STEP]),
        gflops_of_step=gflops,
        rate_share=ratio(seconds[MATMUL], seconds[STEP]) * gflops / matmul_gflops,
        peak_bytes=peak_memory(segmenter.device),
    )


def parts_of(segmenter: StreamingSegmenter, config: Config) -> dict[str, Callable[[], object]]:
    """What is timed: each a call that does it once, on a memory that is full."""
    width, height = config.input_size
    drawn = np.random.default_rng(0)
    frame = drawn.integers(0, 256, (height, width, 3), dtype=np.uint8)
    images, encoded = segmenter.prepare(frame), segmenter.encode(frame)
    state = segmenter.start()
    for _ in range(segmenter.clip_length):
        _, state = segmenter.step_encoded(encoded, state)
    probs, _ = decode(segmenter, encoded, state)
    side = torch.randn(MATMUL_SIDE, MATMUL_SIDE, device=segmenter.device)
    side = side.to(torch.bfloat16 if segmenter.precision == "bf16" else torch.float32)
    clip = [frame] * segmenter.clip_length
    follows = segmenter.method.trained.head.needs_structure
    return {
        PREPARE: lambda: segmenter.prepare(frame),
        **({STRUCTURE: lambda: structure(images)} if follows else {}),
        ENCODER: lambda: encode_alone(segmenter, images),
        DECODE: lambda: decode(segmenter, encoded, state),
        FINISH: lambda: to_result(probs, (width, height)),
        STEP: lambda: segmenter.step(frame, state),
        CLIP: lambda: segmenter.segment_clip(clip),
        MATMUL: lambda: side @ side,
    }


@torch.inference_mode()
def encode_alone(segmenter: StreamingSegmenter, images: torch.Tensor) -> list[torch.Tensor]:
    """The frozen encoder and nothing else."""
    with segmenter.autocast():
        return segmenter.method.encoder(images)


@torch.inference_mode()
def decode(
    segmenter: StreamingSegmenter, encoded: EncodedFrame, state: StreamState
) -> tuple[torch.Tensor, object]:
    """A step without what makes a mask of its probabilities."""
    with segmenter.autocast():
        return segmenter.method.step(encoded.features, state.method, USUAL_STEP_S)


def timed(call: Callable[[], object], device: str) -> float:
    """Seconds of a call, the GPU's work included."""
    synchronise(device)
    started = time.perf_counter()
    call()
    synchronise(device)
    return time.perf_counter() - started


def synchronise(device: str) -> None:
    """Wait for the GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def divide_step(segmenter: StreamingSegmenter, step: Callable[[], object]) -> dict[str, float]:
    """Share of one step that each module of the model takes; `rest` is all between them."""
    with Stopwatches(modules_of(segmenter), segmenter.device) as watches:
        whole = timed(step, segmenter.device)
    shares = {name: seconds / whole for name, seconds in watches.seconds.items()}
    return shares | {"rest": 1 - sum(shares.values())}


def modules_of(segmenter: StreamingSegmenter) -> dict[str, nn.Module]:
    """The encoders and the direct children of the trained head that are modules, by name."""
    encoder = segmenter.method.encoder
    found = {"RGB encoder": encoder}
    if hasattr(encoder, "depth"):
        found = {"RGB encoder": encoder.rgb, "depth encoder": encoder.depth}
    children = segmenter.method.trained.head.named_children()
    return found | {name.replace("_", " "): child for name, child in children}


class Stopwatches(AbstractContextManager):
    """Adds up the seconds that modules spend in their forward passes, while it is entered."""

    def __init__(self, modules: dict[str, nn.Module], device: str):
        self.seconds = dict.fromkeys(modules, 0.0)
        self._modules, self._device, self._hooks = modules, device, ExitStack()

    def __enter__(self) -> Stopwatches:
        for name, module in self._modules.items():
            self._watch(name, module)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def _watch(self, name: str, module: nn.Module) -> None:
        started: list[float] = []

        def before(*_: object) -> None:
            synchronise(self._device)
            started.append(time.perf_counter())

        def after(*_: object) -> None:
            synchronise(self._device)
            self.seconds[name] += time.perf_counter() - started.pop()

        self._hooks.callback(module.register_forward_pre_hook(before).remove)
        self._hooks.callback(module.register_forward_hook(after).remove)


def timing(values: list[float]) -> Timing:
    """Middle and deciles."""
    p10, median, p90 = np.percentile(values, (10, 50, 90))
    return Timing(float(median), float(p10), float(p90))


def ratio(values: list[float], others: list[float]) -> float:
    """Median over the rounds of one part's time divided by another's."""
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


def write_trace(segmenter: StreamingSegmenter, config: Config, path: Path) -> None:
    """Profile one step."""
    step = parts_of(segmenter, config)[STEP]
    with torch.profiler.profile() as profile:
        step()
    profile.export_chrome_trace(str(path))


def as_table(bench: Bench) -> str:
    """All of it as text."""
    width, height = bench.size
    lines = [
        f"{bench.config}, {width}x{height}, T = {bench.frames}, {bench.device}, {bench.precision}, "
        f"{bench.threads} threads; {bench.rounds} rounds",
        "",
        f"{'':<18}{'median':>10}{'p10':>10}{'p90':>10}",
    ]
    lines += [
        f"{name:<18}" + "".join(f"{1e3 * s:>7.1f} ms" for s in (t.median_s, t.p10_s, t.p90_s))
        for name, t in bench.timings.items()
    ]
    lines += ["", *(f"{name:<30}{value:>7.2f}" for name, value in bench.ratios.items()), ""]
    lines += ["shares of a step, in percent"]
    lines += [f"  {name:<24}{100 * share:>6.1f}" for name, share in bench.parts_of_step.items()]
    lines += [
        "",
        f"{bench.frames_per_s:.2f} frames/s; {bench.gflops_of_step:.1f} GFLOPs a step, "
        f"{100 * bench.rate_share:.0f} % of the rate of a matrix product; "
        f"peak memory {bench.peak_bytes / 1e9:.2f} GB",
    ]
    return "\n".join(lines)

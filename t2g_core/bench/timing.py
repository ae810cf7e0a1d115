# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a streaming step costs beside its frozen encoder, part by part, as ratios.

A machine that others use has no stable seconds. So all parts are timed in turn, round after round,
in one process, and a ratio is the median of the rounds' own ratios.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from t2g_core.bench.info import model_info
from t2g_core.bench.meters import Meters
from t2g_core.config import Config
from t2g_core.device import peak_memory
from t2g_core.encoders.normalise import normalise
from t2g_core.images.windows import Windows
from t2g_core.labels import colour_of
from t2g_core.methods.sliding_windows import windowed
from t2g_core.runtime.runtime import Labelling
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.torch_runtime import TorchRuntime

ENCODER, STEP, CLIP, MATMUL = "frozen encoder", "streaming step", "clip at once", "matrix product"
PREPARE, MOTION = "prepare", "motion"  # on the host
DECODE, FINISH = "decoder", "enlarge, arg-max"
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


def random_segmenter(
    config: Config, classes: int, device: str, precision: str, windows: Windows | None = None
) -> StreamingSegmenter:
    """The config's model with random weights behind the real streaming interface."""
    torch.manual_seed(0)
    config = config.without_weights()
    names = tuple(f"class {k}" for k in range(classes))
    method = config.build_method(config.build_encoder(device), classes).eval().to(device)
    palette = tuple(colour_of(name) for name in names)
    runtime = TorchRuntime(windowed(method, windows), device, precision)
    return StreamingSegmenter(runtime, Labelling(config.input_size, names, palette))


def measure(
    name: str,
    config: Config,
    segmenter: StreamingSegmenter,
    rounds: int,
    windows: Windows | None = None,
) -> Bench:
    """Time every part in turn, `rounds` times; windows: those that the segmenter was made with."""
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
    info = model_info(config, config.input_size, len(segmenter.class_names), windows)
    gflops = sum(part.flops for part in info.parts) / 1e9
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
    encoded = segmenter.encode(frame)
    images = torch.from_numpy(segmenter.prepare(frame).image[None]).to(segmenter.device)
    state = segmenter.start()
    for _ in range(segmenter.clip_length):
        _, state = segmenter.step_encoded(encoded, state)
    probs, _ = segmenter.step_probs(encoded, state)
    side = torch.randn(MATMUL_SIDE, MATMUL_SIDE, device=segmenter.device)
    side = side.to(torch.bfloat16 if segmenter.precision == "bf16" else torch.float32)
    clip = [frame] * segmenter.clip_length
    seen = encoded.motion_image
    follows = {} if seen is None else {MOTION: lambda: segmenter.runtime.motion(seen, seen)}
    return {
        PREPARE: lambda: segmenter.prepare(frame),
        **follows,
        ENCODER: lambda: encode_alone(segmenter, normalise(images)),
        DECODE: lambda: segmenter.step_probs(encoded, state),
        FINISH: lambda: segmenter.to_result(probs, (width, height)),
        STEP: lambda: segmenter.step(frame, state),
        CLIP: lambda: segmenter.segment_clip(clip),
        MATMUL: lambda: side @ side,
    }


@torch.inference_mode()
def encode_alone(segmenter: StreamingSegmenter, images: torch.Tensor) -> list[torch.Tensor]:
    """The frozen encoder and nothing else, on normalised images (B, 3, h, w)."""
    with segmenter.runtime.autocast():
        return segmenter.runtime.method.encoder(images)


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
    """Share of one step that each part of the method takes; `rest` is all between them."""

    def clock() -> float:
        synchronise(segmenter.device)
        return time.perf_counter()

    with Meters(segmenter.runtime.method.parts(), clock) as meters:
        whole = timed(step, segmenter.device)
    shares = {name: seconds / whole for name, seconds in meters.spent.items()}
    return shares | {"rest": 1 - sum(shares.values())}


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

"""`t2g train`: one labelled source domain, one config, one script read from top to bottom."""

from __future__ import annotations

import argparse
import itertools
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from t2g_core.build import build_encoder, build_trainable_part
from t2g_core.checkpoint import load_checkpoint, save_checkpoint
from t2g_core.config import FRAME_PATH, TEMPORAL, Config, TrainConfig, load_config
from t2g_core.data.datasets import Dataset, open_dataset
from t2g_core.data.video import Video
from t2g_core.device import find_device
from t2g_core.encoders.class_text import embed_class_names
from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.evaluation.evaluate import evaluate
from t2g_core.methods.frozen_tokens import TrainablePart
from t2g_core.metrics.iou import miou
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.training.clips.batches import TrainingBatches
from t2g_core.training.norm_statistics import fit_norms, norm_batches
from t2g_core.training.processes import Processes, StopRequest
from t2g_core.training.run_state import (
    LOSSES,
    TrainingLog,
    best_so_far,
    keep_best,
    resume,
    save_state,
)
from t2g_core.training.source import SourcePrints, check_source, frames_print, weights_print
from t2g_core.training.training_loss import TrainingLoss
from t2g_core.whole_files import replacing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g train`."""
    parser.add_argument("config", help="model and training, e.g. config/time2general_small.yaml")
    parser.add_argument("--root", required=True, help="folder of the dataset, with train/ and val/")
    parser.add_argument(
        "--out",
        required=True,
        help="folder for checkpoints, logs and curves; a "
        "run that was stopped there is taken up again on the same trajectory",
    )
    parser.add_argument(
        "--cache",
        help="folder for encoded clips, several GB, shared by configs "
        "that draw the same clips (default: OUT/clips)",
    )
    parser.add_argument(
        "--frame-path",
        type=Path,
        metavar="CHECKPOINT",
        help="take what sees one frame alone from this checkpoint and begin with the first stage "
        "that trains more: what a memory brings, on one and the same frame path",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--save-every",
        type=int,
        default=200,
        help="iterations between resumable checkpoints (default: %(default)s)",
    )
    parser.add_argument(
        "--validate-every",
        type=int,
        default=1000,
        help="iterations between validations, which only report (default: %(default)s)",
    )
    parser.add_argument(
        "--validation-frames",
        type=int,
        default=20,
        help="frames of split val to validate on; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that draw and distort clips ahead (default: %(default)s: none)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, or take up a stopped run; 130 where Ctrl-C ended it."""
    args.device = find_device(args.device)
    return 0 if train(load_config(args.config), args) else 130


def train(config: Config, args: argparse.Namespace) -> bool:
    """Train `config` on the dataset under `args.root`; writes `args.out`/model.safetensors.

    Several processes of torchrun share the micro-batches of an iteration (`accumulate`). Returns
    whether the run is done; False after Ctrl-C, with the state saved.
    """
    if config.train is None:
        raise ValueError("the config has no section train")
    with Processes(args.device) as processes, StopRequest() as stop:
        processes.micro_batches(0, config.train.accumulate)  # its error, before the work
        return _train(config, args, processes, stop)


def _train(
    config: Config, args: argparse.Namespace, processes: Processes, stop: StopRequest
) -> bool:
    c, out, device = config.train, Path(args.out), processes.device
    out.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(c.dataset, args.root)
    videos = dataset.load_videos(c.split)
    validation = validation_video(dataset, args.validation_frames)
    cache = Path(args.cache or out / "clips")
    splits = {c.split: videos} | ({"val": [validation]} if validation else {})
    pixels = check_source(splits, len(dataset.class_names), cache)[c.split]
    encoder = build_encoder(config, device)
    prints = SourcePrints(frames_print(videos), weights_print(encoder))

    torch.manual_seed(c.seed)
    model = build_trainable_part(
        config, encoder.width, embed_class_names(dataset.class_names, config.text)
    )
    model.to(device)
    method = model.with_encoder(encoder)
    batches = TrainingBatches(videos, method, config, cache, device, prints, args.workers)
    model.standardize.fit(source_tokens(batches, min(16, c.iterations * c.accumulate), device))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(c.ema_decay))
    optimizer = torch.optim.AdamW(parameter_groups(model), lr=1.0, weight_decay=c.weight_decay)
    schedule = LambdaLR(
        optimizer,
        [lambda i: learning_rate(c, i), lambda i: c.pixel_memory_rate * learning_rate(c, i)],
    )
    parts = {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule}
    first = resume(out / "last.pt", config, parts, prints, device)
    if not first and args.frame_path:
        first = take_frame_path(args.frame_path, [model, average.module], c, device)
    class_weights = balanced_weights(pixels, c.class_balance).to(device)
    loss = processes.wrap(TrainingLoss(model, config, class_weights))
    log = TrainingLog(out, first) if processes.first else None

    coming = (processes.micro_batches(i, c.accumulate) for i in range(first, c.iterations))
    batches.begin(itertools.chain.from_iterable(coming))
    progress = tqdm(
        range(first, c.iterations),
        initial=first,
        total=c.iterations,
        desc="train",
        disable=not processes.first,
    )
    stopped, stop.entered = False, True
    for i in progress:
        if i == first or c.stage_of(i)[1] == 0:
            enter_stage(model, average.module, batches, c, i, device)
        optimizer.zero_grad()
        sums = accumulate_gradients(loss, batches, config, i, processes, out)
        torch.nn.utils.clip_grad_norm_(model.parameters(), c.clip_gradient)
        rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        losses, stopped = share(sums, stop, processes)
        done = i + 1 == c.iterations
        if log is not None:
            log.write(i, losses, rate)
            progress.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            reports = (i + 1) % args.validate_every == 0 or done
            path = out / "model.safetensors"
            if reports:  # before the state: a run that is over by its state has its model
                measure_norms(average.module, batches, c, device)
                save_checkpoint(
                    path,
                    average.module,
                    config,
                    dataset.class_names,
                    dataset.licence,
                    dataset.palette,
                )
            if (i + 1) % args.save_every == 0 or done or stopped:
                save_state(out / "last.pt", i + 1, config, parts, prints)
                log.plot()
            if reports:
                message = validate(path, encoder, validation, dataset, device, i + 1)
                tqdm.write(f"iteration {i + 1}: {message}", file=sys.stderr)
        if stopped and not done:
            break
    batches.close()
    processes.wait()
    if log is not None:
        log.close()
    if stopped and not done:
        print(f"stopped after iteration {i + 1}; the same command goes on", file=sys.stderr)
        return False
    return True


def take_frame_path(
    path: Path, models: list[TrainablePart], config: TrainConfig, device: str
) -> int:
    """Copy all but the temporal parts from a checkpoint; returns the iteration to go on with.

    Raises:
        ValueError: its frame path has other weights, or the config trains nothing else.
    """
    first = 0
    for stage in config.stages:
        if stage.trains != FRAME_PATH:
            break
        first += stage.iterations
    else:
        raise ValueError("--frame-path: every stage of the config trains the frame path alone")
    found = load_checkpoint(path, device).model
    given = found.frame_path_state()
    for model in models:
        own = model.frame_path_state()
        other = sorted(
            name
            for name in own.keys() | given.keys()
            if name not in own or name not in given or own[name].shape != given[name].shape
        )
        if other:
            raise ValueError(f"--frame-path: {path} has another frame path, first {other[0]}")
        model.load_state_dict(given, strict=False)
    return first


def enter_stage(
    model: TrainablePart,
    average: TrainablePart,
    batches: TrainingBatches,
    config: TrainConfig,
    iteration: int,
    device: str,
) -> None:
    """Set up what the stage of `iteration` trains; it may begin there or be taken up again."""
    stage, done = config.stage_of(iteration)
    if stage.trains == TEMPORAL and done == 0:
        model.load_state_dict(average.state_dict())
        measure_norms(model, batches, config, device)
    model.freeze_frame_path(stage.trains == TEMPORAL)
    model.head.set_dropout(stage.dropout)


def measure_norms(
    model: TrainablePart, batches: TrainingBatches, config: TrainConfig, device: str
) -> None:
    """Batch norms as they are to be at inference."""
    measured = (batches(number) for number in norm_batches(config))
    fit_norms(model, measured, device, config.precision)


@dataclass
class LossSums:
    """Of this process: weighted losses added over its micro-batches, by name."""

    values: dict[str, float]
    batches: int


def accumulate_gradients(
    loss: nn.Module,
    batches: TrainingBatches,
    config: Config,
    iteration: int,
    processes: Processes,
    out: Path,
) -> LossSums:
    """Backward passes of this process's share of an iteration's micro-batches.

    Micro-batch m is the same whichever process computes it, and the gradient is the mean over all,
    so that more processes give the same run up to rounding.

    Raises:
        FloatingPointError: an output or a loss is not finite; the micro-batch is saved in `out`.
    """
    c = config.train
    stage, _ = c.stage_of(iteration)
    mine = processes.micro_batches(iteration, c.accumulate)
    sums = LossSums({}, 0)
    for number in mine:
        torch.manual_seed(c.seed * 1_000_003 + number)  # depends on nothing before it
        batch = batches(number)
        wait = number != mine[-1] and processes.size > 1
        with loss.no_sync() if wait else nullcontext():
            try:
                losses = loss(batch, stage)
                total = sum(losses.values())
                if not torch.isfinite(total):
                    raise FloatingPointError(f"the loss is {total.item()}")
            except FloatingPointError as error:
                kept = out / "nan_batch.pt"
                with replacing(kept) as path:
                    torch.save([clip._asdict() for clip in batch], path)
                raise FloatingPointError(
                    f"{error} at iteration {iteration}; its batch is {kept}"
                ) from error
            (total / len(mine)).backward()
        for name, value in losses.items():
            sums.values[name] = sums.values.get(name, 0.0) + value.item()
        sums.batches += 1
    return sums


def share(sums: LossSums, stop: StopRequest, processes: Processes) -> tuple[dict[str, float], bool]:
    """Losses as means over all micro-batches, and whether any process was asked to stop."""
    row = [sums.values.get(name, 0.0) for name in LOSSES]
    there = [float(name in sums.values) for name in LOSSES]
    values = torch.tensor([*row, *there, sums.batches, float(stop.asked)], dtype=torch.float64)
    values = processes.sum(values).tolist()
    count = values[-2]
    means = zip(LOSSES, values[: len(LOSSES)], values[len(LOSSES) :], strict=False)
    return {name: value / count for name, value, known in means if known}, values[-1] > 0


def source_tokens(batches: TrainingBatches, count: int, device: str) -> list[list[torch.Tensor]]:
    """Tokens of the first `count` micro-batches of the run, for their statistics."""
    return [list(clip.tokens.to(device)) for i in range(count) for clip in batches(i)]


def balanced_weights(pixels: np.ndarray, exponent: float) -> torch.Tensor:
    """Class weights f^-exponent, f the share of labelled pixels, averaging one over the pixels.

    pixels: (K,) labelled pixels by class. A class without a pixel weighs nothing. (K,) float32.
    """
    share = pixels / pixels.sum()
    weights = np.where(share > 0, np.maximum(share, 1e-4) ** -exponent, 0.0)
    return torch.tensor(weights / (share * weights).sum(), dtype=torch.float32)


def parameter_groups(model: TrainablePart) -> list[dict]:
    """The pixels' memory after all others."""
    memory = getattr(model.head, "pixel_memory", None)
    own = [] if memory is None else list(memory.parameters())
    known = {id(parameter) for parameter in own}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [{"params": others}, {"params": own}]


def learning_rate(config: TrainConfig, iteration: int) -> float:
    """Linear warm-up, polynomial decay (power 0.9) to zero, each stage."""
    if iteration >= config.iterations:
        return 0.0
    stage, iteration = config.stage_of(iteration)
    warm = min(1.0, (iteration + 1) / max(1, config.warmup))
    return stage.learning_rate * warm * (1 - iteration / stage.iterations) ** 0.9


def validation_video(dataset: Dataset, frames: int) -> Video | None:
    """The first frames of split val, None for 0 frames; a missing split is found at the start."""
    if not frames:
        return None
    video = dataset.load_videos("val")[0]
    return replace(video, frames=video.frames[:frames])


def validate(
    path: Path,
    encoder: FrozenEncoder,
    video: Video | None,
    dataset: Dataset,
    device: str,
    iteration: int,
) -> str:
    """mIoU of the averaged weights on a few frames of split val, streaming.

    The best so far is kept as best.safetensors beside it; the last one stays the result.
    """
    if video is None:
        return f"saved {path}"
    segmenter = StreamingSegmenter(load_checkpoint(path, device), encoder, device)
    score = miou(evaluate(segmenter, [video], dataset.class_names).confmat)
    best = keep_best(path, score, iteration)
    note = "the best so far" if best else f"the best is {100 * best_so_far(path.parent):.1f} %"
    return f"mIoU {100 * score:.1f} % on {len(video.frames)} frames of split val, {note}"

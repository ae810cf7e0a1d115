# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g train`: one labelled source domain, one config, one script read from top to bottom."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import scipy.optimize  # noqa: F401, of the set loss: where it is missing, that is said at once
import torch
from torch import nn
from tqdm import tqdm

from t2g_core.checkpoint import load_checkpoint, record_source_confidence, save_checkpoint
from t2g_core.config import Config, load_config
from t2g_core.data.datasets import NAMES, Dataset, open_dataset
from t2g_core.data.video import Video
from t2g_core.device import AUTO, find_device, peak_memory
from t2g_core.evaluation.evaluate import evaluate_one
from t2g_core.evaluation.source_confidence import ConfidenceMeter
from t2g_core.images.files import picture_size
from t2g_core.methods.method import Method
from t2g_core.metrics.iou import miou
from t2g_core.processes import Processes
from t2g_core.schedule import FRAME_PATH, TEMPORAL, StageConfig, TrainConfig
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.torch_runtime import TorchRuntime
from t2g_core.training.clips.batches import TrainingBatches, collate
from t2g_core.training.crop_sheet import save_crops
from t2g_core.training.dry_run import describe_data, describe_method, time_iterations
from t2g_core.training.norm_statistics import fit_norms, norm_batches
from t2g_core.training.run_state import (
    TrainingLog,
    best_so_far,
    keep_best,
    load_state,
    save_state,
)
from t2g_core.training.source import (
    Fingerprints,
    check_source,
    frames_fingerprint,
    weights_fingerprint,
)
from t2g_core.training.stop_request import StopRequest
from t2g_core.training.training_loss import TrainingLoss
from t2g_core.training.weight_average import WeightAverage
from t2g_core.training.zoom import training_zoom
from t2g_core.whole_files import replacing

CROPS = "crops.png"
FUSED, CHANNELS_LAST, COMPILE = "fused", "channels-last", "compile"
WAYS = (FUSED, CHANNELS_LAST, COMPILE)


@dataclass(frozen=True)
class TrainOptions:
    """What a training is given beside its config.

    root, data, split: the folder of the data set, its name (`data.datasets.NAMES`), the split that
        is trained on.
    out: folder for checkpoints, logs and curves; a run that was stopped there is taken up again.
    cache: folder for clips that are made once; None: `out`/clips.
    frame_path: a checkpoint whose frame path is taken, so that the run begins with the first stage
        that trains more.
    begin_from: a checkpoint whose weights the run begins with; parts that it lacks begin new.
    device: `auto`, `cpu`, `cuda` or `cuda:N`.
    save_every, validate_every: iterations between resumable states and between validations.
    validation_frames: frames of split val to validate on; 0: none.
    workers: processes that draw and distort clips ahead; 0: none.
    ways: some of `WAYS`, to run faster where they pay; `t2g bench --train` times them.
    distort_on_device: distort the colours of clips that are not kept on the device, not in the
        workers.
    dry_run: look at data, crops and model, time a few iterations, and train nothing.
    """

    root: Path
    out: Path
    data: str = "camvid"
    split: str = "train"
    cache: Path | None = None
    frame_path: Path | None = None
    begin_from: Path | None = None
    device: str = AUTO
    save_every: int = 200
    validate_every: int = 1000
    validation_frames: int = 20
    workers: int = 0
    ways: tuple[str, ...] = ()
    distort_on_device: bool = False
    dry_run: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g train`."""
    parser.add_argument("config", help="model and training, e.g. config/time2general_small.yaml")
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--data", choices=NAMES, default="camvid", help="default: %(default)s")
    parser.add_argument(
        "--split",
        default="train",
        help="to train on; train:A,B: its recordings A and B alone, train:-A,B: all others "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for checkpoints, logs and curves; a run that was stopped there is taken up "
        "again on the same trajectory",
    )
    add_set(parser)
    parser.add_argument(
        "--cache",
        type=Path,
        help="folder for clips that are made once, several GB, shared by configs that draw the "
        "same clips (default: OUT/clips)",
    )
    parser.add_argument(
        "--frame-path",
        type=Path,
        metavar="CHECKPOINT",
        help="take what sees one frame alone from this checkpoint and begin with the first stage "
        "that trains more: what a memory brings, on one and the same frame path",
    )
    parser.add_argument(
        "--begin-from",
        type=Path,
        metavar="CHECKPOINT",
        help="begin with the weights of this checkpoint, of the same data set's classes, and train "
        "all stages on; parts that it lacks, such as a stem, begin new",
    )
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument(
        "--save-every",
        type=int,
        default=200,
        help="iterations between resumable states (default: %(default)s)",
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
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=(),
        metavar="WAY",
        help="run with fused (AdamW), channels-last (convolutions) or compile (frozen encoder); "
        "`t2g bench CONFIG --train` times them: none pays on a CPU (default: none)",
    )
    parser.add_argument(
        "--distort-on-device",
        action="store_true",
        help="change the colours of crops on the device, all frames of a clip at once, not in the "
        "workers; for train.distortion photometric and train.cached_clips 0",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="train nothing: print what data, model and crops are, time a few iterations, say what "
        "all of them would take, and write OUT/crops.png",
    )


def add_set(parser: argparse.ArgumentParser) -> None:
    """The option that changes keys of a config."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="SECTION.KEY=VALUE",
        help="change a key of the config, for example --set train.mtc_weight=0; repeat it for more",
    )


def run(args: argparse.Namespace) -> int:
    """Train, or take up a stopped run; 130 where Ctrl-C ended it."""
    options = vars(args) | {"ways": tuple(args.ways)}
    options = TrainOptions(**{name: options[name] for name in TrainOptions.__dataclass_fields__})
    return 0 if train(load_config(args.config, args.changes), options) else 130


def train(config: Config, options: TrainOptions) -> bool:
    """Train `config` on a labelled source; writes `options.out`/model.safetensors.

    Several processes of torchrun share the micro-batches of an iteration (`accumulate`), the
    checks of the source and what is kept on disk; the first one alone needs `options.out`. Returns
    whether the run is done; False after Ctrl-C, with the state saved.

    Raises:
        ValueError, FileNotFoundError: the config has no section train, or fewer micro-batches than
            there are processes; data or files are faulty.
        FloatingPointError: an output or a loss is not finite.
    """
    if config.train is None:
        raise ValueError("the config has no section train")
    if options.frame_path and options.begin_from:
        raise ValueError("--frame-path and --begin-from: one of them")
    processes = Processes(find_device(options.device))
    if processes.size > config.train.accumulate:
        raise ValueError(
            f"train.accumulate: expected at least the {processes.size} processes, which share "
            f"the micro-batches of an iteration, got {config.train.accumulate}"
        )
    with processes, StopRequest() as stop:
        return _train(config, options, processes, stop)


def _train(config: Config, o: TrainOptions, processes: Processes, stop: StopRequest) -> bool:
    c, device = config.train, processes.device
    o.out.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(o.data, o.root)
    videos = dataset.load_videos(o.split)
    validation = validation_video(dataset, o.validation_frames)
    cache = o.cache or o.out / "clips"
    splits = {o.split: videos} | ({"val": [validation]} if validation else {})
    share = processes.share_of(cache)
    if share.index == 0:
        check_source(splits, len(dataset.class_names), cache)
    processes.wait()  # the others find the note of it
    pixels = check_source(splits, len(dataset.class_names), cache)[o.split]
    encoder = config.build_encoder(device)
    fingerprints = Fingerprints(o.data, frames_fingerprint(videos), weights_fingerprint(encoder))
    check_same(fingerprints, processes)
    state_path = o.out / "last.pt"
    saved = load_state(state_path, config, fingerprints) if processes.first else None
    saved = processes.from_first(saved)

    torch.manual_seed(c.seed)
    method = config.build_method(encoder, len(dataset.class_names)).to(device)
    if COMPILE in o.ways:
        encoder.compile()
    if CHANNELS_LAST in o.ways:
        method.to(memory_format=torch.channels_last)
    batches = TrainingBatches(
        videos, method, config, cache, device, fingerprints, o.workers, o.distort_on_device
    )
    if processes.size > 1 and not o.dry_run:
        batches.fill(saved[0] if saved else 0, share)
        processes.wait()
    if saved is None and processes.first:
        count = min(16, c.iterations * c.accumulate)
        method.begin_training(
            dataset.class_names, (collate(batches(i), device) for i in range(count))
        )
    average = WeightAverage(method, c.ema_decay)
    first, optimizer = 0, None
    if saved is not None:
        first, parts = saved
        optimizer = take_up(parts, method, average, c, first, FUSED in o.ways)
    elif o.begin_from:
        new = begin_from(o.begin_from, [method, average.method])
        print(f"begins with {o.begin_from}; new: {', '.join(new) or 'nothing'}", file=sys.stderr)
    elif o.frame_path:
        first = take_frame_path(o.frame_path, [method, average.method], c)
    class_weights = balanced_weights(pixels, c.class_balance).to(device)
    loss = TrainingLoss(method, c, class_weights)
    if o.dry_run:
        stage, _ = c.stage_of(first)
        method.enter_stage(stage)
        optimizer = make_optimizer(method, stage, c, optimizer, FUSED in o.ways)
        if processes.first:
            print(describe_data(videos, o.data, o.split))
            print(training_zoom(config, picture_size(videos[0].frames[0].image_path)))
            print(describe_method(method))
        loss = processes.wrap(loss)
        iterate = partial(run_iteration, method, loss, optimizer, batches, c, processes, o.out)
        timed = time_iterations(lambda i: iterate(i).means(), c, first, lambda: peak_memory(device))
        if not processes.first:
            return True
        print(timed)
        save_crops(o.out / CROPS, method, batches(first * c.accumulate), stage, c, dataset)
        print(f"the first iteration's crops are in {o.out / CROPS}")
        return True
    log = TrainingLog(o.out, first, method.loss_names) if processes.first else None

    coming = (micro_batches(i, c, processes) for i in range(first, c.iterations))
    batches.begin(itertools.chain.from_iterable(coming))
    progress = tqdm(
        range(first, c.iterations),
        initial=first,
        total=c.iterations,
        desc="train",
        disable=not processes.first,
    )
    stopped, stop.entered, shared_loss = False, True, loss
    for i in progress:
        stage, number = c.stage_of(i)
        if number == 0 or optimizer is None:
            if stage.trains == TEMPORAL and processes.first:
                method.load_state_dict(average.method.trained_state(), strict=False)
                measure_norms(method, batches, c, stage, device)
            processes.wait()
            method.enter_stage(stage)
            optimizer = make_optimizer(method, stage, c, optimizer, FUSED in o.ways)
        if number == 0 or i == first:
            shared_loss = processes.wrap(loss)  # anew: it averages what the stage trains
        sums = run_iteration(method, shared_loss, optimizer, batches, c, processes, o.out, i)
        average.update(method)
        losses, stopped = total_of(sums, stop, processes, method.loss_names)
        done = i + 1 == c.iterations
        reports = (i + 1) % o.validate_every == 0 or done
        if log is not None:
            log.write(i, losses, learning_rate(c, i))
            progress.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            path = o.out / "model.safetensors"
            if reports:  # before the state: a run that is over by its state has its model
                measure_norms(average.method, batches, c, stage, device)
                names, licence = dataset.class_names, dataset.licence
                save_checkpoint(path, average.method, config, names, licence, dataset.palette)
            if (i + 1) % o.save_every == 0 or done or stopped:
                parts = {
                    "method": method.trained_state(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                }
                save_state(state_path, i + 1, config, parts, fingerprints)
                log.plot()
            if reports:
                crops = batches(i * c.accumulate)
                save_crops(o.out / CROPS, average.method, crops, stage, c, dataset)
                message = validate(path, encoder, validation, dataset, device, i + 1)
                tqdm.write(f"iteration {i + 1}: {message}", file=sys.stderr)
        if reports:
            processes.wait()  # for the first one's validation, however long it takes
        if stopped and not done:
            break
    batches.close()
    if log is not None:
        log.close()
    if stopped and not done:
        print(f"stopped after iteration {i + 1}; the same command goes on", file=sys.stderr)
        return False
    return True


def make_optimizer(
    method: Method,
    stage: StageConfig,
    config: TrainConfig,
    before: torch.optim.Optimizer | None,
    fused: bool = False,
) -> torch.optim.Optimizer:
    """AdamW on what the stage trains; parameters that the stage before trained too go on.

    The learning rate is set in every iteration, to the group's `rate` times the stage's.
    """
    groups = [
        {
            "params": group.parameters,
            "rate": group.rate,
            "weight_decay": config.weight_decay if group.decays else 0.0,
        }
        for group in method.parameter_groups(stage)
        if group.parameters
    ]
    if not groups:
        raise ValueError(f"a stage that trains {stage.trains}: the method has nothing to train")
    optimizer = torch.optim.AdamW(groups, lr=1.0, fused=fused)
    if before is not None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter in before.state:
                    optimizer.state[parameter] = before.state[parameter]
    return optimizer


def take_up(
    parts: dict,
    method: Method,
    average: WeightAverage,
    config: TrainConfig,
    iteration: int,
    fused: bool = False,
) -> torch.optim.Optimizer:
    """Put a saved run back: the method, its average, and the optimiser of its last iteration."""
    method.load_state_dict(parts["method"], strict=False)
    average.load_state_dict(parts["average"])
    stage, _ = config.stage_of(iteration - 1)
    method.enter_stage(stage)
    optimizer = make_optimizer(method, stage, config, None, fused)
    groups = parts["optimizer"]["param_groups"]
    groups = [group | {"fused": fused} for group in groups]  # not as the run was begun
    optimizer.load_state_dict(parts["optimizer"] | {"param_groups": groups})
    return optimizer


def take_frame_path(path: Path, methods: list[Method], config: TrainConfig) -> int:
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
    given = load_checkpoint(path).build(encoder=methods[0].encoder).frame_path_state()
    for method in methods:
        own = method.frame_path_state()
        other = sorted(
            name
            for name in own.keys() | given.keys()
            if name not in own or name not in given or own[name].shape != given[name].shape
        )
        if other:
            raise ValueError(f"--frame-path: {path} has another frame path, first {other[0]}")
        method.load_state_dict(given, strict=False)
    return first


def begin_from(path: Path, methods: list[Method]) -> list[str]:
    """Copy a checkpoint's weights; returns the modules that it lacks, which stay as they are.

    Raises:
        ValueError: it has a weight that the methods lack, or of another shape.
    """
    given = load_checkpoint(path).build(encoder=methods[0].encoder).trained_state()
    own = methods[0].trained_state()
    for name, weight in given.items():
        if name not in own or own[name].shape != weight.shape:
            here = tuple(own[name].shape) if name in own else "none"
            raise ValueError(
                f"--begin-from: {path} has {name} of shape {tuple(weight.shape)}, the config {here}"
            )
    for method in methods:
        method.load_state_dict(given, strict=False)
    return list(dict.fromkeys(name.rpartition(".")[0] for name in own if name not in given))


def check_same(fingerprints: Fingerprints, processes: Processes) -> None:
    """Raise ValueError where this process sees another source or other frozen weights than the
    first one, on another machine.
    """
    others = asdict(processes.from_first(fingerprints))
    other = [name for name, value in asdict(fingerprints).items() if others[name] != value]
    if other:
        raise ValueError(
            f"process {processes.rank} has other {' and '.join(other)} than the first one: all "
            "machines need the same files"
        )


def micro_batches(iteration: int, config: TrainConfig, processes: Processes) -> Sequence[int]:
    """Numbers of the micro-batches of an iteration that this process computes."""
    first = iteration * config.accumulate
    return processes.share().of(range(first, first + config.accumulate))


def measure_norms(
    method: Method, batches: TrainingBatches, config: TrainConfig, stage: StageConfig, device: str
) -> None:
    """Batch norms as they are to be at inference."""
    measured = (collate(batches(number), device) for number in norm_batches(config))
    fit_norms(method, measured, stage, config.precision)


@dataclass
class LossSums:
    """Of this process: weighted losses added over its micro-batches, by name."""

    values: dict[str, float]
    batches: int

    def means(self) -> dict[str, float]:
        """Over its micro-batches."""
        return {name: value / self.batches for name, value in self.values.items()}


def run_iteration(
    method: Method,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: TrainingBatches,
    config: TrainConfig,
    processes: Processes,
    out: Path,
    iteration: int,
) -> LossSums:
    """Gradients of this process's micro-batches, clipped, and a step of the optimiser."""
    rate = learning_rate(config, iteration)
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * rate
    method.zero_grad()
    sums = accumulate_gradients(loss, batches, config, iteration, processes, out)
    torch.nn.utils.clip_grad_norm_(method.parameters(), config.clip_gradient)
    optimizer.step()
    return sums


def accumulate_gradients(
    loss: nn.Module,
    batches: TrainingBatches,
    config: TrainConfig,
    iteration: int,
    processes: Processes,
    out: Path,
) -> LossSums:
    """Backward passes of this process's share of an iteration's micro-batches.

    Micro-batch m is the same whichever process computes it, and the gradient is the mean over all,
    so that more processes give the same run up to rounding, also where they cannot share them
    evenly.

    Raises:
        FloatingPointError: an output or a loss is not finite; the micro-batch is saved in `out`.
    """
    stage, _ = config.stage_of(iteration)
    mine = micro_batches(iteration, config, processes)
    sums = LossSums({}, 0)
    for number in mine:
        torch.manual_seed(config.seed * 1_000_003 + number)  # depends on nothing before it
        clips = batches(number)
        wait = number != mine[-1] and processes.size > 1
        with loss.no_sync() if wait else nullcontext():
            try:
                losses = loss(collate(clips, processes.device), stage)
                total = sum(losses.values())
                if not torch.isfinite(total):
                    raise FloatingPointError(f"the loss is {total.item()}")
            except FloatingPointError as error:
                kept = out / "nan_batch.pt"
                with replacing(kept) as path:
                    torch.save([clip._asdict() for clip in clips], path)
                raise FloatingPointError(
                    f"{error} at iteration {iteration}; its batch is {kept}"
                ) from error
            # torch averages the gradients over the processes, whatever share of them each has
            (total * (processes.size / config.accumulate)).backward()
        for name, value in losses.items():
            sums.values[name] = sums.values.get(name, 0.0) + value.item()
        sums.batches += 1
    return sums


def total_of(
    sums: LossSums, stop: StopRequest, processes: Processes, names: Sequence[str]
) -> tuple[dict[str, float], bool]:
    """Losses as means over all micro-batches, and whether any process was asked to stop."""
    row = [sums.values.get(name, 0.0) for name in names]
    there = [float(name in sums.values) for name in names]
    values = torch.tensor([*row, *there, sums.batches, float(stop.asked)], dtype=torch.float64)
    values = processes.sum(values).tolist()
    count = values[-2]
    means = zip(names, values[: len(names)], values[len(names) :], strict=False)
    return {name: value / count for name, value, known in means if known}, values[-1] > 0


def balanced_weights(pixels: np.ndarray, exponent: float) -> torch.Tensor:
    """Class weights f^-exponent, f the share of labelled pixels, averaging one over the pixels.

    pixels: (K,) labelled pixels by class. A class without a pixel weighs nothing. (K,) float32.
    """
    share = pixels / pixels.sum()
    weights = np.where(share > 0, np.maximum(share, 1e-4) ** -exponent, 0.0)
    return torch.tensor(weights / (share * weights).sum(), dtype=torch.float32)


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
    encoder: nn.Module,
    video: Video | None,
    dataset: Dataset,
    device: str,
    iteration: int,
) -> str:
    """mIoU of the averaged weights on a few frames of split val, streaming; how sure they are there
    is recorded in the checkpoint.

    The best so far is kept as best.safetensors beside it; the last one stays the result.
    """
    if video is None:
        return f"saved {path}"
    found = load_checkpoint(path)
    runtime = TorchRuntime(found.build(device, encoder=encoder), device)
    segmenter = ConfidenceMeter(StreamingSegmenter(runtime, found.labelling))
    score = miou(evaluate_one(segmenter, [video], dataset.class_names).confmat)
    record_source_confidence(path, segmenter.mean)
    best = keep_best(path, score, iteration)
    note = "the best so far" if best else f"the best is {100 * best_so_far(path.parent):.1f} %"
    return f"mIoU {100 * score:.1f} % on {len(video.frames)} frames of split val, {note}"

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints compared on labelled video under several conditions, in one run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from t2g_core.data.corrupted_images import check_record
from t2g_core.data.corruptions import CORRUPTIONS, SEVERITY, Weather, load_library
from t2g_core.data.datasets import open_dataset
from t2g_core.data.video import Video, VideoFrame
from t2g_core.device import AUTO, find_device, find_precision
from t2g_core.evaluation.contact_sheet import Sample, contact_sheet, save_picture
from t2g_core.evaluation.evaluate import (
    CLEAN,
    Evaluation,
    StoredWeather,
    evaluate_together,
    load_frame,
    protocol_of,
)
from t2g_core.evaluation.figures import PANELS, Figures
from t2g_core.evaluation.tables import Settings, mean_row, result_row
from t2g_core.images.windows import WHOLE, Windows, read_windows
from t2g_core.labels import colorize
from t2g_core.metrics.sparse_consistency import STATIC_THRESHOLD
from t2g_core.processes import Processes, Share
from t2g_core.runtime.manifest import is_export

if TYPE_CHECKING:
    from t2g_core.methods.method import Method
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

PICTURED_FRAMES = 6
ALL_WEATHERS = "all"


FRAME_PATH = ", frame path"  # ends the name of a row


@dataclass(frozen=True)
class EvaluateOptions:
    """What `evaluate` is asked for; `t2g eval --help` says more of each.

    root, data, split: the folder of the data set, its name (`data.datasets.NAMES`), its split.
    checkpoints: files, None the shipped one. names: what their rows are called; empty: their paths.
    corruptions: `clean`, names of weathers, or `all`; with their severity and seeding.
    every: take every Nth frame of each video. weather: a folder of `t2g data corrupt`.
    mode: `stream`, `clip` or `frame`.
    running_means: weights of running means over frame-by-frame checkpoints; frame_path: whether
        the frame path of those with a memory has a row of its own. variants_of: the name to which
        both apply; empty: all.
    device, precision: as of `t2g_core.device`.
    static_threshold: of Eq. 13, grey values of 255.
    classes: `own` or `shared15`. without_depth: leave out depth encoders.
    windows: SIZE/STRIDE in pixels, or nothing for whole frames.
    out: a folder for pictures of each row; figures: one for pictures of all, see `figures.py`;
        None: none.
    """

    root: Path
    checkpoints: tuple[Path | None, ...] = (None,)
    names: tuple[str, ...] = ()
    data: str = "camvid"
    split: str = "val"
    corruptions: tuple[str, ...] = (CLEAN,)
    severity: int = SEVERITY
    seeding: str = "frame"
    every: int = 1
    weather: Path | None = None
    mode: str = "stream"
    running_means: tuple[float, ...] = ()
    frame_path: bool = False
    variants_of: str = ""
    device: str = AUTO
    precision: str = AUTO
    static_threshold: int = STATIC_THRESHOLD
    classes: str = "own"
    without_depth: bool = False
    windows: str = ""
    out: Path | None = None
    figures: Path | None = None

    def __post_init__(self):
        if self.every < 1:
            raise ValueError(f"--every: expected 1 or more, got {self.every}")
        read_windows(self.windows)

    @property
    def conditions(self) -> list[Weather | None]:
        """The weathers, None for clean: `all` spelt out, no repetitions."""
        spelt = []
        for name in self.corruptions:
            spelt += [CLEAN, *CORRUPTIONS] if name == ALL_WEATHERS else [name]
        return [
            None if name == CLEAN else Weather(name, self.severity, self.seeding)
            for name in dict.fromkeys(spelt)
        ]


def evaluate(options: EvaluateOptions) -> list[dict]:
    """Evaluate every checkpoint under every condition: a row each, with a mean over the weathers
    where all are there. `tables.result_row` says what a row holds.

    Several processes of torchrun divide the videos under each condition among them; the first one
    has the rows, the others none.

    Raises:
        FileNotFoundError, ValueError: faulty data, files or options.
    """
    check_early(options)
    with Processes(find_device(options.device)) as processes:
        device = processes.device
        precision = find_precision(options.precision, device)
        options = replace(options, device=device, precision=precision)
        dataset = open_dataset(options.data, options.root)
        videos = dataset.load_videos(options.split)
        segmenters = load_segmenters(
            options.checkpoints,
            device,
            precision,
            wrapped=bool(options.running_means or options.frame_path),
            depth=not options.without_depth,
            called=options.names,
        )
        if options.frame_path:
            segmenters = with_frame_paths(segmenters, options.variants_of)
        segmenters = on_windows(segmenters, read_windows(options.windows))
        segmenters = with_running_means(segmenters, options.running_means, options.variants_of)
        return evaluate_all(segmenters, videos, dataset.class_names, options, processes)


def check_early(options: EvaluateOptions) -> None:
    """Find a missing checkpoint or library now and not after the first ten minutes."""
    changed = options.without_depth or read_windows(options.windows)
    for checkpoint in options.checkpoints:
        if checkpoint is None or checkpoint.is_file():
            continue
        if not is_export(checkpoint):
            raise FileNotFoundError(f"checkpoint {checkpoint} does not exist; see `t2g train`")
        if options.mode != "stream" or options.frame_path or changed:
            raise ValueError(f"{checkpoint} is an export, which streams as it is and no other way")
    weathers = [w for w in options.conditions if w is not None]
    if options.weather:
        for weather in weathers:
            check_record(options.weather / weather.name, weather)
    elif weathers:
        load_library()


class Part(NamedTuple):
    """What a process measured: some of the videos, by their numbers, under one condition.

    evaluations: by checkpoint; samples: by checkpoint, those of the pictured frames by their place
    among all frames.
    """

    numbers: tuple[int, ...]
    evaluations: dict[str, Evaluation]
    samples: dict[str, dict[int, Sample]]


def evaluate_all(
    segmenters: dict[str, StreamingSegmenter],
    videos: Sequence[Video],
    class_names: Sequence[str],
    options: EvaluateOptions,
    processes: Processes | None = None,
) -> list[dict]:
    """Evaluate all checkpoints under every condition; a mean follows if all weathers are there.

    Of each video every `options.every`-th frame is taken. Rows are those of `evaluate`.
    """
    processes = processes or Processes(options.device)
    videos = [video.every(options.every) for video in videos]
    first = next(iter(segmenters.values()))
    figures = Figures.of(videos, first.class_names, first.palette) if options.figures else None
    conditions = options.conditions
    mine = divided([len(video.frames) for video in videos], len(conditions), processes.share())
    parts = {
        number: evaluate_part(segmenters, videos, own, class_names, options, weather, figures)
        for number, (weather, own) in enumerate(zip(conditions, mine, strict=True))
        if own
    }
    gathered = processes.gather_all((parts, figures))
    if not processes.first:
        return []
    rows: dict[str, list[dict]] = {name: [] for name in segmenters}
    for number, weather in enumerate(conditions):
        found = [parts[number] for parts, _ in gathered if number in parts]
        for name, segmenter in segmenters.items():
            settings = settings_of(name, segmenter, weather, options)
            whole = Evaluation.of_parts([(part.numbers, part.evaluations[name]) for part in found])
            rows[name].append(result_row(whole, settings))
            if options.out:
                samples = {k: x for part in found for k, x in part.samples[name].items()}
                ordered = [samples[place] for place in sorted(samples)]
                sheet = contact_sheet(ordered, segmenter.class_names, segmenter.palette)
                save_picture(options.out / picture_name(settings), sheet)
    if figures:
        names = [CLEAN if weather is None else weather.name for weather in conditions]
        figures = Figures.of_parts([own for _, own in gathered], names, list(segmenters))
        figures.write(options.figures)
        figures.save(options.figures / PANELS)
    for found in rows.values():
        weathers = [row for row in found if row["corruption"] != CLEAN]
        if len(weathers) == len(CORRUPTIONS):
            found.append(mean_row(weathers))
    return [row for found in rows.values() for row in found]


def divided(lengths: Sequence[int], conditions: int, share: Share) -> list[tuple[int, ...]]:
    """For each condition the numbers of the videos that this process evaluates.

    lengths: frames of each video. The longest are dealt out first, each to whoever has least.
    """
    pairs = [(c, v) for c in range(conditions) for v in range(len(lengths))]
    frames = [0] * share.count
    mine: list[list[int]] = [[] for _ in range(conditions)]
    for c, v in sorted(pairs, key=lambda pair: -lengths[pair[1]]):
        whose = frames.index(min(frames))
        frames[whose] += lengths[v]
        if whose == share.index:
            mine[c].append(v)
    return [tuple(sorted(numbers)) for numbers in mine]


def settings_of(
    name: str, segmenter: StreamingSegmenter, weather: Weather | None, options: EvaluateOptions
) -> Settings:
    """What the row of a checkpoint under one condition says of how it was measured."""
    return Settings(
        checkpoint=name,
        data=options.data,
        split=options.split,
        mode=options.mode,
        weather=weather,
        every=options.every,
        device=options.device,
        precision=segmenter.precision,
        static_threshold=options.static_threshold,
        without_depth=options.without_depth,
        windows=options.windows or WHOLE,
    )


def load_segmenters(
    paths: Sequence[Path | None],
    device: str,
    precision: str = AUTO,
    wrapped: bool = False,
    depth: bool = True,
    called: Sequence[str] = (),
) -> dict[str, StreamingSegmenter]:
    """The segmenters by name; those of one frozen encoder share its pass over a frame.

    A folder of `t2g export` runs by itself, in float32.

    wrapped: also where there is one alone, because wrappers of it will look at its frames.
    depth: False leaves out the depth encoder of those trained with one. called: their names, if not
    their paths.
    """
    from t2g_core.checkpoint import load_checkpoint  # torch loads only when it is needed
    from t2g_core.evaluation.encoder_memo import EncoderMemo
    from t2g_core.evaluation.without_depth import without_depth
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
    from t2g_core.torch_runtime import TorchRuntime

    names = {path: "shipped" if path is None else str(path) for path in paths}
    names |= dict(zip(paths, called, strict=False))
    exports = {
        name: StreamingSegmenter.from_checkpoint(path, device)
        for path, name in names.items()
        if path is not None and is_export(path)
    }
    checkpoints = {n: load_checkpoint(p) for p, n in names.items() if n not in exports}
    configs = {
        name: c.config if depth else without_depth(c.config) for name, c in checkpoints.items()
    }
    keys = {name: json.dumps(config.frozen()) for name, config in configs.items()}
    encoders = {keys[name]: config for name, config in configs.items()}
    encoders = {key: config.build_encoder(device) for key, config in encoders.items()}
    memos = len(checkpoints) > 1 or wrapped
    if memos:
        encoders = {key: EncoderMemo(encoder) for key, encoder in encoders.items()}
    methods = {n: c.build(device, encoder=encoders[keys[n]]) for n, c in checkpoints.items()}
    if memos:
        for memo in encoders.values():
            memo.images = max(method.clip_length for method in methods.values())
    found = exports | {
        name: StreamingSegmenter(TorchRuntime(methods[name], device, precision), c.labelling)
        for name, c in checkpoints.items()
    }
    return {name: found[name] for name in names.values()}


def with_frame_paths(
    segmenters: dict[str, StreamingSegmenter], of: str = ""
) -> dict[str, StreamingSegmenter]:
    """Each segmenter with a memory, or the one called `of`, followed by its frame path alone."""
    from t2g_core.evaluation.frame_path import FramePath

    found = {}
    for name, segmenter in segmenters.items():
        found[name] = segmenter
        if has_memory(segmenter) and of in ("", name):
            found[f"{name}{FRAME_PATH}"] = with_method(segmenter, FramePath)
    return found


def on_windows(
    segmenters: dict[str, StreamingSegmenter], windows: Windows | None
) -> dict[str, StreamingSegmenter]:
    """Each segmenter on windows of a frame; as they are for None."""
    from t2g_core.methods.sliding_windows import SlidingWindows

    if windows is None:
        return segmenters
    wrap = partial(SlidingWindows, windows=windows)
    return {name: with_method(segmenter, wrap) for name, segmenter in segmenters.items()}


def with_running_means(
    segmenters: dict[str, StreamingSegmenter], weights: Sequence[float], of: str = ""
) -> dict[str, StreamingSegmenter]:
    """Each segmenter, or the one called `of`, followed by its running means where it looks at each
    frame alone.
    """
    from t2g_core.evaluation.running_mean import RunningMean

    found = {}
    for name, segmenter in segmenters.items():
        found[name] = segmenter
        if not has_memory(segmenter) and of in ("", name, name.removesuffix(FRAME_PATH)):
            for weight in weights:
                mean = with_method(segmenter, partial(RunningMean, weight=weight))
                found[f"{name} + mean {weight:g}"] = mean
    if weights and len(found) == len(segmenters):
        raise ValueError("--running-mean: no checkpoint here looks at each frame alone")
    return found


def with_method(
    segmenter: StreamingSegmenter, wrap: Callable[[Method], Method]
) -> StreamingSegmenter:
    """The same with its method wrapped; ValueError for an export, whose graphs stay as they are."""
    from t2g_core.torch_runtime import TorchRuntime

    if not isinstance(segmenter.runtime, TorchRuntime):
        raise ValueError(
            "frame paths, windows and running means: expected checkpoints, got an export"
        )
    return segmenter.with_runtime(segmenter.runtime.with_method(wrap(segmenter.runtime.method)))


def has_memory(segmenter: StreamingSegmenter) -> bool:
    """Whether it looks at more than the newest frame."""
    return segmenter.clip_length > 1 or segmenter.recurrent


def evaluate_part(
    segmenters: dict[str, StreamingSegmenter],
    videos: Sequence[Video],
    numbers: tuple[int, ...],
    class_names: Sequence[str],
    options: EvaluateOptions,
    weather: Weather | None,
    figures: Figures | None,
) -> Part:
    """Evaluate some of the videos under one condition, with a progress bar."""
    condition = CLEAN if weather is None else weather.name
    stored = StoredWeather(options.weather, options.root) if options.weather else None
    frames = [frame for video in videos for frame in video.frames]
    places = np.linspace(0, len(frames) - 1, PICTURED_FRAMES, dtype=int).tolist()
    pictured = {frames[place]: place for place in places}
    samples: dict[str, dict[int, Sample]] = {name: {} for name in segmenters}
    last = list(segmenters)[-1]

    def on_frame(name: str, frame: VideoFrame, mask: np.ndarray, target: np.ndarray) -> None:
        if name == last:
            progress.update()
        if options.out and frame in pictured:
            image = load_frame(frame, weather, stored)
            caption = f"{frame.video} {frame.number}"
            samples[name][pictured[frame]] = Sample(caption, image, target, mask)
        if figures and figures.wants(frame):
            image, palette = load_frame(frame, weather, stored), segmenters[name].palette
            painted = colorize(target, palette), colorize(mask, palette)
            figures.add(condition, name, frame, image, *painted)

    own = [videos[number] for number in numbers]
    total = sum(len(video.frames) for video in own)
    title = f"{' '.join(Path(name).stem for name in segmenters)} {condition}"
    with tqdm(total=total, desc=title, unit="frame", file=sys.stderr) as progress:
        evaluations = evaluate_together(
            segmenters,
            own,
            class_names,
            mode=options.mode,
            weather=weather,
            stored=stored,
            on_frame=on_frame,
            static_threshold=options.static_threshold,
            fold=options.classes == "shared15",
            protocol=protocol_of(videos),
        )
    return Part(numbers, evaluations, samples)


def picture_name(settings: Settings) -> str:
    """Name a contact sheet by checkpoint path and settings: ``runs_a_last_stream_fog.png``."""
    checkpoint = re.sub(r"\.(safetensors|st)\b", "", settings.checkpoint)
    name = f"{checkpoint} {settings.mode} {settings.condition}"
    return re.sub(r"\W+", "_", name).strip("_") + ".png"

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Accuracy and consistency of a segmenter on labelled video, clean or in bad weather."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from t2g_core.data.class_tables import SHARED_NAMES
from t2g_core.data.corrupted_images import corrupted_path
from t2g_core.data.corruptions import Weather, corrupt
from t2g_core.data.video import Video, VideoFrame
from t2g_core.evaluation.modes import MODES
from t2g_core.images.files import read_image
from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics.iou import confusion_matrix
from t2g_core.metrics.sparse_consistency import (
    STATIC_THRESHOLD,
    SparseConsistency,
    SparseWindows,
    sparse_video_consistency,
)
from t2g_core.metrics.video_consistency import (
    WINDOWS,
    ConsistencyScore,
    WindowCounter,
    WindowCounts,
    video_consistency,
)

if TYPE_CHECKING:
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

CLEAN = "clean"
DENSE, APPROX = "dense", "approx"  # Eq. 12 and Eq. 13
OTHER = "other"  # what a checkpoint sees beyond the fifteen classes


@dataclass(frozen=True)
class VideoScore:
    """Of one video: ``(K, K)`` counts, and by n its windows (``dense``) or labels (``approx``)."""

    confmat: np.ndarray
    windows: dict[int, list[WindowCounts]]
    sparse: dict[int, list[SparseConsistency]]


@dataclass(frozen=True)
class Evaluation:
    """What was measured: a score a video, the protocol of VC_n, frames, wall-clock seconds.

    ``class_names`` are those of the scores. ``unscored`` are classes of the data that the
    checkpoint does not know; they count as void.
    """

    videos: tuple[VideoScore, ...]
    protocol: str
    frames: int
    seconds: float
    unscored: tuple[str, ...]
    class_names: tuple[str, ...]

    @classmethod
    def of_parts(cls, parts: Sequence[tuple[Sequence[int], Evaluation]]) -> Evaluation:
        """Evaluations of some of the videos each, with their numbers, as one of all in order; its
        seconds are those of the slowest.
        """
        found = [evaluation for _, evaluation in parts]
        scores = [pair for own, part in parts for pair in zip(own, part.videos, strict=True)]
        return replace(
            found[0],
            videos=tuple(score for _, score in sorted(scores, key=lambda pair: pair[0])),
            frames=sum(part.frames for part in found),
            seconds=max(part.seconds for part in found),
        )

    @property
    def confmat(self) -> np.ndarray:
        """Counts of all videos, ``(K, K)`` int64."""
        return sum(video.confmat for video in self.videos)

    @property
    def vc(self) -> dict[int, ConsistencyScore]:
        """VC_n over all videos, by n."""
        return {n: self.vc_of(self.videos, n) for n in WINDOWS}

    def vc_of(self, videos: Sequence[VideoScore], window: int) -> ConsistencyScore:
        """VC_n of some of the videos."""
        if self.protocol == DENSE:
            return video_consistency([video.windows[window] for video in videos])
        return sparse_video_consistency([video.sparse[window] for video in videos])

    @property
    def coverage(self) -> dict[int, float]:
        """By n, the mean share of labelled pixels that stood still (``approx``); else nothing."""
        if self.protocol == DENSE:
            return {}
        shares = {n: [s.coverage for v in self.videos for s in v.sparse[n]] for n in WINDOWS}
        return {n: float(np.mean(s)) if s else float("nan") for n, s in shares.items()}


def evaluate_one(
    segmenter: StreamingSegmenter, videos: Sequence[Video], class_names: Sequence[str], **options
) -> Evaluation:
    """`evaluate_together` for one segmenter."""
    return evaluate_together({"": segmenter}, videos, class_names, **options)[""]


def evaluate_together(
    segmenters: Mapping[str, StreamingSegmenter],
    videos: Sequence[Video],
    class_names: Sequence[str],
    mode: str = "stream",
    weather: Weather | None = None,
    stored: StoredWeather | None = None,
    on_frame: Callable[[str, VideoFrame, np.ndarray, np.ndarray], None] = lambda *_: None,
    static_threshold: int = STATIC_THRESHOLD,
    fold: bool = False,
    protocol: str | None = None,
) -> dict[str, Evaluation]:
    """Segment every frame of ``videos`` and compare with its label at the label's full size.

    Frames are the outer loop: each is read and put into its weather once for all segmenters, and no
    more than a clip of them is held. ``segmenters`` are ``StreamingSegmenter``s or objects with
    their interface, by name; ``class_names`` are the data's. Each video starts from an empty
    state, and no consistency window crosses two videos. Where a frame has no label, consistency is
    that of Eq. 13 on all videos, whose static pixels keep their grey value within
    ``static_threshold`` of 255; ``protocol`` says so of videos that are some of a split. The time
    includes reading and corrupting and is that of all segmenters together. ``on_frame`` is called
    for every segmenter's name and frame with its predicted and its true mask, ``(H, W)`` uint8 ids
    of the segmenter's classes. With ``fold`` the scores are those of the fifteen classes of the
    benchmark, see ``match_classes``.

    Raises ``ValueError`` when segmenter and data share no class, when an image and its label
    differ in size, and for an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {tuple(MODES)}, got {mode!r}")
    matches = {
        name: match_classes(class_names, s.class_names, fold) for name, s in segmenters.items()
    }
    protocol = protocol or protocol_of(videos)
    scores: dict[str, list[VideoScore]] = {name: [] for name in segmenters}
    started = time.perf_counter()
    for video in videos:
        images = (load_frame(frame, weather, stored) for frame in video.frames)
        copies = for_each_reader(images, len(segmenters))
        runs = {
            name: VideoRun(
                MODES[mode](segmenter, own_images, video.step_s),
                VideoScorer(
                    matches[name],
                    SparseWindows(video, WINDOWS, static_threshold) if protocol == APPROX else None,
                ),
            )
            for (name, segmenter), own_images in zip(segmenters.items(), copies, strict=True)
        }
        for frame in video.frames:
            for name, run in runs.items():
                mask = next(run.masks)
                on_frame(name, frame, mask, run.scorer.update(frame, mask))
        for name, run in runs.items():
            scores[name].append(run.scorer.compute())
    seconds = time.perf_counter() - started
    frames = sum(len(video.frames) for video in videos)
    return {
        name: Evaluation(
            tuple(scores[name]), protocol, frames, seconds, match.unscored, match.names
        )
        for name, match in matches.items()
    }


def protocol_of(videos: Sequence[Video]) -> str:
    """How the consistency of a split is measured."""
    return DENSE if all(len(v.labelled) == len(v.frames) for v in videos) else APPROX


def for_each_reader(images: Iterator[np.ndarray], readers: int) -> list[Iterator[np.ndarray]]:
    """The same images for several readers, each made once and let go when all have read it.

    (`itertools.tee` lets go of 57 at a time.)
    """
    waiting = [deque() for _ in range(readers)]

    def read(own: deque) -> Iterator[np.ndarray]:
        while True:
            if not own:
                image = next(images, None)
                if image is None:
                    return
                for queue in waiting:
                    queue.append(image)
                del image
            yield own.popleft()

    return [read(own) for own in waiting]


class VideoRun(NamedTuple):
    """One segmenter on one video: the masks to come, and what scores them."""

    masks: Iterator[np.ndarray]
    scorer: VideoScorer


class VideoScorer:
    """Scores the masks of one video as they come; ``sparse`` where not every frame has a label."""

    def __init__(self, match: ClassMatch, sparse: SparseWindows | None) -> None:
        self._match = match
        self._confmat = np.zeros((len(match.names), len(match.names)), dtype=np.int64)
        self._dense = {n: WindowCounter(n) for n in WINDOWS if sparse is None}
        self._sparse = sparse

    def update(self, frame: VideoFrame, mask: np.ndarray) -> np.ndarray:
        """Take the next frame's mask; returns its true one in the segmenter's ids."""
        shown = _read_target(frame, mask, self._match.data_to_model)
        target, mask = self._match.model_to_score[shown], self._match.model_to_score[mask]
        self._confmat += confusion_matrix(mask, target, len(self._confmat))
        for counter in self._dense.values():
            counter.update(mask, target)
        if self._sparse is not None:
            self._sparse.update(mask, read_image(frame.image_path), target)
        return shown

    def compute(self) -> VideoScore:
        """The video's score so far."""
        return VideoScore(
            self._confmat,
            {n: counter.counts for n, counter in self._dense.items()},
            {} if self._sparse is None else self._sparse.scores,
        )


class ClassMatch(NamedTuple):
    """How data and checkpoint meet.

    data_to_model, model_to_score: ``(256,)`` uint8 tables from id to id, void without a match;
    names: the classes of the scores; unscored: classes of the data that count as void.
    """

    data_to_model: np.ndarray
    model_to_score: np.ndarray
    names: tuple[str, ...]
    unscored: tuple[str, ...]


def match_classes(
    data_classes: Sequence[str], model_classes: Sequence[str], fold: bool = False
) -> ClassMatch:
    """Match the data's classes with the checkpoint's by name.

    Scored are the checkpoint's classes; or with ``fold`` those of the benchmark's fifteen that
    its names stand for (truck is truck & bus), in one row more ``other``, whatever else it sees.

    Raises ``ValueError`` when they have no name in common.
    """
    model_classes = tuple(model_classes)
    folded = {name: SHARED_NAMES.get(name, OTHER) if fold else name for name in model_classes}
    names = tuple(dict.fromkeys(folded.values()))
    if fold and OTHER in names:
        names = (*(name for name in names if name != OTHER), OTHER)
    unscored = tuple(
        name for name in data_classes if (SHARED_NAMES.get(name) if fold else name) not in names
    )
    if len(unscored) == len(data_classes):
        raise ValueError(
            f"the data has the classes {tuple(data_classes)}, the checkpoint {model_classes}; "
            "evaluate on data that shares some"
        )
    data_to_model = np.full(256, IGNORE_INDEX, dtype=np.uint8)
    for i, name in enumerate(data_classes):
        wanted = SHARED_NAMES.get(name) if fold else name
        for k, own in enumerate(model_classes):
            if folded[own] == wanted:
                data_to_model[i] = k
                break
    model_to_score = np.full(256, IGNORE_INDEX, dtype=np.uint8)
    for k, own in enumerate(model_classes):
        model_to_score[k] = names.index(folded[own])
    return ClassMatch(data_to_model, model_to_score, names, unscored)


@dataclass(frozen=True)
class StoredWeather:
    """Corrupted images of the data set ``root`` that lie in ``folder`` (corrupted_images.py)."""

    folder: Path
    root: Path


def load_frame(
    frame: VideoFrame, weather: Weather | None, stored: StoredWeather | None = None
) -> np.ndarray:
    """Read a frame, ``(H, W, 3)`` uint8 RGB, and put it into the weather, if there is one."""
    if weather is None:
        return read_image(frame.image_path)
    if stored is not None:
        path = corrupted_path(stored.folder, weather.name, stored.root, frame.image_path)
        return read_image(path)
    image = read_image(frame.image_path)
    return corrupt(image, weather, frame.video, frame.number)


def _read_target(frame: VideoFrame, mask: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A frame's label in the segmenter's ids, of the size of its image and so of its mask."""
    target = table[frame.read_label()]
    if target.shape != mask.shape:
        raise ValueError(
            f"{frame.label_path} is {target.shape} (rows, columns), the mask of "
            f"{frame.image_path.name} {mask.shape}; image and label must have one size"
        )
    return target

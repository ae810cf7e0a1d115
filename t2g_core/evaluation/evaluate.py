"""Accuracy and consistency of a segmenter on labelled video, clean or in bad weather."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

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


@dataclass(frozen=True)
class VideoScore:
    """Of one video: ``(K, K)`` counts, and by n its windows (``dense``) or labels (``approx``)."""

    confmat: np.ndarray
    windows: dict[int, list[WindowCounts]]
    sparse: dict[int, list[SparseConsistency]]


@dataclass(frozen=True)
class Evaluation:
    """What was measured: a score a video, the protocol of VC_n, frames, wall-clock seconds.

    ``unscored`` are classes of the data that the checkpoint does not know; they count as void.
    """

    videos: tuple[VideoScore, ...]
    protocol: str
    frames: int
    seconds: float
    unscored: tuple[str, ...]

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


def evaluate(
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
) -> dict[str, Evaluation]:
    """Segment every frame of ``videos`` and compare with its label at the label's full size.

    Frames are the outer loop: each is read and put into its weather once for all segmenters, and no
    more than a clip of them is held. ``segmenters`` are ``StreamingSegmenter``s or objects with
    their interface, by name; ``class_names`` are the data's. Each video starts from an empty
    state, and no consistency window crosses two videos. Where a frame has no label, consistency is
    that of Eq. 13 on all videos, whose static pixels keep their grey value within
    ``static_threshold`` of 255. The time includes reading and corrupting and is that of all
    segmenters together. ``on_frame`` is called for every segmenter's name and frame with its
    predicted and its true mask, ``(H, W)`` uint8 ids of the segmenter's classes.

    Raises ``ValueError`` when segmenter and data share no class, when an image and its label
    differ in size, and for an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {tuple(MODES)}, got {mode!r}")
    lookups = {name: class_lookup(class_names, s.class_names) for name, s in segmenters.items()}
    protocol = DENSE if all(len(v.labelled) == len(v.frames) for v in videos) else APPROX
    scores: dict[str, list[VideoScore]] = {name: [] for name in segmenters}
    started = time.perf_counter()
    for video in videos:
        images = (load_frame(frame, weather, stored) for frame in video.frames)
        shared = for_each_reader(images, len(segmenters))
        runs = {
            name: VideoRun(
                MODES[mode](segmenter, own_images),
                VideoScorer(
                    lookups[name][0],
                    len(segmenter.class_names),
                    SparseWindows(video, WINDOWS, static_threshold) if protocol == APPROX else None,
                ),
            )
            for (name, segmenter), own_images in zip(segmenters.items(), shared, strict=True)
        }
        for frame in video.frames:
            for name, run in runs.items():
                mask = next(run.masks)
                on_frame(name, frame, mask, run.scorer.add(frame, mask))
        for name, run in runs.items():
            scores[name].append(run.scorer.score())
    seconds = time.perf_counter() - started
    frames = sum(len(video.frames) for video in videos)
    return {
        name: Evaluation(tuple(scores[name]), protocol, frames, seconds, lookups[name][1])
        for name in segmenters
    }


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

    def __init__(self, table: np.ndarray, num_classes: int, sparse: SparseWindows | None) -> None:
        self._table = table
        self._confmat = np.zeros((num_classes, num_classes), dtype=np.int64)
        self._dense = {n: WindowCounter(n) for n in WINDOWS if sparse is None}
        self._sparse = sparse

    def add(self, frame: VideoFrame, mask: np.ndarray) -> np.ndarray:
        """Take the next frame's mask; returns its true one in the segmenter's ids."""
        target = _read_target(frame, mask, self._table)
        self._confmat += confusion_matrix(mask, target, len(self._confmat))
        for counter in self._dense.values():
            counter.push(mask, target)
        if self._sparse is not None:
            self._sparse.push(mask, read_image(frame.image_path), target)
        return target

    def score(self) -> VideoScore:
        """The video's score so far."""
        return VideoScore(
            self._confmat,
            {n: counter.counts for n, counter in self._dense.items()},
            {} if self._sparse is None else self._sparse.scores,
        )


def class_lookup(
    data_classes: Sequence[str], model_classes: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """``(256,)`` uint8 from the data's ids to the model's by name, and the names without a match.

    Raises ``ValueError`` when no name is shared.
    """
    model_classes = tuple(model_classes)
    unscored = tuple(name for name in data_classes if name not in model_classes)
    if len(unscored) == len(data_classes):
        raise ValueError(
            f"the data has the classes {tuple(data_classes)}, the checkpoint {model_classes}; "
            "evaluate on data that shares some"
        )
    table = np.full(256, IGNORE_INDEX, dtype=np.uint8)
    for i, name in enumerate(data_classes):
        if name in model_classes:
            table[i] = model_classes.index(name)
    return table, unscored


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

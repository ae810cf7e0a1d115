"""Accuracy and consistency of a segmenter on labelled video, clean or in bad weather."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from t2g_core.data.corrupted_images import corrupted_path
from t2g_core.data.corruptions import SEVERITY, corrupt
from t2g_core.data.video import Video, VideoFrame
from t2g_core.evaluation.modes import MODES
from t2g_core.images.files import read_image
from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics.iou import confusion_matrix
from t2g_core.metrics.sparse_consistency import (
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
    segmenter: StreamingSegmenter,
    videos: Sequence[Video],
    class_names: Sequence[str],
    mode: str = "stream",
    corruption: str = CLEAN,
    severity: int = SEVERITY,
    stored: StoredWeather | None = None,
    on_frame: Callable[[VideoFrame, np.ndarray, np.ndarray], None] = lambda *_: None,
) -> Evaluation:
    """Segment every frame of ``videos`` and compare with its label at the label's full size.

    ``segmenter`` is a ``StreamingSegmenter`` or any object with its interface; ``class_names`` are
    the data's. Each video starts from an empty state, and no consistency window crosses two
    videos. Where a frame has no label, consistency is that of Eq. 13 on all videos. The time
    includes reading and corrupting. ``on_frame`` is called for every frame with its predicted and
    its true mask, ``(H, W)`` uint8 ids of the segmenter's classes.

    Raises ``ValueError`` when segmenter and data share no class, when an image and its label
    differ in size, and for unknown modes, corruptions and severities.
    """
    table, unscored = class_lookup(class_names, segmenter.class_names)
    if mode not in MODES:
        raise ValueError(f"mode must be one of {tuple(MODES)}, got {mode!r}")
    protocol = DENSE if all(len(v.labelled) == len(v.frames) for v in videos) else APPROX
    started = time.perf_counter()
    scores = []
    for video in videos:
        images = (load_frame(frame, corruption, severity, stored) for frame in video.frames)
        masks = MODES[mode](segmenter, images)
        scores.append(
            _score_video(video, masks, table, len(segmenter.class_names), protocol, on_frame)
        )
    return Evaluation(
        videos=tuple(scores),
        protocol=protocol,
        frames=sum(len(video.frames) for video in videos),
        seconds=time.perf_counter() - started,
        unscored=unscored,
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
    frame: VideoFrame, corruption: str, severity: int, stored: StoredWeather | None = None
) -> np.ndarray:
    """Read a frame, ``(H, W, 3)`` uint8 RGB, and put it into the weather (``clean``: none)."""
    if corruption == CLEAN:
        return read_image(frame.image_path)
    if stored is not None:
        path = corrupted_path(stored.folder, corruption, stored.root, frame.image_path)
        return read_image(path)
    image = read_image(frame.image_path)
    return corrupt(image, corruption, frame.video, frame.number, severity)


def _score_video(
    video: Video,
    masks: Iterable[np.ndarray],
    table: np.ndarray,
    num_classes: int,
    protocol: str,
    on_frame: Callable[[VideoFrame, np.ndarray, np.ndarray], None],
) -> VideoScore:
    confmat = np.zeros((num_classes, num_classes), dtype=np.int64)
    dense = {n: WindowCounter(n) for n in WINDOWS if protocol == DENSE}
    sparse = SparseWindows(video, WINDOWS) if protocol == APPROX else None
    for frame, mask in zip(video.frames, masks, strict=True):
        target = _read_target(frame, mask, table)
        confmat += confusion_matrix(mask, target, num_classes)
        for counter in dense.values():
            counter.push(mask, target)
        if sparse is not None:
            sparse.push(mask, read_image(frame.image_path), target)
        on_frame(frame, mask, target)
    return VideoScore(
        confmat,
        {n: counter.counts for n, counter in dense.items()},
        sparse.scores if sparse is not None else {},
    )


def _read_target(frame: VideoFrame, mask: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A frame's label in the segmenter's ids, of the size of its image and so of its mask."""
    target = table[frame.read_label()]
    if target.shape != mask.shape:
        raise ValueError(
            f"{frame.label_path} is {target.shape} (rows, columns), the mask of "
            f"{frame.image_path.name} {mask.shape}; image and label must have one size"
        )
    return target

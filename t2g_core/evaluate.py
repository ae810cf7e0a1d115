"""Accuracy and consistency of a segmenter on labelled video, clean or in bad weather."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from t2g_core.camvid import Video, VideoFrame, read_image
from t2g_core.corruptions import SEVERITY, corrupt
from t2g_core.datasets import Dataset
from t2g_core.eval_modes import MODES
from t2g_core.metrics import confusion_matrix
from t2g_core.video_consistency import ConsistencyScore, WindowCounter, video_consistency

if TYPE_CHECKING:
    from t2g_core.streaming import StreamingSegmenter

WINDOWS = (8, 16)  # n of VC_n, in frames
CLEAN = "clean"


@dataclass(frozen=True)
class Evaluation:
    """What was measured: ``(K, K)`` counts, VC_n by n, frames segmented, wall-clock seconds."""

    confmat: np.ndarray
    vc: dict[int, ConsistencyScore]
    frames: int
    seconds: float


def evaluate(
    segmenter: StreamingSegmenter,
    videos: Sequence[Video],
    dataset: Dataset,
    mode: str = "stream",
    corruption: str = CLEAN,
    severity: int = SEVERITY,
    on_frame: Callable[[VideoFrame, np.ndarray, np.ndarray], None] = lambda *_: None,
) -> Evaluation:
    """Segment every frame of ``videos`` and compare with its label at the label's full size.

    ``segmenter`` is a ``StreamingSegmenter`` or any object with its interface. Each video starts
    from an empty state, and no consistency window crosses two videos. The time includes reading
    and corrupting. ``on_frame`` is called for every frame with its predicted and its true mask,
    ``(H, W)`` uint8.

    Raises ``ValueError`` when the segmenter's classes are not the data set's, when an image and
    its label differ in size, and for unknown modes, corruptions and severities.
    """
    if tuple(segmenter.class_names) != dataset.class_names:
        raise ValueError(
            f"the data has the classes {dataset.class_names}, the checkpoint "
            f"{tuple(segmenter.class_names)}; evaluate on data with the checkpoint's classes"
        )
    if mode not in MODES:
        raise ValueError(f"mode must be one of {tuple(MODES)}, got {mode!r}")
    confmat = np.zeros((len(dataset.class_names),) * 2, dtype=np.int64)
    windows = {n: [] for n in WINDOWS}  # for each n: the window counts of every video
    started = time.perf_counter()
    for video in videos:
        counters = {n: WindowCounter(n) for n in WINDOWS}
        images = (load_frame(frame, corruption, severity) for frame in video.frames)
        for frame, mask in zip(video.frames, MODES[mode](segmenter, images), strict=True):
            target = _read_target(frame, mask, dataset)
            confmat += confusion_matrix(mask, target, len(confmat))
            for counter in counters.values():
                counter.push(mask, target)
            on_frame(frame, mask, target)
        for n, counter in counters.items():
            windows[n].append(counter.counts)
    return Evaluation(
        confmat=confmat,
        vc={n: video_consistency(counts) for n, counts in windows.items()},
        frames=sum(len(video.frames) for video in videos),
        seconds=time.perf_counter() - started,
    )


def load_frame(frame: VideoFrame, corruption: str, severity: int) -> np.ndarray:
    """Read a frame, ``(H, W, 3)`` uint8 RGB, and put it into the weather (``clean``: none)."""
    image = read_image(frame.image_path)
    if corruption == CLEAN:
        return image
    return corrupt(image, corruption, frame.video, frame.number, severity)


def _read_target(frame: VideoFrame, mask: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Read a frame's label, which must have the size of its image and so of its mask."""
    target = dataset.read_label(frame.label_path)
    if target.shape != mask.shape:
        raise ValueError(
            f"{frame.label_path} is {target.shape} (rows, columns), the mask of "
            f"{frame.image_path.name} {mask.shape}; image and label must have one size"
        )
    return target

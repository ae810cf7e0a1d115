"""Pictures of an evaluation as papers print them: methods beside weathers, and strips of time.

A sheet has a row a condition and a column a checkpoint, all of one frame. A strip has a row a
checkpoint and a column a frame, neighbours in time: what flickers is seen along a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from t2g_core.data.video import Video, VideoFrame
from t2g_core.evaluation.contact_sheet import caption_bar, legend, save_picture

STRIP = 8  # frames
WIDTH = 240  # pixels of a panel at most
SHEET, STRIPS = "methods.png", "timeline_{}.png"


@dataclass
class Figures:
    """Collects the masks of a few frames of an evaluation, and draws them.

    frames: neighbours in time, the one in the middle is the sheet's; panels: by condition, name and
    frame; images and truths: by condition and frame, and by frame. Pictures are made small at once.
    """

    frames: tuple[VideoFrame, ...]
    class_names: tuple[str, ...]
    palette: np.ndarray
    panels: dict[tuple[str, str, VideoFrame], np.ndarray] = field(default_factory=dict)
    images: dict[tuple[str, VideoFrame], np.ndarray] = field(default_factory=dict)
    truths: dict[VideoFrame, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, videos: Sequence[Video], names: Sequence[str], palette: np.ndarray) -> Figures:
        """For neighbouring frames around the middle labelled frame of the longest video."""
        video = max(videos, key=lambda video: len(video.frames))
        middle = video.labelled[len(video.labelled) // 2] if video.labelled else 0
        first = max(0, min(middle - STRIP // 2, len(video.frames) - STRIP))
        return cls(video.frames[first : first + STRIP], tuple(names), palette)

    def wants(self, frame: VideoFrame) -> bool:
        """Whether `add` has a use for this frame."""
        return frame in self.frames

    def add(
        self,
        condition: str,
        name: str,
        frame: VideoFrame,
        image: np.ndarray,
        target: np.ndarray,
        mask: np.ndarray,
    ) -> None:
        """A frame's image in its weather, true and predicted mask in their colours, all uint8 RGB
        of one size."""
        self.images[condition, frame] = shrunk(image)
        self.truths[frame] = shrunk(target)
        self.panels[condition, name, frame] = shrunk(mask)

    def write(self, folder: Path) -> None:
        """The sheet, and a strip for each condition."""
        conditions = list(dict.fromkeys(condition for condition, _ in self.images))
        names = list(dict.fromkeys(name for _, name, _ in self.panels))
        labelled = [frame for frame in self.frames if frame.label_path is not None]
        shown = labelled[len(labelled) // 2] if labelled else self.frames[0]
        sheet = [
            [self.images[c, shown], self.truths[shown], *(self.panels[c, n, shown] for n in names)]
            for c in conditions
        ]
        titles = ["image", "ground truth", *names]
        save_picture(folder / SHEET, self._grid(sheet, titles, conditions))
        for c in conditions:
            rows = [[self.images[c, f] for f in self.frames]]
            rows += [[self.panels[c, n, f] for f in self.frames] for n in names]
            numbers = [f"{frame.number}" for frame in self.frames]
            picture = self._grid(rows, numbers, ["image", *names])
            save_picture(folder / STRIPS.format(c), picture)

    def _grid(
        self, rows: list[list[np.ndarray]], titles: Sequence[str], captions: Sequence[str]
    ) -> np.ndarray:
        width = rows[0][0].shape[1]
        parts = [caption_bar(titles, width)]
        for caption, row in zip(captions, rows, strict=True):
            parts += [caption_bar([caption], width * len(row)), np.concatenate(row, axis=1)]
        parts.append(legend(self.class_names, self.palette, width * len(titles)))
        return np.concatenate(parts)


def shrunk(picture: np.ndarray) -> np.ndarray:
    """Every nth pixel, so that it is at most `WIDTH` wide and the colours of classes are kept."""
    step = -(-picture.shape[1] // WIDTH)
    return np.ascontiguousarray(picture[::step, ::step])

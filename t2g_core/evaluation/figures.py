# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation as papers print them: methods beside weathers, and strips of time.

A sheet has a row a condition and a column a checkpoint, all of one frame. A strip has a row a
checkpoint and a column a frame, neighbours in time: what flickers is seen along a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from t2g_core.data.video import Video, VideoFrame
from t2g_core.evaluation.contact_sheet import caption_bar, legend, save_picture

STRIP = 8  # frames
WIDTH = 240  # pixels of a panel at most
SHEET, STRIPS, PANELS = "methods.png", "timeline_{}.png", "panels.npz"


@dataclass
class Figures:
    """Collects the masks of a few frames of an evaluation, and draws them.

    video: the recording; numbers: of its frames, neighbours in time; shown: the sheet's; panels: by
    condition, name and number; images and truths: by condition and number, and by number. Pictures
    are made small at once.
    """

    video: str
    numbers: tuple[int, ...]
    shown: int
    class_names: tuple[str, ...]
    palette: np.ndarray
    panels: dict[tuple[str, str, int], np.ndarray] = field(default_factory=dict)
    images: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    truths: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, videos: Sequence[Video], names: Sequence[str], palette: np.ndarray) -> Figures:
        """For neighbouring frames around the middle labelled frame of the longest video."""
        video = max(videos, key=lambda video: len(video.frames))
        middle = video.labelled[len(video.labelled) // 2] if video.labelled else 0
        first = max(0, min(middle - STRIP // 2, len(video.frames) - STRIP))
        frames = video.frames[first : first + STRIP]
        labelled = [frame for frame in frames if frame.label_path is not None]
        shown = labelled[len(labelled) // 2] if labelled else frames[0]
        numbers = tuple(frame.number for frame in frames)
        return cls(frames[0].video, numbers, shown.number, tuple(names), palette)

    def wants(self, frame: VideoFrame) -> bool:
        """Whether `add` has a use for this frame."""
        return frame.video == self.video and frame.number in self.numbers

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
        of one size.
        """
        self.images[condition, frame.number] = shrunk(image)
        self.truths[frame.number] = shrunk(target)
        self.panels[condition, name, frame.number] = shrunk(mask)

    @classmethod
    def of_parts(
        cls, parts: Sequence[Figures], conditions: Sequence[str], names: Sequence[str]
    ) -> Figures:
        """What several processes have collected of one evaluation, in these orders."""
        panels = {key: panel for part in parts for key, panel in part.panels.items()}
        images = {key: image for part in parts for key, image in part.images.items()}
        truths = {number: truth for part in parts for number, truth in part.truths.items()}

        def place(key: tuple) -> tuple:
            return conditions.index(key[0]), *(names.index(name) for name in key[1:-1]), key[-1]

        return replace(
            parts[0],
            panels={key: panels[key] for key in sorted(panels, key=place)},
            images={key: images[key] for key in sorted(images, key=place)},
            truths=truths,
        )

    def write(self, folder: Path) -> None:
        """The sheet, and a strip for each condition."""
        conditions = list(dict.fromkeys(condition for condition, _ in self.images))
        names = list(dict.fromkeys(name for _, name, _ in self.panels))
        shown = self.shown
        sheet = [
            [self.images[c, shown], self.truths[shown], *(self.panels[c, n, shown] for n in names)]
            for c in conditions
        ]
        titles = ["image", "ground truth", *names]
        save_picture(folder / SHEET, self._grid(sheet, titles, conditions))
        for c in conditions:
            rows = [[self.images[c, f] for f in self.numbers]]
            rows += [[self.panels[c, n, f] for f in self.numbers] for n in names]
            numbers = [str(number) for number in self.numbers]
            picture = self._grid(rows, numbers, ["image", *names])
            save_picture(folder / STRIPS.format(c), picture)

    def save(self, path: Path) -> None:
        """Write all panels, so that those of several runs can be joined."""
        index = {name: [list(key) for key in getattr(self, name)] for name in ("panels", "images")}
        index |= {"truths": list(self.truths), "video": self.video, "numbers": self.numbers}
        index |= {"shown": self.shown, "class_names": self.class_names}
        arrays = {
            f"{name}.{i}": array
            for name in ("panels", "images", "truths")
            for i, array in enumerate(getattr(self, name).values())
        }
        np.savez_compressed(path, index=json.dumps(index), palette=self.palette, **arrays)

    @classmethod
    def joined(cls, paths: Iterable[Path], names: Sequence[str]) -> Figures:
        """What several runs on the same frames have saved; their panels in the order of `names`,
        without those of other names.
        """
        panels: dict[tuple[str, str, int], np.ndarray] = {}
        images, truths = {}, {}
        for path in paths:
            with np.load(path) as file:
                index = json.loads(str(file["index"]))
                for i, (condition, name, number) in enumerate(index["panels"]):
                    panels[condition, name, number] = file[f"panels.{i}"]
                for i, (condition, number) in enumerate(index["images"]):
                    images[condition, number] = file[f"images.{i}"]
                truths |= {number: file[f"truths.{i}"] for i, number in enumerate(index["truths"])}
                palette = file["palette"]
        wanted = [key for key in panels if key[1] in names]
        ordered = sorted(wanted, key=lambda key: names.index(key[1]))
        return cls(
            index["video"],
            tuple(index["numbers"]),
            index["shown"],
            tuple(index["class_names"]),
            palette,
            {key: panels[key] for key in ordered},
            images,
            truths,
        )

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

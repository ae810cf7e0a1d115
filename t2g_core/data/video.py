# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What every loader gives: videos made of frames, each with its picture and perhaps a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from t2g_core.images.files import label_turn, picture_size
from t2g_core.labels import IGNORE_INDEX
from t2g_core.listing import visible
from t2g_core.text_files import read_text


@dataclass(frozen=True)
class VideoFrame:
    """One frame: the recording it comes from, its number there, its files and its label's reader.

    ``label_path`` is None for a frame that has no label (sparse sources).
    """

    video: str
    number: int
    image_path: Path
    label_path: Path | None
    label_reader: Callable[[Path], np.ndarray]

    def read_label(self) -> np.ndarray:
        """``(H, W)`` uint8 class ids, upright as the image.

        Without a label all ``IGNORE_INDEX``, at the image's size.
        """
        if self.label_path is None:
            width, height = picture_size(self.image_path)
            return np.full((height, width), IGNORE_INDEX, dtype=np.uint8)
        label = self.label_reader(self.label_path)
        turn = label_turn(self.image_path, label.shape[::-1])
        return label if turn is None else np.asarray(Image.fromarray(label).transpose(turn))


@dataclass(frozen=True)
class Video:
    """Frames of one recording at one rate, without a gap between them.

    ``rate_hz`` is 0.0 for a recording of which the split holds a single frame: it has no rate.
    """

    name: str
    rate_hz: float
    frames: tuple[VideoFrame, ...]

    @property
    def step_s(self) -> float:
        """Time between two frames [s]; 0.0 without a rate."""
        return 1 / self.rate_hz if self.rate_hz else 0.0

    @property
    def labelled(self) -> tuple[int, ...]:
        """Positions of the frames that have a label."""
        return tuple(i for i, frame in enumerate(self.frames) if frame.label_path is not None)

    def every(self, step: int) -> Video:
        """Every ``step``-th frame, from the first on, at so much lower a rate."""
        return replace(self, rate_hz=self.rate_hz / step, frames=self.frames[::step])


def cut_at_gaps(
    frames: list[VideoFrame], video_rate_hz: float, tolerance: float = 0.0
) -> list[Video]:
    """Cut one recording's frames, sorted by number, into gapless videos.

    ``video_rate_hz`` is the rate at which the frame numbers count; ``tolerance`` the share by which
    a step may differ from the recording's commonest. Raises ``ValueError`` when a number occurs
    twice.
    """
    numbers = [frame.number for frame in frames]
    steps = np.diff(numbers).tolist()
    if 0 in steps:
        twice = frames[steps.index(0)]
        raise ValueError(
            f"frame {twice.number} of {twice.video} occurs twice: {twice.image_path}; remove one"
        )
    # Of equally common steps the smallest: a larger one is more likely to be a gap.
    step = min(Counter(steps).items(), key=lambda item: (-item[1], item[0]))[0] if steps else None
    starts = [0] + [i + 1 for i, found in enumerate(steps) if abs(found - step) > tolerance * step]
    ends = starts[1:] + [len(frames)]
    rate_hz = video_rate_hz / step if step else 0.0
    return [_video(frames[a:b], rate_hz) for a, b in zip(starts, ends, strict=True)]


def _video(frames: list[VideoFrame], rate_hz: float) -> Video:
    name = f"{frames[0].video}_{frames[0].number:05d}-{frames[-1].number:05d}"
    return Video(name, rate_hz, tuple(frames))


def list_folder(folder: Path, layout: str) -> list[Path]:
    """The entries of a folder, sorted, without dot files.

    ``layout`` says in an error what belongs there.

    Raises ``FileNotFoundError`` where it is no folder, ``ValueError`` where it cannot be read or
    where names hold backslashes (an archive unpacked without its folders).
    """
    try:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder; {layout}")
        entries = sorted(visible(folder.iterdir()))
    except PermissionError as error:
        raise ValueError(
            f"{folder} cannot be read ({error.strerror}); type: chmod -R u+rX {folder}"
        ) from error
    check_separators(entries)
    return entries


def check_separators(paths: Iterable[Path]) -> None:
    """Raise ``ValueError`` for a name with a Windows path separator in it."""
    for path in paths:
        if "\\" in path.name:
            raise ValueError(
                f"{path} holds a Windows path separator in its name; unpack the archive again with "
                "a program that makes folders of them, for example 7z x"
            )


def require_files(paths: Iterable[Path], remedy: str) -> None:
    """Raise ``FileNotFoundError`` with the first missing file and their number."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} is missing ({len(missing)} such files); {remedy}")


def read_list(path: Path, columns: int) -> list[list[str]]:
    """Read a data set's own list file: lines of ``columns`` paths between tabs or the like.

    Raises ``FileNotFoundError``, or ``ValueError`` for lines of another form, with line number.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it is part of the data set's download")
    separator = "\t" if path.suffix == ".lst" else None
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        row = line.strip().split(separator)
        if not row or row == [""]:
            continue
        if "\\" in line:
            raise ValueError(
                f"{path}, line {number}: Windows path separators; type: sed -i 's,\\\\,/,g' {path}"
            )
        if len(row) < columns:
            raise ValueError(f"{path}, line {number}: expected {columns} paths, got {line!r}")
        rows.append(row[:columns])
    if not rows:
        raise ValueError(f"{path} lists no frame; copy it again")
    twice = [row[0] for row, count in Counter(map(tuple, rows)).items() if count > 1]
    if twice:
        raise ValueError(
            f"{path} lists {twice[0]} more than once ({len(twice)} such lines); copy it again, or "
            f"type: sort -u -o {path} {path}"
        )
    return rows

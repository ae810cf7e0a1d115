# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run for people: an MP4 of image, overlay and flicker, and a timeline strip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from t2g_core.images.overlay import overlay
from t2g_core.labels import colorize

CAPTION_HEIGHT = 22
STRIP_SLICE_PX = 8  # width of one frame in the timeline strip
STRIP_GAP_PX = 4
OVERLAY_OPACITY = 0.55


class Mp4Writer:
    """Writes RGB frames as H.264, which browsers play; use it as a context.

    Frames are resized to the first one's size; an odd size loses its last row or column, which the
    format cannot hold.
    """

    def __init__(self, path: str | Path, rate_hz: float) -> None:
        import av  # of the extra `bags`, which a single picture does without

        self._av = av
        self._container = av.open(str(path), "w", options={"movflags": "faststart"})
        rate = Fraction(rate_hz).limit_denominator(1000)
        self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": "20"})
        self._stream.pix_fmt = "yuv420p"
        self._stream.width = 0

    def __enter__(self) -> Mp4Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream.width:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def write(self, frame: np.ndarray) -> None:
        """Add a frame ``(H, W, 3)`` uint8 RGB."""
        if not self._stream.width:
            self._size = frame.shape[1], frame.shape[0]
            self._stream.width, self._stream.height = (size // 2 * 2 for size in self._size)
        width, height = self._stream.width, self._stream.height
        frame = resized(frame, self._size)
        picture = self._av.VideoFrame.from_ndarray(
            np.ascontiguousarray(frame[:height, :width]), "rgb24"
        )
        self._container.mux(self._stream.encode(picture))


def flicker_picture(image: np.ndarray, flicker: np.ndarray) -> np.ndarray:
    """Return a dark grey image with changes glowing on it, from red (one) to white (all)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * 0.35
    heat = cv2.applyColorMap((255 * np.sqrt(flicker)).astype(np.uint8), cv2.COLORMAP_HOT)[..., ::-1]
    glow = np.clip(flicker * 3, 0, 1)[..., None]
    return (grey * (1 - glow) + heat * glow).astype(np.uint8)


def panel(
    image: np.ndarray, mask: np.ndarray, palette: np.ndarray, flicker: np.ndarray
) -> np.ndarray:
    """Return image, overlay and flicker map side by side with a line of text above each."""
    pictures = (
        ("image", image),
        ("segmentation", overlay(image, mask, palette, OVERLAY_OPACITY)),
        ("flicker (class changes, last 8 frames)", flicker_picture(image, flicker)),
    )
    return np.hstack([with_caption(picture, text) for text, picture in pictures])


def resized(picture: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """The picture at (width, height); itself if it has that size."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST if nearest else cv2.INTER_AREA)


def with_caption(picture: np.ndarray, text: str) -> np.ndarray:
    """Return a picture with a dark line of text above it."""
    bar = np.full((CAPTION_HEIGHT, picture.shape[1], 3), 24, np.uint8)
    cv2.putText(bar, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
    return np.vstack([bar, picture])


class TimelineStrip:
    """One column of every frame, a quarter of the width from the left, side by side along time.

    That column sees buildings, people, kerb and road. Steady regions become smooth bands; flicker
    shows as vertical stripes. Rows: image, prediction and, if there are any, labels.
    """

    def __init__(self, palette: np.ndarray) -> None:
        self.palette = palette
        self._slices: list[np.ndarray] = []

    def update(self, image: np.ndarray, mask: np.ndarray, labels: np.ndarray | None) -> None:
        """Take the next frame; ``labels`` None leaves a black place in a row of labels."""
        if self._slices:  # of the first frame's height
            first = self._height
            size = round(image.shape[1] * first / image.shape[0]), first
            image, mask = resized(image, size), resized(mask, size, nearest=True)
            labels = None if labels is None else resized(labels, size, nearest=True)
        self._height = image.shape[0]
        column = image.shape[1] // 4
        rows = [image, colorize(mask, self.palette)]
        rows.append(np.zeros_like(image) if labels is None else colorize(labels, self.palette))
        gap = np.full((STRIP_GAP_PX, 1, 3), 255, np.uint8)
        joined = np.vstack([p for row in rows for p in (row[:, column : column + 1], gap)][:-1])
        self._slices.append(joined.repeat(STRIP_SLICE_PX, axis=1))

    def picture(self) -> np.ndarray:
        """Return the strip, RGB; raises ``ValueError`` without a frame."""
        if not self._slices:
            raise ValueError("a timeline needs at least one frame")
        return np.hstack(self._slices)

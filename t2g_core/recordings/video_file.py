# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The frames of a video file: upright, at their own times, as far as the file goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import av.container
import av.sidedata.sidedata
import numpy as np

from t2g_core.images.encodings import check_pixels
from t2g_core.streaming.continuity import NS

USUAL_RATE = Fraction(25)  # frames a second of a stream that says nothing
RATE_PACKETS = 300  # that the usual step between frames is taken from
MATROSKA = ".mkv", ".webm"
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_LOG = logging.getLogger(__name__)


class VideoFileFrame(NamedTuple):
    """Time in the file [ns], image (H, W, 3) uint8 RGB."""

    time_ns: int
    image: np.ndarray


def read_video(path: Path) -> Iterator[VideoFileFrame]:
    """Yield the frames of a video file.

    They are turned as the file's display matrix says, and have the times that the file gives them;
    without any, as in a raw H.264 stream, they follow each other at its rate. Of a file that is
    cut or damaged the whole frames are given, and a warning at the end.

    Raises ``ValueError`` where the file is no video.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        rate, count, damage = _rate(stream), 0, []
        for frame in _decoded(container, damage):
            at = Fraction(count) / rate if frame.time is None else frame.time
            count += 1
            yield VideoFileFrame(round(at * NS), upright(frame))
    if not damage and _is_cut_matroska(path):
        damage.append("the file is shorter than its header says")
    if damage:
        _LOG.warning(
            "%s is cut or damaged (%s): its %d whole frames are read", path, damage[0], count
        )


def video_rate(path: Path) -> float:
    """Frames a second: of the middle one of the steps between frames, or the container's word.

    Raises ``ValueError`` where the file is no video.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        times = []
        try:
            for packet in container.demux(stream):
                if packet.pts is not None and packet.size:
                    times.append(packet.pts)
                if len(times) == RATE_PACKETS:
                    break
        except av.error.FFmpegError:
            pass  # read_video says so
        steps = np.diff(sorted(times))
        step = float(np.median(steps)) if len(steps) else 0.0
        if step <= 0:
            return float(_rate(stream))
        return float(1 / (step * stream.time_base))


def upright(frame: av.VideoFrame) -> np.ndarray:
    """The frame's image (H, W, 3) uint8 RGB, turned and mirrored as its display matrix says."""
    image = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if matrix is None:
        return image
    # x' = a x + c y, y' = b x + d y, in 16.16 fixed point
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]
    if abs(b) > abs(a):
        image, x_sign, y_sign = image.transpose(1, 0, 2), c, b
    else:
        x_sign, y_sign = a, d
    image = image[:: -1 if y_sign < 0 else 1, :: -1 if x_sign < 0 else 1]
    return np.ascontiguousarray(image)


def _open(path: Path) -> av.container.InputContainer:
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise ValueError(
            f"cannot read {path} as a video: {error.strerror}; it is none, or its recording was "
            "not ended"
        ) from error
    if not container.streams.video:
        container.close()
        raise ValueError(f"no video in {path}")
    codec = container.streams.video[0].codec_context
    try:
        if codec is None:
            raise ValueError("a video in a format that nothing here decodes")
        check_pixels(codec.width, codec.height)
    except ValueError as error:
        container.close()
        raise ValueError(f"{path}: {error}") from error
    return container


def _rate(stream: av.VideoStream) -> Fraction:
    return stream.guessed_rate or stream.average_rate or USUAL_RATE


def _decoded(container: av.container.InputContainer, damage: list[str]) -> Iterator[av.VideoFrame]:
    """The whole frames; what is wrong with others goes to `damage`.

    A header's number of frames is no measure: a file that was trimmed without decoding keeps it.
    """
    packets = container.demux(container.streams.video[0])
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            damage.append(error.strerror)
            return
        if packet is None:
            return
        try:
            for frame in packet.decode():
                if frame.is_corrupt:
                    damage.append("a frame is incomplete")
                else:
                    yield frame
        except av.error.FFmpegError as error:
            damage.append(error.strerror)


def _is_cut_matroska(path: Path) -> bool:
    """Whether a Matroska file ends before its segment does, of which FFmpeg says nothing."""
    if path.suffix.lower() not in MATROSKA:
        return False
    with path.open("rb") as stream:
        if stream.read(4) != EBML:
            return False
        stream.seek(_ebml_size(stream) or 0, 1)
        if stream.read(4) != SEGMENT:
            return False
        size = _ebml_size(stream)
        return size is not None and stream.tell() + size > path.stat().st_size


def _ebml_size(stream) -> int | None:
    """A size as EBML writes it; None where it is unknown, as a live recording leaves it."""
    first = stream.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + stream.read(length - 1), "big") & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else value

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""ROS image messages to RGB arrays: one pure function for each family of encodings.

One table for live messages and for those of a bag, which have the same fields. A message's rows
may be padded (`step` larger than a row's pixels need), which every conversion here allows for.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import PIL.Image

MOST_PIXELS = 2**27  # of a picture: four times 8K, the largest that cameras send


class Image(Protocol):
    """The fields of sensor_msgs/Image, whoever read the message."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: bytes


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an encoding lie in a row, and what makes RGB of them.

    `to_rgb` takes (H, W) or, with several channels, (H, W, channels) of `dtype` in this machine's
    byte order, and returns (H, W, 3) uint8.
    """

    dtype: type[np.unsignedinteger]
    channels: int
    to_rgb: Callable[[np.ndarray], np.ndarray]

    @property
    def bytes_per_pixel(self) -> int:
        return np.dtype(self.dtype).itemsize * self.channels


def keep(rgb: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rgb)


def bgr_to_rgb(bgr: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def rgba_to_rgb(rgba: np.ndarray) -> np.ndarray:
    """Drop alpha: cameras fill it with a constant."""
    return cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)


def bgra_to_rgb(bgra: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB)


def grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def grey16_to_rgb(grey: np.ndarray) -> np.ndarray:
    """0..65535 to 0..255, rounded: a camera that fills 12 of the 16 bits gives a dark image."""
    return grey_to_rgb(eight_bits(grey))


def eight_bits(samples: np.ndarray) -> np.ndarray:
    """16-bit samples as 8 bits: 0..65535 to 0..255, rounded."""
    return cv2.convertScaleAbs(samples, alpha=255 / 65535)


def uyvy_to_rgb(uyvy: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(uyvy, cv2.COLOR_YUV2RGB_UYVY)


def yuyv_to_rgb(yuyv: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(yuyv, cv2.COLOR_YUV2RGB_YUYV)


# OpenCV names a mosaic by the four pixels from row 1, column 1 on; ROS by those from row 0,
# column 0 on. Hence the crossed names.
def rggb_to_rgb(mosaic: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(mosaic, cv2.COLOR_BayerBG2RGB)


def bggr_to_rgb(mosaic: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(mosaic, cv2.COLOR_BayerRG2RGB)


def gbrg_to_rgb(mosaic: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(mosaic, cv2.COLOR_BayerGR2RGB)


def grbg_to_rgb(mosaic: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(mosaic, cv2.COLOR_BayerGB2RGB)


ENCODINGS = {
    "rgb8": Encoding(np.uint8, 3, keep),
    "bgr8": Encoding(np.uint8, 3, bgr_to_rgb),
    "rgba8": Encoding(np.uint8, 4, rgba_to_rgb),
    "bgra8": Encoding(np.uint8, 4, bgra_to_rgb),
    "mono8": Encoding(np.uint8, 1, grey_to_rgb),
    "mono16": Encoding(np.uint16, 1, grey16_to_rgb),
    # Nothing says what the channels of these are; OpenCV's order is what their senders use.
    "8UC1": Encoding(np.uint8, 1, grey_to_rgb),
    "8UC3": Encoding(np.uint8, 3, bgr_to_rgb),
    "8UC4": Encoding(np.uint8, 4, bgra_to_rgb),
    "16UC1": Encoding(np.uint16, 1, grey16_to_rgb),
    "uyvy": Encoding(np.uint8, 2, uyvy_to_rgb),
    "yuv422": Encoding(np.uint8, 2, uyvy_to_rgb),
    "yuyv": Encoding(np.uint8, 2, yuyv_to_rgb),
    "yuv422_yuy2": Encoding(np.uint8, 2, yuyv_to_rgb),
    "bayer_rggb8": Encoding(np.uint8, 1, rggb_to_rgb),
    "bayer_bggr8": Encoding(np.uint8, 1, bggr_to_rgb),
    "bayer_gbrg8": Encoding(np.uint8, 1, gbrg_to_rgb),
    "bayer_grbg8": Encoding(np.uint8, 1, grbg_to_rgb),
}
EVEN_WIDTH = {"uyvy", "yuv422", "yuyv", "yuv422_yuy2"}  # two pixels share their colour
MOSAICS = {"bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"}
JPEG_MAGIC, PNG_MAGIC = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
JPEG_END, JPEG_SCAN = 0xD9, 0xDA
JPEG_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # the next marker
PNG_END = b"IEND\xaeB`\x82"
SMALLEST_MOSAIC = 3  # pixels a side: below, OpenCV leaves the image black or fails


def check_image(message: Image) -> None:
    """Look at everything that can be wrong with an image message, without touching its pixels.

    Raises:
        ValueError: the encoding is not in ENCODINGS, the image is empty or too small for its
            encoding, `step` is shorter than a row, or `data` is not `height` rows of `step` bytes.
    """
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ValueError(
            f"encoding: expected one of {', '.join(ENCODINGS)}; got {message.encoding!r}"
        )
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ValueError(f"size: expected at least 1x1 pixels, got {width}x{height}")
    if message.encoding in EVEN_WIDTH and width % 2:
        raise ValueError(f"width: expected an even number for {message.encoding}, got {width}")
    if message.encoding in MOSAICS and min(height, width) < SMALLEST_MOSAIC:
        raise ValueError(
            f"size: expected at least {SMALLEST_MOSAIC}x{SMALLEST_MOSAIC} pixels for "
            f"{message.encoding}, got {width}x{height}"
        )
    row = width * encoding.bytes_per_pixel
    if step < row:
        raise ValueError(
            f"step: expected at least {row} bytes for {width} pixels of {message.encoding}, "
            f"got {step}"
        )
    if len(message.data) != height * step:
        raise ValueError(
            f"data: expected {height * step} bytes ({height} rows of {step}), "
            f"got {len(message.data)}"
        )


def to_rgb(message: Image) -> np.ndarray:
    """The picture in an image message as (H, W, 3) uint8 RGB.

    The array of an unpadded rgb8 message shares the message's memory.

    Raises:
        ValueError: what `check_image` finds.
    """
    check_image(message)
    encoding = ENCODINGS[message.encoding]
    return encoding.to_rgb(pixels(message, encoding))


def decompress(data: bytes, compressed_format: str = "") -> np.ndarray:
    """The picture in the data of a sensor_msgs/CompressedImage (JPEG, PNG) as (H, W, 3) uint8 RGB.

    It lies as it is stored, whatever its EXIF says: the camera_info beside it is of stored pixels.
    16-bit pictures are scaled to 8, and what `compressed_format`, the message's `format`, calls a
    Bayer mosaic becomes colour.

    Raises:
        ValueError: what `check_compressed` finds, and a picture that cannot be decoded.
    """
    check_compressed(data, compressed_format)
    try:
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"data: {len(data)} bytes that cannot be decoded: {error}") from error
    if picture is None:
        raise ValueError(
            f"data: {len(data)} bytes (format {compressed_format!r}) without a picture"
        )
    if picture.dtype == np.uint16:
        picture = eight_bits(picture)
    if picture.ndim == 3:
        return bgr_to_rgb(picture)
    source, _, target = compressed_format.partition(";")
    mosaic = ENCODINGS.get(source.strip().replace("16", "8"))
    is_mosaic = source.startswith("bayer_") and target.split()[-1:] == ["compressed"]
    if is_mosaic and mosaic is not None and min(picture.shape) >= SMALLEST_MOSAIC:
        return mosaic.to_rgb(picture)
    return grey_to_rgb(picture)


def check_compressed(data: bytes, compressed_format: str = "") -> None:
    """Look at everything that can be wrong with compressed data, without decoding it.

    The end of the data is looked for here, since OpenCV's versions differ in what they take for a
    picture: half a JPEG is one to 4.10.

    Raises:
        ValueError: it is empty, neither JPEG nor PNG, or cut.
    """
    data = bytes(data)
    said = f" (format {compressed_format!r})" if compressed_format else ""
    if not data:
        raise ValueError(f"data: a compressed image without a byte{said}")
    if data.startswith(JPEG_MAGIC):
        is_whole = _jpeg_has_end(data)
    elif data.startswith(PNG_MAGIC):
        is_whole = PNG_END in data
    else:
        raise ValueError(
            f"data: expected a JPEG or PNG, got {len(data)} bytes that are neither{said}; "
            "compressedDepth and video packets (h264, ffmpeg) are not read: republish them as "
            "sensor_msgs/msg/Image"
        )
    if not is_whole:
        raise ValueError(f"data: a picture that is cut, {len(data)} bytes without its end{said}")
    _check_picture_size(data)


def _check_picture_size(data: bytes) -> None:
    """By its header, before memory is taken for its pixels: kilobytes can hold gigapixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            width, height = PIL.Image.open(io.BytesIO(data)).size
    except PIL.Image.DecompressionBombError as error:
        raise ValueError(f"data: {error}") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
    ) as error:  # Pillow raises SyntaxError for a broken PNG
        raise ValueError(f"data: {len(data)} bytes whose header cannot be read: {error}") from error
    check_pixels(width, height)


def check_pixels(width: int, height: int) -> None:
    """Raise ValueError for a picture larger than any camera's."""
    if width * height > MOST_PIXELS:
        most = f"{MOST_PIXELS / 1e6:.0f} million pixels"
        raise ValueError(f"expected no more than {most}, got a picture of {width}x{height}")


def _jpeg_has_end(data: bytes) -> bool:
    """Whether a JPEG's segments lead to an end marker. What comes behind it does not matter.

    A marker inside of a segment, as a thumbnail has one, is not the picture's.
    """
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == JPEG_END:
            return True
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == JPEG_SCAN:
            found = JPEG_AFTER_SCAN.search(data, position)
            if found is None:
                return False
            position = found.start()
    return data[position : position + 2] == bytes([0xFF, JPEG_END])


def pixels(message: Image, encoding: Encoding) -> np.ndarray:
    """The samples of a checked message, (H, W) or (H, W, channels), without the rows' padding."""
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    rows = np.ascontiguousarray(rows[:, : message.width * encoding.bytes_per_pixel])
    byte_order = ">" if message.is_bigendian else "<"
    wire = np.dtype(encoding.dtype).newbyteorder(byte_order)
    samples = rows.view(wire).astype(encoding.dtype, copy=False)
    if encoding.channels == 1:
        return samples
    return samples.reshape(message.height, message.width, encoding.channels)

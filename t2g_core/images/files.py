# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures on disk: whole ones as arrays, upright; broken ones as errors that name the file."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from t2g_core.images.encodings import check_pixels, decompress

ORIENTATION = 0x0112  # of EXIF: 1, or how a picture lies that is to be turned or mirrored
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = {5, 6, 7, 8}  # width and height change places
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_GREY = 0


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture as ``(H, W, 3)`` uint8 RGB, upright: turned as its EXIF says.

    16-bit samples are scaled to 8 as those of a topic are. Raises ``FileNotFoundError`` or, for a
    file that is no whole picture or one of 32-bit samples, ``ValueError``.
    """
    return np.asarray(open_upright(Path(path) if isinstance(path, str) else path))


def open_upright(path: Path) -> Image.Image:
    """Open and decode a picture as RGB, upright; errors as of ``read_image``."""
    picture = open_whole(path)
    turn = TURNS.get(_orientation(picture))
    depth, _ = _png_samples(path)
    if depth == 16:
        picture = Image.fromarray(decompress(path.read_bytes()))
    elif picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        raise ValueError(f"{path}: samples of mode {picture.mode}; save it with 8 or 16 bits")
    picture = picture.convert("RGB")
    return picture if turn is None else picture.transpose(turn)


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of an upright picture, which is not decoded."""
    picture = open_picture(path)
    width, height = picture.size
    return (height, width) if _orientation(picture) in LYING else (width, height)


def label_turn(image: Path, label_size: tuple[int, int]) -> Image.Transpose | None:
    """How the label of a picture is to be turned with it; ``label_size`` is (width, height).

    Labels lie as the pixels are stored, but for one that has the size of the upright picture alone.
    """
    try:
        picture = open_picture(image)
    except ValueError:  # whoever reads the image itself says so
        return None
    orientation = _orientation(picture)
    width, height = picture.size
    if orientation in LYING and width != height and label_size == (height, width):
        return None
    return TURNS.get(orientation)


def open_label(path: Path) -> Image.Image:
    """Open and decode a picture of ids: grey samples of 1, 2 or 4 bits keep their values.

    Pillow spreads those over 0 to 255. Errors as of ``open_whole``.
    """
    picture = open_whole(path)
    depth, kind = _png_samples(path)
    if kind != PNG_GREY or depth not in (1, 2, 4):
        return picture
    return Image.fromarray(np.asarray(picture.convert("L")) // (255 // (2**depth - 1)))


def open_picture(path: Path) -> Image.Image:
    """Open a picture without decoding it: its size and mode are known, its pixels are not."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the data's root and split")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path if isinstance(path, Path) else path.open("rb"))
        check_pixels(*picture.size)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} is not a whole picture ({error}); copy the file again") from error
    except (ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: {error}") from error
    return picture


def open_whole(path: Path) -> Image.Image:
    """Open and decode a picture, so that a truncated one is found here and by name."""
    picture = open_picture(path)
    try:
        picture.load()
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise ValueError(f"{path} is not a whole picture ({error}); copy the file again") from error
    return picture


def _orientation(picture: Image.Image) -> int | None:
    """As EXIF has it before the pixels; for one behind them Pillow would decode a whole PNG."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return None
    return picture.getexif().get(ORIENTATION)


def _png_samples(path: Path) -> tuple[int, int] | tuple[None, None]:
    """Bits of a sample and kind of colour, as a PNG's header has them; None of other files."""
    with path.open("rb") as stream:
        header = stream.read(26)
    is_png = header.startswith(PNG_SIGNATURE) and len(header) == 26
    return (header[24], header[25]) if is_png else (None, None)

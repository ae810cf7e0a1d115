"""Pictures on disk: whole ones as arrays, broken ones as errors that name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture as ``(H, W, 3)`` uint8 RGB.

    Raises ``FileNotFoundError`` or, for a file that is no whole picture, ``ValueError``.
    """
    return np.asarray(open_whole(Path(path)).convert("RGB"))


def open_picture(path: Path) -> Image.Image:
    """Open a picture without decoding it: its size and mode are known, its pixels are not."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the data's root and split")
    try:
        return Image.open(path)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} is not a whole picture ({error}); copy the file again") from error


def open_whole(path: Path) -> Image.Image:
    """Open and decode a picture, so that a truncated one is found here and by name."""
    picture = open_picture(path)
    try:
        picture.load()
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise ValueError(f"{path} is not a whole picture ({error}); copy the file again") from error
    return picture

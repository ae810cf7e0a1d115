# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What is in a CompressedImage: whole or cut, of which format, a mosaic or a picture."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from t2g_core.images.encodings import ENCODINGS, check_compressed, decompress


def photo(suffix: str = ".jpg", **options) -> bytes:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    stream = io.BytesIO()
    picture.save(stream, "JPEG" if suffix == ".jpg" else "PNG", **options)
    return stream.getvalue()


def with_thumbnail() -> bytes:
    """A photo in whose EXIF stands another whole JPEG, as phones write it."""
    exif = b"Exif\0\0" + photo()
    plain = photo()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    return plain[:2] + segment + plain[2:]


WHOLE = {
    "jpeg": photo(),
    "progressive": photo(progressive=True),
    "restarts": photo(restart_marker_blocks=1),
    "thumbnail": with_thumbnail(),
    "zeros behind": photo() + bytes(100),
    "rubbish behind": photo() + b"\xff\x00\x12 some camera's own",
    "png": photo(".png"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_picture_is_whole(kind):
    check_compressed(WHOLE[kind])
    assert decompress(WHOLE[kind]).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if "behind" not in kind])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, None])
def test_a_cut_picture_is_refused_by_ourselves(kind, share):
    """OpenCV 4 takes half of a JPEG for a picture, and 5 does not."""
    data = WHOLE[kind]
    cut = data[:-2] if share is None else data[: int(share * len(data))]
    with pytest.raises(ValueError, match="a picture that is cut, .* without its end"):
        check_compressed(cut)
    with pytest.raises(ValueError, match="a picture that is cut"):
        decompress(cut + bytes(20))


@pytest.mark.parametrize(
    "kind", ["16UC1; compressedDepth png", "h264", "bgr8; theora", "hevc; ffmpeg"]
)
def test_another_format_is_quoted(kind):
    with pytest.raises(ValueError, match="expected a JPEG or PNG.*compressedDepth and video") as e:
        decompress(b"\0\0\0\1\x67" + bytes(40), kind)
    assert f"(format {kind!r})" in str(e.value)
    with pytest.raises(ValueError, match="without a byte"):
        decompress(b"", kind)


def mosaic(pattern: str) -> np.ndarray:
    """(48, 64) samples of a picture of one colour, R 200, G 120, B 40, as a sensor gives them."""
    values = {"r": 200, "g": 120, "b": 40}
    tile = np.array([values[letter] for letter in pattern], np.uint8).reshape(2, 2)
    return np.tile(tile, (24, 32))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_mosaic_becomes_colour(pattern, bits):
    samples = mosaic(pattern) if bits == 8 else mosaic(pattern).astype(np.uint16) * 257
    data = cv2.imencode(".png", samples)[1].tobytes()
    image = decompress(data, f"bayer_{pattern}{bits}; png compressed ")
    assert np.abs(image[4:-4, 4:-4].astype(int) - [200, 120, 40]).max() <= 1
    assert f"bayer_{pattern}8" in ENCODINGS


def test_a_colour_picture_made_of_a_mosaic_stays():
    colour = np.full((48, 64, 3), (40, 120, 200), np.uint8)
    data = cv2.imencode(".png", colour)[1].tobytes()
    image = decompress(data, "bayer_rggb8; png compressed bgr8")
    assert (image == [200, 120, 40]).all()
    grey = cv2.imencode(".png", mosaic("rggb"))[1].tobytes()
    assert (decompress(grey, "mono8; jpeg compressed mono8")[..., 0] == mosaic("rggb")).all()

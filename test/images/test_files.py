# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures from disk: orientation, bit depth; and the same picture from a topic."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from t2g_core.data.camvid import load_camvid
from t2g_core.data.own_video import load_own_video
from t2g_core.data.shrunk_copy import write_shrunk
from t2g_core.images.encodings import decompress
from t2g_core.images.files import ORIENTATION, open_label, picture_size, read_image


def exif(orientation: int) -> Image.Exif:
    values = Image.Exif()
    values[ORIENTATION] = orientation
    return values


def blocks(height=48, width=64) -> np.ndarray:
    """Four different quarters, so that every turn and mirror image differs."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (250, 10, 10)
    image[: height // 2, width // 2 :] = (10, 250, 10)
    image[height // 2 :, : width // 2] = (10, 10, 250)
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_photo_stands_upright_from_disk_and_as_stored_from_a_topic(tmp_path, orientation, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(blocks()).save(path, exif=exif(orientation), quality=100, subsampling=0)
    with Image.open(path) as picture:
        stored, expected = np.asarray(picture), np.asarray(ImageOps.exif_transpose(picture))
    image = read_image(path)
    np.testing.assert_array_equal(image, expected)
    assert picture_size(path) == (image.shape[1], image.shape[0])
    topic = decompress(path.read_bytes())
    assert topic.shape == stored.shape and np.abs(topic.astype(int) - stored).max() <= 3


def own_root(tmp_path, orientation, label: np.ndarray):
    root = tmp_path / "own"
    for folder in ("images", "labels"):
        (root / "train" / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("a\nb\nc\nd\n")
    (root / "rate_hz.txt").write_text("10")
    path = root / "train" / "images" / "drive_1.jpg"
    Image.fromarray(blocks()).save(path, exif=exif(orientation))
    Image.fromarray(label).save(root / "train" / "labels" / "drive_1.png")
    return root


def quarters(height=48, width=64) -> np.ndarray:
    """Labels of ``blocks``."""
    label = np.full((height, width), 3, np.uint8)
    label[: height // 2, : width // 2] = 0
    label[: height // 2, width // 2 :] = 1
    label[height // 2 :, : width // 2] = 2
    return label


@pytest.mark.parametrize(
    ("orientation", "turns", "drawn_upright"),
    # Of half a turn no size tells a label that was drawn upright from one as stored.
    [(1, 0, False), (3, 2, False), (6, -1, False), (6, -1, True), (8, 1, False), (8, 1, True)],
)
def test_labels_follow_their_image(tmp_path, orientation, turns, drawn_upright):
    upright = np.rot90(quarters(), turns)
    root = own_root(tmp_path, orientation, upright if drawn_upright else quarters())
    (video,) = load_own_video(root, "train")
    np.testing.assert_array_equal(video.frames[0].read_label(), upright)
    write_shrunk([video], root, tmp_path / "small", 32)
    (video,) = load_own_video(tmp_path / "small", "train")
    image, label = read_image(video.frames[0].image_path), video.frames[0].read_label()
    assert image.shape[:2] == label.shape and image.shape[1] == 32
    assert image[label == 0].mean(axis=0)[0] > 200  # red where it is class a


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_are_scaled_as_those_of_a_topic(tmp_path, channels):
    ramp = np.linspace(0, 65535, 64 * 48).round().astype(np.uint16).reshape(48, 64)
    picture = ramp if channels == 1 else np.stack([ramp] * channels, axis=2)
    assert cv2.imwrite(str(tmp_path / "x.png"), picture)
    image = read_image(tmp_path / "x.png")
    np.testing.assert_array_equal(image[..., 0], np.rint(ramp / 257))
    np.testing.assert_array_equal(image, decompress((tmp_path / "x.png").read_bytes()))


def test_samples_of_32_bits_are_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "x.tiff")
    with pytest.raises(ValueError, match=r"x\.tiff: samples of mode F; save it with 8 or 16 bits"):
        read_image(tmp_path / "x.tiff")


def write_packed(path, ids: np.ndarray, bits: int, kind: int = 0) -> None:
    """A PNG of 1, 2 or 4 bits a sample, which no library here writes of any values."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = ids.shape
    planes = [(ids >> shift) & 1 for shift in range(bits - 1, -1, -1)]
    packed = np.packbits(np.stack(planes, axis=2).reshape(height, -1), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(3 * 2**bits))) if kind == 3 else b""
    data = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b""))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("kind", [0, 3])
def test_ids_of_few_bits_keep_their_values(tmp_path, bits, kind):
    ids = (np.arange(8 * 10, dtype=np.uint8) % 2**bits).reshape(8, 10)
    write_packed(tmp_path / "label.png", ids, bits, kind)
    np.testing.assert_array_equal(np.asarray(open_label(tmp_path / "label.png")), ids)
    folders = [tmp_path / "root" / "train" / folder for folder in ("images", "labels")]
    for folder in folders:
        folder.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(folders[0] / "drive_1.jpg")
    write_packed(folders[1] / "drive_1.png", np.minimum(ids, 10), bits, kind)
    for load in (load_camvid, load_own_video):
        (tmp_path / "root" / "classes.txt").write_text("\n".join("abcdefghijk"))
        (tmp_path / "root" / "rate_hz.txt").write_text("10")
        label = load(tmp_path / "root", "train")[0].frames[0].read_label()
        np.testing.assert_array_equal(label, np.minimum(ids, 10))

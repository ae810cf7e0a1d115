# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Weather corruptions: the same bytes for the same frame, whatever happened before."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from t2g_core.data.corruptions import CORRUPTIONS, Weather, _frost_picture, corrupt


def scene() -> np.ndarray:
    """A sky, a road and something in between, (96, 128, 3)."""
    rows = np.linspace(220, 60, 96, dtype=np.uint8)[:, None, None]
    image = np.broadcast_to(rows, (96, 128, 3)).copy()
    image[40:60, 50:80] = (160, 40, 30)
    return image


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_frame_is_another_picture_of_the_same_kind(name):
    image = scene()
    corrupted = corrupt(image, Weather(name), "0016E5", 7959)
    assert corrupted.shape == image.shape and corrupted.dtype == np.uint8
    assert np.abs(corrupted.astype(int) - image).mean() > 1
    assert (image == scene()).all()  # the input is left alone


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_frame_is_the_same_in_any_order(name):
    image = scene()
    forward = {number: corrupt(image, Weather(name), "A", number) for number in (1, 2, 3)}
    backward = {number: corrupt(image, Weather(name), "A", number) for number in (3, 1, 2)}
    assert all((forward[n] == backward[n]).all() for n in forward)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_frames_and_videos_and_severities_differ(name):
    image = scene()
    one = corrupt(image, Weather(name), "A", 1)
    assert (one != corrupt(image, Weather(name), "A", 2)).any()
    assert (one != corrupt(image, Weather(name), "B", 1)).any()
    assert (one != corrupt(image, Weather(name, severity=5), "A", 1)).any()


def checksums() -> list[int]:
    """Of one frame in every weather."""
    return [zlib.crc32(corrupt(scene(), Weather(n), "A", 7).tobytes()) for n in CORRUPTIONS]


def test_another_process_makes_the_same_bytes():
    code = "import test_corruptions as t; print(*t.checksums())"
    path = [entry for entry in sys.path if entry]
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=Path(__file__).parent,
    )
    assert [int(value) for value in run.stdout.split()] == checksums()


def test_the_global_generator_is_left_as_it_was():
    before = np.random.get_state()  # noqa: NPY002
    for name in CORRUPTIONS:
        corrupt(scene(), Weather(name), "A", 1)
    after = np.random.get_state()  # noqa: NPY002
    assert (after[1] == before[1]).all() and after[2:] == before[2:]


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)  # what an absent module looks like
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps imagecorruptions-imaug"):
        corrupt(scene(), Weather("fog"), "A", 1)


def test_the_seed_is_the_checksum_of_weather_video_and_number():
    assert Weather("fog").seed("0016E5", 7959) == zlib.crc32(b"fog:0016E5:7959")
    assert Weather("fog").seed("0016E5", 7959) != Weather("snow").seed("0016E5", 7959)
    assert Weather("fog").seed("A1", 2) != Weather("fog").seed("A", 12)
    assert Weather("fog", seeding="video").seed("0016E5", 7959) == zlib.crc32(b"fog:0016E5")


def test_frost_is_one_of_the_benchmarks_five_pictures(monkeypatch):
    drawn = []
    read = cv2.imread
    monkeypatch.setattr(cv2, "imread", lambda path: drawn.append(Path(path).stem) or read(path))
    sixth = [n for n in range(60) if _frost_picture(zlib.crc32(b"frost:A:%d" % n)) == 5]
    for number in sixth[:3] + list(range(20)):
        corrupt(scene(), Weather("frost"), "A", number)
    assert set(drawn) == {f"frost{i}" for i in range(1, 6)} and len(sixth) > 2
    usual = next(n for n in range(9) if n not in sixth)
    assert Weather("frost").seed("A", usual) == zlib.crc32(b"frost:A:%d" % usual)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seeded_by_video_one_pattern_stays_in_the_picture(name):
    still = Weather(name, seeding="video")
    one = corrupt(scene(), still, "A", 1)
    assert (one == corrupt(scene(), still, "A", 2)).all()
    assert (one != corrupt(scene(), still, "B", 1)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "rain"}, "'rain'"),
        ({"severity": 0}, "got 0"),
        ({"severity": 6}, "got 6"),
        ({"seeding": "clip"}, "'clip'"),
    ],
)
def test_a_weather_that_is_none_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Weather(**{"name": "fog", **change})


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((31, 64, 3), np.uint8), r"at least 32.*\(31, 64\)"),
        (np.zeros((64, 64), np.uint8), r"\(64, 64\)"),
        (np.zeros((64, 64, 3), np.float32), "float32"),
    ],
)
def test_an_image_that_cannot_be_corrupted_is_named(image, message):
    with pytest.raises(ValueError, match=message):
        corrupt(image, Weather("fog"), "A", 1)

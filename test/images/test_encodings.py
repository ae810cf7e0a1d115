# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Every encoding, padded rows, byte order and broken messages; colours are known beforehand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from t2g_core.images.encodings import ENCODINGS, check_image, to_rgb
from t2g_core.images.overlay import overlay
from t2g_ros import image_decoder
from t2g_ros.image_decoder import is_right_for_cv_bridge
from t2g_ros.messages import image_message

# Two rows of three pixels.
RGB = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [40, 50, 60], [70, 80, 90]]], np.uint8
)
ALPHA = np.full((2, 3, 1), 7, np.uint8)
GREY = np.array([[0, 128, 255], [1, 2, 3]], np.uint8)


def message_of(samples: np.ndarray, encoding: str, padding: int = 0, big: bool = False) -> Image:
    """An image message whose rows end with `padding` bytes of rubbish."""
    samples = samples.astype(samples.dtype.newbyteorder(">" if big else "<"))
    rows = np.ascontiguousarray(samples).view(np.uint8).reshape(len(samples), -1)
    rows = np.pad(rows, [(0, 0), (0, padding)], constant_values=99)
    message = Image(encoding=encoding, is_bigendian=int(big))
    message.height, message.width = samples.shape[:2]
    message.step = rows.shape[1]
    message.data.frombytes(rows.tobytes())
    return message


@pytest.mark.parametrize("padding", [0, 1, 3, 16])
@pytest.mark.parametrize(
    ("encoding", "samples"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, ALPHA], axis=2)),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], axis=2)),
        ("8UC4", np.concatenate([RGB[..., ::-1], ALPHA], axis=2)),
    ],
)
def test_colour_encodings_give_back_the_colours(encoding, samples, padding):
    np.testing.assert_array_equal(to_rgb(message_of(samples, encoding, padding)), RGB)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_goes_into_all_three_channels(encoding, padding):
    rgb = to_rgb(message_of(GREY, encoding, padding))
    np.testing.assert_array_equal(rgb, np.stack([GREY] * 3, axis=2))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_grey_of_16_bits_is_scaled_in_both_byte_orders(encoding, padding, big):
    samples = np.array([[0, 257, 65535], [256, 32896, 128]], np.uint16)
    rgb = to_rgb(message_of(samples, encoding, padding, big))
    expected = np.array([[0, 1, 255], [1, 128, 0]])  # v * 255 / 65535, rounded
    np.testing.assert_array_equal(rgb, np.stack([expected] * 3, axis=2))


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv")],
)
@pytest.mark.parametrize("padding", [0, 2])
def test_yuv_of_two_red_pixels_beside_two_grey_ones(encoding, order, padding):
    # BT.601 video range: red is Y 81 U 90 V 240; grey 126 is Y 124 or 125 with U = V = 128.
    pairs = [{"u": 90, "v": 240, "y": 81}, {"u": 128, "v": 128, "y": 124}]
    row = np.array([pair[letter] for pair in pairs for letter in order], np.uint8)
    rgb = to_rgb(message_of(np.stack([row, row]).reshape(2, 4, 2), encoding, padding)).astype(int)
    assert rgb.shape == (2, 4, 3)
    assert np.abs(rgb[:, :2] - [255, 0, 0]).max() <= 2
    assert np.abs(rgb[:, 2:] - 126).max() <= 1


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "tile"),
    [
        ("bayer_rggb8", ["rg", "gb"]),
        ("bayer_bggr8", ["bg", "gr"]),
        ("bayer_gbrg8", ["gb", "rg"]),
        ("bayer_grbg8", ["gr", "bg"]),
    ],
)
def test_bayer_mosaic_of_one_colour(encoding, tile, padding):
    colour = {"r": 200, "g": 100, "b": 50}
    mosaic = np.array([[colour[filter_] for filter_ in row] for row in tile], np.uint8)
    rgb = to_rgb(message_of(np.tile(mosaic, (4, 5)), encoding, padding))
    assert rgb.shape == (8, 10, 3)
    np.testing.assert_array_equal(rgb, np.full((8, 10, 3), [200, 100, 50]))


def test_every_encoding_takes_padded_rows():
    rng = np.random.default_rng(0)
    for name, encoding in ENCODINGS.items():
        shape = (4, 6) if encoding.channels == 1 else (4, 6, encoding.channels)
        samples = rng.integers(0, np.iinfo(encoding.dtype).max, shape).astype(encoding.dtype)
        plain, padded = (to_rgb(message_of(samples, name, padding)) for padding in (0, 7))
        np.testing.assert_array_equal(plain, padded)
        assert plain.shape == (4, 6, 3)
        assert plain.dtype == np.uint8


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"encoding": "jpeg"}, "encoding: expected one of rgb8, .* got 'jpeg'"),
        ({"height": 0}, "size: expected at least 1x1 pixels, got 3x0"),
        ({"width": 0}, "size: expected at least 1x1 pixels, got 0x2"),
        ({"step": 8}, "step: expected at least 9 bytes for 3 pixels of rgb8, got 8"),
        ({"step": 10}, r"data: expected 20 bytes \(2 rows of 10\), got 18"),
        ({"height": 3}, r"data: expected 27 bytes \(3 rows of 9\), got 18"),
        ({"height": 2**31, "width": 2**31}, "step: expected"),
        ({"encoding": "yuyv"}, "width: expected an even number for yuyv, got 3"),
        ({"encoding": "bayer_rggb8"}, "size: expected at least 3x3 pixels .* got 3x2"),
    ],
)
def test_a_broken_message_says_what_was_expected(change, expected):
    message = message_of(RGB, "rgb8")
    for field, value in change.items():
        setattr(message, field, value)
    with pytest.raises(ValueError, match=expected):
        check_image(message)
    with pytest.raises(ValueError, match=expected):
        to_rgb(message)


def test_no_data_at_all_is_refused():
    with pytest.raises(ValueError, match="got ''"):
        to_rgb(Image())


def test_messages_are_what_went_in():
    header = Header(frame_id="camera")
    header.stamp.sec = 12
    for pixels, encoding in ((RGB, "rgb8"), (GREY, "mono8"), (RGB[:, ::2], "rgb8")):
        message = image_message(pixels, encoding, header)
        assert message.header == header
        assert (message.height, message.width) == pixels.shape[:2]
        assert message.step * message.height == len(message.data) == pixels.size
        assert message.data.tobytes() == pixels.tobytes()


@pytest.mark.parametrize(
    ("pixels", "encoding"),
    [(RGB, "mono8"), (GREY, "rgb8"), (GREY, "foo"), (GREY.astype(int), "mono8")],
)
def test_a_message_of_the_wrong_pixels_is_refused(pixels, encoding):
    with pytest.raises(ValueError, match="expected uint8 pixels"):
        image_message(pixels, encoding, Header())


def test_overlay_mixes_colours_and_leaves_unlabelled_pixels():
    image = np.full((1, 3, 3), 100, np.uint8)
    palette = np.array([[200, 0, 50], [0, 0, 0]], np.uint8)
    mask = np.array([[0, 1, 255]], np.uint8)
    painted = overlay(image, mask, palette, opacity=0.25)
    np.testing.assert_array_equal(painted, [[[125, 75, 88], [75, 75, 75], [100, 100, 100]]])


def test_cv_bridge_is_kept_from_what_it_gets_wrong():
    assert is_right_for_cv_bridge(message_of(RGB, "bgr8"))
    assert not is_right_for_cv_bridge(message_of(RGB, "bgr8", padding=3))
    assert not is_right_for_cv_bridge(message_of(RGB, "8UC3"))
    assert not is_right_for_cv_bridge(message_of(GREY.astype(np.uint16), "mono16"))
    assert not is_right_for_cv_bridge(message_of(GREY, "mono8", big=True))


def test_a_cv_bridge_that_crashes_is_found_out_in_another_process(tmp_path, monkeypatch):
    (tmp_path / "cv_bridge.py").write_text("import os\nos.abort()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    assert "it fails beside NumPy" in image_decoder.why_not_cv_bridge()
    decode, sentence = image_decoder.choose_decoder()
    assert "cv_bridge is not used" in sentence
    np.testing.assert_array_equal(decode(message_of(RGB, "rgb8")), RGB)
    _, png = cv2.imencode(".png", RGB[..., ::-1])
    np.testing.assert_array_equal(decode(CompressedImage(data=png.tobytes())), RGB)


def test_cv_bridge_agrees_with_our_conversions():
    pytest.importorskip("cv_bridge", reason="cv_bridge comes with a ROS distribution only")
    if problem := image_decoder.why_not_cv_bridge():
        pytest.skip(f"cv_bridge cannot be used here: {problem}")
    decode = image_decoder.cv_bridge_decoder()
    image = cv2.resize(RGB, (12, 8), interpolation=cv2.INTER_NEAREST)
    for name in image_decoder.CV_BRIDGE_IS_RIGHT_FOR:
        channels = ENCODINGS[name].channels
        samples = np.dstack([image, image])[..., :channels].squeeze()
        for padding in (0, 1):
            message = message_of(samples, name, padding)
            np.testing.assert_array_equal(decode(message), to_rgb(message))

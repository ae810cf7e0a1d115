# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Messages that nobody should send, thousands of them, with a good one in between."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from fault_scale import note, size
from node_harness import message_of, picture, running
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from small_checkpoint import write_vit_s_checkpoint

ENCODINGS = [
    "rgb8",
    "bgr8",
    "rgba8",
    "bgra8",
    "mono8",
    "mono16",
    "8UC1",
    "8UC3",
    "8UC4",
    "16UC1",
    "32FC1",
    "yuv422",
    "uyvy",
    "yuyv",
    "nv12",
    "nv21",
    "bayer_rggb8",
    "bayer_bggr8",
    "bayer_gbrg8",
    "bayer_grbg16",
    "jpeg",
    "h264",
]
EXTREME = (0, 1, 2, 3, 7, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1)


def fuzzed(rng: random.Random) -> Image | bytes:
    """An image with some fields wrong; one in ten as bytes that may be no message at all."""
    message = message_of(picture(rng.randrange(9), rng.randrange(1, 40), rng.randrange(1, 40)), 1.0)
    for _ in range(rng.randrange(1, 4)):
        match rng.randrange(7):
            case 0:
                message.width = rng.choice(EXTREME)
            case 1:
                message.height = rng.choice(EXTREME)
            case 2:
                message.step = rng.choice(EXTREME)
            case 3:
                strange = "".join(chr(rng.randrange(1, 0x3000)) for _ in range(rng.randrange(9)))
                message.encoding = rng.choice([*ENCODINGS, strange])
            case 4:
                message.data = message.data[: rng.randrange(len(message.data) + 1)]
            case 5:
                message.header.stamp.sec = rng.choice((-(2**31), -1, 0, 2**31 - 1))
                message.header.stamp.nanosec = rng.choice(EXTREME)
            case 6:
                message.header.frame_id = "f" * rng.randrange(3000)
    if rng.random() > 0.1:
        return message
    raw = bytearray(serialize_message(message))
    for _ in range(rng.randrange(1, 9)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw[: rng.randrange(4, len(raw) + 1)])


def test_every_good_image_is_answered_whatever_comes_in_between(tmp_path):
    count, rng = size(10_000, 300), random.Random(1)
    checkpoint = Path(tmp_path / "small.safetensors")
    write_vit_s_checkpoint(checkpoint)
    with running(tmp_path, checkpoint) as harness:
        good = 0
        for number in range(1, count + 1):
            message = fuzzed(rng)
            harness.images.publish(message)
            time.sleep(0.001)
            if number % 100:
                continue
            # What is still on its way may make room for the last image alone: empty the queue.
            expected = message_of(picture(number % 9), 10.0 + number)
            for messages in harness.outputs:
                messages.clear()
            harness.images.publish(expected)
            harness.wait_for(
                lambda expected=expected: any(m.header == expected.header for m in harness.mask),
                f"the mask after {number} fuzzed messages",
            )
            good += 1
        values = {k: int(v) for k, v in harness.values().items() if v.isdigit()}
        note(
            f"{count} fuzzed image messages, a good one every hundred",
            f"{good} of {count // 100} good ones answered, none fatal; "
            f"{values['images_received']} heard, {values['masks_published']} masks, "
            f"{values['dropped_newer_frame']} dropped for a newer one, "
            f"{values['dropped_bad_image']} unreadable",
        )
        assert good == count // 100
        assert values["dropped_inference_error"] == 0
        assert values["dropped_bad_image"] > count / 3


@pytest.mark.parametrize("seed", range(size(200, 20)))
def test_an_image_of_any_fields_is_decoded_or_refused_with_a_sentence(seed):
    from t2g_core.images.encodings import check_image, to_rgb

    rng = random.Random(seed)
    for _ in range(50):
        message = fuzzed(rng)
        if isinstance(message, bytes):
            continue
        try:
            check_image(message)
            image = to_rgb(message)
        except ValueError as error:
            assert str(error)
            continue
        assert image.dtype == np.uint8
        assert image.shape == (message.height, message.width, 3)

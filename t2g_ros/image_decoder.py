# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Which converter turns an image message into RGB, and why.

cv_bridge is ROS's converter and is used where its build works and is right: plain 8-bit colour
and grey.
Our own conversions (`t2g_core/images/encodings.py`) take every other case, because there
- cv_bridge is not installed (it has no wheel for ROS 2), or was built for NumPy 1 and crashes
  beside NumPy 2, which a robot with PyTorch in a virtual environment often has;
- its Python code misreads padded rows whose `step` is no multiple of the pixel size, and its
  byte swapping of big-endian images needs NumPy 1;
- it refuses 8UC1, 8UC3 and 8UC4 where a colour image is asked for, and builds differ in what
  they make of yuv422, mono16 and bayer mosaics (one has no bayer to rgb8).
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from t2g_core.images.encodings import ENCODINGS, check_image, decompress, to_rgb

CV_BRIDGE_IS_RIGHT_FOR = {"rgb8", "bgr8", "rgba8", "bgra8", "mono8"}

# A cv_bridge built for another NumPy may kill its process: try it in another one first.
TRIAL = """
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
image = Image(height=3, width=3, step=9, encoding="bgr8", data=[3, 2, 1] * 9)
assert CvBridge().imgmsg_to_cv2(image, "rgb8").reshape(9, 3).tolist() == [[1, 2, 3]] * 9
"""
TRIAL_TIMEOUT_S = 60.0


def why_not_cv_bridge() -> str:
    """Why cv_bridge cannot be used here, in words; empty where it can. Takes about a second."""
    if importlib.util.find_spec("cv_bridge") is None:
        return "it is not installed"
    try:
        trial = subprocess.run(
            [sys.executable, "-c", TRIAL], capture_output=True, text=True, timeout=TRIAL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"it did not convert a small image in {TRIAL_TIMEOUT_S:.0f} s"
    if trial.returncode == 0:
        return ""
    last_line = (trial.stderr.strip().splitlines() or ["no message"])[-1]
    return f"it fails beside NumPy {np.__version__} (exit {trial.returncode}: {last_line})"


def is_right_for_cv_bridge(message: Image) -> bool:
    """Whether cv_bridge converts this checked message rightly, whatever its build."""
    row = message.width * ENCODINGS[message.encoding].bytes_per_pixel
    return (
        message.encoding in CV_BRIDGE_IS_RIGHT_FOR
        and message.step == row
        and not message.is_bigendian
    )


def cv_bridge_decoder() -> Callable[[Image], np.ndarray]:
    """`to_rgb`, with cv_bridge for the messages that it converts rightly.

    Raises:
        ImportError: cv_bridge is not installed; see `why_not_cv_bridge` for worse cases.
    """
    from cv_bridge import CvBridge

    bridge = CvBridge()

    def decode(message: Image) -> np.ndarray:
        check_image(message)
        if is_right_for_cv_bridge(message):
            return bridge.imgmsg_to_cv2(message, "rgb8")
        return to_rgb(message)

    return decode


def choose_decoder() -> tuple[Callable[[Image | CompressedImage], np.ndarray], str]:
    """The decoder for this machine, and a sentence for the log that says which and why."""
    problem = why_not_cv_bridge()
    if problem:
        raw = to_rgb
        sentence = f"images are converted by t2g_ros; cv_bridge is not used: {problem}"
    else:
        raw = cv_bridge_decoder()
        sentence = "images are converted by cv_bridge where it is right"

    def decode(message: Image | CompressedImage) -> np.ndarray:
        if isinstance(message, Image):
            return raw(message)
        return decompress(message.data, message.format)

    return decode, sentence

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How much memory a method's stream takes at most: a process of its own, which this file is."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from t2g_core.bench.timing import random_segmenter
from t2g_core.config import Config, read_config
from t2g_core.device import AUTO, peak_memory
from t2g_core.images.windows import read_windows

STEPS = 3


def peak_of(config: Config, classes: int, device: str, windows: str) -> int:
    """Bytes, see `peak_memory`, of the model with random weights and a few steps of a stream.

    In a process of its own: on a processor the most that a process ever held is all that can be
    read, PyTorch's libraries included.
    """
    asked = {
        "config": config.as_mapping(),
        "classes": classes,
        "device": device,
        "windows": windows,
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"a step of {config.method_name} on windows {windows}: {done.stderr}")
    return int(done.stdout)


def main() -> None:
    """Read what is asked for, stream noise, print the bytes."""
    asked = json.load(sys.stdin)
    config, windows = read_config(asked["config"], "config"), read_windows(asked["windows"])
    segmenter = random_segmenter(config, asked["classes"], asked["device"], AUTO, windows)
    width, height = config.input_size
    state, drawn = segmenter.start(), np.random.default_rng(0)
    for _ in range(STEPS):
        frame = drawn.integers(0, 256, (height, width, 3), np.uint8)
        _, state = segmenter.step(frame, state)
    print(peak_memory(asked["device"]))


if __name__ == "__main__":
    main()

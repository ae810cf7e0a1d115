# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What tests of training share: a data set of six small frames, options, several processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np

from t2g_core.data.camvid import load_camvid
from t2g_core.training.train import TrainOptions


def brightness_videos(root, frames: int = 6):
    """A split of one video whose label is its image: the class is brightness / 20."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / "train" / folder).mkdir(parents=True)
    for i in range(frames):
        label = cv2.resize(
            rng.integers(0, 11, (6, 9), dtype=np.uint8), (90, 60), interpolation=cv2.INTER_NEAREST
        )
        stem = f"0001TP_{6690 + 30 * i:06d}"
        cv2.imwrite(str(root / "train" / "labels" / f"{stem}.png"), label)
        cv2.imwrite(str(root / "train" / "images" / f"{stem}.png"), cv2.merge([label * 20] * 3))
    return load_camvid(root, "train")


def options(root, out, **changes) -> TrainOptions:
    """Of a short run on the CPU, without validation."""
    usual = {"device": "cpu", "save_every": 2, "validate_every": 100, "validation_frames": 0}
    return TrainOptions(root=root, out=out, **usual | changes)


def plain(value):
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


RUNNER = (
    "import sys, torch\n"
    "torch.manual_seed(2)\n"  # the random encoder
    "from t2g_core.cli import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)
TOP = Path(__file__).parents[1]


def torchrun_words(processes: int) -> list[str]:
    """The command that starts a program several times."""
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *words]


def environment(**others: str) -> dict[str, str]:
    """For a program of several processes that share two cores."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOP)} | others

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Several processes evaluate as one does, to the last digit."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from small_model import write_small_checkpoint
from small_runs import RUNNER, brightness_videos, environment, torchrun_words

from t2g_core.evaluation.comparison import divided
from t2g_core.processes import Share


def evaluated(root, checkpoint, out, *launcher: str) -> dict:
    """Run `t2g eval`; its JSON without the time it took."""
    runner = root / "runner.py"
    runner.write_text(RUNNER)
    words = [*launcher, runner, "eval", "--root", root, "--split", "train", "--json"]
    words += ["--checkpoint", checkpoint, "--device", "cpu", "--out", out, "--figures", out]
    done = subprocess.run(
        list(map(str, words)), env=environment(), capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    return {key: value for key, value in found.items() if key != "seconds"}


def test_two_processes_score_as_one_does_and_draw_the_same_pictures(tmp_path):
    """Three videos of several lengths, of which one process has two."""
    root = tmp_path / "data"
    brightness_videos(root, frames=12)
    for folder in ("images", "labels"):
        for number, path in enumerate(sorted((root / "train" / folder).iterdir())):
            if number >= 9:
                path.rename(path.with_name(path.name.replace("0001TP", "0006R0")))
            elif number >= 5:
                path.rename(path.with_name(path.name.replace("0001TP", "0016E5")))
    checkpoint = tmp_path / "small.safetensors"
    write_small_checkpoint(checkpoint)
    one = evaluated(root, checkpoint, tmp_path / "one", sys.executable)
    two = evaluated(root, checkpoint, tmp_path / "two", *torchrun_words(2))
    assert one["videos"] == 3 and one["frames"] == 12 and one == two
    pictures = [sorted((tmp_path / run).glob("*.png")) for run in ("one", "two")]
    assert len(pictures[0]) == 3
    for alone, together in zip(*pictures, strict=True):
        assert alone.read_bytes() == together.read_bytes(), alone.name


def test_videos_and_conditions_are_dealt_out_evenly():
    shares = [divided([10, 40, 25, 5], 3, Share(i, 4)) for i in range(4)]
    frames = [10, 40, 25, 5]
    loads = [sum(frames[v] for numbers in share for v in numbers) for share in shares]
    assert sum(loads) == 3 * 80 and max(loads) <= 75
    dealt = sorted((c, v) for share in shares for c, numbers in enumerate(share) for v in numbers)
    assert dealt == [(c, v) for c in range(3) for v in range(4)]
    assert divided([3, 9], 2, Share(0, 1)) == [(0, 1), (0, 1)]


@pytest.mark.parametrize("index", [0, 1])
def test_one_video_under_several_conditions_is_work_for_several_processes(index):
    assert sum(map(len, divided([100], 5, Share(index, 2)))) in (2, 3)

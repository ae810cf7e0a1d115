"""Worker processes give the same clips as the process itself."""

from __future__ import annotations

import numpy as np
import pytest
from small_model import TRAIN
from small_runs import brightness_videos

from t2g_core.training.clip_sampler import ClipSampler
from t2g_core.training.clip_workers import ClipWorkers


def test_clips_of_workers_are_those_of_the_sampler_and_errors_come_through(tmp_path):
    sampler = ClipSampler(brightness_videos(tmp_path), TRAIN)
    workers = ClipWorkers(sampler, 1)
    try:
        workers.expect([4, 5, 6])
        for number in (5, 4, 9):  # in any order, expected or not
            for ours, theirs in zip(sampler(number), workers(number), strict=True):
                np.testing.assert_array_equal(ours, theirs)
        for path in (tmp_path / "train" / "images").iterdir():
            path.write_bytes(b"")
        workers.expect([7])
        with pytest.raises(ValueError, match="is not a whole picture"):
            workers(7)
    finally:
        workers.close()

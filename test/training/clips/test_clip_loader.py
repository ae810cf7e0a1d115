# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Worker processes give the same clips as the process itself."""

from __future__ import annotations

import numpy as np
import pytest
from small_model import TRAIN
from small_runs import brightness_videos

from t2g_core.training.clips.loader import ClipLoader
from t2g_core.training.clips.sampler import ClipSampler


def test_clips_of_workers_are_those_of_the_sampler_and_errors_come_through(tmp_path, monkeypatch):
    sampler = ClipSampler(brightness_videos(tmp_path), TRAIN, (96, 64))
    expected = {number: sampler(number) for number in (4, 5, 6, 7, 9)}
    clips = ClipLoader(sampler, 1)
    try:
        clips.begin([4, 5, 6, 7])
        drawn_here = []
        with monkeypatch.context() as patch:
            patch.setattr(clips, "sampler", lambda n: drawn_here.append(n) or sampler(n))
            for number in (4, 6, 5, 9, 7):  # 5 was let go, 9 was never ordered
                for ours, theirs in zip(expected[number], clips(number), strict=True):
                    np.testing.assert_array_equal(ours, theirs)
        assert drawn_here == [5, 9]
        for path in (tmp_path / "train" / "images").iterdir():
            path.write_bytes(b"")
        clips.begin([8])
        with pytest.raises(ValueError, match="is not a whole picture"):
            clips(8)
    finally:
        clips.close()

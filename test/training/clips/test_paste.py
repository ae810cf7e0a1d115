# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Things of one frame in another: which, where, and that the label follows the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_model import TRAIN
from small_runs import brightness_videos

from t2g_core.labels import IGNORE_INDEX
from t2g_core.training.clips.paste import paste_things, rare_things
from t2g_core.training.clips.sampler import ClipSampler

ROAD, CAR, POLE = 3, 8, 2


def frame_with_a_pole() -> tuple[np.ndarray, np.ndarray]:
    label = np.full((60, 90), ROAD, np.uint8)
    label[:, :30], label[:5, 60:] = CAR, IGNORE_INDEX
    label[10:50, 40:42] = POLE
    return np.repeat(label[..., None] * 20, 3, axis=2), label


def test_things_are_regions_of_rare_classes_alone():
    _, label = frame_with_a_pole()
    label[20:22, 70:72] = POLE  # too small
    ((class_id, inside, box),) = rare_things(label)
    assert (class_id, box) == (POLE, (40, 10, 2, 40)) and inside.all()
    assert rare_things(np.full((4, 4), IGNORE_INDEX, np.uint8)) == []


def test_a_thing_keeps_its_rows_and_takes_picture_and_label_with_it():
    image, label = np.full((60, 90, 3), 60, np.uint8), np.full((60, 90), ROAD, np.uint8)
    columns = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pasted, target = paste_things(rng, image, label, *frame_with_a_pole())
        rows, where = np.nonzero(target == POLE)
        assert (rows.min(), rows.max(), np.ptp(where)) == (10, 49, 1)
        assert (target[target != POLE] == ROAD).all()
        assert (pasted[target == ROAD] == 60).all()
        assert abs(int(pasted[30, where[0]].mean()) - 20 * POLE) < 20
        columns.add(int(where[0]))
    assert len(columns) > 10
    assert (image == 60).all() and (label == ROAD).all()  # the frame itself stays as it was


def test_a_frame_of_another_size_gives_its_things_too():
    image, label = np.zeros((120, 180, 3), np.uint8), np.full((120, 180), ROAD, np.uint8)
    _, target = paste_things(np.random.default_rng(0), image, label, *frame_with_a_pole())
    assert (target == POLE).sum() == 4 * 80


def test_a_clip_draws_them_from_its_number_alone(tmp_path):
    videos = brightness_videos(tmp_path)
    config = replace(TRAIN, strides=(0,), paste_share=1.0)
    one, other = (ClipSampler(videos, config, (96, 64))(4) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))

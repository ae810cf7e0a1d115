# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A camera's clock: what is lost, slow or standing still, and what is none of it."""

from __future__ import annotations

import numpy as np
import pytest

from t2g_core.health.findings import FRAME_DROPS, RATE_FELL, STAMPS_STAND_STILL
from t2g_core.health.timing_watch import TimingWatch

STEP_NS = 100_000_000


def kinds_of(watch: TimingWatch, frames) -> list[str]:
    """What is found at each stamp, given in frames of 10 Hz."""
    found = [watch.update(round(frame * STEP_NS)) for frame in frames]
    assert all(len(findings) <= 1 for findings in found)
    return [findings[0].kind if findings else "" for findings in found]


@pytest.fixture
def watch():
    watch = TimingWatch()
    assert not any(kinds_of(watch, range(30)))
    return watch


def test_stamps_that_waver_are_well():
    rng = np.random.default_rng(0)
    stamps = np.arange(300) + rng.uniform(-0.2, 0.2, 300)
    assert not any(kinds_of(TimingWatch(), stamps))


def test_one_lost_image_is_an_accident_and_two_of_a_dozen_are_drops(watch):
    assert not any(kinds_of(watch, [31, 32, 33]))
    found = kinds_of(watch, [34, 36, 37, 38])
    assert found[-1] == FRAME_DROPS
    assert not kinds_of(watch, range(39, 60))[-1]  # long ago


def test_half_the_rate_is_said_and_never_called_drops_and_lasts(watch):
    found = kinds_of(watch, range(31, 331, 2))
    assert not any(found[:5]) and set(found[5:]) == {RATE_FELL}
    (finding,) = watch.update(round(333 * STEP_NS))
    assert finding.sentence == "5.0 images/s come, usually 10.0"
    assert not any(kinds_of(watch, range(334, 360)))  # as fast again, and no drops behind it


def test_a_rate_that_rises_is_what_is_usual_from_then_on(watch):
    assert not any(kinds_of(watch, 30 + np.arange(60) / 2))
    assert kinds_of(watch, range(60, 70))[-1] == RATE_FELL


def test_stamps_that_stand_still(watch):
    found = kinds_of(watch, [29] * 10)
    assert not any(found[:3]) and set(found[3:]) == {STAMPS_STAND_STILL}
    assert not any(kinds_of(watch, range(30, 60)))
    assert kinds_of(TimingWatch(), [0] * 9)[-1] == STAMPS_STAND_STILL  # from the start on, too


def test_a_recording_that_begins_again_is_no_fault(watch):
    assert not any(kinds_of(watch, range(40)))

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Masks that flicker, and a model that is not sure of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from t2g_core.health.findings import FLICKER, LOW_CONFIDENCE, Level
from t2g_core.health.limits import HealthLimits
from t2g_core.health.mask_watch import MaskWatch
from t2g_core.health.stream_health import FoundSince
from t2g_core.metrics.mask_stability import MaskStabilityReport

LIMITS = HealthLimits()
STEADY = MaskStabilityReport(0.1, 0.9, 0.99, 0.95, np.zeros(2), 8, 8)


def after(watch: MaskWatch, reports, confidences, limits=LIMITS) -> list:
    for number, (report, confidence) in enumerate(zip(reports, confidences, strict=True)):
        found = watch.update(report, confidence, number * 100_000_000, limits)
    return found


def test_steady_and_sure_masks_are_well():
    watch = MaskWatch(0.95)
    assert not after(watch, [STEADY] * 20, [0.94] * 20)
    assert watch.flicker == pytest.approx(0.01)
    assert watch.confidence_drop == pytest.approx(0.01)
    assert watch.confidence_trend == pytest.approx(0)


@pytest.mark.parametrize(("agreement", "level"), [(0.9, Level.WARN), (0.7, Level.ERROR)])
def test_masks_that_flicker(agreement, level):
    (finding,) = after(MaskWatch(0.95), [replace(STEADY, agreement=agreement)] * 9, [0.95] * 9)
    assert (finding.kind, finding.level) == (FLICKER, level)
    assert f"{100 - 100 * agreement:.1f} % of the pixels" in finding.sentence


def test_one_restless_pair_is_no_flicker():
    reports = [STEADY] * 8 + [replace(STEADY, agreement=0.6)]
    assert not after(MaskWatch(0.95), reports, [0.95] * 9)


def test_where_nothing_could_be_compared_nothing_is_said():
    lost = replace(STEADY, compared_share=0.05, agreement=0.0)
    watch = MaskWatch(0.95)
    assert not after(watch, [lost] * 9, [0.95] * 9)
    assert math.isnan(watch.flicker)


def test_a_model_that_is_less_sure_than_at_home_and_where_that_leads():
    falling = list(np.linspace(0.95, 0.75, 20))
    (finding,) = after(MaskWatch(0.95), [STEADY] * 20, falling)
    assert (finding.kind, finding.level) == (LOW_CONFIDENCE, Level.WARN)
    assert finding.sentence.startswith("the model is 79 % sure on average, on its own domain 95 %")
    assert "fallen by" in finding.sentence
    assert not after(MaskWatch(None), [STEADY] * 20, falling)  # nobody knows what is usual
    off = replace(LIMITS, confidence_drop_warning=0, confidence_drop_error=0)
    assert not after(MaskWatch(0.95), [STEADY] * 20, falling, off)


def test_stamps_that_stand_still_fill_nothing():
    watch = MaskWatch(0.95)
    for number in range(3000):
        watch.update(STEADY, 0.9 if number > 2900 else 0.95, 0, LIMITS)
    assert len(watch._history) == 500
    assert watch.confidence_trend < 0


def test_what_was_found_is_told_once_with_its_worst_level():
    since = FoundSince()
    watch = MaskWatch(0.95)
    for agreement in (0.7, 0.9):
        watch.reset()
        since.add(after(watch, [replace(STEADY, agreement=agreement)] * 9, [0.8] * 9))
    first, second = since.take()
    assert (first.kind, first.level) == (FLICKER, Level.ERROR)
    assert "10.0 %" in first.sentence  # the last one's
    assert second.kind == LOW_CONFIDENCE
    assert since.take() == []

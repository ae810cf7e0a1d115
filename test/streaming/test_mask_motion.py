# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The flow that masks are compared by: the method's own, or one for this alone."""

from __future__ import annotations

import numpy as np
import pytest
from small_model import small_segmenter

from t2g_core.streaming.continuity import FrameInfo
from t2g_core.streaming.mask_motion import MaskMotion
from t2g_core.streaming.video_segmenter import ClipStride, VideoSegmenter
from t2g_core.street.scene import StreetScene


@pytest.fixture(scope="module")
def images():
    return [image for image, _ in StreetScene(frames=5, width=192, height=128)]


def motions_of(head: str, images, stride: ClipStride):
    segmenter = small_segmenter(head)
    video, motion = VideoSegmenter(segmenter), MaskMotion(segmenter.input_size)
    for number, image in enumerate(images):
        info = FrameInfo(number * 66_000_000, image.shape[:2])
        segmented = video.segment(image, info, 3.0, stride)
        yield segmented, motion.update(image, segmented)


def test_the_methods_own_flow_is_taken_where_it_is_that_of_the_mask_before(images):
    pairs = list(motions_of("time2general", images, ClipStride()))
    assert pairs[0][1] is None
    for segmented, motion in pairs[1:]:
        assert segmented.motion is motion is not None


@pytest.mark.parametrize(
    ("head", "stride"), [("linear", ClipStride()), ("time2general", ClipStride(frames=3))]
)
def test_else_it_is_computed_and_is_the_same(images, head, stride):
    expected = [motion for _, motion in motions_of("time2general", images, ClipStride())][1:]
    found = [motion for _, motion in motions_of(head, images, stride)][1:]
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one.flow, other.flow, atol=1e-6)
        np.testing.assert_allclose(one.residual, other.residual, atol=1e-6)


def test_a_reset_and_another_size_have_no_motion(images):
    segmenter = small_segmenter("linear")
    video, motion = VideoSegmenter(segmenter), MaskMotion(segmenter.input_size)
    sizes = [images[0], images[1], np.ascontiguousarray(images[2][:64]), images[3]]
    found = []
    for number, image in enumerate(sizes):
        info = FrameInfo(number * 66_000_000, image.shape[:2])
        found.append(motion.update(image, video.segment(image, info, 3.0)))
    assert [one is not None for one in found] == [False, True, False, False]

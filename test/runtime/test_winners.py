# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The full-size mask is the arg-max of the enlarged probabilities, however it is computed."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from t2g_core.runtime.winners import winners
from t2g_core.torch_runtime import in_strips


def class_by_class(probs: torch.Tensor, size: tuple[int, int]):
    return winners(probs.numpy(), size)


SIZES = [(90, 60), (1, 1), (7, 300), (1500, 1000), (20, 10), (24, 15)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", [class_by_class, in_strips])
def test_winners_are_those_of_the_whole_image_resized(way, size):
    torch.manual_seed(0)
    probs = torch.rand(1, 11, 15, 24).softmax(dim=1)
    whole = torch.nn.functional.interpolate(probs, size=size[::-1], mode="bilinear")[0]
    ids, best = way(probs[0], size)
    assert ids.dtype == np.uint8 and ids.shape == best.shape == size[::-1]
    assert (ids == whole.argmax(dim=0).numpy()).mean() > 0.9999
    np.testing.assert_allclose(best, whole.amax(dim=0).numpy(), atol=1e-5)


def test_of_equal_probabilities_the_first_class_wins():
    ids, _ = winners(np.full((3, 4, 4), 1 / 3, np.float32), (8, 8))
    np.testing.assert_array_equal(ids, 0)


def test_two_hundred_classes_and_maps_that_lie_channels_last():
    torch.manual_seed(0)
    probs = torch.rand(1, 200, 6, 8).softmax(dim=1).to(memory_format=torch.channels_last)
    ids, best = winners(probs[0].numpy(), (8, 6))
    np.testing.assert_array_equal(ids, probs[0].argmax(dim=0).numpy())
    np.testing.assert_array_equal(best, probs[0].amax(dim=0).numpy())


def test_a_large_image_of_many_classes_takes_a_few_maps_of_its_size():
    probs = torch.rand(1, 40, 24, 32).softmax(dim=1)
    one_map = 1600 * 1200 * 4  # bytes
    tracemalloc.start()
    winners(probs[0].numpy(), (1600, 1200))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert one_map < peak < 4 * one_map

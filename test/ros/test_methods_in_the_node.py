# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node runs any method: one inside the encoder, and a recurrent one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from dataclasses import replace

import torch
from node_harness import message_of, picture, running
from safetensors.torch import save_file
from small_model import small_config, small_method

from t2g_core.checkpoint import save_checkpoint
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.methods.method import Method
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter


def saved(tmp_path: Path, method: Method, name: str) -> Path:
    """A checkpoint of it, its frozen encoder's weights beside it."""
    weights, config = tmp_path / "encoder.safetensors", small_config(name)
    save_file(method.encoder.vit.state_dict(), weights)
    config = replace(config, encoder=replace(config.encoder, weights=str(weights)))
    save_checkpoint(tmp_path / "model.safetensors", method, config, CAMVID_CLASSES, "test")
    return tmp_path / "model.safetensors"


def test_a_recurrent_method_runs_in_the_node(tmp_path):
    method = small_method("tv3s")
    with torch.no_grad():
        method.head.classify.weight.mul_(20)  # as drawn, one class would win everywhere
    checkpoint = saved(tmp_path, method, "tv3s")
    offline = StreamingSegmenter.from_checkpoint(checkpoint)
    with running(tmp_path, checkpoint) as harness:
        assert "a memory of all frames so far" in harness.words()
        state = offline.start()
        for number in range(3):
            image = picture(number)
            harness.segment(message_of(image, 10 + number / 10))
            result, state = offline.step(image, state, 0.1 if number else 0.0)
            mask = np.frombuffer(harness.mask[0].data, np.uint8).reshape(result.mask.shape)
            assert (mask == result.mask).mean() > 0.99
            assert math.isnan(harness.consistency[0].memory_fill)  # it does not say
    assert len(np.unique(result.mask)) > 1


@pytest.mark.long
def test_rein_runs_in_the_node_on_sliding_windows(tmp_path):
    method = small_method("rein")
    with torch.no_grad():
        method.head.query_decoder.to_class.weight.mul_(20)  # as drawn, one class wins everywhere
        method.head.query_decoder.to_mask[-1].weight.mul_(20)
        method.head.pixel_decoder.to_pixels.weight.mul_(20)
    checkpoint = saved(tmp_path, method, "rein")
    offline = StreamingSegmenter.from_checkpoint(checkpoint, windows="64/32")
    with running(tmp_path, checkpoint, windows="64/32") as harness:
        assert "no memory" in harness.words()
        for number in range(3):
            image = picture(number)
            harness.segment(message_of(image, 10 + number / 10))
            result, _ = offline.step(image, offline.start())
            mask = np.frombuffer(harness.mask[0].data, np.uint8).reshape(result.mask.shape)
            assert (mask == result.mask).mean() > 0.99
    assert len(np.unique(result.mask)) > 1

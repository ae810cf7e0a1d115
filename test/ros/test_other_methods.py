"""The node runs any method: here a recurrent one that it has never heard of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . .ci/environment.sh")

from dataclasses import replace

import torch
from node_harness import message_of, picture, running
from safetensors.torch import save_file
from small_model import small_config, small_method

from t2g_core.checkpoint import save_checkpoint
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

NODE = Path(__file__).parents[1] / "toy_node.py"


@pytest.mark.usefixtures("toys")
def test_a_recurrent_method_runs_in_the_node(tmp_path):
    method, weights = small_method("toy_recurrent"), tmp_path / "encoder.safetensors"
    save_file(method.encoder.vit.state_dict(), weights)
    config = small_config("toy_recurrent")
    config = replace(config, encoder=replace(config.encoder, weights=str(weights)))
    checkpoint = tmp_path / "model.safetensors"
    with torch.no_grad():
        method.classifier.weight.mul_(20)  # as drawn, one class would win everywhere
    save_checkpoint(checkpoint, method, config, CAMVID_CLASSES, "test")
    offline = StreamingSegmenter.from_checkpoint(checkpoint)
    with running(tmp_path, checkpoint, program=NODE) as harness:
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

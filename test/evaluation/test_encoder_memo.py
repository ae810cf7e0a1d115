# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Sharing an encoder's pass changes nothing but the time."""

from __future__ import annotations

import numpy as np
import torch
from small_model import ENCODER, small_checkpoint, small_method, small_segmenter

from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.evaluation.encoder_memo import EncoderMemo
from t2g_core.torch_runtime import TorchRuntime


def test_the_encoder_runs_once_a_frame_and_the_masks_are_the_same():
    torch.manual_seed(1)
    encoder = FrozenEncoder(ENCODER)
    runs = []
    encoder.register_forward_hook(lambda *_: runs.append(1))
    memo = EncoderMemo(encoder, images=3)
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)

    def confidences(source) -> list[np.ndarray]:
        runtime = TorchRuntime(small_checkpoint().build(encoder=source))
        segmenter = small_segmenter().with_runtime(runtime)
        state, out = segmenter.start(), []
        for frame in frames:
            result, state = segmenter.step(frame, state)
            out.append(result.confidence)
        return out

    first, second = confidences(memo), confidences(memo)
    assert len(runs) == 3
    assert all(map(np.array_equal, first, second))
    assert all(map(np.array_equal, first, confidences(encoder)))
    memo.images = 2
    confidences(memo)
    assert len(runs) == 6  # held no longer: frame 0 pushed out frame 1, and so on


def test_what_an_adapter_rewrites_is_kept_for_it_alone():
    method = small_method("rein")
    other = small_method("rein")
    with torch.no_grad():
        method.adapter.scale.fill_(0.3)
    encoder, runs = method.encoder, []
    encoder.register_forward_hook(lambda *_: runs.append(1))
    images = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        alone = method.encode(images)[-1]
        method.encoder = other.encoder = EncoderMemo(encoder)
        runs.clear()
        found = [one.encode(images)[-1] for one in (method, other, method, other)]
    assert len(runs) == 2
    assert torch.equal(found[0], alone) and found[0] is not found[1]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])
    assert not torch.equal(found[0], found[1])

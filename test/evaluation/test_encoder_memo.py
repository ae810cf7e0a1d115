"""Sharing an encoder's pass changes nothing but the time."""

from __future__ import annotations

import numpy as np
import torch
from small_model import ENCODER, small_checkpoint, small_segmenter

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

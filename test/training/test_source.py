# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What says that encoded frames on disk are still those of this source and encoder."""

from __future__ import annotations

import pytest
import torch

from t2g_core.encoders.frozen_vit import EncoderConfig, FrozenEncoder
from t2g_core.training.source import weights_fingerprint


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_an_encoder_has_one_print_whatever_the_number_of_threads(threads):
    """The real one, whose patch embedding is resampled from 14 to 16 pixels."""
    fingerprints = set()
    for count in (1, 2):
        threads(count)
        fingerprints.add(weights_fingerprint(FrozenEncoder(EncoderConfig())))
    assert len(fingerprints) == 1


def test_other_weights_have_another_print():
    encoder = FrozenEncoder(EncoderConfig("vit_tiny_patch16_224", "random"))
    before = weights_fingerprint(encoder)
    assert weights_fingerprint(encoder) == before
    with torch.no_grad():
        encoder.vit.blocks[3].mlp.fc1.bias[7] += 1e-6
    assert weights_fingerprint(encoder) != before

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Names of devices and precisions, and what `auto` takes."""

from __future__ import annotations

import pytest
import torch

from t2g_core.device import find_device, find_precision


def test_what_is_asked_for_is_taken_and_a_wrong_name_is_said():
    assert find_device("cpu") == "cpu"
    assert [find_precision(name, "cpu") for name in ("bf16", "fp32")] == ["bf16", "fp32"]
    with pytest.raises(ValueError, match="expected auto, cpu, .* got 'gpu'"):
        find_device("gpu")
    with pytest.raises(ValueError, match="expected auto, bf16 or fp32, got 'fp16'"):
        find_precision("fp16", "cpu")
    with pytest.raises(ValueError, match=r"cuda:99: PyTorch .* sees \d+ CUDA GPUs"):
        find_device("cuda:99")


@pytest.mark.parametrize(
    ("units", "precision"),
    [({"avx512_bf16"}, "bf16"), ({"amx_bf16"}, "bf16"), ({"bf16"}, "bf16"), ({"avx2"}, "fp32")],
)
def test_auto_is_bf16_where_the_processor_multiplies_it(monkeypatch, units, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(units, True))
    assert find_precision("auto", "cpu") == precision

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Puts this folder, with the helpers that tests share, on the path of the folders below it."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Tests that repeat a check on one more method or size at a cost of many seconds: `long`."""
    config.addinivalue_line("markers", "long: only in `make test-long`")


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(params=["cpu", "cuda"])
def device(request) -> str:
    """Where a model runs: here, and on a GPU where there is one."""
    if request.param == "cuda" and not has_gpu():
        pytest.skip("PyTorch sees no CUDA GPU on this machine")
    return request.param

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One small export for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.cli import main


@pytest.fixture(scope="session")
def made(tmp_path_factory, worker_id) -> Path:
    """A folder with `small.safetensors` and its export `small`, made by one of several workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "made"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            write_vit_s_checkpoint(folder / "small.safetensors", clip_length=3)
            words = [str(folder / "small.safetensors"), "--out", str(folder / "small")]
            assert main(["export", *words]) == 0
    return folder


@pytest.fixture(scope="session")
def checkpoint(made) -> Path:
    return made / "small.safetensors"


@pytest.fixture(scope="session")
def exported(made) -> Path:
    return made / "small"

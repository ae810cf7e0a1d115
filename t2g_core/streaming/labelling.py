# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a model's class ids mean, without loading the model."""

from __future__ import annotations

from pathlib import Path

from t2g_core.runtime.manifest import is_export, read_manifest
from t2g_core.runtime.runtime import Labelling


def read_labelling(path: Path | None) -> Labelling:
    """Of a checkpoint (None: the shipped one) or a folder of `t2g export`."""
    if path is not None and is_export(path):
        return read_manifest(path).labelling
    from t2g_core.checkpoint import load_checkpoint

    return load_checkpoint(path).labelling

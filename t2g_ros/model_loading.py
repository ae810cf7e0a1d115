# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From the node's parameters to a model that is ready; slow, so it is done in the background."""

from __future__ import annotations

import importlib
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from t2g_core.processor import set_threads
from t2g_core.runtime.manifest import is_export
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter


@dataclass(frozen=True)
class Model:
    """A segmenter that is warm, the device it is on, and its checkpoint: a path, or `shipped`.

    seconds: what loading it took, by part.
    """

    segmenter: StreamingSegmenter
    device: str
    checkpoint: str
    seconds: dict[str, float] = field(default_factory=dict)

    def describe(self) -> str:
        """Checkpoint, device, precision, classes and memory in a line."""
        segmenter = self.segmenter
        return (
            f"{self.checkpoint} on {self.device} in {segmenter.precision}, "
            f"{len(segmenter.class_names)} classes, {memory_of(segmenter)}"
        )


def path_of(checkpoint: str) -> Path | None:
    """Of a checkpoint as the parameter names it, `~` allowed; None for the shipped one."""
    return Path(checkpoint).expanduser() if checkpoint else None


def import_libraries(checkpoint: str) -> None:
    """What the checkpoint will need: seconds, for PyTorch."""
    path = path_of(checkpoint)
    exported = path is not None and is_export(path)
    importlib.import_module("onnxruntime" if exported else "t2g_core.torch_runtime")


def load_model(
    checkpoint: str,
    device: str,
    precision: str,
    encoder_weights: str,
    windows: str,
    threads: int,
) -> Model:
    """Load the checkpoint and its encoder onto the device, and segment one grey image.

    checkpoint: path, `~` allowed; empty for the shipped one. the others: see the
    parameters.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: no such checkpoint, not one, or no such device.
    """
    set_threads(threads)
    times = [time.monotonic()]
    path = path_of(checkpoint)
    segmenter = StreamingSegmenter.from_checkpoint(
        path, device, encoder_weights, precision, windows
    )
    times.append(time.monotonic())
    width, height = segmenter.input_size
    segmenter.step(np.full((height, width, 3), 127, np.uint8), segmenter.start())
    times.append(time.monotonic())
    seconds = [later - earlier for earlier, later in itertools.pairwise(times)]
    parts = dict(zip(("weights", "first mask"), seconds, strict=True))
    return Model(segmenter, segmenter.device, checkpoint or "shipped", parts)


def memory_of(segmenter: StreamingSegmenter) -> str:
    """What its method looks back on, in words."""
    if segmenter.recurrent:
        return "a memory of all frames so far"
    return f"clips of {segmenter.clip_length} frames" if segmenter.clip_length > 1 else "no memory"

"""From the node's parameters to a model that is ready; slow, so it is done in the background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from t2g_core.device import find_device

if TYPE_CHECKING:
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter


@dataclass(frozen=True)
class Model:
    """A segmenter that is warm, the device it is on, and its checkpoint: a path, or `shipped`."""

    segmenter: StreamingSegmenter
    device: str
    checkpoint: str


def load_model(checkpoint: str, device: str, precision: str, encoder_weights: str) -> Model:
    """Load the checkpoint and its encoder onto the device, and segment one grey image.

    checkpoint: path, `~` allowed; empty for the shipped one. device, precision, encoder_weights:
    see the parameters.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: no such checkpoint, not one, or no such device.
    """
    # PyTorch takes seconds to import: the node is up, and says so, before that.
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

    device = find_device(device)
    path = Path(checkpoint).expanduser() if checkpoint else None
    segmenter = StreamingSegmenter.from_checkpoint(path, device, encoder_weights, precision)
    width, height = segmenter.input_size
    segmenter.step(np.full((height, width, 3), 127, np.uint8), segmenter.start())
    return Model(segmenter, device, checkpoint or "shipped")

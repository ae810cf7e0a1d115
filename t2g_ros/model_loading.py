"""From the node's parameters to a model that is ready; slow, so the inference thread does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from t2g_core.device import find_device

if TYPE_CHECKING:
    from t2g_core.streaming.video_segmenter import VideoSegmenter


def load_video_segmenter(
    checkpoint: str, device: str, precision: str, encoder_weights: str, consistency_window: int
) -> tuple[VideoSegmenter, str]:
    """Load the checkpoint and its encoder onto the device; return them with the device's name.

    checkpoint: path, `~` allowed; empty for the shipped one. device, precision, encoder_weights:
    see the parameters.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: no such checkpoint, not one, or no such device.
    """
    # PyTorch takes seconds to import: the node is up, and says so, before that.
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
    from t2g_core.streaming.video_segmenter import VideoSegmenter

    device = find_device(device)
    path = Path(checkpoint).expanduser() if checkpoint else None
    segmenter = StreamingSegmenter.from_checkpoint(path, device, encoder_weights, precision)
    return VideoSegmenter(segmenter, consistency_window), device

"""Frame by frame: the only door between pixels and tensors."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from t2g_core.build import build_encoder
from t2g_core.checkpoint import Checkpoint, load_checkpoint
from t2g_core.device import AUTO, BF16, find_precision
from t2g_core.encoders.preprocess import fit_size, normalise, resize
from t2g_core.methods.frozen_tokens import Encoder, FramePath
from t2g_core.methods.method import Features, Method, State
from t2g_core.methods.running_mean import RunningMean
from t2g_core.methods.time2general.motion_aware_mean import USUAL_STEP_S
from t2g_core.streaming.enlarge import winners


@dataclass(frozen=True)
class StreamState:
    """A method's state and the frames it rests on, at most T; a value: `step` returns a new one."""

    method: State
    fill: int = 0


@dataclass(frozen=True)
class SegmentationResult:
    """mask (H, W) uint8 class ids; confidence (H, W) uint8, 255 times the winning probability."""

    mask: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class EncodedFrame:
    """A frame after `encode`, which several segmenters of one encoder can share."""

    features: Features
    size: tuple[int, int]  # width, height of the frame itself


class StreamingSegmenter:
    """Masks from frames, one at a time, each decoded from the last T frames.

    A frame is encoded once; what later masks need of it is kept in the state.
    """

    def __init__(
        self, checkpoint: Checkpoint, encoder: Encoder, device: str = "cpu", precision: str = AUTO
    ):
        """precision: what products are computed in, one of `device.PRECISIONS`."""
        model = checkpoint.model.to(memory_format=torch.channels_last)  # as tokens lie
        self.method: Method = model.with_encoder(encoder)
        self.device = device
        self.precision = find_precision(precision, device)
        self.input_size = checkpoint.config.input_size
        self.class_names = checkpoint.class_names
        self.palette = np.array(checkpoint.palette, np.uint8)
        self.clip_length = self.method.clip_length

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path | None = None,
        device: str = "cpu",
        encoder_weights: str | None = None,
        precision: str = AUTO,
    ) -> StreamingSegmenter:
        """Load a checkpoint (None: the shipped one) and the frozen encoder that it names.

        encoder_weights: where the encoder's weights are, if not where they were at the training:
        a value of the config's `encoder.weights`. precision: see `__init__`.
        """
        checkpoint = load_checkpoint(path, device)
        config = checkpoint.config
        if encoder_weights:
            config = replace(config, encoder=replace(config.encoder, weights=encoder_weights))
        return cls(checkpoint, build_encoder(config, device), device, precision)

    def with_running_mean(self, weight: float) -> StreamingSegmenter:
        """The same frame-by-frame segmenter with a running mean over its probabilities.

        Raises:
            ValueError: a weight outside 0 to 1, or a method that has a memory already.
        """
        smoothed = copy.copy(self)
        smoothed.method = RunningMean(self.method, weight)
        return smoothed

    def frame_path_alone(self) -> StreamingSegmenter:
        """The same model without its queries and its memory: what it sees in each frame alone.

        Raises:
            ValueError: a model whose frame path gives no masks by itself.
        """
        alone = copy.copy(self)
        alone.method = FramePath(self.method)
        alone.clip_length = 1
        return alone

    def start(self) -> StreamState:
        """The state before the first frame."""
        return StreamState(self.method.start())

    def step(
        self, frame: np.ndarray, state: StreamState, step_s: float = USUAL_STEP_S
    ) -> tuple[SegmentationResult, StreamState]:
        """Segment the newest frame.

        frame (H, W, 3) uint8 RGB of any size; step_s: time since the frame that left the state [s],
        0 where nobody knows: a memory trusts a past of long ago less. Returns the result at the
        frame's size and the state for the next frame; `state` itself is unchanged.

        Raises:
            ValueError: the frame has another shape or dtype.
        """
        return self.step_encoded(self.encode(frame), state, step_s)

    def encode(self, frame: np.ndarray) -> EncodedFrame:
        """Resize, normalise and encode a frame (H, W, 3) uint8 RGB."""
        features = self.encode_images(self.prepare(frame))
        return EncodedFrame(features, (frame.shape[1], frame.shape[0]))

    def encode_together(self, frames: Sequence[np.ndarray]) -> list[EncodedFrame]:
        """`encode` of several cameras' frames; those that are resized to one size in one pass."""
        prepared = [self.prepare(frame) for frame in frames]
        alike: dict[torch.Size, list[int]] = {}
        for number, images in enumerate(prepared):
            alike.setdefault(images.shape, []).append(number)
        features: dict[int, Features] = {}
        for numbers in alike.values():
            together = self.encode_images(torch.cat([prepared[number] for number in numbers]))
            features |= zip(numbers, self.method.split(together), strict=True)
        return [
            EncodedFrame(features[number], (frame.shape[1], frame.shape[0]))
            for number, frame in enumerate(frames)
        ]

    def prepare(self, frame: np.ndarray) -> torch.Tensor:
        """A frame (H, W, 3) uint8 RGB -> (1, 3, h, w), resized and normalised, on the device."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
            raise ValueError(f"expected (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
        size = fit_size((frame.shape[1], frame.shape[0]), self.input_size)
        resized = resize(frame, size)
        return normalise(torch.from_numpy(resized).to(self.device))[None]

    @torch.inference_mode()
    def encode_images(self, images: torch.Tensor) -> Features:
        """Prepared images (B, 3, h, w) -> the method's features of them."""
        with self.autocast():
            return self.method.encode(images)

    @torch.inference_mode()
    def step_encoded(
        self, frame: EncodedFrame, state: StreamState, step_s: float = USUAL_STEP_S
    ) -> tuple[SegmentationResult, StreamState]:
        """`step` for a frame that is encoded already."""
        with self.autocast():
            probs, after = self.method.step(frame.features, state.method, step_s)
        fill = min(state.fill + 1, self.clip_length)
        return to_result(probs, frame.size), StreamState(after, fill)

    @torch.inference_mode()
    def segment_clip(
        self, frames: Sequence[np.ndarray], step_s: float = USUAL_STEP_S
    ) -> list[SegmentationResult]:
        """The clip model: masks of all frames, each decoded from the whole clip.

        frames: 1 to T arrays (H, W, 3) uint8 RGB, oldest first; step_s: time between two [s].

        Raises:
            ValueError: no frame, or more than T.
        """
        if not 0 < len(frames) <= self.clip_length:
            raise ValueError(f"expected 1 to {self.clip_length} frames, got {len(frames)}")
        encoded = [self.encode(frame) for frame in frames]
        with self.autocast():
            probs = self.method.clip([e.features for e in encoded], step_s)
        return [to_result(p, e.size) for p, e in zip(probs, encoded, strict=True)]

    def autocast(self) -> torch.autocast:
        """As in training: products in bfloat16, what needs more in float32 (Eq. 6)."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == BF16)


def to_result(probs: torch.Tensor, size: tuple[int, int]) -> SegmentationResult:
    """Probabilities (1, K, h, w) -> mask and confidence at (width, height), bilinear between.

    Raises:
        FloatingPointError: a probability is NaN or infinite.
    """
    if not torch.isfinite(probs).all():
        raise FloatingPointError("the model's probabilities are not finite")
    mask, best = winners(probs[0].float(), size)
    return SegmentationResult(mask, cv2.convertScaleAbs(best, alpha=255))

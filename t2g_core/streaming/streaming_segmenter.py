# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Frame by frame: the only door between pixels and a model, whatever runs it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from t2g_core.device import AUTO
from t2g_core.images.model_input import Prepared
from t2g_core.images.motion import USUAL_STEP_S, Motion
from t2g_core.images.windows import Windows, read_windows
from t2g_core.runtime.runtime import Arrays, Labelling, Runtime


@dataclass(frozen=True)
class EncodedFrame:
    """A frame after `encode`, which several segmenters of one encoder can share."""

    features: Arrays
    motion_image: np.ndarray | None  # see `Prepared`
    size: tuple[int, int]  # width, height of the frame itself
    input_size: tuple[int, int]  # and of the image that was encoded


@dataclass(frozen=True)
class StreamState:
    """What a stream keeps; a value: `step` returns a new one.

    method: the method's state, None before the first frame. motion_image, size, input_size: of the
    frame that left it: what motion is found from, its width and height, those it was encoded at.
    memory_fill: share of its memory that the method has filled, 0 to 1; None: it does not say.
    motion: the optical flow of that frame against the one whose state it followed, where the method
    has found it; None for a method that follows no flow.
    """

    method: Any = None
    motion_image: np.ndarray | None = None
    size: tuple[int, int] | None = None
    input_size: tuple[int, int] | None = None
    memory_fill: float | None = None
    motion: Motion | None = None


@dataclass(frozen=True)
class SegmentationResult:
    """mask (H, W) uint8 class ids; confidence (H, W) uint8, 255 times the winning probability."""

    mask: np.ndarray
    confidence: np.ndarray


class StreamingSegmenter:
    """Masks from frames, one at a time, by any model and runtime.

    A frame is encoded once; what later masks need of it is kept in the state.
    """

    def __init__(self, runtime: Runtime, labelling: Labelling):
        self.runtime, self.labelling = runtime, labelling
        self.input_size, self.class_names = labelling.input_size, labelling.class_names
        self.palette = np.array(labelling.palette, np.uint8)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path | None = None,
        device: str = "cpu",
        encoder_weights: str | None = None,
        precision: str = AUTO,
        windows: str = "",
    ) -> StreamingSegmenter:
        """Load a checkpoint (None: the shipped one) and the frozen encoder that it names.

        path: a folder of `t2g export` will do as well, which runs without PyTorch. device: `auto`,
        `cpu`, `cuda` or `cuda:N`; of an export also `tensorrt` and `openvino`. encoder_weights:
        see `Checkpoint.build`. precision: one of `device.PRECISIONS`; an export has its own.
        windows: SIZE/STRIDE in pixels, for example 512/341, over which a frame's probabilities are
        averaged; empty or `none`: the whole frame at once.

        Raises:
            FileNotFoundError, ValueError: see `load_checkpoint`, `OnnxRuntime`; encoder weights or
                windows are given for an export, which holds its own and sees whole frames.
        """
        if path is not None and Path(path).is_dir():
            from t2g_core.runtime.onnx_runtime import OnnxRuntime

            if encoder_weights:
                raise ValueError(f"encoder_weights: the export {path} holds its own")
            if read_windows(windows):
                raise ValueError(f"windows: the export {path} sees whole frames, got {windows}")
            exported = OnnxRuntime(Path(path), device, precision)
            return cls(exported, exported.manifest.labelling)
        return cls(*_by_torch(path, device, encoder_weights, precision, read_windows(windows)))

    def with_runtime(self, runtime: Runtime) -> StreamingSegmenter:
        """The same door to another model of the same classes."""
        other = copy.copy(self)
        other.runtime = runtime
        return other

    @property
    def device(self) -> str:
        """What the model runs on."""
        return self.runtime.device

    @property
    def precision(self) -> str:
        """What its products are computed in."""
        return self.runtime.precision

    @property
    def clip_length(self) -> int:
        """T, the most frames that `segment_clip` takes."""
        return self.runtime.clip_length

    @property
    def recurrent(self) -> bool:
        """Whether a video must not be cut into clips."""
        return self.runtime.recurrent

    def start(self) -> StreamState:
        """The state before the first frame."""
        return StreamState()

    def step(
        self, frame: np.ndarray, state: StreamState, step_s: float = USUAL_STEP_S
    ) -> tuple[SegmentationResult, StreamState]:
        """Segment the newest frame.

        frame (H, W, 3) uint8 RGB of any size; step_s: time since the frame that left the state [s],
        0 where nobody knows: a memory trusts a past of long ago less. Returns the result at the
        frame's size and the state for the next frame; `state` itself is unchanged.

        Raises:
            ValueError: the frame has another shape or dtype, or the state is of frames of another
                size.
            FloatingPointError: a probability is NaN or infinite.
        """
        return self.step_encoded(self.encode(frame), state, step_s)

    def encode(self, frame: np.ndarray) -> EncodedFrame:
        """Resize, normalise and encode a frame (H, W, 3) uint8 RGB."""
        (encoded,) = self.encode_together([frame])
        return encoded

    def encode_together(self, frames: Sequence[np.ndarray]) -> list[EncodedFrame]:
        """`encode` of several cameras' frames; those that are resized to one size in one pass."""
        prepared = [self.prepare(frame) for frame in frames]
        alike: dict[tuple[int, ...], list[int]] = {}
        for number, one in enumerate(prepared):
            alike.setdefault(one.image.shape, []).append(number)
        features: dict[int, Arrays] = {}
        for numbers in alike.values():
            images = np.stack([prepared[number].image for number in numbers])
            features |= zip(numbers, self.runtime.encode(images), strict=True)
        return [
            EncodedFrame(
                features[number], one.motion_image, width_height(frame), width_height(one.image)
            )
            for number, (frame, one) in enumerate(zip(frames, prepared, strict=True))
        ]

    def prepare(self, frame: np.ndarray) -> Prepared:
        """A frame (H, W, 3) uint8 RGB as the method wants it, on the host."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
            raise ValueError(f"expected (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
        return self.runtime.prepare(frame, self.input_size)

    def step_encoded(
        self, frame: EncodedFrame, state: StreamState, step_s: float = USUAL_STEP_S
    ) -> tuple[SegmentationResult, StreamState]:
        """`step` for a frame that is encoded already."""
        probs, after = self.step_probs(frame, state, step_s)
        return self.to_result(probs, frame.size), after

    def step_probs(
        self, frame: EncodedFrame, state: StreamState, step_s: float = USUAL_STEP_S
    ) -> tuple[Any, StreamState]:
        """`step_encoded` up to the runtime's probabilities (1, K, h, w), not yet enlarged."""
        motion = self._motion(frame, state)
        first = state.input_size is None
        before = self.runtime.start(frame.features) if first else state.method
        probs, after = self.runtime.step(frame.features, before, motion, step_s)
        kept = StreamState(
            after,
            frame.motion_image,
            frame.size,
            frame.input_size,
            self.runtime.memory_fill(after),
            motion if isinstance(motion, Motion) else None,
        )
        return probs, kept

    def _motion(self, frame: EncodedFrame, state: StreamState) -> Arrays:
        if state.input_size is not None and state.input_size != frame.input_size:
            raise ValueError(
                f"a frame of {frame.size[0]}x{frame.size[1]} pixels cannot follow one of "
                f"{state.size[0]}x{state.size[1]}: expected the same shape, or a state of `start`"
            )
        return self.runtime.motion(frame.motion_image, state.motion_image)

    def segment_clip(
        self, frames: Sequence[np.ndarray], step_s: float = USUAL_STEP_S
    ) -> list[SegmentationResult]:
        """The clip model: masks of all frames, each decoded from the whole clip.

        frames: 1 to T arrays (H, W, 3) uint8 RGB, oldest first; step_s: time between two [s].

        Raises:
            ValueError: no frame, or more than T; an export, which only streams.
        """
        if not 0 < len(frames) <= self.clip_length:
            raise ValueError(f"expected 1 to {self.clip_length} frames, got {len(frames)}")
        encoded = [self.encode(frame) for frame in frames]
        seen = [None, *(e.motion_image for e in encoded)]
        motions = [self.runtime.motion(now, before) for before, now in itertools.pairwise(seen)]
        probs = self.runtime.clip([e.features for e in encoded], motions, step_s)
        return [self.to_result(p, e.size) for p, e in zip(probs, encoded, strict=True)]

    def to_result(self, probs: Any, size: tuple[int, int]) -> SegmentationResult:
        """The runtime's probabilities (1, K, h, w) -> mask and confidence at (width, height)."""
        mask, best = self.runtime.winners(probs, size)
        return SegmentationResult(mask, cv2.convertScaleAbs(best, alpha=255))


def width_height(image: np.ndarray) -> tuple[int, int]:
    """Of (H, W, 3)."""
    return image.shape[1], image.shape[0]


def _by_torch(
    path: str | Path | None,
    device: str,
    encoder_weights: str | None,
    precision: str,
    windows: Windows | None,
) -> tuple[Runtime, Labelling]:
    try:
        from t2g_core.checkpoint import load_checkpoint
        from t2g_core.methods.sliding_windows import windowed
        from t2g_core.torch_runtime import TorchRuntime
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "timm", "safetensors"):
            raise
        raise ValueError(
            f"{path or 'the shipped checkpoint'} needs PyTorch ({error}): pip install "
            "'t2g_ros[torch]', or give a folder that `t2g export` made on another machine"
        ) from error
    from t2g_core.device import find_device

    found, device = load_checkpoint(path), find_device(device)
    method = windowed(found.build(device, encoder_weights), windows)
    runtime = TorchRuntime(method, device, precision)
    return runtime, found.labelling

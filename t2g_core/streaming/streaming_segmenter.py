"""Frame by frame: the only door between pixels and tensors."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from t2g_core.checkpoint import load_checkpoint
from t2g_core.device import AUTO, BF16, FP32, find_precision
from t2g_core.methods.method import USUAL_STEP_S, Features, Method, Motion, Prepared, State, split
from t2g_core.runtime.exported_method import ExportedMethod
from t2g_core.streaming.enlarge import winners


@dataclass(frozen=True)
class EncodedFrame:
    """A frame after `encode`, which several segmenters of one encoder can share."""

    features: Features
    motion_image: np.ndarray | None  # see `Prepared`
    size: tuple[int, int]  # width, height of the frame itself


@dataclass(frozen=True)
class StreamState:
    """What a stream keeps; a value: `step` returns a new one.

    method: the method's state, None before the first frame. motion_image, size, shapes: of the
    frame that left it: what motion is found from, its width and height, the shapes of its features.
    memory_fill: share of its memory that the method has filled, 0 to 1; None: it does not say.
    """

    method: State | None = None
    motion_image: np.ndarray | None = None
    size: tuple[int, int] | None = None
    shapes: tuple[torch.Size, ...] | None = None
    memory_fill: float | None = None


@dataclass(frozen=True)
class SegmentationResult:
    """mask (H, W) uint8 class ids; confidence (H, W) uint8, 255 times the winning probability."""

    mask: np.ndarray
    confidence: np.ndarray


class StreamingSegmenter:
    """Masks from frames, one at a time, by any method.

    A frame is encoded once; what later masks need of it is kept in the state.
    """

    def __init__(
        self,
        method: Method,
        input_size: tuple[int, int],
        class_names: Sequence[str],
        palette: Sequence[tuple[int, int, int]],
        device: str = "cpu",
        precision: str = AUTO,
    ):
        """method: in eval mode, on the device; it is not changed. input_size: width, height that
        give the area a frame is resized to. precision: what products are computed in, one of
        `device.PRECISIONS`."""
        self.method = method
        self.device = device
        self.precision = find_precision(precision, device)
        self.input_size = input_size
        self.class_names = tuple(class_names)
        self.palette = np.array(palette, np.uint8)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path | None = None,
        device: str = "cpu",
        encoder_weights: str | None = None,
        precision: str = AUTO,
    ) -> StreamingSegmenter:
        """Load a checkpoint (None: the shipped one) and the frozen encoder that it names.

        path: a folder of `t2g export` will do as well, whose graphs then run on the device, in
        float32. encoder_weights: see `Checkpoint.build`; precision: see `__init__`.

        Raises:
            FileNotFoundError, ValueError: see `load_checkpoint`, `ExportedMethod`; encoder weights
                are given for an export, which holds its own.
        """
        if path is not None and Path(path).is_dir():
            return cls._from_export(Path(path), device, encoder_weights)
        found = load_checkpoint(path)
        method = found.build(device, encoder_weights)
        size = found.config.input_size
        return cls(method, size, found.class_names, found.palette, device, precision)

    @classmethod
    def _from_export(
        cls, folder: Path, device: str, encoder_weights: str | None
    ) -> StreamingSegmenter:
        if encoder_weights:
            raise ValueError(f"encoder_weights: the export {folder} holds its own")
        method = ExportedMethod(folder, device)
        found = method.manifest  # tensors stay on the CPU beside the graphs
        return cls(method, found.size, found.class_names, found.palette, "cpu", FP32)

    def with_method(self, method: Method) -> StreamingSegmenter:
        """The same door to another method of the same classes."""
        other = copy.copy(self)
        other.method = method
        return other

    @property
    def clip_length(self) -> int:
        """T, the most frames that `segment_clip` takes."""
        return self.method.clip_length

    @property
    def recurrent(self) -> bool:
        """Whether a video must not be cut into clips."""
        return self.method.recurrent

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
        features: dict[int, Features] = {}
        for numbers in alike.values():
            together = self.encode_images([prepared[number].image for number in numbers])
            features |= zip(numbers, split(together), strict=True)
        return [
            EncodedFrame(features[number], one.motion_image, (frame.shape[1], frame.shape[0]))
            for number, (frame, one) in enumerate(zip(frames, prepared, strict=True))
        ]

    def prepare(self, frame: np.ndarray) -> Prepared:
        """A frame (H, W, 3) uint8 RGB as the method wants it, on the host."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
            raise ValueError(f"expected (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
        return self.method.prepare(frame, self.input_size)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[np.ndarray]) -> Features:
        """Prepared images (h, w, 3) uint8 of one size -> the method's features of them."""
        batch = torch.from_numpy(np.stack(images)).to(self.device)
        with self.autocast():
            return self.method.encode(batch)

    @torch.inference_mode()
    def step_encoded(
        self, frame: EncodedFrame, state: StreamState, step_s: float = USUAL_STEP_S
    ) -> tuple[SegmentationResult, StreamState]:
        """`step` for a frame that is encoded already."""
        probs, after = self.step_probs(frame, state, step_s)
        return to_result(probs, frame.size), after

    @torch.inference_mode()
    def step_probs(
        self, frame: EncodedFrame, state: StreamState, step_s: float = USUAL_STEP_S
    ) -> tuple[torch.Tensor, StreamState]:
        """`step_encoded` up to the probabilities (1, K, h, w), before they are enlarged."""
        probs, after = self.decode(frame, state, step_s)
        return probs, StreamState(
            after,
            frame.motion_image,
            frame.size,
            shapes_of(frame.features),
            self.method.memory_fill(after),
        )

    @torch.inference_mode()
    def decode(
        self, frame: EncodedFrame, state: StreamState, step_s: float = USUAL_STEP_S
    ) -> tuple[torch.Tensor, State]:
        """Probabilities (1, K, h, w) of the newest frame, and the method's state after it."""
        first = state.shapes is None
        if not first and state.shapes != shapes_of(frame.features):
            raise ValueError(
                f"a frame of {frame.size[0]}x{frame.size[1]} pixels cannot follow one of "
                f"{state.size[0]}x{state.size[1]}: expected the same shape, or a state of `start`"
            )
        motion = self.motion(frame.motion_image, state.motion_image)
        with self.autocast():
            before = self.method.start(frame.features) if first else state.method
            return self.method.step(frame.features, before, motion, step_s)

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> Motion:
        """What the method asks of the host about two frames' motion images, on the device."""
        return tuple(x.to(self.device) for x in self.method.motion(now, before))

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
        seen = [None, *(e.motion_image for e in encoded)]
        motions = [self.motion(now, before) for before, now in itertools.pairwise(seen)]
        with self.autocast():
            probs = self.method.clip([e.features for e in encoded], motions, step_s)
        return [to_result(p, e.size) for p, e in zip(probs, encoded, strict=True)]

    def autocast(self) -> torch.autocast:
        """As in training: products in bfloat16, what needs more in float32 (Eq. 6)."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == BF16)


def shapes_of(features: Features) -> tuple[torch.Size, ...]:
    """Of all its tensors."""
    return tuple(x.shape for x in features)


def to_result(probs: torch.Tensor, size: tuple[int, int]) -> SegmentationResult:
    """Probabilities (1, K, h, w) -> mask and confidence at (width, height), bilinear between.

    Raises:
        FloatingPointError: a probability is NaN or infinite.
    """
    if not torch.isfinite(probs).all():
        raise FloatingPointError("the model's probabilities are not finite")
    mask, best = winners(probs[0].float(), size)
    return SegmentationResult(mask, cv2.convertScaleAbs(best, alpha=255))

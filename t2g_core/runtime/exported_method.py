"""A method whose tensor parts are ONNX graphs: everything that takes a method takes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from t2g_core.encoders.preprocess import fit_size, resize
from t2g_core.methods.method import Features, Method, Motion, Prepared, State, StepS
from t2g_core.methods.time2general.image_motion import motion as dis_flow
from t2g_core.methods.time2general.image_motion import structure
from t2g_core.runtime.manifest import ENCODER, STEP, Manifest, read_manifest
from t2g_core.runtime.sessions import open_session


class ExportedMethod(Method):
    """Streams frames of one size, one at a time. Tensors stay on the CPU between the graphs."""

    def __init__(self, folder: Path, device: str = "cpu"):
        """folder: of `t2g export`; device: `cpu`, `cuda` or `cuda:N`.

        Raises:
            FileNotFoundError, ValueError: see `read_manifest` and `open_session`.
        """
        torch.nn.Module.__init__(self)
        self.manifest: Manifest = read_manifest(folder)
        self.num_classes = len(self.manifest.class_names)
        self.clip_length, self.recurrent = self.manifest.clip_length, self.manifest.recurrent
        threads = torch.get_num_threads()
        self._encoder = open_session(folder / ENCODER, device, threads)
        self._step = open_session(folder / STEP, device, threads)

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """At the size of the export.

        Raises:
            ValueError: frames of this aspect ratio are resized to another size.
        """
        fitted = fit_size((frame.shape[1], frame.shape[0]), size)
        if fitted != self.manifest.size:
            raise ValueError(
                f"this export takes {_text(self.manifest.size)}, and a frame of "
                f"{frame.shape[1]}x{frame.shape[0]} is resized to {_text(fitted)}: "
                f"`t2g export --size {_text(fitted)}` makes one for it"
            )
        image = resize(frame, fitted)
        return Prepared(image, None if self.manifest.motion is None else structure(image))

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> Motion:
        """As the manifest says."""
        return () if now is None else dis_flow(now, before)

    def encode(self, images: torch.Tensor) -> Features:
        """images (B, h, w, 3) uint8 -> features, one image after the other."""
        found = [self._encoder.run(None, {"image": image[None].numpy()}) for image in images]
        return tuple(torch.from_numpy(np.concatenate(parts)) for parts in zip(*found, strict=True))

    def start(self, features: Features) -> State:
        """Zeros."""
        del features
        return tuple(
            torch.from_numpy(np.zeros(spec.shape, spec.dtype)) for spec in self.manifest.state
        )

    def step(
        self, features: Features, state: State, motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, State]:
        """One frame, B = 1."""
        m = self.manifest
        step_s = torch.as_tensor(step_s, dtype=torch.float32).reshape(1)
        specs = (*m.features, *m.state, *m.motions)
        tensors = (*features, *state, *motion)
        feed = {s.name: x.numpy() for s, x in zip(specs, tensors, strict=True)}
        takes = {i.name for i in self._step.get_inputs()}  # a graph drops what it does not read
        feed["step_s"] = step_s.numpy()
        found = self._step.run(None, {name: x for name, x in feed.items() if name in takes})
        probs, *after = (torch.from_numpy(x) for x in found)
        return probs, tuple(after)

    def memory_fill(self, state: State) -> float | None:
        """By the state that counts."""
        if self.manifest.count is None or self.clip_length == 1:
            return None
        names = [spec.name for spec in self.manifest.state]
        return float(state[names.index(self.manifest.count)].min()) / self.clip_length


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"

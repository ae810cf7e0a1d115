# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The graphs of `t2g export` as a runtime, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import cv2
import numpy as np
from PIL import Image

from t2g_core.device import AUTO, OPENVINO
from t2g_core.images.model_input import Prepared, fit_size, resize
from t2g_core.images.motion import motion as dis_flow
from t2g_core.images.motion import structure
from t2g_core.processor import thread_count
from t2g_core.runtime.engines import (
    Engine,
    EngineMissing,
    Graph,
    as_array,
    find_engine,
    load_graph,
)
from t2g_core.runtime.manifest import ENCODER, START, STEP, Manifest, TensorSpec, read_manifest
from t2g_core.runtime.runtime import Arrays
from t2g_core.runtime.winners import NOT_FINITE, winners

# Loaded encoders, so that a swap to a model with the same one loads its step alone.
_ENCODERS: WeakValueDictionary[tuple[str, Engine], Graph] = WeakValueDictionary()


class OnnxRuntime:
    """Streams frames of any size by exported graphs; see `Runtime`."""

    def __init__(self, folder: Path, device: str = AUTO, precision: str = AUTO):
        """folder: of `t2g export`. device, precision: see `find_engine`.

        Raises:
            FileNotFoundError, ValueError: see `read_manifest`, `find_engine`, `load_graph`.
        """
        self.manifest: Manifest = read_manifest(folder)
        self.clip_length, self.recurrent = self.manifest.clip_length, self.manifest.recurrent
        engine, self.warnings = find_engine(device, thread_count(), precision)
        try:
            self._load(folder, engine)
        except EngineMissing as error:
            if device != AUTO:
                raise
            engine, _ = find_engine("cpu", thread_count(), precision)
            self.warnings = (*self.warnings, f"the GPU is not used: {error}")
            self._load(folder, engine)
        self.device = engine.name
        own = self.manifest.precision
        self.precision = engine.precision if engine.kind == OPENVINO else own
        self._tables = {s.name: np.load(folder / f"{s.name}.npy") for s in self.manifest.positions}
        self._positions: dict[tuple[int, int], dict[str, np.ndarray]] = {}

    def _load(self, folder: Path, engine: Engine) -> None:
        key = self.manifest.files[ENCODER], engine
        encoder = _ENCODERS.get(key)
        if encoder is None:
            encoder = load_graph(folder / ENCODER, engine)
            _ENCODERS[key] = encoder
        self._encoder, self._step = encoder, load_graph(folder / STEP, engine)
        cpu = Engine("cpu", 0, 1)
        self._start = load_graph(folder / START, cpu) if self.manifest.state else None

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """As the method did, by the manifest."""
        image = resize(frame, fit_size((frame.shape[1], frame.shape[0]), size))
        return Prepared(image, None if self.manifest.motion is None else structure(image))

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """As the method did, by the manifest."""
        return () if now is None else dis_flow(now, before)

    def encode(self, images: np.ndarray) -> list[Arrays]:
        """All images in one pass; the features of one alone stay on its device."""
        grid = tuple(side // self.manifest.patch for side in images.shape[1:3])
        found = self._encoder.run({"image": images} | self._positions_at(grid))
        if len(images) == 1:
            return [tuple(found)]
        found = [as_array(x) for x in found]
        return [tuple(x[i : i + 1] for x in found) for i in range(len(images))]

    def _positions_at(self, grid: tuple[int, int]) -> dict[str, np.ndarray]:
        """The encoders' tables at a grid (h, w); kept, as a camera's size stays."""
        if grid not in self._positions:
            averages = self.manifest.averages_positions
            self._positions[grid] = {
                n: resampled(t, grid, averages) for n, t in self._tables.items()
            }
        return self._positions[grid]

    def start(self, features: Arrays) -> Arrays:
        """See `Runtime`; of shapes alone, whatever the features hold."""
        if self._start is None:
            return ()
        feed = {
            spec.name: np.zeros(x.shape if isinstance(x, np.ndarray) else x.shape(), spec.dtype)
            for spec, x in zip(self.manifest.features, features, strict=True)
            if spec.name in self._start.inputs
        }
        return tuple(self._start.run(feed))

    def step(
        self, features: Arrays, state: Arrays, motion: tuple[np.ndarray, ...], step_s: float
    ) -> tuple[Any, Arrays]:
        """One frame, B = 1."""
        m = self.manifest
        feed = _named(m.features, features) | _named(m.state, state) | _named(m.motions, motion)
        feed["step_s"] = np.float32([step_s])
        takes = self._step.inputs  # a graph has no input that it does not read
        probs, *after = self._step.run({name: x for name, x in feed.items() if name in takes})
        return probs, tuple(after)

    def clip(
        self, features: Sequence[Arrays], motions: Sequence[tuple[np.ndarray, ...]], step_s: float
    ) -> list[Any]:
        """ValueError: an export only streams."""
        raise ValueError("an export only streams: whole clips need the checkpoint and PyTorch")

    def winners(self, probs: Any, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """See `runtime.winners`."""
        probs = as_array(probs)
        if not np.isfinite(probs).all():
            raise FloatingPointError(NOT_FINITE)
        return winners(probs[0], size)

    def memory_fill(self, state: Arrays) -> float | None:
        """By the state that counts."""
        if self.manifest.count is None or self.clip_length == 1:
            return None
        names = [spec.name for spec in self.manifest.state]
        return float(as_array(state[names.index(self.manifest.count)]).min()) / self.clip_length


def resampled(table: np.ndarray, grid: tuple[int, int], averages: bool = True) -> np.ndarray:
    """A table of positions (side, side, C) at a grid (h, w), bicubic: (1, h * w, C) float32.

    averages: where it shrinks, as timm does it; else as PyTorch's `interpolate` does it.
    """
    if table.shape[:2] != grid:
        maps = [_resized(channel, grid, averages) for channel in np.moveaxis(table, -1, 0)]
        table = np.stack(maps, axis=-1)
    return np.ascontiguousarray(table.reshape(1, -1, table.shape[-1]), np.float32)


def _resized(channel: np.ndarray, grid: tuple[int, int], averages: bool) -> np.ndarray:
    if averages:
        return np.asarray(Image.fromarray(channel).resize(grid[::-1], Image.Resampling.BICUBIC))
    channel = np.ascontiguousarray(channel, np.float32)
    return cv2.resize(channel, grid[::-1], interpolation=cv2.INTER_CUBIC)


def _named(specs: tuple[TensorSpec, ...], values: Sequence[Any]) -> dict[str, Any]:
    """Values by name; arrays in the type that the graph takes."""
    return {
        spec.name: np.asarray(x, spec.dtype) if isinstance(x, np.ndarray) else x
        for spec, x in zip(specs, values, strict=True)
    }

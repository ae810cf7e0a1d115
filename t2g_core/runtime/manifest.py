# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The manifest of an export: all that is needed to run its graphs, and to know them again.

A folder of `t2g export` holds::

    manifest.json     this
    encoder.onnx      image (B, h, w, 3) uint8, positions -> features
    positions_0.npy   (side, side, C) table that positions are resampled from, where there is one
    start.onnx        features -> state before the first frame, where a stream keeps any
    step.onnx         features, state, motion, step_s -> probabilities, state
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from t2g_core.images.model_input import check_input_size
from t2g_core.runtime.runtime import Labelling

FORMAT = "t2g-export-1"
MANIFEST = "manifest.json"
ENCODER, START, STEP = "encoder.onnx", "start.onnx", "step.onnx"
DIS_FLOW = "dis_flow"  # motion as `images/motion.py` finds it


@dataclass(frozen=True)
class TensorSpec:
    """Name, NumPy type and shape of an input or output; a side that follows the image is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Manifest:
    """What the graphs are of and what they take.

    input_size: width, height that give the area of the images that they take. patch: pixels a token
    side, of which an image's sides are multiples. precision: of products, `fp32`, `fp16` or `int8`.
    motion: `dis_flow`, or None where a step takes none. positions, features, state, motions: inputs
    and outputs; the step takes the last three in this order and `step_s`, and gives probabilities
    and the state. count: name of the state that counts frames, of `clip_length`. files: SHA-256 by
    name. check: how far the graphs' streams were from PyTorch's. source: SHA-256 of the checkpoint.
    note: licence and provenance. versions: of what exported them. averages_positions: whether the
    table of positions is averaged where it shrinks, see ``resampled``. source_confidence: see
    `Labelling`.
    """

    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    input_size: tuple[int, int]
    patch: int
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    precision: str
    clip_length: int
    recurrent: bool
    motion: str | None
    positions: tuple[TensorSpec, ...]
    features: tuple[TensorSpec, ...]
    state: tuple[TensorSpec, ...]
    motions: tuple[TensorSpec, ...]
    count: str | None
    opset: int
    files: dict[str, str]
    source: str
    note: str
    versions: dict[str, str]
    check: dict[str, dict[str, float]] = field(default_factory=dict)
    averages_positions: bool = True
    source_confidence: float | None = None
    format: str = FORMAT

    @property
    def labelling(self) -> Labelling:
        """Input size, classes, colours and usual confidence."""
        return Labelling(self.input_size, self.class_names, self.palette, self.source_confidence)

    def write(self, folder: Path) -> None:
        """Write it into the folder."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n")


def is_export(path: Path) -> bool:
    """Whether a path is a folder of `t2g export`."""
    return (path / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest and compare the files' checksums with it.

    Raises:
        FileNotFoundError: there is none, or a graph is missing.
        ValueError: of another format, with other keys, or a graph has changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"no export {folder}: expected a {MANIFEST} in it")
    try:
        found = json.loads(path.read_text())
        if found.get("format") != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {found.get('format')!r}")
        for name in ("positions", "features", "state", "motions"):
            found[name] = tuple(_spec(one) for one in found[name])
        for name in ("class_names", "input_size", "pixel_mean", "pixel_std"):
            found[name] = tuple(found[name])
        found["palette"] = tuple(tuple(colour) for colour in found["palette"])
        manifest = Manifest(**found)
        check_input_size(manifest.input_size)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; export the checkpoint again") from error
    for name, expected in manifest.files.items():
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing; copy the whole folder")
        if sha256(folder / name) != expected:
            raise ValueError(f"{folder / name} is not the file of its manifest; copy it again")
    return manifest


def _spec(found: dict) -> TensorSpec:
    return TensorSpec(found["name"], found["dtype"], tuple(found["shape"]))


def sha256(path: Path) -> str:
    """A file's checksum."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

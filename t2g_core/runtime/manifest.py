"""The manifest of an export: all that is needed to run its graphs, and to know them again.

A folder of `t2g export` holds::

    manifest.json   this
    encoder.onnx    image (1, h, w, 3) uint8 -> features
    step.onnx       features, state, motion, step_s -> probabilities, state
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

FORMAT = "t2g-export-1"
MANIFEST = "manifest.json"
ENCODER, STEP = "encoder.onnx", "step.onnx"
DIS_FLOW = "dis_flow"  # motion as `methods/time2general/image_motion.py` finds it


@dataclass(frozen=True)
class TensorSpec:
    """Name, NumPy type and shape of an input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What the graphs are of and what they take.

    size: width, height of the images that they take. motion: ``dis_flow``, or None where a step
    takes none. features, state, motions: in the order of the step's inputs; it gives
    probabilities and the state. count: name of the state that counts frames, of `clip_length`.
    files: SHA-256 by name. check: how far the graphs' streams were from PyTorch's. source: SHA-256
    of the checkpoint. note: licence and provenance. versions: of what exported them.
    """

    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]
    clip_length: int
    recurrent: bool
    motion: str | None
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
    format: str = FORMAT

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
        for name in ("features", "state", "motions"):
            found[name] = tuple(_spec(one) for one in found[name])
        for name in ("class_names", "size"):
            found[name] = tuple(found[name])
        found["palette"] = tuple(tuple(colour) for colour in found["palette"])
        manifest = Manifest(**found)
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

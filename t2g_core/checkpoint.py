"""Checkpoints: one safetensors file with weights and all that is needed to use them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from t2g_core.build import build_trainable_part
from t2g_core.config import Config, from_mapping
from t2g_core.encoders.preprocess import PIXEL_MEAN, PIXEL_STD
from t2g_core.labels import colour_of
from t2g_core.model.frozen_tokens import TrainablePart
from t2g_core.whole_files import replacing

FORMAT = "t2g-checkpoint-1"
SHIPPED = Path(__file__).parent / "weights" / "time2general_small_camvid.safetensors"
TEXT_WIDTH = "text_width"


@dataclass(frozen=True)
class Checkpoint:
    """A trained part, its config (without the section `train`) and what its class ids mean."""

    model: TrainablePart
    config: Config
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


def save_checkpoint(
    path: str | Path, model: TrainablePart, config: Config, class_names: tuple[str, ...], note: str
) -> None:
    """Write weights as float16 with config, classes, palette and normalisation.

    note: provenance and licence of the training data, read by people.
    """
    text = getattr(model.head, "text", None)
    metadata = {
        "format": FORMAT,
        "config": asdict(config),
        "class_names": class_names,
        "palette": [colour_of(name) for name in class_names],
        "pixel_mean": PIXEL_MEAN,
        "pixel_std": PIXEL_STD,
        "token_width": model.standardize.mean.shape[1],
        TEXT_WIDTH: text.shape[1] if text is not None else 0,
        "note": note,
    }
    tensors = {
        name: t.half().contiguous() if t.is_floating_point() else t
        for name, t in model.state_dict().items()
    }
    with replacing(path) as partial:
        save_file(tensors, partial, metadata={k: json.dumps(v) for k, v in metadata.items()})


def load_checkpoint(path: str | Path | None = None, device: str = "cpu") -> Checkpoint:
    """Read a checkpoint; None reads the shipped one. The model is in eval mode, float32.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint of this format, or one whose tensors do not fit its config.
    """
    path = SHIPPED if path is None else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {k: json.loads(v) for k, v in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} is no t2g checkpoint: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}, got {metadata.get('format')}")
    return _assemble(path, metadata, tensors, device)


def _assemble(path: Path, metadata: dict, tensors: dict, device: str) -> Checkpoint:
    architecture = {key: value for key, value in metadata["config"].items() if key != "train"}
    config = from_mapping(Config, architecture, f"{path}: config")
    class_names = tuple(metadata["class_names"])
    text = torch.zeros(len(class_names), metadata[TEXT_WIDTH])
    model = build_trainable_part(config, metadata["token_width"], text)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path}: tensors do not fit the config: {error}") from error
    palette = tuple(tuple(colour) for colour in metadata["palette"])
    return Checkpoint(model.eval().to(device), config, class_names, palette)

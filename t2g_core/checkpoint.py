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
from t2g_core.labels import IGNORE_INDEX, colour_of
from t2g_core.methods.frozen_tokens import TrainablePart
from t2g_core.whole_files import replacing

FORMAT = "t2g-checkpoint-1"
SHIPPED = Path(__file__).parent / "weights" / "time2general_small_camvid.safetensors"
TOKEN_WIDTH, TEXT_WIDTH = "token_width", "text_width"
REQUIRED = ("config", "class_names", "palette", TOKEN_WIDTH, TEXT_WIDTH)
WIDEST = 16_384  # channels of a token or of a text embedding: beyond it a header is broken


@dataclass(frozen=True)
class Checkpoint:
    """A trained part, its config (without the section `train`) and what its class ids mean."""

    model: TrainablePart
    config: Config
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


def save_checkpoint(
    path: str | Path,
    model: TrainablePart,
    config: Config,
    class_names: tuple[str, ...],
    note: str,
    palette: tuple[tuple[int, int, int], ...] | None = None,
) -> None:
    """Write weights as float16 with config, classes, palette and normalisation.

    note: provenance and licence of the training data, read by people. palette: RGB colours of the
    classes; None takes those of their names.
    """
    queries = getattr(model.head, "stability_queries", None)
    metadata = {
        "format": FORMAT,
        "config": asdict(config),
        "class_names": class_names,
        "palette": palette or [colour_of(name) for name in class_names],
        "pixel_mean": PIXEL_MEAN,
        "pixel_std": PIXEL_STD,
        TOKEN_WIDTH: model.standardize.mean.shape[1],
        TEXT_WIDTH: 0 if queries is None else queries.text.shape[1],
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
            checkpoint = _from_header(metadata)
            names = list(file.keys())
            _check_shapes(checkpoint.model, {k: file.get_slice(k).get_shape() for k in names})
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} is no t2g checkpoint: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    broken = sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all())
    if broken:
        raise ValueError(f"{path}: weights that are no numbers, the first in {broken[0]}")
    tensors = {k: t.float() if t.is_floating_point() else t for k, t in tensors.items()}
    checkpoint.model.load_state_dict(tensors, assign=True)
    checkpoint.model.eval().to(device)
    return checkpoint


def _from_header(metadata: dict) -> Checkpoint:
    """What the header says, with a model of shapes alone; ValueError where it says too little."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"expected format {FORMAT}, got {metadata.get('format')}")
    missing = [key for key in REQUIRED if key not in metadata]
    if missing:
        raise ValueError(f"the header lacks {', '.join(missing)}")
    mapping, names = metadata["config"], metadata["class_names"]
    if not isinstance(mapping, dict):
        raise ValueError(f"config: expected a mapping, got {type(mapping).__name__}")
    config = from_mapping(Config, {k: v for k, v in mapping.items() if k != "train"}, "config")
    if not (isinstance(names, list) and 0 < len(names) <= IGNORE_INDEX and all_text(names)):
        raise ValueError(f"class_names: expected 1 to {IGNORE_INDEX} names, got {str(names)[:80]}")
    palette = metadata["palette"]
    if not (
        isinstance(palette, list) and len(palette) == len(names) and all(map(is_colour, palette))
    ):
        raise ValueError(f"palette: expected {len(names)} colours of three values from 0 to 255")
    for key in (TOKEN_WIDTH, TEXT_WIDTH):
        if not (isinstance(metadata[key], int) and 0 <= metadata[key] <= WIDEST):
            raise ValueError(f"{key}: expected 0 to {WIDEST}, got {metadata[key]!r}")
    with torch.device("meta"):
        text = torch.zeros(len(names), metadata[TEXT_WIDTH])
        model = build_trainable_part(config, metadata[TOKEN_WIDTH], text)
    return Checkpoint(model, config, tuple(names), tuple(tuple(colour) for colour in palette))


def _check_shapes(model: TrainablePart, found: dict[str, list[int]]) -> None:
    """Before anything large is read: the file has the tensors of the config, and no others."""
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"tensors do not fit the config: {name} is {found.get(name, 'missing')}, "
                f"expected {expected.get(name, 'none')}"
            )


def all_text(names: list) -> bool:
    return all(isinstance(name, str) for name in names)


def is_colour(colour: object) -> bool:
    return (
        isinstance(colour, list)
        and len(colour) == 3
        and all(isinstance(c, int) and 0 <= c <= 255 for c in colour)
    )

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: one safetensors file with weights and all that is needed to use them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from t2g_core.config import Config, read_config
from t2g_core.images.model_input import PIXEL_MEAN, PIXEL_STD
from t2g_core.labels import IGNORE_INDEX, colour_of
from t2g_core.methods.method import Method
from t2g_core.runtime.runtime import Labelling
from t2g_core.whole_files import replacing

FORMAT = "t2g-checkpoint-3"
SECOND_FORMAT, FIRST_FORMAT = "t2g-checkpoint-2", "t2g-checkpoint-1"
SHIPPED = Path(__file__).parent / "weights" / "time2general_small_camvid.safetensors"
MOST_CHANNELS, MOST_LAYERS = 2**16, 2**10  # of any config in a file's header
REQUIRED = ("config", "class_names", "palette")


@dataclass(frozen=True)
class Checkpoint:
    """What a file of a trained method holds.

    config: without the section `train`. class_names, palette: what class ids mean, RGB colours.
    trained: the method's trained weights and statistics by name, float32; no frozen weight. note:
    provenance and licence of the training data. source_confidence: see `Labelling`.
    """

    config: Config
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    trained: dict[str, torch.Tensor]
    note: str = ""
    source_confidence: float | None = None

    @property
    def labelling(self) -> Labelling:
        """Input size, classes, colours and usual confidence."""
        return Labelling(
            self.config.input_size, self.class_names, self.palette, self.source_confidence
        )

    def build(
        self,
        device: str = "cpu",
        encoder_weights: str | None = None,
        encoder: nn.Module | None = None,
    ) -> Method:
        """The method in eval mode on a device.

        encoder_weights: where the frozen encoder's weights are, if not where they were at the
        training: a value of the config's `encoder.weights`. encoder: one that is there already,
        which several methods may share.
        """
        config = self.config
        if encoder is None:
            if encoder_weights:
                config = replace(config, encoder=replace(config.encoder, weights=encoder_weights))
            encoder = config.build_encoder(device)
        method = config.build_method(encoder, len(self.class_names))
        trained = {name: _as_tokens_lie(tensor) for name, tensor in self.trained.items()}
        method.load_state_dict(trained, strict=False, assign=True)  # shapes are checked by then
        return method.eval().to(device)


def _as_tokens_lie(tensor: torch.Tensor) -> torch.Tensor:
    """Weights of convolutions with channels last, as the tokens they read have them."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def save_checkpoint(
    path: str | Path,
    method: Method,
    config: Config,
    class_names: tuple[str, ...],
    note: str,
    palette: tuple[tuple[int, int, int], ...] | None = None,
) -> None:
    """Write trained weights as float16 with config, classes, palette and normalisation.

    note: provenance and licence of the training data, read by people. palette: RGB colours of the
    classes; None takes those of their names.
    """
    metadata = {
        "format": FORMAT,
        "config": config.as_mapping(),
        "class_names": class_names,
        "palette": palette or [colour_of(name) for name in class_names],
        "pixel_mean": PIXEL_MEAN,
        "pixel_std": PIXEL_STD,
        "note": note,
    }
    tensors = {
        name: t.half().contiguous() if t.is_floating_point() else t
        for name, t in method.trained_state().items()
    }
    with replacing(path) as partial:
        save_file(tensors, partial, metadata={k: json.dumps(v) for k, v in metadata.items()})


def record_source_confidence(path: str | Path, confidence: float) -> None:
    """Write into a checkpoint how sure it is on its own domain, see `Labelling`.

    Raises:
        FileNotFoundError, ValueError: see `load_checkpoint`.
    """
    load_checkpoint(path)  # or say what is wrong with it
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    with replacing(path) as partial:
        metadata["source_confidence"] = json.dumps(round(confidence, 4))
        save_file(tensors, partial, metadata=metadata)


def load_checkpoint(path: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint; None reads the shipped one.

    Files of the formats before are converted.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint of these formats, or one whose tensors do not fit its config.
    """
    path = SHIPPED if path is None else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {k: json.loads(v) for k, v in (file.metadata() or {}).items()}
            format_, rename = metadata.get("format"), str
            if format_ == FIRST_FORMAT:
                metadata, rename = _converted(metadata), _renamed
            older = format_ in (FIRST_FORMAT, SECOND_FORMAT)
            config, names, palette = _from_header(metadata | ({"format": FORMAT} if older else {}))
            shapes = {rename(k): file.get_slice(k).get_shape() for k in file.keys()}  # noqa: SIM118
            _check_shapes(config, len(names), _later_shapes(shapes) if older else shapes)
            tensors = {rename(k): file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            tensors = _later_tensors(tensors) if older else tensors
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} is no t2g checkpoint: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    broken = sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all())
    if broken:
        raise ValueError(f"{path}: weights that are no numbers, the first in {broken[0]}")
    tensors = {k: t.float() if t.is_floating_point() else t for k, t in tensors.items()}
    note, confidence = str(metadata.get("note", "")), metadata.get("source_confidence")
    return Checkpoint(config, names, palette, tensors, note, confidence)


def _converted(metadata: dict) -> dict:
    """A header of the first format as one of today.

    Text and depth stood beside the method's section, and keys that had one value in all configs.
    """
    config = metadata.get("config")
    if not isinstance(config, dict):
        return metadata | {"format": FORMAT}
    config = dict(config)
    text, depth = config.pop("text", None), config.pop("depth", None)
    _drop(config, "encoder", "patch_size")
    _drop(config, "frame_head", "dim")
    head = config.get("time2general")
    if isinstance(head, dict):
        if isinstance(text, dict):
            text = {key: value for key, value in text.items() if key != "prompt"}
        config["time2general"] = head | {"text": text, "depth": depth}
    return metadata | {"format": FORMAT, "config": config}


def _drop(config: dict, section: str, key: str) -> None:
    if isinstance(config.get(section), dict):
        config[section] = {k: v for k, v in config[section].items() if k != key}


def _renamed(name: str) -> str:
    """A tensor of the first format: frame-by-frame heads were one module deeper."""
    return name.replace("head.head.", "head.", 1)


OLD_PIXELS, NEW_PIXELS = "head.fusion.to_pixels.", "head.to_pixels.context."
OLD_CLASSIFIER, NEW_CLASSIFIER = "head.pixel_classifier.", "head.pixel_classifier.context."


def _later_shapes(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    """Shapes as `_later_tensors` leaves them.

    Raises:
        ValueError: a classifier that does not fit the pixel embeddings that it reads.
    """
    found = {name.replace(OLD_PIXELS, NEW_PIXELS): shape for name, shape in shapes.items()}
    weight = found.pop(f"{OLD_CLASSIFIER}weight", None)
    if weight is not None:
        pixels = found.get(f"{NEW_PIXELS}weight", [])
        if len(weight) != 4 or len(pixels) != 4 or weight[1] != pixels[0]:
            raise ValueError(f"{OLD_CLASSIFIER}weight {weight} does not fit pixels {pixels}")
        found[f"{NEW_CLASSIFIER}weight"] = [weight[0], *pixels[1:]]
        found[f"{NEW_CLASSIFIER}bias"] = found.pop(f"{OLD_CLASSIFIER}bias", [])
    return found


def _later_tensors(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Until the second format the pixel classifier read the pixel embeddings, a linear map of the
    context; now it reads the context, by the product of the two.
    """
    found = {name.replace(OLD_PIXELS, NEW_PIXELS): tensor for name, tensor in tensors.items()}
    weight = found.pop(f"{OLD_CLASSIFIER}weight", None)
    if weight is not None:
        weight = weight.float().flatten(1)
        pixels, bias = (found[f"{NEW_PIXELS}{name}"].float() for name in ("weight", "bias"))
        product = weight @ pixels.flatten(1)
        found[f"{NEW_CLASSIFIER}weight"] = product[..., None, None]
        found[f"{NEW_CLASSIFIER}bias"] = found.pop(f"{OLD_CLASSIFIER}bias") + weight @ bias
    return found


def _from_header(
    metadata: dict,
) -> tuple[Config, tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """Config, class names and palette; ValueError where the header says too little."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"expected format {FORMAT} or one before it, got {metadata.get('format')}")
    missing = [key for key in REQUIRED if key not in metadata]
    if missing:
        raise ValueError(f"the header lacks {', '.join(missing)}")
    mapping, names = metadata["config"], metadata["class_names"]
    if not isinstance(mapping, dict):
        raise ValueError(f"config: expected a mapping, got {type(mapping).__name__}")
    _refuse_absurd_numbers(mapping, "config")
    config = read_config({k: v for k, v in mapping.items() if k != "train"}, "config")
    if not (isinstance(names, list) and 0 < len(names) <= IGNORE_INDEX and all_text(names)):
        raise ValueError(f"class_names: expected 1 to {IGNORE_INDEX} names, got {str(names)[:80]}")
    palette = metadata["palette"]
    if not (
        isinstance(palette, list) and len(palette) == len(names) and all(map(is_colour, palette))
    ):
        raise ValueError(f"palette: expected {len(names)} colours of three values from 0 to 255")
    confidence = metadata.get("source_confidence")
    if confidence is not None and not is_share(confidence):
        raise ValueError(f"source_confidence: expected a number from 0 to 1, got {confidence!r}")
    return config, tuple(names), tuple(tuple(colour) for colour in palette)


def _refuse_absurd_numbers(value: object, where: str) -> None:
    """Before a model is built by a file's numbers: ValueError where one is beyond any model."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "input_size":  # which has bounds of its own
                _refuse_absurd_numbers(item, f"{where}.{key}")
    elif isinstance(value, list):
        for item in value:
            _refuse_absurd_numbers(item, where)
    elif isinstance(value, int | float):
        most = MOST_LAYERS if where.endswith(("blocks", "layers")) else MOST_CHANNELS
        if not 0 <= value <= most:
            raise ValueError(f"{where}: expected a number from 0 to {most}, got {value}")


def _check_shapes(config: Config, num_classes: int, found: dict[str, list[int]]) -> None:
    """Before anything large is read: the file has the tensors of the config, and no others."""
    try:
        with torch.device("meta"):
            encoder = config.without_weights().build_encoder("meta")
            method = config.build_method(encoder, num_classes)
    except (RuntimeError, TypeError, ArithmeticError) as error:
        raise ValueError(f"config: no model can be built by it: {error}") from error
    expected = {name: list(tensor.shape) for name, tensor in method.trained_state().items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"tensors do not fit the config: {name} is {found.get(name, 'missing')}, "
                f"expected {expected.get(name, 'none')}"
            )


def all_text(names: list) -> bool:
    return all(isinstance(name, str) for name in names)


def is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_colour(colour: object) -> bool:
    return (
        isinstance(colour, list)
        and len(colour) == 3
        and all(isinstance(c, int) and 0 <= c <= 255 for c in colour)
    )

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One YAML a model: its encoder, the section of its method, its training. Unknown keys raise."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import yaml
from torch import nn

from t2g_core.encoders.frozen_vit import EncoderConfig
from t2g_core.images.model_input import check_input_size
from t2g_core.methods.adapters.depthforge import DepthForge, DepthForgeNoDepth
from t2g_core.methods.adapters.fada import Fada, FadaCode
from t2g_core.methods.adapters.rein import Rein
from t2g_core.methods.frame_head import FrameHead
from t2g_core.methods.method import Method, MethodConfig
from t2g_core.methods.ssp.ssp import SSP
from t2g_core.methods.time2general.time2general import Time2General
from t2g_core.methods.tv3s.tv3s import TV3S
from t2g_core.schedule import TrainConfig
from t2g_core.text_files import read_text

METHODS: dict[str, type[Method]] = {  # by the section of a config that describes them
    "time2general": Time2General,
    "frame_head": FrameHead,
    "rein": Rein,
    "fada": Fada,
    "fada_code": FadaCode,
    "depthforge": DepthForge,
    "depthforge_nodepth": DepthForgeNoDepth,
    "ssp": SSP,
    "tv3s": TV3S,
}


@dataclass(frozen=True)
class Config:
    """A model and its training.

    input_size: width, height that give the area a frame is resized to. method: the section named
    after it in the YAML, exactly one of METHODS. train: absent from a loaded checkpoint, whose use
    must not depend on how it was trained.
    """

    encoder: EncoderConfig
    input_size: tuple[int, int]
    method: MethodConfig
    train: TrainConfig | None = None

    def __post_init__(self):
        sizes = {"input_size": self.input_size}
        if self.train is not None:
            sizes["train.crop_size"] = self.train.crop_size
            self.method.check_training(self.train)
        for name, size in sizes.items():
            try:
                check_input_size(size)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error

    @property
    def method_name(self) -> str:
        """The name of the method's section."""
        return next(name for name, kind in METHODS.items() if kind.Config is type(self.method))

    def build_encoder(self, device: str | torch.device = "cpu") -> nn.Module:
        """The frozen encoder that the method reads, weights loaded."""
        return self.method.build_encoder(self.encoder).to(device)

    def build_method(self, encoder: nn.Module, num_classes: int) -> Method:
        """The method on this encoder, with fresh weights."""
        return METHODS[self.method_name](self.method, encoder, num_classes)

    def frozen(self) -> dict:
        """All that the frozen features of a frame depend on: what they may be cached under."""
        return self.method.frozen(self.encoder)

    def without_weights(self) -> Config:
        """The same architecture with random frozen weights: nothing to find or download."""
        encoder = replace(self.encoder, weights="random")
        return replace(self, encoder=encoder, method=self.method.without_weights())

    def as_mapping(self) -> dict:
        """What `from_mapping` reads: JSON's and YAML's types, sections by name."""
        mapping = asdict(self)
        method = mapping.pop("method")
        return mapping | {self.method_name: method}


def load_config(path: str | Path, changes: Sequence[str] = ()) -> Config:
    """Read a YAML file.

    changes: `section.key=value`, applied one after the other as if the file said so; the value is
    read as YAML, and `null` takes a section out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a mapping, or a missing or unknown key, named with its section.
    """
    return read_config(load_mapping(path, changes), Path(path).name)


def load_mapping(path: str | Path, changes: Sequence[str] = ()) -> dict:
    """The mapping of a YAML file with `changes`, unread; see `load_config`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no config file {path}")
    try:
        mapping = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(mapping, dict):
        raise ValueError(f"{path.name}: expected a mapping, got {type(mapping).__name__}")
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise ValueError(f"--set: expected section.key=value, got {change!r}")
        try:
            mapping = with_value(mapping, name, yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise ValueError(f"--set {name}: {text!r} is not YAML: {error}") from error
    return mapping


def with_value(mapping: dict, name: str, value: object) -> dict:
    """The mapping with another value at `section.key`; None takes the key or section out.

    The entries of a list are keys too, from 0: `train.stages.0.iterations`.

    Raises:
        ValueError: a part of the name on the way to the key is no section, or no such entry.
    """
    first, _, rest = name.partition(".")
    if isinstance(mapping, list):
        if not first.isdigit() or int(first) >= len(mapping) or not rest:
            raise ValueError(f"{name}: expected one of the entries 0 to {len(mapping) - 1}, a key")
        entries = list(mapping)
        entries[int(first)] = with_value(mapping[int(first)], rest, value)
        return entries
    if not isinstance(mapping, dict):
        raise ValueError(f"{name}: expected a section above it, got {mapping!r}")
    if not rest:
        kept = {key: item for key, item in mapping.items() if key != first}
        return kept if value is None else kept | {first: value}
    below = mapping.get(first)
    return mapping | {first: with_value({} if below is None else below, rest, value)}


def read_config(mapping: dict, where: str) -> Config:
    """A config from its mapping; `where` names it in errors."""
    if not isinstance(mapping, dict):
        raise ValueError(f"{where}: expected a mapping, got {type(mapping).__name__}")
    given = [name for name in METHODS if mapping.get(name) is not None]
    if len(given) != 1:
        raise ValueError(
            f"{where}: expected exactly one of the sections {', '.join(METHODS)}, got "
            f"{' and '.join(given) or 'none'}"
        )
    (name,) = given
    known = {key for key in typing.get_type_hints(Config) if key != "method"} | {*METHODS}
    refuse_unknown(mapping, known, where)
    method = from_mapping(METHODS[name].Config, mapping[name], f"{where}.{name}")
    rest = {key: value for key, value in mapping.items() if key not in METHODS}
    return from_mapping(Config, rest, where, method=method)


def from_mapping(kind: type, mapping: object, where: str, **given: object):
    """Build the dataclass `kind` from nested mappings; `where` names the section in errors.

    given: fields that are built already.
    """
    if not isinstance(mapping, dict):
        raise ValueError(f"{where}: expected a mapping, got {type(mapping).__name__}")
    hints = typing.get_type_hints(kind)
    refuse_unknown(mapping, hints, where)
    required = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
    missing = sorted(required - {*mapping, *given})
    if missing:
        raise ValueError(f"{where}: missing keys {missing}")
    values = {k: _value(hints[k], v, f"{where}.{k}") for k, v in mapping.items()}
    return kind(**values, **given)


def refuse_unknown(mapping: dict, known: typing.Collection[str], where: str) -> None:
    """Raise ValueError for keys that nobody reads, with those that are spelt nearly so."""
    for key in sorted(set(mapping) - set(known), key=str):
        near = difflib.get_close_matches(str(key), known)
        meant = f"did you mean {' or '.join(near)}?" if near else f"known are {sorted(known)}"
        raise ValueError(f"{where}: unknown key {key}; {meant}")


def _value(hint: object, value: object, where: str):
    if isinstance(hint, types.UnionType):  # optional section
        if value is None:
            return None
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    if dataclasses.is_dataclass(hint):
        return from_mapping(hint, value, where)
    if typing.get_origin(hint) is tuple:
        return _tuple(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        with contextlib.suppress(ValueError):
            return float(value)
    if type(value) is not hint:
        raise ValueError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _tuple(hint: object, value: object, where: str) -> tuple:
    kinds = typing.get_args(hint)
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where}: expected a list, got {value!r}")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise ValueError(f"{where}: expected {len(kinds)} values, got {value!r}")
    return tuple(_value(kinds[0], v, f"{where}[{i}]") for i, v in enumerate(value))

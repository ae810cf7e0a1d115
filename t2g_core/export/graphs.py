# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A method's tensor functions as ONNX graphs of plain inputs and outputs, for any image size."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import onnx
import torch
from torch import nn

from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.images.model_input import Prepared
from t2g_core.methods.method import Method
from t2g_core.runtime.manifest import TensorSpec

OPSET = 18  # of ONNX: what ONNX Runtime 1.18 and TensorRT 10 read


class Named(NamedTuple):
    """A tensor and the name that it has in a graph."""

    name: str
    tensor: torch.Tensor


class Example(NamedTuple):
    """One frame's tensors, as a stream's first step has them.

    positions: of each frozen encoder that has a table of them, (1, h * w, C).
    """

    image: torch.Tensor
    positions: tuple
    features: tuple
    state: tuple
    motion: tuple
    step_s: torch.Tensor


class EncoderGraph(nn.Module):
    """image (B, h, w, 3) uint8 and positions -> features.

    Positions are resampled outside: the antialiased resampling is no operator of TensorRT.
    """

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, image: torch.Tensor, *positions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with ExitStack() as patches:
            for encoder, given in zip(with_tables(self.method), positions, strict=True):
                first = encoder.vit.pos_embed[:, :1]
                table = torch.cat([first, given], dim=1)
                patches.enter_context(
                    mock.patch.object(encoder, "positions", lambda grid, table=table: table)
                )
            return tuple(self.method.encode(image))


class StartGraph(nn.Module):
    """features -> the tensors of `Method.start`."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, *features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(one.tensor for one in named("state", self.method.start(features)))


class StepGraph(nn.Module):
    """All tensors of `Method.step`, one after the other -> probabilities and the state's tensors.

    example: features, state, motion and step_s, which say how they are nested.
    """

    def __init__(self, method: Method, example: tuple):
        super().__init__()
        self.method, self.example = method, example

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features, state, motion, step_s = _nested(self.example, iter(tensors))
        probs, after = self.method.step(features, state, motion, step_s)
        return probs, *(one.tensor for one in named("state", after))


def with_tables(method: Method) -> list[FrozenEncoder]:
    """The method's frozen encoders whose positions are a table."""
    found = [m for m in method.modules() if isinstance(m, FrozenEncoder)]
    return [encoder for encoder in found if not encoder.has_rotations]


def example_of(method: Method, prepared: Prepared, step_s: float) -> Example:
    """The tensors of a stream's first frame."""
    image = torch.from_numpy(prepared.image[None])
    features = method.encode(image)
    grid = tuple(features[0].shape[1:3])
    positions = tuple(encoder.positions(grid)[:, 1:] for encoder in with_tables(method))
    motion = tuple(torch.from_numpy(x) for x in method.motion(prepared.motion_image, None))
    return Example(
        image, positions, features, method.start(features), motion, torch.tensor([step_s])
    )


def named(name: str, value: object) -> list[Named]:
    """The tensors of nested tuples, each by its path: `state_pixels_mean`."""
    if isinstance(value, torch.Tensor):
        return [Named(name, value)]
    if not isinstance(value, tuple):
        return []
    fields = getattr(value, "_fields", range(len(value)))
    parts = zip(fields, value, strict=True)
    return [one for field, part in parts for one in named(f"{name}_{field}", part)]


def specs(name: str, one: object, other: object) -> tuple[TensorSpec, ...]:
    """How a manifest describes the tensors of an example and of one of another size: a side that
    differs is None.
    """
    pairs = zip(named(name, one), named(name, other), strict=True)
    return tuple(
        TensorSpec(x.name, str(np.dtype(str(x.tensor.dtype).removeprefix("torch."))), _sides(x, y))
        for x, y in pairs
    )


@torch.no_grad()
def write_encoder(method: Method, one: Example, other: Example, path: Path) -> None:
    """Write image, positions -> features. one, other: of two sizes."""
    inputs = [Named("image", one.image), *named("positions", one.positions)]
    others = [Named("image", other.image), *named("positions", other.positions)]
    pair = Named("image", one.image.repeat(2, 1, 1, 1))  # a batch of two tells that it is free
    outputs = [name for name, _ in named("features", one.features)]
    _write(EncoderGraph(method).eval(), [pair, *inputs[1:]], others, outputs, path)


@torch.no_grad()
def write_start(method: Method, one: Example, other: Example, path: Path) -> None:
    """Write features -> the state before the first frame."""
    inputs, others = (named("features", example.features) for example in (one, other))
    outputs = [name for name, _ in named("state", one.state)]
    _write(StartGraph(method).eval(), inputs, others, outputs, path)


@torch.no_grad()
def write_step(method: Method, one: Example, other: Example, path: Path) -> None:
    """Write features, state, motion, step_s -> probs, state; names as of ``step_inputs``."""
    outputs = ["probs", *(f"next_{name}" for name, _ in named("state", one.state))]
    _write(StepGraph(method, one[2:]).eval(), step_inputs(one), step_inputs(other), outputs, path)


def step_inputs(example: Example) -> list[Named]:
    """What a step takes, in its order."""
    parts = ("features", "state", "motion")
    tensors = [one for part in parts for one in named(part, getattr(example, part))]
    return [*tensors, Named("step_s", example.step_s)]


def _write(
    module: nn.Module, inputs: list[Named], others: list[Named], outputs: list[str], path: Path
) -> None:
    """Write a graph as one file, without a path of this machine in it.

    inputs, others: two examples; a side in which they differ is free.

    Raises:
        ValueError: PyTorch's exporter cannot follow the method.
    """
    free = tuple(
        {i: torch.export.Dim.DYNAMIC for i, side in enumerate(_sides(x, y)) if side is None}
        for x, y in zip(inputs, others, strict=True)
    )
    try:
        with _quietly():
            program = torch.onnx.export(
                module,
                tuple(tensor for _, tensor in inputs),
                dynamo=True,
                opset_version=OPSET,
                input_names=[name for name, _ in inputs],
                output_names=outputs,
                dynamic_shapes=_as_arguments(module, free),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = str(error.__cause__ or error).strip().partition("\n")[0]
        name = type(module.method).__name__
        raise ValueError(f"{name} cannot be exported, {path.stem}: {cause}") from error
    model = program.model_proto
    del model.graph.value_info[:]  # in the way of quantisers
    for node in model.graph.node:  # stack traces, with paths
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    model.graph.doc_string = model.doc_string = ""
    found = next(one.version for one in model.opset_import if not one.domain)
    if found != OPSET:
        raise ValueError(f"{path.name}: expected opset {OPSET}, the exporter wrote {found}")
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _as_arguments(module: nn.Module, free: tuple) -> tuple:
    """Free sides by the arguments of `forward`: `*tensors` is one of them."""
    if isinstance(module, EncoderGraph):
        return (free[0], free[1:]) if free[1:] else free
    return (free,)


def _sides(one: Named, other: Named) -> tuple[int | None, ...]:
    """The sides of two tensors; None where they differ."""
    pairs = zip(one.tensor.shape, other.tensor.shape, strict=True)
    return tuple(side if side == its else None for side, its in pairs)


def _nested(like: object, tensors: Iterator[torch.Tensor]) -> object:
    """The next tensors, nested as `like` is."""
    if isinstance(like, torch.Tensor):
        return next(tensors)
    if not isinstance(like, tuple):
        return like
    parts = [_nested(part, tensors) for part in like]
    return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)


@contextmanager
def _quietly() -> Iterator[None]:
    """The exporter tells of each constant that it does not fold."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)

"""A method's two tensor functions as ONNX graphs of plain inputs and outputs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from torch import nn

from t2g_core.methods.method import Method, Prepared
from t2g_core.runtime.manifest import TensorSpec

OPSET = 18  # of ONNX: what ONNX Runtime 1.18 and TensorRT 10 read


class Named(NamedTuple):
    """A tensor and the name that it has in a graph."""

    name: str
    tensor: torch.Tensor


class EncoderGraph(nn.Module):
    """image (1, h, w, 3) uint8 -> features."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.method.encode(image))


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


class Example(NamedTuple):
    """One frame's tensors, as a stream's first step has them."""

    image: torch.Tensor
    features: tuple
    state: tuple
    motion: tuple
    step_s: torch.Tensor


def example_of(method: Method, prepared: Prepared, step_s: float) -> Example:
    """The tensors of a stream's first frame."""
    image = torch.from_numpy(prepared.image[None])
    features = method.encode(image)
    motion = tuple(method.motion(prepared.motion_image, None))
    return Example(image, features, method.start(features), motion, torch.tensor([step_s]))


def named(name: str, value: object) -> list[Named]:
    """The tensors of nested tuples, each by its path: `state_pixels_mean`."""
    if isinstance(value, torch.Tensor):
        return [Named(name, value)]
    if not isinstance(value, tuple):
        return []
    fields = getattr(value, "_fields", range(len(value)))
    parts = zip(fields, value, strict=True)
    return [one for field, part in parts for one in named(f"{name}_{field}", part)]


def specs(tensors: list[Named]) -> tuple[TensorSpec, ...]:
    """How a manifest describes them."""
    return tuple(
        TensorSpec(name, str(np.dtype(str(x.dtype).removeprefix("torch."))), tuple(x.shape))
        for name, x in tensors
    )


@torch.no_grad()
def write_encoder(method: Method, example: Example, path: Path) -> None:
    """Write image -> features."""
    outputs = [name for name, _ in named("features", example.features)]
    _write(EncoderGraph(method).eval(), (example.image,), ["image"], outputs, path)


@torch.no_grad()
def write_step(method: Method, example: Example, path: Path) -> None:
    """Write features, state, motion, step_s -> probs, state; names as of ``step_inputs``."""
    inputs = step_inputs(example)
    outputs = ["probs", *(f"next_{name}" for name, _ in named("state", example.state))]
    tensors = tuple(tensor for _, tensor in inputs)
    names = [name for name, _ in inputs]
    _write(StepGraph(method, example[1:]).eval(), tensors, names, outputs, path)


def step_inputs(example: Example) -> list[Named]:
    """What a step takes, in its order."""
    parts = ("features", "state", "motion")
    tensors = [one for part in parts for one in named(part, getattr(example, part))]
    return [*tensors, Named("step_s", example.step_s)]


def _write(
    module: nn.Module,
    tensors: tuple[torch.Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    path: Path,
) -> None:
    """Write a graph as one file, without a path of this machine in it."""
    with _quietly():
        program = torch.onnx.export(
            module,
            tensors,
            dynamo=True,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            verbose=False,
        )
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

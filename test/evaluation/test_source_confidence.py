# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g confidence` measures how sure a checkpoint is on recordings, and keeps it in the file."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.checkpoint import load_checkpoint
from t2g_core.cli import main
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter


def test_it_is_the_mean_over_all_frames_of_the_stream(tmp_path, capsys):
    checkpoint, folder = tmp_path / "small.safetensors", tmp_path / "drive"
    write_vit_s_checkpoint(checkpoint)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    segmenter = StreamingSegmenter.from_checkpoint(checkpoint)
    state, seen = segmenter.start(), []
    for image in images:
        result, state = segmenter.step(image, state, 1 / 15)
        seen.append(result.confidence.mean() / 255)
    assert main(["confidence", str(checkpoint), str(folder)]) == 0
    kept = load_checkpoint(checkpoint).source_confidence
    assert kept == pytest.approx(np.mean(seen), abs=1e-4)
    assert f"{100 * np.mean(seen):.1f}"[:3] in capsys.readouterr().out


def test_a_path_without_images_changes_nothing(tmp_path, capsys):
    checkpoint = tmp_path / "small.safetensors"
    write_vit_s_checkpoint(checkpoint)
    (tmp_path / "empty").mkdir()
    before = checkpoint.read_bytes()
    assert main(["confidence", str(checkpoint), str(tmp_path / "empty")]) == 2
    assert "no image" in capsys.readouterr().err
    assert checkpoint.read_bytes() == before

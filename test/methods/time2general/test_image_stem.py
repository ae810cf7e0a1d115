# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The stem: begins as nothing, learns from the picture, sees it distorted in training alone."""

from __future__ import annotations

import pytest
import torch
from small_model import small_config, small_method
from torch.nn import functional as F

from t2g_core.methods.method import ClipBatch
from t2g_core.methods.time2general.image_stem import ImageStem, blurred, distorted, noisy, relit
from t2g_core.methods.time2general.pixel_fusion import PixelMaps, PixelProjection

IMAGES = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8, generator=torch.manual_seed(3))


def batch_of(method, images: torch.Tensor) -> ClipBatch:
    """Each image a clip of one frame, whose class is where it is bright."""
    features = tuple(x[:, None] for x in method.frozen_features(images))
    target = (images.float().mean(-1) > 128).long()
    return ClipBatch(features, images[:, None], target[:, None], None, torch.zeros(len(images)))


def test_it_adds_nothing_at_first_and_something_once_it_has_learned():
    torch.manual_seed(0)
    stem, context = ImageStem(8, 16).eval(), torch.randn(2, 16, 8, 12)
    edges, beside = stem(IMAGES)
    assert beside.shape == context.shape and not beside.any()
    detail = stem.join(edges, context)
    assert detail.shape == (2, 8, 16, 24) and detail.std() > 0
    projection, maps = PixelProjection(16, 8, 4), PixelMaps(context, context, detail)
    wide = projection.up(projection.context(context))
    assert projection(maps).shape == (2, 4, 16, 24) and torch.equal(projection(maps), wide)
    torch.nn.init.ones_(projection.detail.weight)
    assert not torch.allclose(projection(maps), wide)


def test_the_picture_reaches_pixels_that_the_tokens_do_not_tell_apart():
    """One column of one patch gets another colour: with the tokens as they were, the mask changes
    near it and nowhere else.
    """
    method = small_method("stem").eval()
    torch.nn.init.normal_(method.head.pixel_classifier.detail.weight, std=10.0)
    *tokens, images = method.encode(IMAGES[:1])
    assert images is not None and images.dtype == torch.uint8
    changed = images.clone()
    changed[:, 16:32, 44:46] = 0
    with torch.no_grad():
        one, other = (method.classify_frames((*tokens, x)) for x in (images, changed))
    moved = (one - other).abs().amax(dim=(0, 1)) > 1e-4
    assert moved[4:8, 10:12].any()
    assert not moved[:, :6].any() and not moved[:, 17:].any() and not moved[13:].any()


def test_training_distorts_what_it_sees_unless_a_stage_holds_it():
    stages = {stage.trains: stage for stage in small_config().train.stages}
    method = small_method("stem").train()
    torch.nn.init.normal_(method.head.pixel_classifier.detail.weight)
    batch = batch_of(method, IMAGES)
    method.enter_stage(stages["frame_path"])
    one, other = (method.predict_clip(batch, stages["frame_path"])[0].probs for _ in range(2))
    assert not torch.equal(one, other)
    method.enter_stage(stages["temporal"])
    one, other = (method.predict_clip(batch, stages["frame_path"])[0].probs for _ in range(2))
    assert torch.equal(one, other)


def test_it_learns_edges_that_lie_within_patches():
    """Bars of four pixels, which tokens of random weights know little of."""
    torch.manual_seed(0)
    bars = (torch.arange(96) // 4 % 2 * 255).to(torch.uint8).expand(2, 64, 96)
    images = torch.stack([bars[0], 255 - bars[1]])[..., None].repeat(1, 1, 1, 3)
    stage = small_config().train.stages[0]
    wrong = {}
    for name in ("time2general", "stem"):
        method = small_method(name).train()
        batch = batch_of(method, images)
        method.begin_training([f"class {k}" for k in range(11)], [batch])
        method.enter_stage(stage)
        parts = [method.head.fusion, method.head.pixel_classifier]
        optimizer = torch.optim.AdamW([p for part in parts for p in part.parameters()], 3e-3)
        for _ in range(40):
            probs = method.predict_clip(batch, stage)[0].probs
            target = batch.target[:, 0, 2::4, 2::4]
            loss = F.nll_loss(probs.clamp(min=1e-6).log(), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = method.eval().predict_clip(batch, stage)[0].probs.argmax(1)
        wrong[name] = (found != target).float().mean().item()
    assert wrong["stem"] < 0.5 * wrong["time2general"] and wrong["stem"] < 0.1


@pytest.mark.parametrize("change", [relit, blurred, noisy, distorted])
def test_distortions_keep_the_shape_and_change_every_picture_by_itself(change):
    x = torch.randn(6, 3, 32, 48, generator=torch.manual_seed(1))
    torch.manual_seed(0)
    y = change(x)
    assert y.shape == x.shape and torch.isfinite(y).all() and not torch.equal(x, y)
    torch.manual_seed(0)
    assert torch.equal(y, change(x))


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="stem: expected an even number of channels or 0, got 3"):
        type(small_config("stem").method)(**(vars(small_config("stem").method) | {"stem": 3}))

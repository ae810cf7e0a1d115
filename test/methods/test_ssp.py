# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""SSP: homographies of real and blank pictures, and what blending leaves as it was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from small_model import small_config, small_method, stages

from t2g_core.images.windows import Window
from t2g_core.methods.method import ClipBatch
from t2g_core.methods.ssp.homography import dense_flow, find_homography, is_a_view, move
from t2g_core.methods.ssp.ssp import SSP, Frame, SSPState, consistency, share_of_past
from t2g_core.schedule import FRAME_PATH
from t2g_core.street.scene import StreetScene

EYE = torch.eye(3)[None]


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    """A grey picture with things in it."""
    image, _ = next(iter(StreetScene(3, 1, 480, 360, 0.1)))
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def test_a_shifted_picture_gives_its_shift(street):
    moved = np.float32([[1, 0, 12], [0, 1, -7], [0, 0, 1]])
    now = cv2.warpPerspective(street, moved, street.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    found = find_homography(now, street)
    assert found == pytest.approx(moved, abs=0.3)
    assert found[:2, :2] == pytest.approx(np.eye(2), abs=0.01)


def test_what_shows_nothing_moves_nowhere(street):
    blank = np.full_like(street, 127)
    noise = np.random.default_rng(0).integers(0, 255, street.shape, np.uint8)
    for now, before in ((blank, street), (street, blank), (blank, blank), (noise, street)):
        found = find_homography(now, before)
        assert np.isfinite(found).all() and is_a_view(found, street.shape)
    assert np.array_equal(find_homography(blank, street), np.eye(3))
    assert np.array_equal(find_homography(street[:8, :8].copy(), street[:8, :8].copy()), np.eye(3))


def test_what_is_no_view_of_an_image_is_refused():
    shape = (100, 200)
    assert is_a_view(np.eye(3), shape)
    assert not is_a_view(np.diag([-1.0, 1, 1]), shape)  # mirrored
    assert not is_a_view(np.diag([0.1, 0.1, 1.0]), shape)  # a hundredth of the area
    assert not is_a_view(np.full((3, 3), np.nan), shape)
    behind = np.eye(3)
    behind[2, 0] = -0.01  # the right border lies behind the camera
    assert not is_a_view(behind, shape)


def test_a_map_moves_as_the_image_does():
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 2, 3] = 1
    shift = torch.tensor([[[1.0, 0, 4], [0, 1, 8], [0, 0, 1]]])  # pixels
    found = move(maps, shift, (32, 32))  # stride 4: one cell right, two down
    wanted = torch.zeros(1, 1, 8, 8)
    wanted[0, 0, 4, 4] = 1
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert torch.allclose(move(maps, EYE, (32, 32)), maps, atol=1e-5)


def test_the_share_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in share_of_past(96).parameters()) == 207_841


def frames_of(method: SSP, count: int) -> list:
    torch.manual_seed(3)
    images = torch.randint(0, 256, (count, 1, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        return [method.encode(image) for image in images]


def with_share(method: SSP, logit: float) -> SSP:
    """Keeps sigmoid(logit) of the past everywhere."""
    with torch.no_grad():
        method.share[-1].weight.zero_()
        method.share[-1].bias.fill_(logit)
    return method


@torch.no_grad()
def test_a_share_of_zero_is_frame_by_frame():
    method = with_share(small_method("ssp"), -1e4)
    state = None
    for frame in frames_of(method, 3):
        state = method.start(frame) if state is None else state
        probs, state = method.step(frame, state, (EYE,), 0.1)
        alone, _ = method.step(frame, method.start(frame), (EYE,), 0.1)
        torch.testing.assert_close(probs, alone, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("logit", [-1.0, 0.0, 3.0])
def test_equal_frames_that_do_not_move_stay_as_they_are(logit):
    method = with_share(small_method("ssp"), logit)
    (frame,) = frames_of(method, 1)
    first, state = method.step(frame, method.start(frame), (EYE,), 0.1)
    second, after = method.step(frame, state, (EYE,), 0.1)
    torch.testing.assert_close(second, first, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.logits, state.logits, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_logits_are_blended_where_they_moved_to():
    method = with_share(small_method("ssp"), 0.0)  # half and half
    now = Frame(torch.randn(1, 11, 64, 96), torch.randn(1, 8, 4, 6))
    past = SSPState(torch.randn(1, 11, 64, 96), torch.randn(1, 8, 4, 6), torch.ones(1))
    shift = torch.tensor([[[1.0, 0, 5], [0, 1, 0], [0, 0, 1]]])
    found = method.blend(now, past, shift)
    wanted = (now.logits[..., 5:] + past.logits[..., :-5]) / 2
    torch.testing.assert_close(found[..., 5:], wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(found[..., :4], now.logits[..., :4] / 2, atol=1e-4, rtol=0)


def test_a_homography_in_a_windows_own_pixels():
    method = small_method("ssp")
    turn = torch.tensor([[[0.9, 0.1, 3], [-0.1, 0.9, 2], [1e-4, 0, 1]]])
    (found,) = method.cut_motion((turn,), Window(top=1, left=2, height=2, width=2), (4, 6))
    inside = torch.tensor([5.0, 7.0, 1.0])
    whole = turn[0] @ (inside + torch.tensor([32.0, 16.0, 0.0]))
    there = found[0] @ inside
    expected = whole[:2] / whole[2] - torch.tensor([32.0, 16.0])
    torch.testing.assert_close(there[:2] / there[2], expected, atol=1e-3, rtol=0)


def test_flow_consistency_by_hand(street):
    now = np.roll(street, 3, axis=1)
    assert np.median(dense_flow(now, street)[100:200, 100:300, 0]) == pytest.approx(-3, abs=0.2)
    still = np.full((1, 64, 96), 50, np.uint8)
    logits, before = torch.full((1, 2, 64, 96), 3.0), torch.ones(1, 2, 64, 96)
    assert consistency(logits, before, still, still) == pytest.approx(4.0, abs=1e-4)
    brighter = still + 58  # three standard deviations of grey, summed over colours
    doubted = consistency(logits, before, brighter, still)
    assert doubted == pytest.approx(4.0 * np.exp(-3 * 58 / (255 * 0.2267)), rel=0.02)


def test_pairs_learn_from_their_second_frame_and_frames_alone_hold_the_share():
    method = small_method("ssp")
    (stage,) = stages(1)
    frames = torch.randint(0, 256, (1, 2, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        features = tuple(x[None] for x in method.encode(frames[0]))
    target = torch.randint(0, 11, (1, 2, 4, 6)).repeat_interleave(16, 2).repeat_interleave(16, 3)
    batch = ClipBatch(features, frames, target, frames[..., 1], torch.full((1,), 0.1))
    train = small_config("ssp").train
    method.enter_stage(stage)
    losses = method.losses(method.predict_clip(batch, stage), batch, train, torch.ones(11))
    assert set(losses) == {"pixel", "consistency"}
    blind = batch._replace(target=torch.stack([target[:, 0] * 0 + 255, target[:, 1]], dim=1))
    again = method.losses(method.predict_clip(blind, stage), blind, train, torch.ones(11))
    assert torch.equal(losses["pixel"], again["pixel"])
    sum(losses.values()).backward()
    assert method.share[0].weight.grad.abs().max() > 0
    (alone,) = stages(1, trains=FRAME_PATH)
    method.enter_stage(alone)
    assert not method.share[0].weight.requires_grad and method.head[0].weight.requires_grad
    predictions = method.predict_clip(batch, alone)
    assert predictions[1].beside is None and len(predictions) == 2

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Streaming against the clip model, and the door between pixels and tensors."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import small_segmenter

from t2g_core.evaluation.frame_path import FramePath
from t2g_core.images.motion import motion
from t2g_core.methods.query_masks import semantic_probs
from t2g_core.torch_runtime import TorchRuntime

STEP_S = 0.2
TOLERANCE = 1e-5  # of probabilities; the sums run in another order


def video(frames: int, height: int = 60, width: int = 90) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8))


def encoded_clip(segmenter, frames) -> tuple[list, list]:
    """Features of every frame, and the motion from the one before it."""
    encoded = [segmenter.encode(frame) for frame in frames]
    seen = [None, *(e.motion_image for e in encoded)]
    motions = [on_device(segmenter, now, before) for before, now in itertools.pairwise(seen)]
    return [e.features for e in encoded], motions


def on_device(segmenter, now, before) -> tuple[torch.Tensor, ...]:
    """What the method makes of two motion images, as tensors."""
    found = segmenter.runtime.motion(now, before)
    return tuple(torch.from_numpy(x).to(segmenter.device) for x in found)


@torch.inference_mode()
def clip_probs(segmenter, frames) -> torch.Tensor:
    """The clip model's probabilities of the newest frame."""
    return segmenter.runtime.method.clip(*encoded_clip(segmenter, frames), STEP_S)[-1]


@torch.inference_mode()
def stream_probs(segmenter, frames) -> list[torch.Tensor]:
    """Probabilities of every step, through the method's own streaming call."""
    features, motions = encoded_clip(segmenter, frames)
    state, probs = segmenter.runtime.method.start(features[0]), []
    for frame, moved in zip(features, motions, strict=True):
        result, state = segmenter.runtime.method.step(frame, state, moved, STEP_S)
        probs.append(result)
    return probs


@pytest.mark.parametrize("head", ["no_pixel_memory", "coarse_past", "no_memory"])
def test_stream_equals_the_clip_of_the_last_frames_also_while_the_buffer_fills(head, device):
    """Where frames meet in the queries alone."""
    segmenter, frames = small_segmenter(head, device), video(6)
    for t, probs in enumerate(stream_probs(segmenter, frames)):
        clip = clip_probs(segmenter, frames[max(0, t + 1 - segmenter.clip_length) : t + 1])
        torch.testing.assert_close(probs, clip, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("head", ["time2general", "deformable", "depth"])
def test_the_pixels_memory_of_a_stream_is_that_of_masks_decoded_in_their_turn(head, device):
    """Each frame by the queries of its own last T frames, then the mean over all of them."""
    segmenter, frames = small_segmenter(head, device), video(6)
    method = segmenter.runtime.method
    found = stream_probs(segmenter, frames)
    features, motions = encoded_clip(segmenter, frames)
    memory, method.head.pixel_memory = method.head.pixel_memory, None
    alone = stream_probs(segmenter, frames)
    method.head.pixel_memory = memory
    with torch.inference_mode():
        keys = [method.encode_frames(frame).keys for frame in features]
        expected = memory.of_clip(alone, keys, motions, STEP_S)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=TOLERANCE, rtol=0)
    assert (found[-1] - alone[-1]).abs().max() > 1e-3


def test_the_frame_path_alone_is_the_pixel_classifier_of_each_frame():
    segmenter, frames = small_segmenter(), video(3)
    alone = segmenter.with_runtime(TorchRuntime(FramePath(segmenter.runtime.method)))
    found = stream_probs(alone, frames)
    for frame, probs in zip(frames, found, strict=True):
        with torch.inference_mode():
            maps = segmenter.runtime.method.encode_frames(segmenter.encode(frame).features)
        torch.testing.assert_close(probs, maps.logits.softmax(dim=1))
    assert (found[-1] - stream_probs(segmenter, frames)[-1]).abs().max() > 1e-3
    _, state = alone.step(frames[0], alone.start())
    assert (alone.clip_length, state.memory_fill, segmenter.clip_length) == (1, None, 3)
    clip = alone.segment_clip(frames[1:2])
    assert np.array_equal(clip[0].mask, alone.step(frames[1], state)[0].mask)


@pytest.mark.parametrize(("pixels_from", "heard"), [("tokens", 0.0), ("maps", 1e-4)])
def test_pixels_hear_of_the_queries_where_they_are_made_of_the_maps(pixels_from, heard):
    segmenter, frames = small_segmenter("no_pixel_memory" if heard else "time2general"), video(1)
    method, frame = segmenter.runtime.method, segmenter.encode(frames[0]).features
    assert method.head.config.pixels_from == pixels_from
    found = []
    with torch.inference_mode():
        for scale in (1.0, 3.0):
            method.head.stability_queries.queries.mul_(scale)
            found.append(method.encode_frames(frame).logits)
    difference = (found[0] - found[1]).abs().max()
    assert difference > heard if heard else difference == 0


def test_step_and_segment_clip_agree_on_masks():
    segmenter, frames = small_segmenter("no_pixel_memory"), video(3)
    state = segmenter.start()
    for t, frame in enumerate(frames):
        result, state = segmenter.step(frame, state)
        clip = segmenter.segment_clip(frames[: t + 1])
        assert (result.mask == clip[-1].mask).mean() > 0.999
    assert [r.mask.shape for r in clip] == [(60, 90)] * 3


@pytest.mark.parametrize("head", ["time2general", "deformable"])
def test_the_memory_matters(head):
    segmenter, frames = small_segmenter(head), video(3)
    together = stream_probs(segmenter, frames)[-1]
    alone = stream_probs(segmenter, frames[-1:])[-1]
    assert (together - alone).abs().max() > 1e-4


def test_a_gpu_gives_the_masks_of_the_cpu(device):
    frames = video(3)
    results = []
    for where in ("cpu", device):
        segmenter = small_segmenter(device=where, precision="fp32")
        state = segmenter.start()
        for frame in frames:
            result, state = segmenter.step(frame, state)
        results.append(result)
    assert (results[0].mask == results[1].mask).mean() > 0.995


def test_precision_is_that_of_products():
    frame = video(1)[0]
    exact, rounded = (
        small_segmenter(precision=precision).encode(frame).features[-1]
        for precision in ("fp32", "bf16")
    )
    error = (exact - rounded).abs().max() / exact.abs().max()
    assert 1e-5 < error < 0.05  # bfloat16 has steps of 0.4 %


def test_probabilities_and_what_the_stream_keeps_of_them_are_float32_in_bf16_too():
    results = {}
    for precision in ("fp32", "bf16"):
        segmenter = small_segmenter(precision=precision)
        state = segmenter.start()
        for frame in video(3):
            result, state = segmenter.step(frame, state)
        assert state.method.pixels.mean.dtype == torch.float32
        results[precision] = result.confidence.astype(int)
    assert np.abs(results["fp32"] - results["bf16"]).mean() < 3  # of 255


def test_state_is_a_value():
    segmenter, frames = small_segmenter(), video(5)
    state = segmenter.start()
    fills = []
    for frame in frames:
        before = state
        first, state = segmenter.step(frame, before)
        again, _ = segmenter.step(frame, before)
        assert np.array_equal(first.confidence, again.confidence)
        fills.append(state.memory_fill)
    assert fills == [1 / 3, 2 / 3, 1, 1, 1]


def test_results_have_the_size_of_the_frame_whatever_it_is():
    segmenter = small_segmenter()
    for height, width in ((60, 90), (33, 200), (1, 1)):
        result, _ = segmenter.step(video(1, height, width)[0], segmenter.start())
        assert result.mask.shape == result.confidence.shape == (height, width)
        assert result.mask.dtype == result.confidence.dtype == np.uint8
        assert result.mask.max() < len(segmenter.class_names)


def first_probs(method, features) -> torch.Tensor:
    """Of a stream's first frame."""
    with torch.inference_mode():
        grid = features[0].shape[1:3]
        still = motion(np.zeros((8 * grid[0], 8 * grid[1]), np.uint8), None)
        still = tuple(torch.from_numpy(x) for x in still)
        return method.step(features, method.start(features), still, STEP_S)[0]


def test_depth_tokens_travel_with_the_rgb_tokens():
    segmenter, frames = small_segmenter("depth"), video(1)
    frame = segmenter.encode(frames[0]).features
    assert len(frame) == 8 and not torch.equal(frame[0], frame[4])
    flat = (*frame[:4], *(torch.zeros_like(t) for t in frame[4:]))
    probs, without = (first_probs(segmenter.runtime.method, features) for features in (frame, flat))
    assert not torch.allclose(probs, without, atol=1e-4)


def test_a_model_of_both_encoders_runs_on_rgb_alone_with_gates_at_one():
    """As it would with beta = 1 and both: without depth tokens nothing else changes."""
    segmenter, frames = small_segmenter("depth"), video(1)
    frame = segmenter.encode(frames[0]).features
    rgb = first_probs(segmenter.runtime.method, frame[:4])
    with torch.no_grad():
        for layer in segmenter.runtime.method.head.stability_queries.layers:
            layer.depth_gate.fill_(50.0)  # its sigmoid is 1
    torch.testing.assert_close(rgb, first_probs(segmenter.runtime.method, frame))


@pytest.mark.parametrize("head", ["linear", "conv"])
def test_frame_heads_stream_with_a_memory_of_one(head):
    segmenter, frames = small_segmenter(head), video(3)
    state = segmenter.start()
    for frame in frames:
        result, state = segmenter.step(frame, state)
        assert np.array_equal(result.mask, segmenter.segment_clip([frame])[0].mask)
    assert state.memory_fill is None


def test_a_frame_of_another_shape_needs_a_new_state():
    segmenter = small_segmenter()
    _, state = segmenter.step(video(1, 60, 90)[0], segmenter.start())
    with pytest.raises(ValueError, match="a frame of 60x90 pixels cannot follow one of 90x60"):
        segmenter.step(video(1, 90, 60)[0], state)
    segmenter.step(video(1, 120, 180)[0], state)  # of the same aspect ratio


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_a_frame_of_another_shape_or_type_is_refused(frame):
    segmenter = small_segmenter()
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8, got"):
        segmenter.step(frame, segmenter.start())


def test_scores_that_are_no_numbers_are_an_error_and_not_a_mask():
    with pytest.raises(FloatingPointError, match="not finite"):
        small_segmenter().to_result(torch.full((1, 3, 4, 4), float("nan")), (8, 8))


def test_a_clip_longer_than_the_model_is_refused():
    with pytest.raises(ValueError, match="expected 1 to 3 frames, got 4"):
        small_segmenter().segment_clip(video(4))


def test_scores_of_equation_6_are_float32_under_autocast():
    """A change far below bfloat16's steps near one still has its gradient."""
    logits = torch.tensor([[[6.0, 0.0, -9.0]]], requires_grad=True)
    pixels = torch.tensor([[[[8.0, 8.001]]]])
    with torch.autocast("cpu", torch.bfloat16):
        probs = semantic_probs(logits, torch.ones(1, 1, 1), pixels)
    assert probs.dtype == torch.float32
    torch.testing.assert_close(
        probs, semantic_probs(logits, torch.ones(1, 1, 1), pixels), atol=0, rtol=0
    )


def test_scores_of_equation_6_by_hand():
    """Two queries, two classes: g_k = sum_q p(k|q) sigmoid(mask_q), no-object dropped."""
    thirds = torch.tensor([[[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]]).clamp_min(1e-9).log()
    embeddings = torch.tensor([[[torch.log(torch.tensor(3.0))], [0.0]]])  # sigmoids 3/4 and 1/2
    probs = semantic_probs(thirds, embeddings, torch.ones(1, 1, 1, 1)).flatten()
    scores = torch.tensor([0.5 * 0.75, 0.25 * 0.75 + 0.5])
    torch.testing.assert_close(probs, scores / scores.sum(), atol=1e-5, rtol=0)


def held_bytes(state) -> int:
    """Of all tensors in a state."""
    if isinstance(state, torch.Tensor):
        return state.untyped_storage().nbytes()
    return sum(held_bytes(part) for part in state) if isinstance(state, tuple) else 0


@pytest.mark.parametrize(
    "head",
    [
        "time2general",
        pytest.param("coarse_past", marks=pytest.mark.long),
        pytest.param("deformable", marks=pytest.mark.long),
    ],
)
def test_a_long_stream_holds_no_more_than_a_short_one(head):
    segmenter, (frame,) = small_segmenter(head), video(1)
    encoded, state = segmenter.encode(frame), segmenter.start()
    sizes, resident = [], []
    for _ in range(600):
        _, state = segmenter.step_encoded(encoded, state)
        sizes.append(held_bytes(state.method))
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    # Its shapes are fixed from the first frame on; empty slots are float32, frames bf16 where a
    # processor has it.
    assert set(sizes[segmenter.clip_length :]) == {min(sizes)}
    assert resident[-1] - resident[200] < 20e6

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""TV3S: its scan, its windows, and that a stream is the clip."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_model import small_config, small_method

from t2g_core.methods.tv3s.mamba import Mamba
from t2g_core.methods.tv3s.selective_scan import ScanInputs, selective_scan
from t2g_core.methods.tv3s.shifted_windows import cut, paste, pieces
from t2g_core.methods.tv3s.tv3s import TV3SConfig, TV3SHead


def drawn(length: int = 70, batch: int = 2, width: int = 6, kept: int = 4) -> ScanInputs:
    torch.manual_seed(0)
    x, delta = torch.randn(batch, length, width), torch.rand(batch, length, width)
    b, c = torch.randn(2, batch, length, kept)
    return ScanInputs(x, delta, b, c, -torch.rand(width, kept) * 3, torch.randn(width))


def by_steps(inputs: ScanInputs, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The recurrence as it is written."""
    x, delta, b, c, decay, skip = inputs
    found = []
    for k in range(x.shape[1]):
        pushed = (delta[:, k] * x[:, k])[..., None] * b[:, k, None]
        state = (delta[:, k, :, None] * decay).exp() * state + pushed
        found.append((state * c[:, k, None]).sum(-1) + skip * x[:, k])
    return torch.stack(found, dim=1), state


@pytest.mark.parametrize("chunk", [1, 7, 32, 128])
def test_the_scan_in_chunks_is_the_recurrence_and_so_is_its_gradient(chunk):
    inputs, state = drawn(), torch.randn(2, 6, 4)
    x = inputs.x.clone().requires_grad_()
    results = []
    for scan in (by_steps, lambda *args: selective_scan(*args, chunk)):
        y, last = scan(inputs._replace(x=x), state)
        (gradient,) = torch.autograd.grad(y.square().sum() + last.sum(), x)
        results.append((y, last, gradient))
    for found, wanted in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_the_scan_is_in_float32_under_autocast():
    inputs, state = drawn(), torch.zeros(2, 6, 4)
    wanted, _ = selective_scan(inputs, state, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found, last = selective_scan(inputs, state, 16)
    assert found.dtype == last.dtype == torch.float32 and torch.equal(found, wanted)


def test_a_layer_goes_on_where_it_was():
    torch.manual_seed(0)
    layer, u = Mamba(32), torch.randn(2, 12, 32)
    whole, last = layer(u, layer.start(2), 4)
    first, state = layer(u[:, :5], layer.start(2))
    second, after = layer(u[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, atol=1e-5, rtol=1e-5)
    for found, wanted in zip(after, last, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert sum(p.numel() for p in Mamba(256).parameters()) == 437_760


@pytest.mark.parametrize("shift", [0, 2])
def test_windows_cover_a_map_once_and_come_back_as_they_were(shift):
    maps = torch.arange(2 * 3 * 8 * 12, dtype=torch.float32).view(2, 3, 8, 12, 1)
    found, seen = torch.full_like(maps, -1), []
    for piece in pieces((8, 12), 4, shift):
        windows = cut(maps, piece)
        assert windows.shape[1] == 3 * piece.height * piece.width
        seen.append(windows.flatten())
        paste(found, piece, windows)
    assert torch.equal(found, maps)
    assert torch.equal(torch.cat(seen).sort().values, maps.flatten())
    sizes = {(p.height, p.width): len(p.tops) * len(p.lefts) for p in pieces((8, 12), 4, shift)}
    if shift:  # quarters, halves, and whole ones inside
        assert sizes == {(2, 2): 4, (2, 4): 4, (4, 2): 2, (4, 4): 2}
    else:
        assert sizes == {(4, 4): 6}


def test_a_window_is_read_frame_after_frame_row_by_row():
    maps = torch.arange(2 * 4 * 4, dtype=torch.float32).view(1, 2, 4, 4, 1)
    (piece,) = pieces((4, 4), 4, 0)
    assert cut(maps, piece).flatten().tolist() == list(range(32))


def test_what_the_roll_wraps_around_is_not_mixed():
    """By the roll as it is published: pieces of the shifted grid hold neighbours alone."""
    rows = torch.arange(8).repeat_interleave(8).view(1, 1, 8, 8, 1)
    rolled = rows.roll((-2, -2), (2, 3))
    (piece,) = pieces((8, 8), 4, 0)
    last = cut(rolled, piece)[2]  # of the lower row: it holds rows 6, 7 and then 0, 1
    assert set(last.flatten().tolist()) == {6, 7, 0, 1}
    for piece in pieces((8, 8), 4, 2):
        for window in cut(rows, piece):
            found = set(window.flatten().tolist())
            assert max(found) - min(found) == len(found) - 1


def test_the_published_head_has_the_published_number_of_parameters():
    """Less a classifier of 128 channels that its base class makes and nothing calls."""
    head = TV3SHead(TV3SConfig(), (64, 128, 320, 512), 15)
    assert sum(p.numel() for p in head.parameters()) == 4_039_853 - (128 * 15 + 15)


def frames_of(method, count: int) -> list:
    torch.manual_seed(3)
    images = torch.randint(0, 256, (count, 1, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        return [method.encode(image) for image in images]


def streamed(method, frames: list) -> list[torch.Tensor]:
    state, found = method.start(frames[0]), []
    with torch.no_grad():
        for frame in frames:
            probs, state = method.step(frame, state, (), 0.1)
            found.append(probs)
    return found


def with_ages(method, *ages: int):
    method.config = replace(method.config, ages=ages)
    return method


def test_a_stream_is_the_clip_of_the_same_frames():
    method = small_method("tv3s")
    frames = frames_of(method, 4)
    found = streamed(method, frames)
    assert not torch.allclose(found[0], streamed(method, frames[1:])[0])
    again = streamed(with_ages(method, 3, 2, 1), frames)
    torch.testing.assert_close(again[3], found[3], atol=1e-5, rtol=0)


def test_a_clip_takes_its_frames_and_the_first_for_those_before_it():
    method = with_ages(small_method("tv3s"), 4, 2)
    frames = frames_of(method, 6)
    found = streamed(method, frames)
    recurrent = with_ages(small_method("tv3s"))
    for now, chosen in ((0, (0, 0, 0)), (3, (0, 1, 3)), (5, (1, 3, 5))):
        wanted = streamed(recurrent, [frames[i] for i in chosen])[-1]
        torch.testing.assert_close(found[now], wanted, atol=1e-5, rtol=0)


def test_a_frame_changes_nothing_before_it():
    method = small_method("tv3s")
    frames = frames_of(method, 4)
    other = [*frames[:2], tuple(x + 1 for x in frames[2]), frames[3]]
    one, two = streamed(method, frames), streamed(method, other)
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert not torch.allclose(one[2], two[2]) and not torch.allclose(one[3], two[3])


def test_faulty_values_are_named():
    with pytest.raises(ValueError, match="window: expected an even number of cells, got 5"):
        TV3SConfig(window=5)
    with pytest.raises(ValueError, match=r"ages: expected .* oldest first, got \(3, 6\)"):
        TV3SConfig(ages=(3, 6))
    with pytest.raises(ValueError, match="expected a side in multiples of the window, 4, got 6"):
        pieces((6, 8), 4, 0)
    config = small_config("time2general")
    with pytest.raises(ValueError, match="trains frame_path: expected all"):
        replace(config, method=TV3SConfig())

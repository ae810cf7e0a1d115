"""Eq. 5 and the neighbourhood read."""

from __future__ import annotations

import pytest
import torch

from t2g_core.model.pixel_fusion import NeighbourhoodRead, PixelFusion

GRID = (3, 4)


def slow_read(module: NeighbourhoodRead, tokens, memory, position: int) -> torch.Tensor:
    """The same, one token and one neighbour at a time."""
    key_dim = memory.shape[-1] // 2
    reach = module.window // 2
    rows = []
    for n in range(GRID[0] * GRID[1]):
        y, x = divmod(n, GRID[1])
        logits, values = [], []
        for t in range(memory.shape[1]):
            for i, (dy, dx) in enumerate(
                (dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)
            ):
                if 0 <= y + dy < GRID[0] and 0 <= x + dx < GRID[1]:
                    other = memory[0, t, (y + dy) * GRID[1] + x + dx]
                    query = module.to_query(tokens[0, n])
                    bias = module.bias[abs(t - position), i]
                    logits.append(query @ other[:key_dim] / key_dim**0.5 + bias)
                    values.append(other[key_dim:])
        read = torch.stack(logits).softmax(0) @ torch.stack(values)
        rows.append(module.norm(tokens[0, n] + module.out(read)))
    return torch.stack(rows)[None]


def test_neighbourhood_read_equals_a_loop_over_tokens():
    torch.manual_seed(0)
    module = NeighbourhoodRead(dim=6, key_dim=4, max_frames=3, window=3)
    torch.nn.init.normal_(module.bias)
    tokens, memory = torch.randn(1, 12, 6), torch.randn(1, 3, 12, 8)
    for position in range(3):
        fast = module(tokens, module.windows(memory, GRID), position)
        torch.testing.assert_close(fast, slow_read(module, tokens, memory, position))


def test_what_one_frame_hides_is_read_from_another():
    """A key that matches in the older frame alone is where the value comes from."""
    module = NeighbourhoodRead(dim=2, key_dim=2, max_frames=2, window=1)
    with torch.no_grad():
        module.to_query.weight.copy_(100 * torch.eye(2))
        module.to_query.bias.zero_()
        module.out.weight.copy_(torch.eye(2))
        module.out.bias.zero_()
    module.norm = torch.nn.Identity()
    tokens = torch.tensor([[[1.0, 0.0]]])
    memory = torch.tensor([[[[1.0, 0.0, 5.0, 7.0]], [[0.0, 1.0, -9.0, -9.0]]]])  # (1, 2, 1, 4)
    read = module(tokens, module.windows(memory, (1, 1)), position=1)
    torch.testing.assert_close(read, torch.tensor([[[6.0, 7.0]]]))


def test_pixels_come_at_stride_4_for_grids_that_are_not_square():
    torch.manual_seed(0)
    module = PixelFusion(dim=8, num_layers=2, pixel_dim=8, max_frames=2, window=3)
    images = torch.randn(1, 3, 48, 80)
    tokens = module.tokens([torch.randn(1, 15, 8) for _ in range(2)])
    windows = module.read.windows(module.to_memory(tokens)[:, None], (3, 5))
    assert module(tokens, windows, 0, images).shape == (1, 8, 12, 20)


def test_without_a_window_other_frames_are_not_read():
    torch.manual_seed(0)
    module = PixelFusion(dim=8, num_layers=2, pixel_dim=8, max_frames=2, window=0)
    assert module.to_memory(torch.randn(1, 15, 8)) is None
    images, tokens = torch.randn(1, 3, 48, 80), torch.randn(1, 15, 8)
    assert module(tokens, None, 0, images).shape == (1, 8, 12, 20)
    assert not any(name.startswith("read") for name, _ in module.named_parameters())


@pytest.mark.parametrize("window", [0, 2])
def test_a_window_without_a_middle_is_refused(window):
    with pytest.raises(ValueError, match=f"expected an odd number of tokens, got {window}"):
        NeighbourhoodRead(dim=2, key_dim=2, max_frames=2, window=window)

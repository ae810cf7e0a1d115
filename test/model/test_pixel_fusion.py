"""Eq. 5: from maps and tokens to pixels."""

from __future__ import annotations

import pytest
import torch

from t2g_core.model.pixel_fusion import PixelFusion


def module_and_input(source: str, places: int) -> tuple[PixelFusion, list, list]:
    """Two layers, and a third that is depth's and never read."""
    torch.manual_seed(0)
    module = PixelFusion(dim=8, num_layers=2, pixel_dim=4, token_width=6, source=source).eval()
    maps = [torch.randn(1, places, 8, requires_grad=True) for _ in range(2)]
    tokens = [torch.randn(1, places, 6, requires_grad=True) for _ in range(3)]
    return module, maps, tokens


def test_pixels_come_at_stride_4_for_grids_that_are_not_square():
    module, maps, tokens = module_and_input("tokens", 15)
    found = module(maps, tokens, (3, 5))
    assert found.pixels.shape == (1, 4, 12, 20)
    assert found.context.shape == (1, 8, 6, 10)


@pytest.mark.parametrize("source", ["maps", "tokens"])
def test_a_pixel_depends_on_every_layer_that_is_read_and_on_its_neighbourhood_alone(source):
    module, maps, tokens = module_and_input(source, 100)
    module(maps, tokens, (10, 10)).pixels[0, :, 0, 0].sum().backward()
    read = maps if source == "maps" else tokens[:2]
    for x in read:
        reached = x.grad[0].abs().sum(-1).view(10, 10) > 0
        assert reached[:3, :3].all() and not reached[5:].any() and not reached[:, 5:].any()
    assert sum(x.grad is not None for x in (*maps, *tokens)) == len(read)


def test_an_unknown_source_is_refused():
    with pytest.raises(ValueError, match="pixels_from: expected one of .*, got 'pixels'"):
        PixelFusion(dim=8, num_layers=2, pixel_dim=4, token_width=6, source="pixels")

"""Eq. 5: from tokens to pixels."""

from __future__ import annotations

import torch

from t2g_core.model.pixel_fusion import PixelFusion


def test_pixels_come_at_stride_4_for_grids_that_are_not_square():
    torch.manual_seed(0)
    module = PixelFusion(dim=8, num_layers=2, pixel_dim=4)
    maps = module([torch.randn(1, 15, 8) for _ in range(2)], (3, 5))
    assert maps.pixels.shape == (1, 4, 12, 20)
    assert maps.context.shape == (1, 8, 6, 10)


def test_a_pixel_depends_on_every_layer_and_on_its_neighbourhood_alone():
    torch.manual_seed(0)
    module = PixelFusion(dim=8, num_layers=2, pixel_dim=4).eval()
    maps = [torch.randn(1, 100, 8, requires_grad=True) for _ in range(2)]
    module(maps, (10, 10)).pixels[0, :, 0, 0].sum().backward()
    for tokens in maps:
        reached = tokens.grad[0].abs().sum(-1).view(10, 10) > 0
        assert reached[:3, :3].all() and not reached[5:].any() and not reached[:, 5:].any()

"""Eq. 5: from tokens to pixels."""

from __future__ import annotations

import torch

from t2g_core.model.pixel_fusion import PixelFusion


def test_pixels_come_at_stride_4_for_grids_that_are_not_square():
    torch.manual_seed(0)
    module = PixelFusion(dim=8, num_layers=2, pixel_dim=4)
    maps = module([torch.randn(1, 15, 8) for _ in range(2)], torch.randn(1, 3, 48, 80))
    assert maps.pixels.shape == (1, 4, 12, 20)
    assert maps.context.shape == (1, 8, 6, 10)


def test_the_detail_of_the_image_starts_at_zero_and_can_be_learned():
    torch.manual_seed(0)
    module = PixelFusion(dim=8, num_layers=1, pixel_dim=4).eval()
    tokens = [torch.randn(1, 15, 8)]
    first, second = (module(tokens, torch.randn(1, 3, 48, 80)).pixels for _ in range(2))
    assert torch.equal(first, second)
    first.sum().backward()
    assert module.detail.weight.grad.abs().sum() > 0
    torch.nn.init.normal_(module.detail.weight)
    first, second = (module(tokens, torch.randn(1, 3, 48, 80)).pixels for _ in range(2))
    assert not torch.allclose(first, second)

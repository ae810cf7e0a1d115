# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Eq. 5: from maps to pixels."""

from __future__ import annotations

import torch

from t2g_core.methods.time2general.pixel_fusion import PixelFusion, PixelProjection


def test_pixels_come_at_stride_4_for_grids_that_are_not_square():
    torch.manual_seed(0)
    module = PixelFusion(width=6, num_layers=2, dim=8, stem=0)
    found = module([torch.randn(1, 15, 6) for _ in range(2)], (3, 5), None)
    assert found.context.shape == (1, 8, 6, 10) and found.detail is None
    assert PixelProjection(8, 0, 4)(found).shape == (1, 4, 12, 20)


def test_a_pixel_depends_on_every_layer_and_on_its_neighbourhood_alone():
    torch.manual_seed(0)
    module = PixelFusion(width=6, num_layers=2, dim=8, stem=0).eval()
    maps = [torch.randn(1, 100, 6, requires_grad=True) for _ in range(2)]
    pixels = PixelProjection(8, 0, 4)(module(maps, (10, 10), None))
    pixels[0, :, 0, 0].sum().backward()
    for x in maps:
        reached = x.grad[0].abs().sum(-1).view(10, 10) > 0
        assert reached[:3, :3].all() and not reached[5:].any() and not reached[:, 5:].any()

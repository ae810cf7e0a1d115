# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The Mask2Former head against the implementation of transformers."""

from __future__ import annotations

import torch
from transformers import Mask2FormerConfig as TheirConfig
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerPixelDecoder,
    Mask2FormerTransformerModule,
)

from t2g_core.methods.adapters.mask2former_head import (
    Mask2FormerConfig,
    Mask2FormerHead,
    inside,
)
from t2g_core.methods.adapters.pixel_decoder import (
    STRIDES,
    DeformableAttention,
    at_stride,
    cell_centres,
    resized,
)

GRID = (6, 8)
CHANNELS, DIM, QUERIES = 48, 64, 10
OURS = Mask2FormerConfig(
    dim=DIM, heads=4, pixel_layers=2, pixel_ffn_dim=32, decoder_layers=4, ffn_dim=96
)
THEIRS = TheirConfig(
    feature_size=DIM,
    mask_feature_size=DIM,
    hidden_dim=DIM,
    num_attention_heads=4,
    encoder_layers=2,
    encoder_feedforward_dim=32,
    decoder_layers=5,  # they count the prediction before the first
    dim_feedforward=96,
    num_queries=QUERIES,
    dropout=0.0,
    pre_norm=False,
)


def copy(theirs: torch.nn.Module, ours: torch.nn.Module) -> None:
    """Weights and biases of a layer."""
    theirs.load_state_dict(ours.state_dict())


def their_pixel_decoder(head: Mask2FormerHead) -> Mask2FormerPixelDecoder:
    """With our weights."""
    ours, theirs = head.pixel_decoder, Mask2FormerPixelDecoder(THEIRS, [CHANNELS] * 4).eval()
    theirs.level_embed.copy_(ours.level_embedding)
    for both, project, norm in zip(
        theirs.input_projections, ours.project, ours.project_norm, strict=True
    ):
        copy(both[0], project)
        copy(both[1], norm)
    for their, our in zip(theirs.encoder.layers, ours.layers, strict=True):
        copy(their.self_attn.sampling_offsets, our.attention.to_offset)
        copy(their.self_attn.attention_weights, our.attention.to_weight)
        copy(their.self_attn.value_proj, our.attention.to_value)
        copy(their.self_attn.output_proj, our.attention.out)
        copy(their.self_attn_layer_norm, our.norm)
        copy(their.fc1, our.ffn[0])
        copy(their.fc2, our.ffn[2])
        copy(their.final_layer_norm, our.ffn_norm)
    copy(theirs.adapter_1[0], ours.lateral)
    copy(theirs.adapter_1[1], ours.lateral_norm)
    copy(theirs.layer_1, ours.smooth)
    copy(theirs.mask_projection, ours.to_pixels)
    return theirs


def their_decoder(head: Mask2FormerHead, positions: torch.Tensor) -> Mask2FormerTransformerModule:
    """With our weights, and our queries in the place of its embeddings."""
    ours = head.query_decoder
    theirs = Mask2FormerTransformerModule(DIM, THEIRS).eval()
    theirs.queries_embedder.weight.copy_(positions)
    theirs.queries_features.weight.copy_(ours.to_content(positions))
    theirs.level_embed.weight.copy_(ours.level_embedding)
    copy(theirs.decoder.layernorm, ours.norm)
    mask = theirs.decoder.mask_predictor.mask_embedder.layers
    for their, our in zip(mask, ours.to_mask[::2], strict=True):
        copy(next(their.children()), our)
    for their, our in zip(theirs.decoder.layers, ours.layers, strict=True):
        cross = our.cross_attention
        three = cross.to_query, cross.to_key, cross.to_value
        their.cross_attn.in_proj_weight.copy_(torch.cat([x.weight for x in three]))
        their.cross_attn.in_proj_bias.copy_(torch.cat([x.bias for x in three]))
        copy(their.cross_attn.out_proj, cross.out)
        copy(their.cross_attn_layer_norm, our.cross_norm)
        copy(their.self_attn.q_proj, our.self_attention.to_query)
        copy(their.self_attn.k_proj, our.self_attention.to_key)
        copy(their.self_attn.v_proj, our.self_attention.to_value)
        copy(their.self_attn.out_proj, our.self_attention.out)
        copy(their.self_attn_layer_norm, our.self_norm)
        copy(their.fc1, our.ffn[0])
        copy(their.fc2, our.ffn[2])
        copy(their.final_layer_norm, our.ffn_norm)
    return theirs


@torch.no_grad()
def test_the_head_is_that_of_transformers():
    torch.manual_seed(0)
    head = Mask2FormerHead(OURS, CHANNELS, 7).eval()
    for layer in head.pixel_decoder.layers:  # points that depend on what is asked
        torch.nn.init.normal_(layer.attention.to_offset.weight, std=0.1)
        torch.nn.init.normal_(layer.attention.to_weight.weight, std=0.1)
    maps = [torch.randn(2, CHANNELS, *GRID) for _ in range(4)]
    positions = torch.randn(QUERIES, DIM)
    found = head(maps, GRID, positions)

    scaled = [resized(x, at_stride(GRID, s)) for x, s in zip(maps, STRIDES, strict=True)]
    decoded = their_pixel_decoder(head)(scaled)
    torch.testing.assert_close(found.pixels, decoded.mask_features, atol=1e-5, rtol=1e-5)
    theirs = their_decoder(head, positions)(decoded.multi_scale_features, decoded.mask_features)
    masks = torch.stack(theirs.masks_queries_logits, dim=1)
    ours = torch.einsum("bsqp,bphw->bsqhw", found.mask_embeddings, found.pixels)
    torch.testing.assert_close(ours, masks, atol=1e-4, rtol=1e-4)
    assert masks.std() > 0.1


def test_a_query_without_a_mask_in_a_level_reads_all_of_it():
    pixels = torch.tensor([[[1.0, -1.0, -2.0]]])  # one channel, three cells
    allowed = inside(torch.tensor([[[1.0], [-1.0], [0.0]]]), pixels)
    assert allowed.tolist() == [[[True, False, False], [False, True, True], [True, True, True]]]
    none = inside(torch.tensor([[[1.0]]]), -pixels.abs())
    assert none.all()


def test_under_autocast_points_stay_where_they_are():
    """In bfloat16 a point of a map 128 wide would be up to a quarter of a cell off."""
    torch.manual_seed(0)
    attention = DeformableAttention(32, 4, 1)
    torch.nn.init.eye_(attention.to_value.weight)
    for linear in (attention.to_value, attention.to_offset):
        torch.nn.init.zeros_(linear.bias)
    size = (1, 128)
    x = torch.tensor([1.0, -1.0]).repeat(64)[None, :, None].expand(-1, -1, 32)
    centres = cell_centres(size, x.device)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        seen = []
        attention.out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        attention(torch.zeros(1, 128, 32), x, centres, [size])
    assert seen[0].dtype == torch.float32
    torch.testing.assert_close(seen[0][0, :, 0], x[0, :, 0], atol=0.01, rtol=0)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Eq. 3 and 4: what the memory is and how queries read it."""

from __future__ import annotations

import pytest
import torch

from t2g_core.methods.time2general.memory_decoder import (
    MemoryAttention,
    SpatioTemporalMemoryDecoder,
)

SIZES = [(2, 3), (1, 2)]


def decoder() -> SpatioTemporalMemoryDecoder:
    torch.manual_seed(0)
    module = SpatioTemporalMemoryDecoder(
        dim=8, heads=2, ffn_dim=16, num_blocks=2, max_frames=4, num_scales=2
    )
    torch.nn.init.normal_(module.temporal_embedding)
    return module.eval()


def frames(count: int) -> list[list[torch.Tensor]]:
    torch.manual_seed(1)
    return [[torch.randn(1, 6, 8), torch.randn(1, 2, 8)] for _ in range(count)]


def test_projecting_once_equals_projecting_the_memory_of_equation_3():
    """W(M + e) = WM + We: kept projections give what attention to M + e_tmp + e_scl gives."""
    module, attention = decoder(), decoder().blocks[0].read
    queries, clip = torch.randn(1, 3, 8), frames(3)
    joint = []
    for age, scales in zip((2, 1, 0), clip, strict=True):
        for scale, tokens in enumerate(scales):
            embedded = tokens + module.temporal_embedding[age] + module.scale_embedding[scale]
            joint.append(embedded)
    memory = torch.cat(joint, dim=1)  # (1, T * N, d) of Eq. 3
    key, value = attention.to_key_value(memory).chunk(2, dim=-1)
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    with torch.no_grad():
        reference.in_proj_weight.copy_(
            torch.cat([attention.to_query.weight, torch.eye(8), torch.eye(8)])
        )
        reference.in_proj_bias.copy_(torch.cat([attention.to_query.bias, torch.zeros(16)]))
        reference.out_proj.load_state_dict(attention.out.state_dict())
    expected, _ = reference(queries, key, value)
    kept = [module.to_memory(scales)[:, 0] for scales in clip]
    by_age = module.temporal_embedding[:3].flip(0)
    torch.testing.assert_close(attention(queries, kept, by_age, SIZES, torch.zeros(1, 3)), expected)


def test_every_frame_and_its_age_change_the_queries():
    module, clip = decoder(), frames(3)
    queries = torch.randn(5, 8)
    memory = [module.to_memory(scales) for scales in clip]
    states = module(queries, memory, SIZES)
    assert len(states) == 3  # two blocks and the initial queries
    torch.testing.assert_close(states[0][0], queries)
    for t in range(3):
        changed = list(memory)
        changed[t] = changed[t] + torch.randn(6 + 2, 4)  # of every token another
        assert not torch.allclose(module(queries, changed, SIZES)[-1], states[-1])
    assert not torch.allclose(module(queries, memory[::-1], SIZES)[-1], states[-1])


def test_of_the_past_only_the_coarsest_scale_is_kept_if_asked_for():
    module = decoder()
    memory = module.to_memory(frames(1)[0])  # (1, blocks, 2, heads, 6 + 2 tokens, 4)
    assert module.as_past(memory, SIZES) is memory
    module.coarse_past = True
    past = module.as_past(memory, SIZES)
    assert torch.equal(past, memory[..., 6:, :]) and past.numel() == memory.numel() // 4
    queries = torch.randn(5, 8)
    newest = module.to_memory(frames(2)[1])
    found = module(queries, [past, newest], SIZES)[-1]
    assert found.shape == (1, 5, 8)
    assert not torch.allclose(found, module(queries, [memory, newest], SIZES)[-1])


@pytest.mark.parametrize("attention", ["dense", "deformable"])
def test_slots_without_a_frame_are_not_read(attention):
    """A filling memory of four slots gives what a memory of its frames alone gives."""
    torch.manual_seed(2)
    module = SpatioTemporalMemoryDecoder(8, 2, 16, 2, 4, 2, attention).eval()
    queries = torch.randn(5, 8)
    memory = [module.to_memory(scales) for scales in frames(4)]
    empty = module.empty(1, SIZES, torch.device("cpu"))
    assert empty.shape == memory[0].shape and not empty.any()
    for count in range(1, 5):
        held = memory[-count:]
        slots = [empty] * (4 - count) + held
        holds = torch.arange(4)[None] >= 4 - count
        found, expected = module(queries, slots, SIZES, holds), module(queries, held, SIZES)
        torch.testing.assert_close(found[-1], expected[-1], atol=1e-6, rtol=0)


def test_a_single_frame_needs_only_the_newest_embedding():
    module = decoder()
    memory = [module.to_memory(frames(1)[0])]
    before = module(torch.ones(2, 8), memory, SIZES)[-1]
    with torch.no_grad():
        module.temporal_embedding[1:] += 5.0
    torch.testing.assert_close(module(torch.ones(2, 8), memory, SIZES)[-1], before)


def test_attention_weights_by_hand():
    """One head, identity projections: logits ln 3 and 0 read 3/4 and 1/4 of the values."""
    attention = MemoryAttention(1, 1)
    with torch.no_grad():
        for layer in (attention.to_query, attention.out):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
    memory = [torch.tensor(kv).view(1, 2, 1, 1, 1) for kv in ([1.0, 8.0], [0.0, 4.0])]
    query = torch.full((1, 1, 1), torch.log(torch.tensor(3.0)).item())
    read = attention(
        query, memory, by_age=torch.zeros(2, 1), sizes=[(1, 1)], share=torch.zeros(1, 2)
    )
    torch.testing.assert_close(read, torch.tensor([[[7.0]]]))

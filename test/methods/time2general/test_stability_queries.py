# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Eq. 1 and 2 against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from t2g_core.methods.time2general.stability_queries import QueryModulation, StabilityQueries

TEXT = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))  # of three classes


def identity_modulation(write_back: str) -> QueryModulation:
    """d = C = 2 and every projection the identity."""
    layer = QueryModulation(2, 2, write_back)
    with torch.no_grad():
        layer.to_query.weight.copy_(torch.eye(2))
        layer.to_key_value.weight.copy_(torch.eye(2).repeat(2, 1))
        layer.project.weight.copy_(torch.eye(2))
        layer.project.bias.zero_()
    return layer


def hand_case() -> tuple[torch.Tensor, torch.Tensor]:
    """One query, two tokens whose logits are ln 3 and 0."""
    queries = torch.tensor([[math.log(3) * math.sqrt(2), 0.0]])
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 4.0]]])
    return queries, tokens


def test_literal_write_back_is_equation_1():
    # A = (3/4, 1/4); U = 3/4 (1, 0) + 1/4 (0, 4) = (3/4, 1); Z = A^T U
    layer = identity_modulation("literal")
    z = layer.modulation(*hand_case(), layer.to_key_value)
    expected = torch.tensor([[[9 / 16, 3 / 4], [3 / 16, 1 / 4]]])
    torch.testing.assert_close(z, expected)


def test_write_back_over_queries_gives_every_token_a_whole_summary():
    # With one query, the softmax over queries is one: each token receives U itself.
    layer = identity_modulation("over_queries")
    z = layer.modulation(*hand_case(), layer.to_key_value)
    torch.testing.assert_close(z, torch.tensor([[[3 / 4, 1.0], [3 / 4, 1.0]]]))


def test_write_back_over_queries_does_not_shrink_with_the_image():
    torch.manual_seed(0)
    queries, tokens = torch.randn(4, 2), torch.randn(1, 6, 2)
    large = tokens.repeat(1, 10, 1)  # the same picture, ten times the tokens
    for write_back, ratio in (("over_queries", 1.0), ("literal", 0.1)):
        layer = identity_modulation(write_back)
        small_z = layer.modulation(queries, tokens, layer.to_key_value)
        large_z = layer.modulation(queries, large, layer.to_key_value)
        torch.testing.assert_close(large_z[:, :6], small_z * ratio)


@pytest.mark.parametrize("write_back", ["literal", "over_queries"])
def test_modulation_is_that_of_keys_and_values_made_explicitly(write_back):
    """(Q, C, d) = (3, 5, 4): every dimension another, every projection another."""
    torch.manual_seed(0)
    layer = QueryModulation(4, 5, write_back)
    queries, tokens = torch.randn(3, 4), torch.randn(2, 7, 5)
    key, value = layer.to_key_value(tokens).split(4, dim=-1)
    logits = torch.einsum("qd,bnd->bqn", layer.to_query(queries), key) / 2  # sqrt(d)
    summaries = logits.softmax(dim=2) @ value
    write = logits.softmax(dim=2 if write_back == "literal" else 1)
    expected = torch.einsum("bqn,bqd->bnd", write, summaries)
    z = layer.modulation(queries, tokens, layer.to_key_value)
    torch.testing.assert_close(z, expected)


def test_equation_2_adds_projection_and_modulation_then_normalises():
    layer = identity_modulation("over_queries")
    # phi(x) + Z = (1.75, 1) and (0.75, 5); LayerNorm over two channels gives +-1
    u = layer(*hand_case())
    torch.testing.assert_close(u, torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]]), atol=1e-3, rtol=0)


def depth_modulation(projections: str) -> QueryModulation:
    """As identity_modulation, but separate depth keys and values are half the tokens."""
    layer = QueryModulation(2, 2, "over_queries", projections)
    layer.load_state_dict(identity_modulation("over_queries").state_dict(), strict=False)
    if projections == "separate":
        with torch.no_grad():
            layer.depth_to_key_value.weight.copy_(0.5 * torch.eye(2).repeat(2, 1))
    layer.norm = torch.nn.Identity()
    return layer


def test_depth_and_rgb_modulations_meet_half_way_until_the_gate_moves():
    queries, tokens = hand_case()
    depth = torch.tensor([[[2.0, 0.0], [0.0, 0.0]]])
    # RGB: every token receives U = (3/4, 1). Depth: keys and values (2, 0) and (0, 0), logits
    # 2 ln 3 and 0, U = 9/10 (2, 0). Z = (Z_rgb + Z_dep) / 2 = (1.275, 0.5)
    layer = depth_modulation("shared")
    z = layer(queries, tokens, depth) - tokens
    torch.testing.assert_close(z, torch.tensor([[[1.275, 0.5]] * 2]))
    # separate: keys and values (1, 0) and (0, 0), U = 3/4 (1, 0), Z = (0.75, 0.5)
    layer = depth_modulation("separate")
    z = layer(queries, tokens, depth) - tokens
    torch.testing.assert_close(z, torch.tensor([[[0.75, 0.5]] * 2]))
    with torch.no_grad():
        layer.depth_gate.fill_(math.log(3))  # beta = 3/4
    torch.testing.assert_close(
        layer(queries, 0 * tokens, depth), torch.tensor([[[0.75 / 4, 0.0]] * 2])
    )


def test_every_layer_reads_its_own_depth_tokens():
    torch.manual_seed(0)
    module = StabilityQueries(3, 4, 5, 2, TEXT, "over_queries", "separate")
    tokens = [torch.randn(2, 8, 5) for _ in range(4)]
    maps = module(tokens)
    for layer in range(2):
        changed = list(tokens)
        changed[2 + layer] = changed[2 + layer] + torch.randn(5)
        again = module(changed)
        assert [torch.equal(a, b) for a, b in zip(maps, again, strict=True)] == [
            layer != 0,
            layer != 1,
        ]
    sum(m.square().sum() * torch.rand(()) for m in maps).backward()
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


def test_without_write_back_a_map_is_the_plain_projection():
    torch.manual_seed(0)
    module = StabilityQueries(3, 4, 5, 1, TEXT, "none")
    tokens = torch.randn(2, 8, 5)
    layer = module.layers[0]
    (u,) = module([tokens])
    torch.testing.assert_close(u, layer.norm(layer.project(tokens)))
    assert {n.split(".")[0] for n, _ in module.named_parameters()} == {"queries", "layers"}


def test_without_text_the_queries_are_not_biased():
    module = StabilityQueries(3, 4, 5, 1, text=torch.zeros(7, 0), write_back="over_queries")
    assert module.biased() is module.queries
    assert not any("text" in name for name, _ in module.named_parameters())


def test_text_biases_equation_1_only_once_its_gate_opens():
    torch.manual_seed(0)
    module = StabilityQueries(3, 4, 5, 2, text=TEXT, write_back="over_queries")
    torch.testing.assert_close(module.biased(), module.queries)  # alpha_txt starts at zero
    with torch.no_grad():
        module.text_gate.fill_(2.0)
    context = module.text_projection(TEXT).mean(0)
    torch.testing.assert_close(module.biased(), module.queries + 2 * context)


def test_one_map_a_layer_and_gradients_everywhere():
    torch.manual_seed(0)
    module = StabilityQueries(3, 4, 5, 2, text=TEXT, write_back="literal")
    maps = module([torch.randn(2, 8, 5) for _ in range(2)])
    assert [m.shape for m in maps] == [(2, 8, 4)] * 2
    sum(m.square().sum() * torch.rand(()) for m in maps).backward()
    without = [n for n, p in module.named_parameters() if p.grad is None]
    assert without == []


def test_unknown_write_back_is_named():
    with pytest.raises(ValueError, match="over_queries, literal or none, got 'both'"):
        StabilityQueries(3, 4, 5, 2, text=TEXT, write_back="both")


def test_unknown_depth_projections_are_named():
    with pytest.raises(ValueError, match="separate or shared, got 'both'"):
        StabilityQueries(3, 4, 5, 2, TEXT, "literal", "both")


def test_without_queries_depth_is_fused_by_the_gates_alone():
    """Row 1 of Table 6: LN(beta phi(X) + (1 - beta) phi_dep(X_dep)), whatever the queries are."""
    torch.manual_seed(0)
    rgb, depth = torch.randn(2, 6, 5), torch.randn(2, 6, 5)
    for kind in ("separate", "shared"):
        module = StabilityQueries(3, 4, 5, 1, TEXT, "none", kind)
        (layer,), (gate,) = module.layers, module.depth_gates()
        project = layer.depth_project if kind == "separate" else layer.project
        (found,) = module([rgb, depth])
        mixed = 0.5 * layer.project(rgb) + 0.5 * project(depth)
        torch.testing.assert_close(found, torch.nn.functional.layer_norm(mixed, (4,)))
        with torch.no_grad():
            gate.fill_(50.0)  # beta = 1: RGB alone
            module.queries.add_(1.0)
        torch.testing.assert_close(module([rgb, depth])[0], module([rgb])[0])

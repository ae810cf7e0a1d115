# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Stability Queries (paper section 3.2, Eq. 1 and 2)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class StabilityQueries(nn.Module):
    """Learned queries that summarise frozen tokens and modulate them in return.

    One set of queries serves all frames; a frame's maps depend on that frame alone, so a stream
    can compute them once and keep them.

    text (K, E): frozen embeddings of the class names, K <= Q; E = 0: the queries are not biased.
    text_bias: what text adds to the queries.
        `mean`: the mean of the projected class embeddings to every query that reads tokens, times a
            gate that starts at zero, as in the paper.
        `per_class`: to each of the first K queries the projection of its own class, times a gate
            that starts at one, for the decoder too: class queries that begin from their names.
    write_back: what carries the query summaries back to the tokens.
        `over_queries`: softmax of the same logits over the Q queries, so every token receives a
            convex mixture of summaries whatever the image size (departure from Eq. 1, whose
            transposed attention shrinks as N grows: a token receives about Q/N of a mean).
        `literal`: the transposed attention of Eq. 1.
        `none`: nothing (ablation): the maps are plain projections, LN(phi(X)), to which depth
            tokens are added through a projection, and the queries serve the decoder alone.
    depth_projections: how depth tokens are read, if there are any (None: no depth encoder).
        `separate`: by keys and values of their own; `shared`: by those of the RGB tokens.
    """

    def __init__(
        self,
        num_queries: int,
        dim: int,
        token_width: int,
        num_layers: int,
        text: torch.Tensor,
        write_back: str,
        depth_projections: str | None = None,
        text_bias: str = "mean",
    ):
        super().__init__()
        _check(write_back, depth_projections, text_bias)
        self.text_bias = text_bias
        self.queries = nn.Parameter(torch.randn(num_queries, dim))
        self.register_buffer("text", text)
        self.has_text = text.shape[1] > 0 and write_back != "none"
        if self.has_text:
            self.text_projection = nn.Linear(text.shape[1], dim)
            gate = torch.zeros(()) if text_bias == "mean" else torch.ones(())
            self.text_gate = nn.Parameter(gate)  # alpha_txt
        self.layers = nn.ModuleList()
        for _ in range(num_layers):
            if write_back == "none":
                self.layers.append(PlainProjection(dim, token_width, depth_projections))
            else:
                self.layers.append(QueryModulation(dim, token_width, write_back, depth_projections))

    def depth_gates(self) -> list[nn.Parameter]:
        """The scalars of which beta is the sigmoid, one a layer; none without depth."""
        return [p for name, p in self.named_parameters() if name.endswith("depth_gate")]

    def biased(self) -> torch.Tensor:
        """The queries that read tokens; S without text.

        `mean`: S + alpha_txt * e, with e the mean of the projected class embeddings. `per_class`:
        the same for the first K queries, with e the projection of the query's own class.
        Returns (Q, d).
        """
        if not self.has_text:
            return self.queries
        if self.text_bias == "mean":
            return self.queries + self.text_gate * self.text_projection(self.text).mean(dim=0)
        unit = F.layer_norm(self.text, self.text.shape[1:])  # entries of size one, as S has
        classes = self.text_gate * self.text_projection(unit)
        rest = len(self.queries) - len(self.text)
        if rest < 0:
            raise ValueError(f"{len(self.queries)} queries are fewer than {len(self.text)} classes")
        return self.queries + F.pad(classes, (0, 0, 0, rest))

    def for_decoder(self) -> torch.Tensor:
        """S of the decoder's first stage, (Q, d)."""
        return self.biased() if self.text_bias == "per_class" else self.queries

    def forward(self, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        """One U (B, N, d) a layer.

        tokens: one (B, N, C) a layer; with a depth encoder its layers follow in the same order.
        """
        queries, count = self.biased(), len(self.layers)
        depth = tokens[count:] or [None] * count
        return [
            layer(queries, x, x_depth)
            for layer, x, x_depth in zip(self.layers, tokens[:count], depth, strict=True)
        ]


class QueryModulation(nn.Module):
    """Eq. 1 and 2 for the tokens of one block."""

    def __init__(
        self, dim: int, token_width: int, write_back: str, depth_projections: str | None = None
    ):
        super().__init__()
        self.write_back, self.depth_projections = write_back, depth_projections
        self.to_query = nn.Linear(dim, dim, bias=False)
        self.to_key_value = nn.Linear(token_width, 2 * dim, bias=False)
        self.project = nn.Linear(token_width, dim)  # phi
        self.norm = nn.LayerNorm(dim)
        if depth_projections is not None:
            self.depth_gate = nn.Parameter(torch.zeros(()))  # beta is its sigmoid, 0.5 at first
        if depth_projections == "separate":
            self.depth_to_key_value = nn.Linear(token_width, 2 * dim, bias=False)

    def forward(
        self, queries: torch.Tensor, tokens: torch.Tensor, depth: torch.Tensor | None = None
    ) -> torch.Tensor:
        """LN(phi(tokens) + Z), Z = beta Z_rgb + (1 - beta) Z_dep; beta = 1 without depth.

        queries (Q, d), tokens and depth (B, N, C) -> (B, N, d).
        """
        z = self.modulation(queries, tokens, self.to_key_value)
        if depth is not None:
            shared = self.depth_projections == "shared"
            to_key_value = self.to_key_value if shared else self.depth_to_key_value
            beta = self.depth_gate.sigmoid()
            z = beta * z + (1 - beta) * self.modulation(queries, depth, to_key_value)
        return self.norm(self.project(tokens) + z)

    def modulation(
        self, queries: torch.Tensor, tokens: torch.Tensor, to_key_value: nn.Linear
    ) -> torch.Tensor:
        """Z of Eq. 1: queries (Q, d), tokens (B, N, C), W_k and W_v -> (B, N, d).

        q(XW_k)' = (qW_k')X' and A(XW_v) = (AX)W_v: neither keys nor values are made, which for
        fewer queries than channels is less than half of the products.
        """
        to_key, to_value = to_key_value.weight.chunk(2)  # (d, C)
        query = self.to_query(queries) @ to_key * to_key.shape[0] ** -0.5
        logits = F.linear(tokens, query)  # (B, N, Q)
        read = logits.softmax(dim=1)
        summaries = F.linear(read.transpose(1, 2) @ tokens, to_value)  # (B, Q, d)
        write = read if self.write_back == "literal" else logits.softmax(dim=2)
        return write @ summaries


class PlainProjection(nn.Module):
    """What remains of a layer without Stability Queries: Eq. 2 without Z, depth fused plainly.

    Under the same frozen depth tokens as the whole, so that the difference is the queries'.
    """

    def __init__(self, dim: int, token_width: int, depth_projections: str | None = None):
        """depth_projections: as of StabilityQueries; `shared` projects both kinds alike."""
        super().__init__()
        self.depth_projections = depth_projections
        self.project = nn.Linear(token_width, dim)  # phi
        self.norm = nn.LayerNorm(dim)
        if depth_projections is not None:
            self.depth_gate = nn.Parameter(torch.zeros(()))  # beta is its sigmoid, 0.5 at first
        if depth_projections == "separate":
            self.depth_project = nn.Linear(token_width, dim)

    def forward(
        self, queries: torch.Tensor, tokens: torch.Tensor, depth: torch.Tensor | None = None
    ) -> torch.Tensor:
        """tokens and depth (B, N, C) -> LN(beta phi(tokens) + (1 - beta) phi_dep(depth)),
        (B, N, d); beta = 1 without depth; queries are not read.
        """
        del queries
        x = self.project(tokens)
        if depth is not None:
            project = self.depth_project if self.depth_projections == "separate" else self.project
            beta = self.depth_gate.sigmoid()
            x = beta * x + (1 - beta) * project(depth)
        return self.norm(x)


def _check(write_back: str, depth_projections: str | None, text_bias: str) -> None:
    if text_bias not in ("mean", "per_class"):
        raise ValueError(f"text_bias: expected mean or per_class, got {text_bias!r}")
    if write_back not in ("over_queries", "literal", "none"):
        raise ValueError(f"write_back: expected over_queries, literal or none, got {write_back!r}")
    if depth_projections not in (None, "separate", "shared"):
        raise ValueError(
            f"depth_projections: expected separate or shared, got {depth_projections!r}"
        )

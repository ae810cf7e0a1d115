"""Stability Queries (paper section 3.2, Eq. 1 and 2)."""

from __future__ import annotations

import torch
from torch import nn


class StabilityQueries(nn.Module):
    """Learned queries that summarise frozen tokens and modulate them in return.

    One set of queries serves all frames; a frame's maps depend on that frame alone, so a stream
    can compute them once and keep them.

    write_back: what carries the query summaries back to the tokens.
        `over_queries`: softmax of the same logits over the Q queries, so every token receives a
            convex mixture of summaries whatever the image size (departure from Eq. 1, whose
            transposed attention shrinks as N grows: a token receives about Q/N of a mean).
        `literal`: the transposed attention of Eq. 1.
    """

    def __init__(
        self,
        num_queries: int,
        dim: int,
        token_width: int,
        num_layers: int,
        text_width: int,
        write_back: str,
    ):
        super().__init__()
        if write_back not in ("over_queries", "literal"):
            raise ValueError(f"write_back: expected over_queries or literal, got {write_back!r}")
        self.queries = nn.Parameter(torch.randn(num_queries, dim))
        self.text_projection = nn.Linear(text_width, dim)
        self.text_gate = nn.Parameter(torch.zeros(()))  # alpha_txt
        self.layers = nn.ModuleList(
            QueryModulation(dim, token_width, write_back) for _ in range(num_layers)
        )

    def biased(self, text: torch.Tensor) -> torch.Tensor:
        """S + alpha_txt * e, with e the mean of the projected class embeddings.

        text (K, E): frozen embeddings of the class names. Returns (Q, d).
        """
        return self.queries + self.text_gate * self.text_projection(text).mean(dim=0)

    def forward(self, tokens: list[torch.Tensor], text: torch.Tensor) -> list[torch.Tensor]:
        """tokens: one (B, N, C) a layer; text (K, E) -> one U (B, N, d) a layer."""
        queries = self.biased(text)
        return [layer(queries, x) for layer, x in zip(self.layers, tokens, strict=True)]


class QueryModulation(nn.Module):
    """Eq. 1 and 2 for the tokens of one block."""

    def __init__(self, dim: int, token_width: int, write_back: str):
        super().__init__()
        self.write_back = write_back
        self.to_query = nn.Linear(dim, dim, bias=False)
        self.to_key_value = nn.Linear(token_width, 2 * dim, bias=False)
        self.project = nn.Linear(token_width, dim)  # phi
        self.norm = nn.LayerNorm(dim)

    def forward(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """queries (Q, d), tokens (B, N, C) -> LN(phi(tokens) + Z), (B, N, d)."""
        return self.norm(self.project(tokens) + self.modulation(queries, tokens))

    def modulation(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Z of Eq. 1: queries (Q, d), tokens (B, N, C) -> (B, N, d)."""
        key, value = self.to_key_value(tokens).chunk(2, dim=-1)
        logits = self.to_query(queries) @ key.transpose(1, 2) * key.shape[-1] ** -0.5  # (B, Q, N)
        read = logits.softmax(dim=-1)
        summaries = read @ value  # (B, Q, d)
        write = read if self.write_back == "literal" else logits.softmax(dim=1)
        return write.transpose(1, 2) @ summaries

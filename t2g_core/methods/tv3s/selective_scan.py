# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The recurrence of Mamba (Gu and Dao, 2023): a linear state whose decay and input depend on x.

    h_k = exp(delta_k A) h_(k-1) + (delta_k x_k) b_k        h (D, N)
    y_k = h_k c_k + D x_k

In plain PyTorch and in float32, also under autocast: products of many decays have no bits to spare.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.checkpoint import checkpoint

from t2g_core.methods.query_masks import without_autocast

CHUNK = 32  # positions that are scanned together where each operation is dear
BLOCK = 256  # positions whose states are there at a time


class ScanInputs(NamedTuple):
    """Of B sequences of L positions.

    x, delta (B, L, D); b, c (B, L, N); decay A (D, N), below zero; skip (D,).
    """

    x: torch.Tensor
    delta: torch.Tensor
    b: torch.Tensor
    c: torch.Tensor
    decay: torch.Tensor
    skip: torch.Tensor


def selective_scan(
    inputs: ScanInputs, state: torch.Tensor, chunk: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs y (B, L, D) and the state after the last position, both float32.

    state (B, D, N): before the first position. chunk: positions that are scanned together by
    doubling; 1: one after the other, which takes the fewest operations on the largest tensors, and
    is fastest on a processor. With a gradient, what is inside a chunk, or of `BLOCK` positions, is
    computed again in the backward pass, so that the states of the borders alone are kept.
    """
    with without_autocast(inputs.x.device):
        floats = ScanInputs(*(value.float() for value in inputs))
        state, found = state.float(), []
        step, scan = (BLOCK, _scan_steps) if chunk <= 1 else (chunk, _scan_chunk)
        for first in range(0, floats.x.shape[1], step):
            part = ScanInputs(*(v[:, first : first + step] for v in floats[:4]), *floats[4:])
            if torch.is_grad_enabled():
                y, state = checkpoint(scan, part, state, use_reentrant=False)
            else:
                y, state = scan(part, state)
            found.append(y)
        return torch.cat(found, dim=1), state


def _scan_steps(inputs: ScanInputs, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One position after the other."""
    factors, sums = _recurrence(inputs)
    states = Recurrence.apply(factors, sums, state)
    return _outputs(inputs, states), states[:, -1]


def _scan_chunk(inputs: ScanInputs, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All positions of a chunk together, by doubling: after step i a position holds the decay and
    the sum of the 2^i positions up to it.
    """
    factors, sums = _recurrence(inputs)
    reach, length = 1, inputs.x.shape[1]
    while reach < length:
        before = sums[:, :-reach] * factors[:, reach:] + sums[:, reach:]
        sums = torch.cat([sums[:, :reach], before], dim=1)
        both = factors[:, :-reach] * factors[:, reach:]
        factors = torch.cat([factors[:, :reach], both], dim=1)
        reach *= 2
    states = factors * state[:, None] + sums
    return _outputs(inputs, states), states[:, -1]


def _recurrence(inputs: ScanInputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Decays exp(delta A) and summands (delta x) b of every position, (B, L, D, N) each."""
    factors = (inputs.delta[..., None] * inputs.decay).exp()
    return factors, (inputs.delta * inputs.x)[..., None] * inputs.b[:, :, None]


def _outputs(inputs: ScanInputs, states: torch.Tensor) -> torch.Tensor:
    """y (B, L, D) from the states (B, L, D, N)."""
    return torch.einsum("bldn,bln->bld", states, inputs.c) + inputs.skip * inputs.x


class Recurrence(torch.autograd.Function):
    """h_k = a_k h_(k-1) + s_k: a, s (B, L, D, N) and h_0 (B, D, N) -> all h (B, L, D, N)."""

    @staticmethod
    def forward(ctx, factors, sums, state):
        states, last = torch.empty_like(sums), state
        for k in range(sums.shape[1]):
            last = torch.addcmul(sums[:, k], factors[:, k], last, out=states[:, k])
        ctx.save_for_backward(factors, state, states)
        return states

    @staticmethod
    def backward(ctx, gradient):
        factors, state, states = ctx.saved_tensors
        total = gradient.clone()
        for k in range(total.shape[1] - 2, -1, -1):
            total[:, k].addcmul_(factors[:, k + 1], total[:, k + 1])
        before = torch.cat([state[:, None], states[:, :-1]], dim=1)
        return total * before, total, factors[:, 0] * total[:, 0]

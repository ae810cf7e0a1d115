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

CHUNK = 32  # positions that are scanned together in training


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

    state (B, D, N): before the first position. chunk: positions that are scanned together; 1: one
    after the other, the fewest operations. With a gradient, what is inside a chunk is computed
    again in the backward pass, so that the states of a chunk's borders alone are kept.
    """
    with without_autocast(inputs.x.device):
        floats = ScanInputs(*(value.float() for value in inputs))
        state, found = state.float(), []
        step = max(1, chunk)
        recompute = step > 1 and torch.is_grad_enabled()
        for first in range(0, floats.x.shape[1], step):
            part = ScanInputs(*(v[:, first : first + step] for v in floats[:4]), *floats[4:])
            if recompute:
                y, state = checkpoint(_scan_chunk, part, state, use_reentrant=False)
            else:
                y, state = _scan_chunk(part, state)
            found.append(y)
        return torch.cat(found, dim=1), state


def _scan_chunk(inputs: ScanInputs, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All positions of a chunk together, by doubling: after step i a position holds the decay and
    the sum of the 2^i positions up to it."""
    x, delta, b, c, decay, skip = inputs
    factors = (delta[..., None] * decay).exp()  # (B, l, D, N)
    sums = (delta * x)[..., None] * b[:, :, None]
    reach, length = 1, x.shape[1]
    while reach < length:
        before = sums[:, :-reach] * factors[:, reach:] + sums[:, reach:]
        sums = torch.cat([sums[:, :reach], before], dim=1)
        both = factors[:, :-reach] * factors[:, reach:]
        factors = torch.cat([factors[:, :reach], both], dim=1)
        reach *= 2
    states = factors * state[:, None] + sums
    y = torch.einsum("bldn,bln->bld", states, c) + skip * x
    return y, states[:, -1]

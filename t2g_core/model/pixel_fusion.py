"""Per-pixel features of a frame (paper Eq. 5): scales fused, memory read, detail restored."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F


class PixelFusion(nn.Module):
    """Fuse of Eq. 5: query-conditioned maps at stride 16 -> pixel embeddings at stride 4.

    All maps of a plain ViT have one resolution, so they are fused there, and the sub-token detail
    that their channels hold is unfolded by two pixel shuffles. A shallow stem on the image adds
    the edges that a 16-pixel patch has lost (poles and signs are 2-4 pixels wide).

    Departure from Eq. 5: before unfolding, each token also reads its neighbourhood in the other
    frames of the memory (`NeighbourhoodRead`). In the paper frames meet in the queries only, and a
    query cannot give back what fog or dirt hides at one place of one frame. window = 0 leaves the
    departure out.
    """

    def __init__(self, dim: int, num_layers: int, pixel_dim: int, max_frames: int, window: int):
        super().__init__()
        self.fuse = nn.Linear(num_layers * dim, dim)
        self.fuse_norm = nn.LayerNorm(dim)
        wide = 2 * pixel_dim
        self.read = NeighbourhoodRead(dim, wide, max_frames, window) if window else None
        self.unfold8 = nn.Linear(dim, 4 * wide)
        self.refine8 = ConvBlock(wide)
        self.unfold4 = nn.Conv2d(wide, 4 * pixel_dim, 1)
        self.stem = DetailStem(pixel_dim)
        self.refine4 = nn.Sequential(ConvBlock(pixel_dim), ConvBlock(pixel_dim))
        self.out = nn.Conv2d(pixel_dim, pixel_dim, 1)

    def tokens(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """One (B, N, d) a layer -> fused tokens (B, N, d)."""
        return self.fuse_norm(self.fuse(torch.cat(maps, dim=-1)))

    def to_memory(self, tokens: torch.Tensor) -> torch.Tensor | None:
        """tokens (B, N, d) -> what other frames will read of them, (B, N, 4p), if they do."""
        return None if self.read is None else self.read.to_key_value(tokens)

    def forward(
        self, tokens: torch.Tensor, windows: Windows | None, position: int, images: torch.Tensor
    ) -> torch.Tensor:
        """Pixel embeddings of the frame at `position` of the memory.

        tokens (B, h*w, d), windows of all frames (None: they are not read), images
        (B, 3, 16h, 16w) -> (B, p, 4h, 4w).
        """
        grid = images.shape[-2] // 16, images.shape[-1] // 16
        if self.read is not None:
            tokens = self.read(tokens, windows, position)
        x = self.unfold8(tokens)
        x = x.transpose(1, 2).unflatten(2, grid)  # (B, 4p, h, w)
        x = self.refine8(F.pixel_shuffle(x, 2))
        x = F.pixel_shuffle(self.unfold4(x), 2) + self.stem(images)
        return self.out(self.refine4(x))


class Windows(NamedTuple):
    """The W neighbours of every token in every frame, as keys and values (B, T, k, W, N)."""

    keys: torch.Tensor
    values: torch.Tensor
    outside: torch.Tensor  # (W, N): minus infinity where a neighbour is off the image, else 0


class NeighbourhoodRead(nn.Module):
    """Each token of a frame reads a window of tokens around its own place in every frame.

    Attention by content, with a learned bias for each age and offset, one softmax over all frames
    and offsets: no flow, no warping; a frame whose content does not match gets no weight.
    """

    def __init__(self, dim: int, key_dim: int, max_frames: int, window: int):
        super().__init__()
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window: expected an odd number of tokens, got {window}")
        self.window = window
        self.to_query = nn.Linear(dim, key_dim)
        self.to_key_value = nn.Linear(dim, 2 * key_dim)
        self.bias = nn.Parameter(torch.zeros(max_frames, window * window))
        self.out = nn.Linear(key_dim, dim)
        self.norm = nn.LayerNorm(dim)

    def windows(self, memory: torch.Tensor, grid: tuple[int, int]) -> Windows:
        """memory (B, T, N, 2k), N = h*w of the grid -> the neighbours of all N places."""
        frames, channels = memory.shape[1], memory.shape[3]
        maps = memory.flatten(0, 1).transpose(1, 2).unflatten(2, grid)  # (B*T, 2k, h, w)
        neighbours = F.unfold(maps, self.window, padding=self.window // 2)  # (B*T, 2k*W, N)
        neighbours = neighbours.unflatten(1, (channels, -1)).unflatten(0, (-1, frames))
        inside = torch.ones(1, 1, *grid, device=memory.device)
        inside = F.unfold(inside, self.window, padding=self.window // 2)[0]
        return Windows(*neighbours.chunk(2, dim=2), inside.log())

    def forward(self, tokens: torch.Tensor, windows: Windows, position: int) -> torch.Tensor:
        """tokens (B, N, d) of the frame at `position` of the windows' T -> (B, N, d)."""
        ages = (torch.arange(windows.keys.shape[1], device=tokens.device) - position).abs()
        query = self.to_query(tokens).transpose(1, 2)  # (B, k, N)
        query = query * query.shape[1] ** -0.5
        logits = (query[:, None, :, None] * windows.keys).sum(2)  # (B, T, W, N)
        logits = logits + self.bias[ages][..., None] + windows.outside
        weights = logits.flatten(1, 2).softmax(dim=1).view_as(logits)
        read = (weights[:, :, None] * windows.values).sum((1, 3))  # (B, k, N)
        return self.norm(tokens + self.out(read.transpose(1, 2)))


class ConvBlock(nn.Module):
    """3x3 convolution, group norm, GELU, residual."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm = nn.GroupNorm(8, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + F.gelu(self.norm(self.conv(x)))


class DetailStem(nn.Module):
    """Two strided convolutions from the image to stride 4."""

    def __init__(self, dim: int):
        super().__init__()
        self.down2 = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        self.norm2 = nn.GroupNorm(8, 32)
        self.down4 = nn.Conv2d(32, dim, 3, stride=2, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, C, H/4, W/4)."""
        return self.down4(F.gelu(self.norm2(self.down2(images))))

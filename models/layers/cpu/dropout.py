"""Dropout whose draw costs little beside the convolutions around it, on the CPU; on a GPU it is torch's own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """torch's dropout: zero with probability p, everything else divided by 1 - p; any shape.

    On the CPU an element's fate is decided by 32 random bits, so p is met to 2^-32; torch's own dropout takes longer
    there (84 ms for 4.7 million elements on two cores; the draw here takes 7).
    """

    def forward(self, maps: Tensor) -> Tensor:
        factors = self.draw(maps) if maps.device.type == "cpu" else None
        return super().forward(maps) if factors is None else maps * factors

    def draw(self, maps: Tensor) -> Tensor | None:
        """What to multiply maps with, 0 or 1 / (1 - p), in their layout; None: there is nothing to draw. For the CPU."""
        if not self.training or not 0 < self.p < 1:
            return None
        bits: Tensor = _random_int32_like(maps)
        kept = bits.ge_(round(self.p * 2**32) - 2**31)  # in place: 0 or 1
        if maps.dtype != torch.float32 or torch.compiler.is_compiling():
            return kept.to(maps.dtype).mul_(1 / (1 - self.p))
        # A number's bits times 0 or 1 are the bits of 0 or of that number: no tensor is made anew.
        return kept.mul_(np.float32(1 / (1 - self.p)).view(np.int32).item()).view(torch.float32)


# To torch.compile one operation that it does not look into, and neither repeats nor drops.
@torch.library.custom_op("equiscale::random_int32_like", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def _random_int32_like(maps: Tensor) -> Tensor:
    """All 2^32 values equally likely. torch's generator gives the seed alone, for it draws one number after the other.

    numpy's SFC64 takes about half of its time.
    """
    drawn = torch.empty_like(maps, dtype=torch.int32)  # for its layout: dense, whatever that of the maps
    seed = torch.empty((), dtype=torch.int64).random_().item()
    values = np.random.Generator(np.random.SFC64(int(seed))).integers(0, 2**64, (drawn.numel() + 1) // 2, dtype=np.uint64)
    return torch.from_numpy(values.view(np.int32)[: drawn.numel()]).as_strided(drawn.shape, drawn.stride())


@_random_int32_like.register_fake
def _(maps: Tensor) -> Tensor:
    return torch.empty_like(maps, dtype=torch.int32)

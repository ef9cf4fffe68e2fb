"""Dropout whose draw costs little beside the convolutions around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """torch's dropout: zero with probability p, everything else divided by 1 - p; any shape.

    On the CPU an element's fate is decided by 31 random bits, so p is met to 2^-31; torch's own draw takes four times as long
    there, as long as a third of the plain network's 3 x 3 convolutions take for the batch of a three-scale one.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Drop in training mode only."""
        if not self.training or maps.device.type != "cpu" or not 0 < self.p < 1:
            return super().forward(maps)
        bits = torch.empty_like(maps, dtype=torch.int32).random_()
        return maps * (bits >= round(self.p * 2**31)).to(maps.dtype).mul_(1 / (1 - self.p))

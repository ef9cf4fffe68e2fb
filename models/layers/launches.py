"""Where the number of operations is what costs, and not their size."""

from __future__ import annotations

from torch import Tensor

# Values. What the maximum over scales does per scale, some six launches of two microseconds, takes as long as moving 40 MB at
# 3.35 TB/s: estimated for an H100, not measured.
SMALL = 2**24


def few_launches(maps: Tensor) -> bool:
    """Whether all scales are to be done in few operations, rather than one by one: small maps on any device but the CPU.

    On a GPU each operation costs a launch. On the CPU the maps of one scale stay in its cache; and its results are those of the
    committed records, to the bit.
    """
    return maps.device.type != "cpu" and maps.numel() <= SMALL

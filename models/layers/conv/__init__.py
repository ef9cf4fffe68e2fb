"""Convolution, done the cheapest way.

`same.py` is what the layers call. `algorithm.py` counts operations and chooses: torch's own convolution, the Fourier domain
(`fourier.py`, on the matrices of `dft.py`, with `tiles.py` for large maps), separable functions (`separable.py`) and, on a CPU,
Winograd's filtering. All scales at once, for few launches on a GPU: `fourier_bank.py`, and of resampled maps
`resampled_levels.py`. What is done in a way of its own on a CPU is in `../cpu/`: on a GPU none of it runs.
"""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """What the counted operations of a convolution depend on, whatever the algorithm: N, C, O and (H, W)."""

    batch: int
    channels_in: int
    channels_out: int
    extents: tuple[int, int]

"""Random draws made while a stranger's file is imported are the same in every process (a network built on import, say)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def same_draws(seed: int = 0) -> Iterator[None]:
    """Within, torch's, numpy's and Python's generators start from `seed`; afterwards they go on where they were.

    torch seeds its own anew in every process, so that a network built on import would have other weights in each. Where there
    is no torch nothing happens: the file will say itself what it lacks.
    """
    try:
        import numpy as np
        import torch
    except ImportError:
        yield
        return
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])

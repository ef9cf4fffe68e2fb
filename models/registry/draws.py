"""Random draws made while a stranger's file is imported are the same in every process (a network built on import, say)."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def same_draws(seed: int = 0) -> Iterator[None]:
    """Within, Python's generator and, where they are imported, numpy's and torch's start from `seed`; afterwards they go on.

    torch seeds its own anew in every process: a network built on import would have other weights in each. Processes that
    build networks import torch first; to those that list names, which need none, the draws are all the same.
    """
    np, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    states = random.getstate(), np and np.random.get_state(), torch and torch.get_rng_state()
    random.seed(seed)
    if np:
        np.random.seed(seed)
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        if np:
            np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(states[2])

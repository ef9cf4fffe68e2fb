"""A network through torch.compile."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Callable

import torch
from torch import Tensor, nn

SAME_DRAWS: dict[str, str | int | bool | Callable[..., object]] = {"fallback_random": True}  # dropout as without compilation
CACHE = "TORCHINDUCTOR_CACHE_DIR"


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network compiled; the first call does the work."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container: older versions of torch ask for the name
        os.environ.setdefault(CACHE, f"{tempfile.gettempdir()}/torchinductor_{os.getuid()}")
    forward: Callable[[Tensor], Tensor] = torch.compile(network, options=SAME_DRAWS)
    return forward

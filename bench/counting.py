"""What a call asks of the device, counted and not measured: operations and bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Counted:
    """Multiplications and additions of matrix products and convolutions; bytes that all operators read and write."""

    operations: int
    bytes: int


def count(call: Callable[[], object]) -> Counted:
    """Count one call. A complex product counts four times; an operator's inputs and results count once each per operator."""

    def product(left: Tensor, right: Tensor, *_: object, out_val: Tensor, **__: object) -> int:
        return 2 * left.numel() * right.shape[-1] * (4 if out_val.is_complex() else 1)

    def added(_: Tensor, left: Tensor, right: Tensor, *__: object, out_val: Tensor, **___: object) -> int:
        return product(left, right, out_val=out_val)

    for function in (product, added):  # the counter's mark for a function that wants tensors, not shapes
        function._get_raw = True  # type: ignore[union-attr]
    aten = torch.ops.aten
    # torch counts none of those in place, and complex ones as real.
    mapping = {
        **dict.fromkeys([aten.mm, aten.bmm], product),
        **dict.fromkeys([aten.addmm, aten.addmm_, aten.baddbmm, aten.baddbmm_], added),
    }
    with _Traffic() as traffic, FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        call()
    return Counted(int(counter.get_total_flops()), traffic.bytes)


class _Traffic(TorchDispatchMode):
    """Adds up the tensors that pass; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func.namespace == "aten":
            self.bytes += sum(_bytes(leaf) for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor))
        return result


def _bytes(tensor: Tensor) -> int:
    """What it occupies: an expanded tensor is read from few numbers."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())

"""What a call asks of the device, counted and not measured: operations and bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Call(NamedTuple):
    """One operator: multiplications and additions of a matrix product or convolution; bytes read and written."""

    operator: str
    operations: int
    bytes: int


@dataclass(frozen=True)
class Counted:
    """Multiplications and additions of matrix products and convolutions; bytes that all operators read and write."""

    operations: int
    bytes: int
    calls: list[Call]  # in their order, without views


def count(call: Callable[[], object]) -> Counted:
    """Count one call. A complex product counts four times; an operator's inputs and results count once each per operator."""
    with _Calls() as seen:
        call()
    return Counted(sum(one.operations for one in seen.calls), sum(one.bytes for one in seen.calls), seen.calls)


def _product(left: Tensor, right: Tensor, *_: object, out_val: Tensor, **__: object) -> int:
    return 2 * left.numel() * right.shape[-1] * (4 if out_val.is_complex() else 1)


def _added(_: Tensor, left: Tensor, right: Tensor, *__: object, out_val: Tensor, **___: object) -> int:
    return _product(left, right, out_val=out_val)


aten = torch.ops.aten
# torch's own formulas know none of those in place, and take complex ones for real.
FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    **dict.fromkeys([aten.mm, aten.bmm], _product),
    **dict.fromkeys([aten.addmm, aten.addmm_, aten.baddbmm, aten.baddbmm_], _added),
}


# Views that torch does not mark as such, and memory that is taken and not touched.
FREE = {aten._unsafe_view, aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided}


class _Calls(TorchDispatchMode):
    """Lists the operators that pass; views and memory that is only taken cost nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not func.is_view and func.namespace == "aten" and func.overloadpacket not in FREE:
            formula = FORMULAS.get(func.overloadpacket)
            operations = int(formula(*args, **kwargs, out_val=result)) if formula is not None else 0
            leaves = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            self.calls.append(Call(str(func.overloadpacket), operations, sum(map(_bytes, leaves))))
        return result


def _bytes(tensor: Tensor) -> int:
    """What it occupies: an expanded tensor is read from few numbers."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())

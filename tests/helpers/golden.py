"""Reading the golden checks, numbers of independent float64 implementations: `golden.json`, and `golden_beyond.json` for the
methods that came after SESN.

A tensor is given by its shape and five integers: value i = amp * ((2h + 1) / 65536 - 1), h = (a i^2 + b i + c) mod 65537.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from of_others import of_others
from torch import Tensor, nn

TASKS = {"28": "mnist-scale-28", "28p": "mnist-scale-28+", "56": "mnist-scale-56", "56p": "mnist-scale-56+"}


@cache
def golden() -> dict[str, Any]:
    return json.loads((Path(__file__).parents[1] / "models" / "golden.json").read_text())


@cache
def beyond_golden() -> dict[str, Any]:
    return json.loads((Path(__file__).parents[1] / "models" / "golden_beyond.json").read_text())


def beyond_cases(*layers: str) -> list[dict[str, Any]]:
    return [case for case in beyond_golden()["cases"] if case["layer"] in layers]


def beyond_networks(prefix: str) -> list[dict[str, Any]]:
    return [case for case in beyond_cases("network") if case["config"]["model"].startswith(prefix)]


def cases(*layers: str) -> list[dict[str, Any]]:
    return [case for case in golden()["cases"] if case["layer"] in layers]


def networks(prefix: str) -> list[dict[str, Any]]:
    return [case for case in cases("network") if case["config"]["model"].startswith(prefix)]


def published_table(effective_size: int, size: int) -> Tensor:
    """A table that DISCO's authors published, float64 (F, S, K, K)."""
    return torch.from_numpy(np.load(of_others("data/disco_tables.npz"))[f"{size}_{effective_size}"]).double()


def fill(spec: dict[str, Any]) -> Tensor:
    i = np.arange(int(np.prod(spec["shape"])), dtype=np.int64)
    h = (spec["a"] * i * i + spec["b"] * i + spec["c"]) % 65537
    return torch.from_numpy(spec["amp"] * ((2 * h + 1) / 65536 - 1)).reshape(spec["shape"])


def tensors(case: dict[str, Any]) -> dict[str, Tensor]:
    return {name: fill(spec) for name, spec in case["tensors"].items()}


def filled(layer: nn.Module, given: dict[str, Tensor]) -> nn.Module:
    """The layer with its own parameters, not those of its parts, as given by name."""
    with torch.no_grad():
        for name, parameter in layer.named_parameters(recurse=False):
            parameter.copy_(given[name])
    return layer


def assert_matches(actual: Tensor, expected: dict[str, Any], tolerance: float = 1e-6) -> None:
    """Shape, sums and selected (or all) elements; |difference| <= tolerance * (1 + |value|)."""
    assert list(actual.shape) == expected["shape"]
    actual = actual.detach()
    if "values" in expected:
        torch.testing.assert_close(actual, torch.tensor(expected["values"]).to(actual), rtol=tolerance, atol=tolerance)
        return
    for found, name in ((actual.sum(), "sum"), ((actual**2).sum(), "sumsq"), (actual.abs().max(), "absmax")):
        assert abs(found.item() - expected[name]) <= tolerance * (1 + abs(expected[name])), name
    for entry in expected["entries"]:
        difference = abs(actual[tuple(entry["index"])].item() - entry["value"])
        assert difference <= tolerance * (1 + abs(entry["value"])), entry


def is_dead(name: str) -> bool:
    """Whether a parameter is counted but never used: those are called `unused`, or stand in a module of that name."""
    return "unused" in name.split(".")


def fill_network(network: nn.Module, ordered: list[dict[str, Any]]) -> nn.Module:
    """Fill a network's parameters in forward order; batch norms stay fresh, as do the dead parameters."""
    fresh = {id(p) for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) for p in m.parameters()}
    fresh |= {id(parameter) for name, parameter in network.named_parameters() if is_dead(name)}
    parameters = [parameter for parameter in network.parameters() if id(parameter) not in fresh]
    assert [list(parameter.shape) for parameter in parameters] == [spec["shape"] for spec in ordered]
    with torch.no_grad():
        for parameter, spec in zip(parameters, ordered, strict=True):
            parameter.copy_(fill(spec))
    return network.eval()

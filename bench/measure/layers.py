"""Which layers of a network are compared, and why others are not.

A network may name them itself, `compared_layers()`. Of the two skeletons they are known: each rectified convolution before its
pooling, every block. Of any other network they are looked for: one image of the canvas is sent through it, and the outermost
modules that hold weights and give maps are its layers. Whatever is not seen is said in a note.

Shape letters: N images, C channels, S scales, H side of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

import models
from leaderboard.errors import one_line
from models.errors import said, shown
from models.layers.scale_axis import ScalePool
from models.mnist_net import Upsample
from models.sevf import VectorMaxPool, length
from models.sicnn import ColumnConv
from models.wide_resnet import Block

SHIFT = 4  # pixels, down and right: a whole number of pixels on every map that is compared
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)
HOW = "docs/equivariance.md says how a network names its layers: compared_layers()"


@dataclass(frozen=True)
class Layer:
    """A place in a network: what its first `after` modules give, or what `module` does, made (N, C, H, H) by `collapse`.

    `corner`: pixel j of a map of H/2 pixels lies on pixel 2j of the image (strided convolutions), not between 2j and 2j+1
    (pooling).
    """

    name: str
    after: int
    collapse: Callable[[Any], Tensor]
    corner: bool = False
    module: nn.Module | None = None


@dataclass(frozen=True)
class Seen:
    """The layers that are compared, in order, the image itself first if there are others; what is said of them, in lines."""

    layers: list[Layer]
    notes: list[str]


IMAGE = Layer("image", 0, lambda maps: maps)  # as a control: its error is that of the resampling alone


def find_layers(network: nn.Module, empty: Tensor) -> Seen:
    """The layers of a network in evaluation mode that are compared on the canvas of `empty`, an image (1, C, side, side).

    Raises ModelError: `compared_layers()` gives something else than a list of layers of the network.
    """
    notes: list[str] = []
    candidates = _named(network)
    if candidates is None:
        candidates = layers_of(network)
        if not candidates:
            candidates, notes = _discovered(network, empty)
    seen, problems = _comparable(network, candidates, empty)
    return Seen([IMAGE, *seen] if seen else [], [*notes, *problems] if seen else [*notes, *problems, HOW])


# ------------------------------------------------------------------------------------------------------- the skeletons


def layers_of(network: nn.Module) -> list[Layer]:
    """Of the MNIST skeleton each rectified convolution before its pooling, of the WRN the first convolution and every block.

    None for a network that is built on neither skeleton, that is, has neither pooling nor blocks among its outermost modules.
    """
    modules = list(network) if isinstance(network, nn.Sequential) else []
    blocks = [i for i, module in enumerate(modules) if any(isinstance(part, Block) for part in module.modules())]
    columns = next((module.columns for module in network.modules() if isinstance(module, ColumnConv)), 1)

    def largest(maps: Tensor | tuple[Tensor, ...]) -> Tensor:
        if isinstance(maps, tuple):  # a map per column
            return torch.stack(maps).amax(dim=0)
        return maps.amax(dim=2) if maps.ndim == 5 else maps.unflatten(1, (columns, -1)).amax(dim=1)

    if blocks:
        strided = not any(isinstance(part, nn.MaxPool2d) for part in network.modules())
        first = Layer("first convolution", blocks[0], largest, strided)
        return [first] + [Layer(f"block {n}", i + 1, largest, strided) for n, i in enumerate(blocks, start=1)]
    pools = [i for i, module in enumerate(modules) if isinstance(module, nn.MaxPool2d | ScalePool | VectorMaxPool)]
    vector = {i for i in pools if isinstance(modules[i], VectorMaxPool)}
    return [Layer(f"layer {n}", i, length if i in vector else largest) for n, i in enumerate(pools, start=1)]


def canvas_of(network: nn.Module, side: int) -> int:
    """The side in pixels of the images that the layers see, given that of the task's own images.

    Digits lie on so large a canvas that its border hardly reaches the interior: 112 pixels on the first map.
    """
    doubled = isinstance(network, nn.Sequential) and len(network) > 0 and isinstance(network[0], Upsample)
    return side if side == 96 else 2 * side if doubled else 4 * side


# ------------------------------------------------------------------------------------------------------- other networks


def _named(network: nn.Module) -> list[Layer] | None:
    """The layers that a network names; None: it names none."""
    ask: Callable[[], object] | None = getattr(network, "compared_layers", None)
    if ask is None:
        return None
    given, known = ask(), {id(module) for module in network.modules()}
    if not isinstance(given, Sequence) or not all(isinstance(layer, models.ComparedLayer) for layer in given):
        raise models.ModelError(f"compared_layers() gives {shown(given)}; wanted: a list of models.ComparedLayer")
    if any(id(layer.module) not in known for layer in given):
        raise models.ModelError("compared_layers() lists what is no module of the network; list some that it has")
    return [
        Layer(layer.name or f"layer {n}", 0, layer.collapse or largest_scale, layer.strided, layer.module)
        for n, layer in enumerate(given, start=1)
    ]


def _discovered(network: nn.Module, empty: Tensor) -> tuple[list[Layer], list[str]]:
    """The outermost modules with weights that give maps, in the order in which they are called; what is said of them."""
    outputs, problem = _outputs(network, [module for module in network.modules() if module is not network], empty)
    names = {id(module): name for name, module in network.named_modules()}
    wanted = {id(module) for module in _outermost(network, outputs)}
    found = [module for module in outputs.values() if id(module.module) in wanted]
    strided = any(isinstance(part, nn.Conv2d) and max(part.stride) > 1 for part in network.modules())
    layers = [Layer(f"layer {n}", 0, largest_scale, strided, one.module) for n, one in enumerate(found, start=1)]
    notes = [f"{layer.name} is the output of {names[id(layer.module)]} ({type(layer.module).__name__})" for layer in layers]
    none = [] if layers else ["no layer is seen: no module that holds weights gives maps (N, C, H, W)"]
    if problem is not None:
        none.append(
            f"what comes later is not seen: on {empty.shape[-1]} pixels the network raises {one_line(said(problem), 120)}"
        )
    return layers, [*notes, *none]


@dataclass(frozen=True)
class _Output:
    module: nn.Module
    output: Any


def _outermost(parent: nn.Module, outputs: dict[int, _Output]) -> Iterator[nn.Module]:
    """Of the modules below one those that are layers."""
    for child in parent.children():
        one = outputs.get(id(child))
        maps = isinstance(child, CONTAINERS) or one is None or not _is_maps(one.output)
        if maps:
            yield from _outermost(child, outputs)
        elif not isinstance(child, NORMS) and any(True for _ in child.parameters()):
            yield child


def _is_maps(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim in (4, 5) and min(output.shape[-2:]) > 1


def largest_scale(output: Any) -> Tensor:
    """Maps (N, C, H, W) as they are; of (N, C, S, H, W) the maximum over S; of several maps the maximum over them."""
    if isinstance(output, tuple | list):
        output = torch.stack(list(output), dim=2)
    maps: Tensor = output.amax(dim=2) if output.ndim == 5 else output
    return maps


class _Enough(Exception):
    """All layers have been seen; the head, which wants images of the task's own size, is not reached."""


def _outputs(network: nn.Module, modules: Sequence[nn.Module], images: Tensor) -> tuple[dict[int, _Output], Exception | None]:
    """What modules give at their first call in a forward pass, by id, in order; what ended the pass before all had given it.

    A pass that is to see every module ends, as a rule, at the head, for which the canvas is too large.
    """
    found: dict[int, _Output] = {}
    wanted = {id(module) for module in modules}

    def keep(module: nn.Module, _: Any, output: Any) -> None:
        kept = output.clone() if isinstance(output, Tensor) else output  # what follows may overwrite it
        found.setdefault(id(module), _Output(module, kept))
        if found.keys() >= wanted:
            raise _Enough

    hooks = [module.register_forward_hook(keep) for module in modules]
    try:
        network(images)
    except _Enough:
        return found, None
    except Exception as error:  # a stranger's network, on images of a size that it was not made for
        return found, error
    finally:
        for hook in hooks:
            hook.remove()
    return found, None


# ------------------------------------------------------------------------------------------------------------ responses


def responses(network: nn.Module, layers: Sequence[Layer], images: Tensor) -> Iterator[Tensor]:
    """The maps at every layer, in order; the head, which wants images of the task's own size, is not reached.

    Raises ModelError: a module gives nothing this time; and whatever the network may raise.
    """
    modules = [layer.module for layer in layers if layer.module is not None]
    outputs, problem = _outputs(network, modules, images) if modules else ({}, None)
    done, maps = 0, images
    for layer in layers:
        if layer.module is not None:
            if id(layer.module) not in outputs:
                raise models.ModelError(f"{layer.name} is not reached") from problem
            yield layer.collapse(outputs[id(layer.module)].output)
            continue
        if isinstance(network, nn.Sequential):
            for module in network[done : layer.after]:
                maps = module(maps)
        done = layer.after
        yield layer.collapse(maps)


def _comparable(network: nn.Module, layers: Sequence[Layer], empty: Tensor) -> tuple[list[Layer], list[str]]:
    """Those of the layers whose maps can be compared on this canvas, and why the others cannot."""
    seen: list[Layer] = []
    problems, side = [], empty.shape[-1]
    try:
        if all(_problem(maps, side) is None for maps in responses(network, layers, empty)):
            return [*layers], []
    except Exception:  # a stranger's; one by one below
        seen = []
    for layer in layers:
        try:
            *_, maps = responses(network, [layer], empty)
            problem = _problem(maps, side)
        except Exception as error:  # a stranger's
            cause = error.__cause__ if isinstance(error, models.ModelError) and error.__cause__ is not None else error
            problem = f"on {side} x {side} pixels the network raises {one_line(said(cause))}"
        if problem is None:
            seen.append(layer)
        else:
            problems.append(f"{layer.name} is not compared: {problem}")
    return seen, problems


def _problem(maps: Any, canvas: int) -> str | None:
    """Why maps cannot be compared with those of a scaled or shifted image, if they cannot."""
    if not isinstance(maps, Tensor) or maps.ndim != 4 or maps.shape[-1] != maps.shape[-2]:
        given = f"a tensor of shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else f"a {type(maps).__name__}"
        return f"it gives {given}; wanted: square maps (N, C, H, H)"
    side = maps.shape[-1]
    if canvas % side and side % canvas:
        return f"its maps are {side} pixels wide on an image of {canvas}, no whole part of it; pad convolutions by (K - 1) / 2"
    if SHIFT * side % canvas:
        return f"its maps are {side} pixels wide on an image of {canvas}, too few to compare; at least a quarter is wanted"
    return None

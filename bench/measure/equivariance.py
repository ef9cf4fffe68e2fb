"""Equivariance error: how much it matters whether an image or the response to it is scaled (docs/equivariance.md).

For an image f, a scaling L by a factor s about the centre and a layer Phi, docs/methods.md 3.8 (Sosnovik et al. 2020):

    Delta = mean over images of |L Phi(f) - Phi(L f)|^2 / |L Phi(f)|^2        on interior pixels

Here Phi(f) is the response less the response to an empty image, so that neither a constant background nor the size of the
canvas changes the number; and of a response with a scale axis, columns or vectors the maximum over scales or columns, or the
length, is compared: the way the networks themselves forget scale. For the logits L is the identity. An image without any
response is left out of the mean.

Shape letters: N images, C channels, H side of a map, R interior pixels of one axis.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.measure.layers import SHIFT, Layer, canvas_of, find_layers, responses
from bench.measure.probe_images import PROBED_FACTORS, REFERENCE_SCALE, Pictures
from leaderboard.records.equivariance import LayerError

PIXELS = 8 * 112 * 112  # seen by a network at a time


@dataclass(frozen=True)
class Errors:
    """By layer, for the logits, and the fraction of images that get another class (one per factor).

    `notes`: which layers these are where no skeleton says it, and why others are not compared.
    """

    layers: list[LayerError]
    network: LayerError
    changed_answers: list[float]
    notes: list[str] = field(default_factory=list)


def measure(network: nn.Module, pictures: Pictures) -> Errors:
    """Measure a network on these images, in evaluation mode, on the CPU.

    Raises BenchError: a layer that does not respond to an image at all; ModelError: `compared_layers()` gives no layers.
    """
    network.eval()
    seen = pictures.seen_by(network)
    with torch.no_grad():
        found = find_layers(network, seen.empty(canvas_of(network, seen.side)))
        return Errors(_measure_layers(network, found.layers, seen), *_measure_logits(network, seen), found.notes)


# --------------------------------------------------------------------------------------------------------------- layers


def _measure_layers(network: nn.Module, layers: list[Layer], pictures: Pictures) -> list[LayerError]:
    side = canvas_of(network, pictures.side)
    if not layers:
        return []
    empty = pictures.empty(side)
    background = list(responses(network, layers, empty))

    def respond(content: Tensor) -> list[Tensor]:
        found = responses(network, layers, empty + content)
        return [maps - nothing for maps, nothing in zip(found, background, strict=True)]

    scale: list[list[list[Tensor]]] = [[[] for _ in PROBED_FACTORS] for _ in layers]
    translation: list[list[Tensor]] = [[] for _ in layers]
    batch = max(1, PIXELS // side**2)
    for start in range(0, len(pictures.originals), batch):
        some = pictures.part(slice(start, start + batch))
        content = some.content(REFERENCE_SCALE, side)
        reference = respond(content)
        for k, moved in enumerate(respond(content.roll((SHIFT, SHIFT), (2, 3)))):
            translation[k].append(_shift_error(layers[k], reference[k], moved, side))
        for number, factor in enumerate(PROBED_FACTORS):
            for k, scaled in enumerate(respond(some.content(factor * REFERENCE_SCALE, side))):
                scale[k][number].append(_scale_error(layers[k], reference[k], scaled, factor, side))
    return [
        LayerError(
            name=layer.name,
            shape=list(background[k].shape[1:]),
            scale=[torch.cat(errors).mean().item() for errors in scale[k]],
            translation=torch.cat(translation[k]).mean().item(),
        )
        for k, layer in enumerate(layers)
    ]


def _scale_error(layer: Layer, reference: Tensor, scaled: Tensor, factor: float, canvas: int) -> Tensor:
    """Per image: float64 (N,)."""
    rows, matrix = resampling(reference.shape[-1], factor, canvas, layer.corner)
    matrix = matrix.to(reference)
    return relative_error(layer.name, matrix @ reference @ matrix.mT, scaled[..., rows, :][..., rows])


def _shift_error(layer: Layer, reference: Tensor, moved: Tensor, canvas: int) -> Tensor:
    """Per image: float64 (N,)."""
    side = reference.shape[-1]
    rows = interior(side, canvas, layer.corner)
    before = rows - SHIFT * side // canvas
    return relative_error(layer.name, reference[..., before, :][..., before], moved[..., rows, :][..., rows])


def relative_error(name: str, expected: Tensor, found: Tensor) -> Tensor:
    """|expected - found|^2 / |expected|^2 of each image for which something is expected: (N, ...) -> float64 (up to N,).

    Raises BenchError: nothing is expected for any image, or what is found is not finite.
    """
    size = expected.double().flatten(1).square().sum(dim=1)
    errors = ((expected.double() - found.double()).flatten(1).square().sum(dim=1) / size)[size != 0]
    if not len(errors) or not errors.isfinite().all():
        raise BenchError(f"{name} gives images no finite response, or the same as an empty one, so it has no relative error")
    return errors


def positions(side: int, canvas: int, corner: bool) -> Tensor:
    """Where the pixels of a map of `side` pixels lie on an image of `canvas` pixels, from its centre: float64 (side,)."""
    step = canvas / side
    first = 0 if corner else (step - 1) / 2
    return first + step * torch.arange(side, dtype=torch.float64) - (canvas - 1) / 2


def interior(side: int, canvas: int, corner: bool, factor: float = 1.0) -> Tensor:
    """The pixels that lie, as do the places they come from, within the central half of the canvas: int64 (R,)."""
    places = positions(side, canvas, corner).abs()
    return ((places < canvas / 4) & (places / factor < canvas / 4)).nonzero().flatten()


def resampling(side: int, factor: float, canvas: int, corner: bool) -> tuple[Tensor, Tensor]:
    """One axis of L on a map: the interior pixels (R,) and the weights of their neighbours, float64 (R, side).

    Cubic convolution with a = -0.5 (Keys 1981) at the place each pixel comes from; no low-pass, for L f(x) = f(x / factor).
    """
    rows, places = interior(side, canvas, corner, factor), positions(side, canvas, corner)
    wanted = places[rows] / factor
    distance = ((wanted[:, None] - places) / (canvas / side)).abs()
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return rows, torch.where(distance <= 1, near, torch.where(distance < 2, far, 0))


# --------------------------------------------------------------------------------------------------------------- logits


def _measure_logits(network: nn.Module, pictures: Pictures) -> tuple[LayerError, list[float]]:
    empty, batch = pictures.empty(pictures.side), max(1, PIXELS // pictures.side**2)
    nothing = network(empty)

    def respond(content: Tensor) -> Tensor:
        return torch.cat([network(empty + part) for part in content.split(batch)])

    content = pictures.content(REFERENCE_SCALE, pictures.side)
    reference = respond(content)

    def error(found: Tensor) -> float:
        return relative_error("the network", reference - nothing, found - nothing).mean().item()

    moved = respond(content.roll((SHIFT, SHIFT), (2, 3)))
    scaled = [respond(pictures.content(factor * REFERENCE_SCALE, pictures.side)) for factor in PROBED_FACTORS]
    changed = [(found.argmax(dim=1) != reference.argmax(dim=1)).double().mean().item() for found in scaled]
    shape = list(reference.shape[1:])
    return LayerError(name="logits", shape=shape, scale=[error(found) for found in scaled], translation=error(moved)), changed

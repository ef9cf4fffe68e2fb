"""Direct against Fourier convolution, forward and backward, alternating in one process.

    python benchmarks/convolution.py [--steered]

Prints for each shape the median seconds of both, their ratio, and the ratio of counted operations by which
models/layers/conv/algorithm.py chooses. Then, with --steered nothing else, for STL-10's steerable filters (three functions of
each axis) both of these, making the filters included, and instead correlation with the functions or their values at Winograd's
points.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from models.layers.conv import Sizes
from models.layers.conv.algorithm import DIRECT_ADVANTAGE
from models.layers.conv.fourier import fourier_conv2d, fourier_cost
from models.layers.conv.separable import compose, functions_of, separable_conv2d
from models.layers.cpu.winograd import winograd_conv2d, winograd_cost
from models.layers.layout import from_hwnc

REPEATS = 5
# (batch, channels in, channels out, map size, filter size): the shapes of the MNIST-scale and STL-10 networks.
SHAPES = [
    *[(128, 1, 32, 28, size) for size in (5, 11, 15)],
    *[(128, 1, 32, 56, size) for size in (7, 15)],
    *[(128, 32, 63, 14, size) for size in (5, 7, 11, 15)],
    *[(128, 32, 63, 28, size) for size in (7, 11, 15)],
    *[(128, 63, 95, 7, size) for size in (5, 7, 13)],
    *[(128, 63, 95, 14, size) for size in (7, 9, 15)],
    *[(4, 128, 128, 96, size) for size in (3, 5, 7)],
    *[(4, 256, 256, 48, size) for size in (3, 5, 7)],
    *[(4, 512, 512, 24, size) for size in (3, 5, 7)],
]
# (channels in, channels out, map size, stride), batch 4
STEERED = [(128, 128, 96, 1), (128, 256, 96, 2), (256, 256, 48, 1), (256, 512, 48, 2), (512, 512, 24, 1)]


def seconds(convolve: Callable[[Tensor, Tensor], Tensor], maps: Tensor, filters: Tensor) -> float:
    """Forward and backward, once."""
    started = time.perf_counter()
    convolve(maps, filters).sum().backward()
    return time.perf_counter() - started


def direct(maps: Tensor, filters: Tensor) -> Tensor:
    """torch's own convolution."""
    return F.conv2d(maps, filters, padding=filters.shape[-1] // 2)


def fourier(maps: Tensor, filters: Tensor, tile: int | None) -> Tensor:
    """The product in the Fourier domain."""
    return fourier_conv2d(maps, [filters], tile=tile)[0]


def main() -> None:
    """Print one or both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steered", action="store_true")
    if not parser.parse_args().steered:
        first_table()
    print("\n| C | O | H | stride | K | direct ms | Fourier ms | separable ms | Winograd ms |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for shape in STEERED:
        for size in (3, 5, 7):
            print(steered_row(*shape, size), flush=True)


def first_table() -> None:
    """Measure every shape."""
    threads = torch.get_num_threads()
    print(f"float32, {threads} threads, median of {REPEATS}; Fourier is chosen above {DIRECT_ADVANTAGE}")
    print("| N | C | O | H | K | direct ms | Fourier ms | tile | time ratio | operations ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for batch, channels_in, channels_out, extent, size in SHAPES:
        operations = 2 * batch * channels_in * channels_out * extent**2 * size**2
        counted, tile = fourier_cost(Sizes(batch, channels_in, channels_out, (extent, extent)), [(size, size)])
        transformed = partial(fourier, tile=tile)
        maps = torch.randn(batch, channels_in, extent, extent, requires_grad=channels_in > 1)
        filters = torch.randn(channels_out, channels_in, size, size, requires_grad=True)
        samples = [(seconds(direct, maps, filters), seconds(transformed, maps, filters)) for _ in range(REPEATS + 1)][1:]
        slow, fast = (statistics.median(column) for column in zip(*samples, strict=True))
        print(
            f"| {batch} | {channels_in} | {channels_out} | {extent} | {size} | {1000 * slow:.0f} | {1000 * fast:.0f} "
            f"| {tile or '-'} | {slow / fast:.2f} | {operations / counted:.2f} |",
            flush=True,
        )


def steered_row(channels_in: int, channels_out: int, extent: int, stride: int, size: int) -> str:
    """One line of the second table."""
    functions = functions_of(torch.randn(3, size, dtype=torch.float64))
    sizes = Sizes(4, channels_in, channels_out, (extent, extent))
    _, tile = fourier_cost(sizes, [(size, size)])

    def made(convolve: Callable[[Tensor, Tensor], Tensor], maps: Tensor, weight: Tensor) -> Tensor:
        return convolve(maps, compose(weight, functions, functions))

    algorithms: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "direct": partial(made, partial(F.conv2d, stride=stride, padding=size // 2)),
        "separable": lambda maps, weight: separable_conv2d(maps, weight, functions, functions, stride),
    }
    _, points_tile = winograd_cost(sizes, (functions, functions))
    if stride == 1:
        algorithms["Fourier"] = partial(made, partial(fourier, tile=tile))
        if points_tile is not None:
            algorithms["Winograd"] = lambda maps, weight: winograd_conv2d(maps, weight, functions, functions, points_tile)
    maps = from_hwnc(torch.randn(extent, extent, 4, channels_in)).requires_grad_()  # as they lie in networks
    weight = torch.randn(channels_out, channels_in, 3, 3, requires_grad=True)
    samples = [{name: seconds(convolve, maps, weight) for name, convolve in algorithms.items()} for _ in range(REPEATS + 1)][1:]
    cells = [str(cell) for cell in (channels_in, channels_out, extent, stride, size)]
    for name in ("direct", "Fourier", "separable", "Winograd"):
        cells.append(f"{1000 * statistics.median(sample[name] for sample in samples):.0f}" if name in algorithms else "-")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

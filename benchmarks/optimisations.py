"""What each optimisation buys: a training step with all of them against the same step without one, alternating in one process.

    python benchmarks/optimisations.py [--repeats 5] [--batch-size 128] [--task mnist-scale-28] [--only NAME] [MODEL ...]

Float32 on the CPU, random images. Rows where the step makes no use of the optimisation (the same operators either way) show a
ratio of about 1, which is also the measurement's own scatter.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import models
from bench.machine.device import M_MMAP_MAX, M_TOP_PAD, M_TRIM_THRESHOLD, reuse_memory, set_glibc, set_numerics
from bench.measure.timed_step import TimedStep, timed_run
from bench.measure.timer import seconds
from models import wide_resnet
from models.layers.conv import algorithm, fourier
from models.layers.conv import same as convolution
from models.layers.cpu import dropout, onednn
from models.layers.cpu.dropout import Dropout
from models.mnist_net import MnistNet

CPU = torch.device("cpu")
GLIBC_DEFAULTS = ((M_MMAP_MAX, 65536), (M_TRIM_THRESHOLD, 2**17), (M_TOP_PAD, 2**17))


@contextmanager
def patched(owner: Any, name: str, value: object) -> Iterator[None]:
    """With another value there, and nothing remembered of what was chosen before."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    forget()
    try:
        yield
    finally:
        setattr(owner, name, before)
        forget()


CHOICES = (algorithm.cheapest_for_functions, algorithm.cheapest_groups)


def forget() -> None:
    """Let the layers choose anew how to convolve."""
    for choice in CHOICES:
        choice.cache_clear()


def each_alone(*given: Any) -> list[tuple[int, algorithm.Algorithm]]:
    """As `cheapest_groups`, but every filter is a group of its own."""
    sizes, taps, dilation, with_winograd = given
    return [group for one in taps for group in CHOICES[1](sizes, (one,), dilation, with_winograd)]


@contextmanager
def returned_memory() -> Iterator[None]:
    """With glibc as it is by itself: large tensors go back to the system."""
    set_glibc(GLIBC_DEFAULTS)
    try:
        yield
    finally:
        reuse_memory()


def torchs_stride(maps: Tensor, filters: Tensor, stride: int) -> Tensor:
    """A convolution of one tap as torch does it."""
    return F.conv2d(maps, filters, stride=stride)


def one_after_the_other(norm: nn.Module, maps: Tensor, drop: Dropout | None = None) -> Tensor:
    """As `rectified`, in three operations."""
    result = F.relu(norm(maps))
    return result if drop is None else drop(result)


def torchs_draw(maps: Tensor) -> Tensor:
    """As dropout's draw, by torch's generator."""
    drawn = torch.empty_like(maps, dtype=torch.int32)
    pairs = torch.empty((drawn.numel() + 1) // 2, dtype=torch.int64).random_(-(2**63), None)
    return pairs.view(torch.int32)[: drawn.numel()].as_strided(drawn.shape, drawn.stride())


WITHOUT = {
    "pooling first": lambda: patched(MnistNet, "forward", nn.Sequential.forward),
    "rectified in one": lambda: patched(wide_resnet, "rectified", one_after_the_other),
    "dropout drawn by SFC64": lambda: patched(dropout, "_random_int32_like", torchs_draw),
    "one tap's pixels cut first": lambda: patched(onednn, "_one_tap", torchs_stride),
    "Fourier domain": lambda: patched(convolution, "in_full_precision", lambda maps: False),
    "one transform for filters of several sizes": lambda: patched(convolution, "cheapest_groups", each_alone),
    "tiles": lambda: patched(fourier, "TILES", ()),
    "separable functions": lambda: patched(algorithm, "separable_cost", lambda *_: (math.inf, 0)),
    "Winograd": lambda: patched(convolution, "may_use_winograd", lambda maps: False),
    "taps in the padding cut": lambda: patched(convolution, "clip_taps", lambda filters, *_: filters),
    "wide filters in strips": lambda: patched(onednn, "WIDEST", 10**9),
    "memory kept": returned_memory,
}


def main() -> None:
    """A row per model and optimisation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--task", default="mnist-scale-28")
    parser.add_argument("--only", action="append", choices=WITHOUT, help="One of the optimisations. Repeatable.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    arguments = parser.parse_args()
    set_numerics("float32")
    reuse_memory()
    print(f"batch {arguments.batch_size}, {torch.get_num_threads()} threads, median of {arguments.repeats} after 1")
    print("| task | model | without | s | with all s | ratio |\n|---|---|---|---:|---:|---:|")
    for model in arguments.models or models.list_models(arguments.task):
        step = TimedStep(timed_run(model, arguments.task, arguments.batch_size, "float32"), CPU)
        for name in arguments.only or WITHOUT:
            off, on = alternate(step, WITHOUT[name], arguments.repeats)
            print(f"| {arguments.task} | {model} | {name} | {off:.3f} | {on:.3f} | {off / on:.2f} |", flush=True)


def alternate(step: TimedStep, without: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median seconds of a step without and with, taken in turns; the first of each is left out."""
    off, on = [], []
    for _ in range(repeats + 1):
        with without():
            off.append(seconds(step, CPU))
        on.append(seconds(step, CPU))
    return statistics.median(off[1:]), statistics.median(on[1:])


if __name__ == "__main__":
    main()

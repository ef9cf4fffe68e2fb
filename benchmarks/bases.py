"""How far the filters of a basis are from scale equivariance, and what a SESN's scale step, widths and filter size do to that.

    python benchmarks/bases.py [--seeds 20] [--figure docs/bases.svg]
    python benchmarks/bases.py --networks

An image is the sum of six Gaussian bumps (standard deviations uniform in t to 2t pixels, centres normal with 3 pixels, heights
1 or -1), so its magnification by q about the central pixel is known at every pixel, without interpolation. Filters, of normal
weights, answer at that pixel. *Step*: the answers at scale s+1 to the image magnified by the ratio of the two scales, against
those at scale s to the image itself, relative L2 difference; *range*: the coarsest scale against the finest. 0 is exact.
*Half a step*: the image magnified by the square root of the step, for which there is no scale; the nearer of scales s and s+1,
mean over s. A seed draws 20 images, and for each of them 20 filters; mean ± standard deviation over seeds, and every basis is
given the same ones. The tables stand in docs/bases.md, and what they are good for.

`--networks`: as `bench equivariance` does, the layers of one network with every basis, and with some that no network has.

The published proxy tables of DISCO are measured too if BENCH_SHARED, a folder, has them.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.measure.equivariance import measure
from bench.measure.probe_images import load_pictures
from leaderboard.board.charts.chart import COLOURS
from leaderboard.board.charts.headless import headless
from leaderboard.board.charts.svg import embeddable
from models import disco as disco_method
from models.disco import disco_filters
from models.layers.steerable import SteerableFilters
from models.mnist_net import CHANNELS, linear_head, mnist_net, vector_body
from models.sesn import VECTOR, steerable_basis
from models.sesn_basis import BASES, EFFECTIVE_SIZE, HERMITE_ORDER, fourier_bessel_basis

SEEDS, IMAGES, FILTERS, BUMPS = 20, 20, 20, 6
FINE, COARSE = 1.5, 3.0  # t, in pixels
THIRD, STL_STEP = 2 ** (1 / 3), 1.41  # the scale step of all 56 networks; that on STL-10

Tables = Sequence[Tensor]  # normalised, float64 (F, k_s, k_s) at each scale

# --------------------------------------------------------------------------------------------------------------- the measure


@dataclass(frozen=True)
class Images:
    """D images: centres (D, 6, 2), widths and heights (D, 6) of their bumps; for each the weights of 20 filters (D, 20, 49)."""

    centres: Tensor
    widths: Tensor
    heights: Tensor
    weights: Tensor

    def pixels(self, size: int, magnification: float) -> Tensor:
        """The middle of the images, magnified: (D, size, size)."""
        places = (torch.arange(size, dtype=torch.float64) - size // 2) / magnification
        away = (places - self.centres[..., None]) / self.widths[..., None, None]  # (D, 6, 2, size)
        rows, columns = torch.exp(-(away**2) / 2).unbind(2)
        return torch.einsum("db,dbi,dbj->dij", self.heights, rows, columns)

    def answers(self, functions: Tensor, magnification: float = 1.0) -> Tensor:
        """Of the filters that combine these functions (F, k, k), at the central pixel: (D, 20)."""
        each = functions.flatten(1) @ self.pixels(functions.shape[-1], magnification).flatten(1).T  # (F, D)
        return torch.einsum("dnf,fd->dn", self.weights[..., : len(functions)], each)


@cache
def images(detail: float, seeds: int = SEEDS) -> Images:
    """D = 20 images of each seed; the same for every basis, and but for their widths for every t."""
    random, count = np.random.default_rng(0), seeds * IMAGES
    drawn = (
        3 * random.standard_normal((count, BUMPS, 2)),
        detail * (1 + random.random((count, BUMPS))),
        np.sign(random.standard_normal((count, BUMPS))),
        random.standard_normal((count, FILTERS, EFFECTIVE_SIZE**2)),
    )
    return Images(*map(torch.from_numpy, drawn))


def differences(found: Tensor, expected: Tensor) -> Tensor:
    """Relative L2 difference of all answers of a seed: (D, 20) twice -> (seeds,)."""
    found, expected = (answers.reshape(-1, IMAGES * FILTERS) for answers in (found, expected))
    return (found - expected).norm(dim=1) / expected.norm(dim=1)


def shape_differences(found: Tensor, expected: Tensor) -> Tensor:
    """As `differences`, but for the best factor common to all answers of a seed."""
    one, other = (answers.reshape(-1, IMAGES * FILTERS) for answers in (found, expected))
    factor = (one * other).sum(dim=1) / one.square().sum(dim=1)
    return differences(found * factor.repeat_interleave(IMAGES)[:, None], expected)


def errors(tables: Tables, steps: Sequence[float], seen: Images, difference: Callable[..., Tensor] = differences) -> Tensor:
    """Of each of the S-1 steps, the ratios of successive scales, and of the range: (S, seeds)."""
    pairs = [*zip(tables[:-1], tables[1:], steps, strict=True), (tables[0], tables[-1], float(np.prod(steps)))]
    return torch.stack([difference(seen.answers(coarse, step), seen.answers(fine)) for fine, coarse, step in pairs])


def between(tables: Tables, step: float, seen: Images) -> Tensor:
    """Of half a step, mean over the scales that have a coarser one: (seeds,)."""
    found = []
    for fine, coarse in pairwise(tables):
        nearer = (differences(seen.answers(near, step**0.5), seen.answers(fine)) for near in (fine, coarse))
        found.append(torch.minimum(*nearer))
    return torch.stack(found).mean(dim=0)


# ----------------------------------------------------------------------------------------------------------------- the bases


def hermite(sigma_min: float, mult: float, size: int, scales: int = 4, octave: float = 2) -> list[Tensor]:
    """Scales from `sigma_min` to `octave` times it in equal ratios."""
    sigmas = [sigma_min * octave ** (i / (scales - 1)) for i in range(scales)]
    return steerable_basis(size, sigmas, EFFECTIVE_SIZE, HERMITE_ORDER, mult)[1]


def stl_hermite(size: int) -> list[Tensor]:
    """That of sesn-a and sesn-b, whose filters have 7 pixels."""
    return steerable_basis(size, [0.9 * STL_STEP**i for i in range(3)], 3)[1]


def disco(size: int, scales: Sequence[float], *settings: Any, table: Tensor | None = None) -> list[Tensor]:
    """The filters that `disco` has, with zeros between taps that lie apart."""
    filters = disco_filters(size, scales, *settings, table=table)
    found = []
    for s, apart in enumerate(filters.dilations):
        taps = filters.get_buffer(f"basis_{s}")
        width = apart * (taps.shape[-1] - 1) + 1
        found.append(taps.new_zeros(len(taps), width, width))
        found[-1][:, ::apart, ::apart] = taps
    return found


def mnist_disco(scales: Sequence[float] = disco_method.SCALES, table: Tensor | None = None) -> list[Tensor]:
    """Of the network for mnist-scale-56, or other scales."""
    sigma, mult = disco_method.SIGMA, disco_method.MULT["56"]
    return disco(disco_method.SIZE, scales, EFFECTIVE_SIZE, sigma, disco_method.MAX_ORDER, mult, table=table)


def stl_disco(table: Tensor | None = None) -> list[Tensor]:
    """Of the network for stl10+."""
    settings = (disco_method.STL_EFFECTIVE_SIZE, disco_method.STL_SIGMA)
    return disco(disco_method.STL_SIZE, disco_method.STL_SCALES, *settings, table=table)


def published(name: str, make: Callable[[Tensor], list[Tensor]]) -> dict[str, list[Tensor]]:
    """The filters on a published proxy table of DISCO, if it is at hand."""
    file = Path(os.environ.get("BENCH_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "disco_tables.npz"
    return {"DISCO, published table": make(torch.from_numpy(np.load(file)[name]).double())} if file.exists() else {}


def mnist_bases() -> dict[str, list[Tensor]]:
    """Four scales over an octave."""
    vector, other = VECTOR["56"], BASES["56"]
    return {
        "DISCO": mnist_disco(),
        **published("15_7", lambda table: mnist_disco(table=table)),
        "Hermite, sigma 2.0 up, mult 1.5 (`sesn-vector`)": steerable_basis(15, vector.sigmas, 7, HERMITE_ORDER, vector.mult)[1],
        "Hermite, sigma 1.5 up, mult 1.4 (`sesn-basis`)": other["hermite"].tables()[1],
        "the same, K = 25 (start of `sesn-learned`)": hermite(1.5, 1.4, 25),
        "B-spline": other["bspline"].tables()[1],
        "log-radial": other["log-radial"].tables()[1],
        "Fourier-Bessel": other["fourier-bessel"].tables()[1],
    }


def stl_bases() -> dict[str, list[Tensor]]:
    """Three scales."""
    return {
        "DISCO": stl_disco(),
        **published("5_3", stl_disco),
        "Hermite, sigma 0.9 up (`sesn-a`, `sesn-b`)": stl_hermite(7),
    }


# ---------------------------------------------------------------------------------------------------------------- the tables


def cells(found: Tensor) -> list[str]:
    """Mean and standard deviation over seeds of each row (n, seeds)."""
    return [f"{row.mean():.3f} ± {row.std():.3f}" for row in found]


def row(*cell: object) -> str:
    """One line of a table."""
    return f"| {' | '.join(map(str, cell))} |"


def by_basis(detail: float, seeds: int) -> Iterator[str]:
    """Every basis, each step and the range."""
    yield row("", f"basis; t = {detail:g}", "step 1", "step 2", "step 3", "range")
    yield "|---|---|---:|---:|---:|---:|"
    for task, bases, step in (("56", mnist_bases(), THIRD), ("STL-10", stl_bases(), STL_STEP)):
        for name, tables in bases.items():
            *steps, whole = cells(errors(tables, [step] * (len(tables) - 1), images(detail, seeds)))
            yield row(task, name, *steps, *[""] * (3 - len(steps)), whole)


def causes(seeds: int) -> Iterator[str]:
    """Bases once more, without what is taken to be the cause of their errors."""
    yield row("basis, changed; t = 1.5", "step 1", "step 2", "step 3", "range")
    yield "|---|---:|---:|---:|---:|"
    seen, other = images(FINE, seeds), BASES["56"]
    for mult, size in ((1.4, 31), (1.25, 15), (1.25, 31)):
        changed = errors(hermite(1.5, mult, size), [THIRD] * 3, seen)
        yield row(f"Hermite, sigma 1.5 up: mult {mult:g}, K = {size}", *cells(changed))
    splines = other["bspline"].tables()[1]
    own = [(len(coarse[0]) - 1) / (len(fine[0]) - 1) for fine, coarse in pairwise(splines)]
    words = f"B-spline: images magnified by {', '.join(f'{ratio:.3g}' for ratio in own)}"
    yield row(words, *cells(errors(splines, own, seen)))
    yield row(f"{words}, but for a common factor", *cells(errors(splines, own, seen, shape_differences)))
    yield row("log-radial: K = 61", *cells(errors(other["log-radial"].tables(61)[1], [THIRD] * 3, seen)))
    for size in (15, 31):
        uncut = fourier_bessel_basis(size, [2 ** (i / 3 - 1) for i in range(4)], EFFECTIVE_SIZE)[1]
        yield row(f"Fourier-Bessel: sigma 0.5 up, nothing cut off, K = {size}", *cells(errors(uncut, [THIRD] * 3, seen)))


STEPS = {"2^(1/4)": (2, 5), "2^(1/3)": (2, 4), "2^(1/2)": (2, 3), "2": (2, 2), "3^(1/3)": (3, 4), "3^(1/2)": (3, 3)}
STEPPED = ((1.4, 15), (1.25, 15), (1.25, 25))  # mult and K


def by_step(seeds: int) -> Iterator[str]:
    """Hermite and DISCO by the scale step."""
    yield row("step", "scales", *(f"mult {mult:g}, K = {size}" for mult, size in STEPPED), "DISCO, K = 15")
    yield "|---|---:" + "|---:" * (len(STEPPED) + 1) + "|"
    for name, (octave, scales) in STEPS.items():
        step = octave ** (1 / (scales - 1))
        made = [hermite(1.5, mult, size, scales, octave) for mult, size in STEPPED]
        made += [mnist_disco([*(2 ** (i / (scales - 1)) for i in range(scales - 1)), 2])] if octave == 2 else []
        found = [_of_step(tables, step, images(FINE, seeds)) for tables in made]
        yield row(name, scales, *found, *[""] * (len(STEPPED) + 1 - len(found)))


def _of_step(tables: Tables, step: float, seen: Images) -> str:
    """Largest step / range / half a step, and the taps: pixels of the filters of all scales that are not 0 in all functions."""
    largest, whole = worst(errors(tables, [step] * (len(tables) - 1), seen))
    taps = sum(int(functions.any(dim=0).sum()) for functions in tables)
    return f"{largest:.3f} / {whole:.3f} / {between(tables, step, seen).mean():.3f} ({taps})"


SIZES = (7, 9, 11, 13, 15, 17, 21, 25, 31)
WIDTHS = ((1.0, 1.4), (1.5, 1.4), (1.5, 1.25), (2.0, 1.5), (2.0, 1.4), (2.0, 1.25))  # sigma_0 and mult


def by_size(seeds: int) -> Iterator[str]:
    """Hermite by sigma_0, mult and K; beside them that of STL-10. Condition: of the coarsest functions, of the published K."""
    yield row("K", *(f"{sigma:.1f}, {mult:g}" for sigma, mult in WIDTHS), "STL-10: 0.9")
    yield "|---:" * (len(WIDTHS) + 2) + "|"
    yield row("narrowest", *(f"{narrowest(*widths):.2f}" for widths in WIDTHS), "0.90")
    coarsest = [hermite(*widths, 15)[-1] for widths in WIDTHS] + [stl_hermite(7)[-1]]
    yield row("condition", *(f"{torch.linalg.cond(functions.flatten(1)):.0e}" for functions in coarsest))
    for size in SIZES:
        found = [errors(hermite(*widths, size), [THIRD] * 3, images(FINE, seeds)) for widths in WIDTHS]
        found.append(errors(stl_hermite(size), [STL_STEP] * 2, images(FINE, seeds)))
        yield row(size, *("{:.3f} / {:.3f}".format(*worst(each)) for each in found))


def narrowest(sigma: float, mult: float) -> float:
    """Width in pixels of the fourth and last level of functions at the finest scale."""
    return sigma / mult**3


def worst(found: Tensor) -> tuple[float, float]:
    """Means over seeds of the largest step error, and of the range's."""
    means = found.mean(dim=1)
    return means[:-1].max().item(), means[-1].item()


# ------------------------------------------------------------------------------------------------------------- in a network

TASK, DIGITS = "mnist-scale-56", 32


def in_networks() -> Iterator[str]:
    """One network, `sesn-vector` but for its filters, with every basis: docs/equivariance.md's errors at initialisation."""
    yield row("basis", "layer 1", "layer 2", "layer 3")
    yield "|---|---:|---:|---:|"
    pictures, made = load_pictures(TASK, 0, DIGITS), mnist_bases()
    for mult, size in ((1.25, 15), (1.25, 25), (1.1, 25)):
        made[f"Hermite, sigma 1.5 up, mult {mult:g}, K = {size}"] = hermite(1.5, mult, size)
    for name, basis in made.items():
        torch.manual_seed(0)
        body = vector_body(TASK, partial(SteerableFilters, basis))
        found = measure(mnist_net(TASK, body, linear_head(4 * CHANNELS[-1])), pictures)
        means = [(np.mean(layer.scale[:3]), np.mean(layer.scale[3:])) for layer in found.layers[1:]]
        yield row(name, *(f"{shrink:.2f} / {enlarge:.2f}" for shrink, enlarge in means))


# ---------------------------------------------------------------------------------------------------------------- the figure


def figure(seeds: int) -> bytes:
    """An SVG: on the left the steps and the range of every basis of the 56 tasks, on the right Hermite functions by K."""
    drawn = io.BytesIO()
    with headless():
        import seaborn as sns
        from matplotlib.figure import Figure

        style = {"svg.fonttype": "none", "svg.hashsalt": "bases", "legend.frameon": False, "font.family": "DejaVu Sans"}
        sns.set_theme(context="paper", style="ticks", rc=style)
        canvas = Figure(figsize=(10, 3.6), layout="constrained")
        _draw(*canvas.subplots(1, 2), seeds)
        sns.despine(fig=canvas)
        canvas.savefig(drawn, format="svg", metadata={"Date": None})
    return embeddable(drawn.getvalue(), "Scale equivariance error of bases, and of Hermite functions by filter size")


def _draw(left: Any, right: Any, seeds: int) -> None:
    bases = {name: tables for name, tables in mnist_bases().items() if "published" not in name}
    for y, tables in enumerate(bases.values()):
        found = errors(tables, [THIRD] * 3, images(FINE, seeds)).mean(dim=1).tolist()
        for x, shade, words in zip(found, COLOURS, ("step 1", "step 2", "step 3", "range"), strict=False):
            if x > 1e-4:  # DISCO's whole scales are exact: there is nothing to draw on a logarithmic axis
                left.plot(x, y, "D" if words == "range" else "o", color=shade, label=words if y == 1 else None)
    left.set_yticks(range(len(bases)), [name.replace("`", "").replace(" (", "\n(") for name in bases])
    left.invert_yaxis()
    left.grid(axis="y", color="0.93")
    left.set(xscale="log", xlabel="relative difference; t = 1.5", title="Bases, four scales over an octave")
    left.legend(loc="lower left")
    for (sigma, mult), shade in zip(WIDTHS, COLOURS, strict=False):
        found = [worst(errors(hermite(sigma, mult, size), [THIRD] * 3, images(FINE, seeds)))[0] for size in SIZES]
        words = f"{sigma:.1f}, {mult:g}: {narrowest(sigma, mult):.2f}"
        right.plot(SIZES, found, "o-", color=shade, label=words)
    least = errors(bases["DISCO"], [THIRD] * 3, images(FINE, seeds)).mean(dim=1)[:-1].max().item()
    right.axhline(least, color="0.5", linestyle="--", label="DISCO, K = 15")
    right.set(yscale="log", xlabel="K, pixels", ylabel="largest step", title="Hermite functions", xticks=SIZES)
    right.legend(title="sigma up, mult: narrowest", loc="center left", bbox_to_anchor=(1.01, 0.5))


def tables(seeds: int = SEEDS) -> Iterator[list[str]]:
    """All tables, each a list of lines."""
    for made in (by_basis(FINE, seeds), by_basis(COARSE, seeds), causes(seeds), by_step(seeds), by_size(seeds)):
        yield list(made)


def main() -> None:
    """Print the tables, and draw the figure if asked to; or measure networks alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--networks", action="store_true")
    given = parser.parse_args()
    if given.networks:
        for line in in_networks():
            print(line, flush=True)
        return
    for lines in tables(given.seeds):
        print("\n".join(lines), end="\n\n", flush=True)
    if given.figure:
        given.figure.write_bytes(figure(given.seeds))


if __name__ == "__main__":
    main()

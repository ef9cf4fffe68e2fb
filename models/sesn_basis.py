"""SESN with other bases: B-splines, log-radial harmonics, Fourier-Bessel functions.

Sosnovik, Moskalev, Smeulders, "How to Transform Kernels for Scale-Convolutions", ICCV Workshops 2021, whose code has all four.
The Fourier-Bessel functions are the spatial part of ScDCFNet: Zhu, Qiu, Calderbank, Sapiro, Cheng, "Scaling-Translation-
Equivariant Networks with Decomposed Convolutional Filters", JMLR 2022, arXiv 1909.11193, without interaction between scales.

One network for all, SESN's vector network of the 56 tasks; only the tabulated basis differs. Each function below tabulates one
basis, as `models.sesn.steerable_basis` does Hermite functions: at every scale on a support of its own, in proportion to the
scale, divided by the norms at the finest scale. What of that is far from scale equivariance, docs/bases.md measures.

Shape letters: S scales, F basis functions, E effective filter size (F = E*E), K full filter size, k or k_s size of the support
at scale s. Scale 0 is the finest. Rows count downwards, columns to the right, both from the centre.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import ModelError, shown, suggestion
from models.layers.steerable import SteerableFilters
from models.mnist_net import CHANNELS, UPSAMPLE, linear_head, mnist_net, vector_body
from models.registry import register
from models.sesn import CONFIG_56, steerable_basis, support_sizes

Tables = tuple[list[Tensor], list[Tensor]]  # raw and normalised: at each scale float64 (F, k_s, k_s)

# --------------------------------------------------------------------------------------------------------------- every basis


def supports_of(size: int, scales: Sequence[float], effective_size: int) -> list[int]:
    """Width in pixels of the support at each scale: odd, at least 3 and at most `size`, in proportion to the scale.

    Raises ModelError: no basis can be tabulated so.
    """
    if size % 2 == 0 or effective_size < 2:
        raise ModelError(f"size {size}, effective size {effective_size}: an odd size, and two or more, are allowed, e.g. 15, 7")
    if not scales or scales[0] <= 0 or any(fine >= coarse for fine, coarse in pairwise(scales)):
        raise ModelError(f"scales {shown(list(scales))} must ascend from above 0, e.g. [1.5, 1.89, 2.38, 3.0]")
    supports = support_sizes(size, scales)
    if supports[0] < 3:
        raise ModelError(
            f"filters of {size} pixels leave {supports[0]} at scale {scales[0]:g} of {scales[-1]:g}, too few for a basis; "
            f"give a size of {2 * math.ceil(scales[-1] / scales[0] - 0.5) + 1} or more"
        )
    return supports


def normalised(raw: list[Tensor]) -> Tables:
    """The functions (F, k_s, k_s) of each scale, and these divided by their L2 norm at scale 0.

    Raises ModelError: one has no values there, as where it lies between the pixels.
    """
    norms = raw[0].flatten(1).norm(dim=1)
    absent = (norms <= 1e-14 * norms.max()).nonzero().flatten().tolist()  # or as good as 0: a sine at its zeros
    if absent or not norms.isfinite().all():
        raise ModelError(
            f"function {absent[0] if absent else 0} of the basis is 0, or not finite, on all {raw[0].shape[-1]} x "
            f"{raw[0].shape[-1]} pixels of the finest scale; give a larger size or finest scale"
        )
    return raw, [functions / norms[:, None, None] for functions in raw]


def offsets(size: int) -> tuple[Tensor, Tensor]:
    """Row and column of each pixel from the centre: float64 (k, 1) and (1, k)."""
    t = torch.arange(size, dtype=torch.float64) - size // 2
    return t[:, None], t[None, :]


# ----------------------------------------------------------------------------------------------------------------- B-splines


def bspline(degree: int, points: Tensor) -> Tensor:
    """The centred cardinal B-spline b_n: (1/n!) sum_j (-1)^j binom(n+1, j) max(0, t + (n+1)/2 - j)^n, j = 0 .. n+1.

    At -|t|, for it is even, and this leaves exact zeros outside its support. Raises ModelError: a degree below 1.
    """
    if degree < 1:
        raise ModelError(f"a B-spline of order {degree} is not continuous; 1 (linear), 2 (quadratic) and higher are allowed")
    t = (degree + 1) / 2 - points.abs()
    terms = [(-1) ** j * math.comb(degree + 1, j) * (t - j).clamp(min=0) ** degree for j in range(degree + 2)]
    return torch.stack(terms).sum(dim=0) / math.factorial(degree)


def bspline_basis(size: int, scales: Sequence[float], effective_size: int, *, mult: float, order: int) -> Tables:
    """E x E B-splines side by side, the same at every scale, sampled with k_s points an axis (docs/later-methods.md 2.12).

    Function a*E + b is P[b, row] P[a, column] / sigma_s^2 with P[a, t] = b_n((t - sigma_0 o_a) mult / sigma_0), t and o_a
    equally spaced from -1 to 1. `order`: the degree n. Raises ModelError.
    """
    supports, finest = supports_of(size, scales, effective_size), scales[0]
    centres = torch.linspace(-1, 1, effective_size, dtype=torch.float64)[:, None]
    raw = []
    for scale, support in zip(scales, supports, strict=True):
        points = torch.linspace(-1, 1, support, dtype=torch.float64)
        axis = bspline(order, (points - finest * centres) * mult / finest)
        raw.append((axis[:, None, None, :] * axis[None, :, :, None]).flatten(0, 1) / scale**2)
    return normalised(raw)


# ------------------------------------------------------------------------------------------------------- log-radial harmonics


def log_radial_basis(
    size: int, scales: Sequence[float], effective_size: int, *, orders: int, rotations: int, width: float
) -> Tables:
    """Wedges whose waves run along the logarithm of the radius (docs/later-methods.md 2.12).

    With R the distance over sigma_s: A cos(theta) and A sin(theta), theta = 2 pi q ln R / max ln R - pi/4, of each frequency
    q = 1/2, 1, 2, .. (`orders`) and each of `rotations` directions from 0 (up) to pi; A = exp(-d^2 / 2 width^2) / R, d the
    angle to the direction or its opposite. The first E*E, over sigma_s^2. Raises ModelError.
    """
    supports, count = supports_of(size, scales, effective_size), effective_size**2
    if 2 * orders * rotations < count:
        raise ModelError(
            f"{orders} orders and {rotations} rotations make {2 * orders * rotations} log-radial functions, effective size "
            f"{effective_size} needs {count}; give more rotations"
        )
    raw = []
    for scale, support in zip(scales, supports, strict=True):
        envelope, log_radius = _wedges(support, scale, rotations, width)
        turns = log_radius / log_radius.max()  # referred to the corner of each scale's own grid
        waves = torch.stack([2 * math.pi * 2.0 ** (o - 1) * turns - math.pi / 4 for o in range(orders)])
        both = torch.stack([waves.cos(), waves.sin()], dim=1)  # (orders, 2, k, k)
        raw.append((envelope[None, :, None] * both[:, None]).flatten(0, 2)[:count] / scale**2)
    return normalised(raw)


def _wedges(support: int, scale: float, rotations: int, width: float) -> tuple[Tensor, Tensor]:
    """A of every direction (rotations, k, k), and ln R (k, k). At the centre the distance is taken to be 1 pixel."""
    rows, columns = offsets(support)
    distance = torch.hypot(rows, columns)
    distance[support // 2, support // 2] = 1
    if distance.max() <= scale:
        raise ModelError(
            f"log-radial functions of scale {scale:g} on {support} pixels: the corner, {distance.max():.3g} pixels away, must "
            "lie beyond the scale; give a larger size or smaller scales"
        )
    direction = torch.linspace(0, math.pi, rotations, dtype=torch.float64)[:, None, None]
    beside = torch.atan2(columns, -rows) - direction
    angle = torch.stack([beside - math.pi, beside, beside + math.pi, beside + 2 * math.pi]).abs().amin(dim=0)
    return torch.exp(-(angle**2) / (2 * width**2)) * scale / distance, (distance / scale).log()


# ------------------------------------------------------------------------------------------------------------ Fourier-Bessel

BESSEL_ORDERS = 50
HIGHEST_FREQUENCY = 2.7 * math.pi  # times the radius in pixels


def bessel_zeros(limit: float) -> list[tuple[float, int]]:
    """(j_{k,q}, k) of the Bessel functions J_0 .. J_49, ascending: those whose next zero j_{k,q+1} is at most `limit`."""
    from scipy.special import jn_zeros

    found: list[tuple[float, int]] = []
    for k in range(BESSEL_ORDERS):
        zeros = jn_zeros(k, int(limit / math.pi) + 2).tolist()  # as far apart as pi, nearly; J_0 has the most
        found += [(zero, k) for zero, following in pairwise(zeros) if following <= limit]
    return sorted(found)


def fourier_bessel_basis(size: int, scales: Sequence[float], effective_size: int) -> Tables:
    """Waves of a drum, J_k(j rho) cos(k angle) and sin(k angle), by ascending zeros j (docs/later-methods.md 2.12).

    rho = distance / (R0 sigma_s), R0 = K // 2 + 1/2, and 0 where rho >= 1; divided by |J_{k+1}(j)| and sigma_s^2, for k > 0
    times sqrt(2). The first E*E; what lies outside a scale's support is cut off. Raises ModelError.
    """
    supports, count, edge = supports_of(size, scales, effective_size), effective_size**2, size // 2 + 0.5
    zeros = bessel_zeros(HIGHEST_FREQUENCY * edge)
    number = sum(1 if k == 0 else 2 for _, k in zeros)
    if number < count:
        raise ModelError(
            f"a filter of {size} pixels has {number} Fourier-Bessel functions, effective size {effective_size} needs {count}; "
            "give a larger size"
        )
    raw = []
    for scale, support in zip(scales, supports, strict=True):
        waves = [wave for zero, k in zeros[:count] for wave in _drum(zero, k, support, edge * scale)]
        raw.append(torch.stack(waves[:count]) / scale**2)
    return normalised(raw)


def _drum(zero: float, k: int, support: int, radius: float) -> list[Tensor]:
    """The one function of order 0, or the two of order k > 0, on a drum of so many pixels' radius: each (k, k)."""
    from scipy.special import jv

    rows, columns = offsets(support)
    rho, angle = torch.hypot(rows, columns) / radius, torch.atan2(columns, rows)
    radial = torch.from_numpy(jv(k, (zero * rho).numpy())) / abs(float(jv(k + 1, zero))) * (rho < 1)
    return [radial] if k == 0 else [math.sqrt(2) * radial * (k * angle).cos(), math.sqrt(2) * radial * (k * angle).sin()]


# ------------------------------------------------------------------------------------------------------------------ networks

SIZE, EFFECTIVE_SIZE, SCALES = 15, 7, 4
HERMITE_ORDER = 4


@dataclass(frozen=True)
class Configuration:
    """A basis, the width sigma_0 of the finest of S = 4 scales, over one octave, and what else the basis is made with."""

    basis: Callable[..., Tables]
    sigma_min: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sigmas(self) -> list[float]:
        """sigma_0 2^(i/3), to two decimals."""
        return [round(self.sigma_min * 2 ** (i / (SCALES - 1)), 2) for i in range(SCALES)]

    def tables(self, size: int = SIZE) -> Tables:
        """The basis, raw and normalised, in filters of `size` pixels."""
        here = torch.get_default_device()
        with torch.device("cpu"):  # wherever the network that asks is being built
            raw, found = self.basis(size, self.sigmas, EFFECTIVE_SIZE, **self.settings)
        return [functions.to(here) for functions in raw], [functions.to(here) for functions in found]


BASES = {
    "56": {
        "hermite": Configuration(steerable_basis, 1.5, {"max_order": HERMITE_ORDER, "mult": 1.4}),
        "bspline": Configuration(bspline_basis, 0.6, {"mult": 2, "order": 2}),
        "log-radial": Configuration(log_radial_basis, 0.1, {"orders": 3, "rotations": 11, "width": 0.2}),
        "fourier-bessel": Configuration(fourier_bessel_basis, 0.88),
    },
    "56p": {  # tuned for the augmented task
        "hermite": Configuration(steerable_basis, 1.7, {"max_order": HERMITE_ORDER, "mult": 1.5}),
        "bspline": Configuration(bspline_basis, 0.6, {"mult": 3, "order": 1}),
        "log-radial": Configuration(log_radial_basis, 0.5, {"orders": 3, "rotations": 10, "width": 0.3}),
        "fourier-bessel": Configuration(fourier_bessel_basis, 0.6),
    },
}
OPTIONS = {"basis": {"mnist-scale-56*": tuple(BASES["56"])}, "config": CONFIG_56, **UPSAMPLE}
PAPER = "Sosnovik et al. 2021 (ICCV workshop); Zhu et al. 2022, arXiv 1909.11193"


@register("sesn-basis", tasks="mnist-scale-56*", paper=PAPER, options=OPTIONS)
def sesn_basis(task: str, basis: str, config: str, upsample: str = "nearest") -> nn.Module:
    """494,549 parameters: SESN's vector network with filters of 15 pixels, of this basis. Raises ModelError: an unknown one."""
    bases = BASES[config]
    if basis not in bases:
        raise ModelError(
            f"model 'sesn-basis': there is no basis {shown(basis)}{suggestion(str(basis), bases)}; allowed: {', '.join(bases)}"
        )
    tables = bases[basis].tables()[1]
    body = vector_body(task, lambda: SteerableFilters(tables))
    return mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample)

"""SESN with learned scales: the widths of the filters are trained with their weights.

Basting, Bruintjes, Wiedemer, Kümmerer, Bethge, van Gemert, "Scale Learning in Scale-Equivariant Convolutional Networks", VISAPP
2024.

The networks are SESN's on 56 pixels (sesn.py), but their list of scales sigma_0 .. sigma_{S-1} comes from a few numbers that
all layers share. So the basis is made anew in every forward pass, of filters that grow with the scales: to each side of the
centre they reach over 4 widths of the coarsest Gaussian. Gradients flow through the functions and their norms; to them sizes
are constants.

The size K is a step function of the coarsest scale. At 3, where one octave from 1.5 ends, rounding decides: in float64, and
with mode=direct, K is 25; in float32 all other lists end at 3.0000002, and K is 27.

On a CPU the sizes are read, and the functions tabulated on as many taps. Elsewhere nothing may be read, for a step is replayed
as a CUDA graph while the filters grow: there the functions are tabulated as far as a map can see, which is enough for any
scale, and cut to their size on the device.

Shape letters: S scales, F basis functions, G functions of one axis, T taps, k_s width of the filters at scale s, K that of the
largest, H, W map. Scale 0 is the finest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import ModelError, shown, suggestion
from models.layers.conv.same import same_conv2d, same_conv2d_bank
from models.layers.steerable import SteerableFilters
from models.mnist_net import CHANNELS, UPSAMPLE, MnistNet, linear_head, mnist_net, vector_body
from models.parameter_group import ParameterGroup
from models.registry import register
from models.sesn import function_orders, hermite_filters

SCALES, EFFECTIVE_SIZE, MAX_ORDER, MULT = 4, 7, 4, 1.4
RANGE = 2.0  # sigma_{S-1} / sigma_0 at the start
SUPPORT = 4.0  # widths of the coarsest Gaussian to each side of a filter's centre

# --------------------------------------------------------------------------------------------------------------- scales

# How many numbers make a list of S scales, and the factors between neighbours that they give: two parameterisations of the
# paper, then two that only its code has. With "direct" the numbers are the scales.
FACTORS: dict[str, tuple[Callable[[int], int], Callable[[Tensor], Tensor]]] = {
    "isr": (lambda scales: 1, lambda p: 1 + p**2),
    "spacing": (lambda scales: scales - 1, lambda p: 1 + p**2),
    "single_ratio": (lambda scales: 1, lambda p: 1 + F.leaky_relu(p, 0.01)),
    "ratios": (lambda scales: scales - 1, lambda p: 1 + p),
}
MODES = ("isr", "spacing", "direct", "single_ratio", "ratios", "fixed")
WHERE = "model 'sesn-learned'"


def starting_parameter(mode: str, scales: int, scale_range: float, basis_min_scale: float) -> list[float]:
    """The numbers that give S = `scales` >= 2 equally spaced scales, from `basis_min_scale` to `scale_range` times it."""
    ratio = scale_range ** (1 / (scales - 1))
    if mode == "direct":
        return [basis_min_scale * scale_range ** (s / (scales - 1)) for s in range(scales)]
    number = math.sqrt(ratio - 1) if mode in ("isr", "spacing") else ratio - 1
    return [number] * FACTORS[mode][0](scales)


class LearnedScales(nn.Module):
    """The list of scales: `parameter`, whose meaning is the mode's, and the finest scale, `basis_min_scale` (1,).

    The latter is a parameter too with `learn_min_scale`, constant without, and absent with mode "direct". Widths are in pixels.
    """

    def __init__(
        self, mode: str, parameter: Sequence[float], scales: int, basis_min_scale: float, *, learn_min_scale: bool = False
    ) -> None:
        super().__init__()
        self.mode, self.scales = mode, scales
        self.parameter = nn.Parameter(torch.tensor(parameter))
        if learn_min_scale:
            self.basis_min_scale = nn.Parameter(torch.tensor([basis_min_scale]))
        elif mode != "direct":
            constant = torch.tensor([basis_min_scale], dtype=torch.float64)
            self.register_buffer("basis_min_scale", constant, persistent=False)

    def forward(self) -> Tensor:
        """(S,). The cumulative product is taken in float64 and rounded once, as `torch.cumprod` does on a CPU.

        That operation's own backward pass asks the device for a number.
        """
        if self.mode == "direct":
            return self.parameter
        factors = FACTORS[self.mode][1](self.parameter).double().expand(self.scales - 1)
        scales = [self.basis_min_scale.to(self.parameter.dtype).double()]
        for factor in factors.split(1):
            scales.append(scales[-1] * factor)
        return torch.cat(scales).to(self.parameter.dtype)


# ---------------------------------------------------------------------------------------------------------------- basis

# Taps to each side of a filter's centre that are ever computed: exact for scales up to 64, and more than four times what the
# largest map here can see. Beyond that, norms leave out the taps further away.
LONGEST = 256


def half_widths(scales: Tensor, support: float = SUPPORT) -> Tensor:
    """(k_s - 1) / 2 for scales (S,): whole numbers up to LONGEST, as floats (S,) on their device, without gradient.

    K = max(3, 2 ceil(support sigma_max) + 1), k_s = 2 floor(floor(K sigma_s / sigma_max) / 2) + 1. What is no number gives 0.
    """
    scales = scales.detach()
    size = (2 * (support * scales.max()).ceil() + 1).clamp(min=3)
    halves = ((size * scales / scales.max()).floor() / 2).floor()
    return halves.nan_to_num(0, LONGEST, 0).clamp(0, LONGEST)


def hermite_functions(max_order: int, points: Tensor, scales: Tensor) -> Tensor:
    """exp(-t^2 / 2 sigma^2) He_n(t / sigma) / sigma for n <= max_order, t in (T,), sigma in (...): (max_order + 1, ..., T)."""
    x = points / scales[..., None]
    values = [torch.exp(-(x**2) / 2) / scales[..., None]]
    for n in range(max_order):  # the recurrence of the polynomials, of which each is a multiple
        values.append(x * values[n] - n * values[n - 1] if n > 0 else x * values[0])
    return torch.stack(values)


class Table(NamedTuple):
    """The basis of one forward pass: function f at scale s is rows[s][f] times columns[s][f], each of S (F, T), T odd.

    `halves`: (k_s - 1) / 2 at each scale as far as the host knows it; zeros lie beyond the true ones.
    """

    rows: Sequence[Tensor]
    columns: Sequence[Tensor]
    halves: list[int]

    def at(self, s: int, extent: int) -> Tensor:
        """The functions at scale s, cut to what a map of so many pixels across can see: (F, k, k)."""
        cut = self.rows[s].shape[-1] // 2 - min(self.halves[s], extent - 1)
        rows, columns = (axis[s][:, cut : axis[s].shape[-1] - cut] for axis in (self.rows, self.columns))
        return rows[:, :, None] * columns[:, None, :]


class LearnedFilters(SteerableFilters):
    """SESN's filters, weights (..., F) -> (..., k_s, k_s), with Hermite functions at the scales that `learned` gives.

    One such module serves all layers of a network. Function f is divided by its norm at scale 0; F = effective_size^2.
    """

    def __init__(
        self,
        learned: LearnedScales,
        effective_size: int = EFFECTIVE_SIZE,
        max_order: int = MAX_ORDER,
        mult: float = MULT,
        support: float = SUPPORT,
    ) -> None:
        nn.Module.__init__(self)  # there is no basis yet
        self.orders = orders = function_orders(effective_size, max_order, mult)
        divisors = sorted({divisor for _, _, divisor in orders})
        self.scales, self.functions, self.dilations = learned.scales, len(orders), (1,) * learned.scales
        self.axes = self.bank = None
        self.learned, self.max_order, self.support = learned, max_order, support
        self.table: Table | None = None
        self.register_buffer("divisors", torch.tensor(divisors, dtype=torch.float64), persistent=False)
        for name, which in (("row_functions", 0), ("column_functions", 1)):  # (F,), of the G functions of one axis
            index = [one[which] * len(divisors) + divisors.index(one[2]) for one in orders]
            self.register_buffer(name, torch.tensor(index), persistent=False)

    def made(self, *, read: bool) -> Table:
        """The basis for the scales as they are now. `read`: the host asks for their sizes."""
        scales = self.learned()
        halves = half_widths(scales, self.support)
        known = [int(half) for half in halves.tolist()] if read else [LONGEST] * self.scales
        taps = torch.arange(-max(known), max(known) + 1, dtype=scales.dtype, device=scales.device)
        widths = scales / self.get_buffer("divisors").to(scales.dtype)[:, None]
        functions = hermite_functions(self.max_order, taps, widths).flatten(0, 1) * (taps.abs() <= halves[:, None])  # (G, S, T)
        # The norm of a product is that of its factors', for the support is a square.
        functions = functions / torch.linalg.vector_norm(functions[:, :1], dim=-1, keepdim=True)
        rows, columns = (functions[self.get_buffer(f"{axis}_functions")].unbind(1) for axis in ("row", "column"))
        return Table(rows, columns, known)

    @contextmanager
    def made_once(self) -> Iterator[None]:
        """Within, all layers have the same table. Without, each convolution makes its own."""
        self.table = self.made(read=self.may_read())
        try:
            yield
        finally:
            self.table = None

    def may_read(self) -> bool:
        """Whether the sizes are read in a step: on a CPU, where nothing waits for it."""
        return self.learned.parameter.device.type == "cpu"

    def forward(self, weight: Tensor) -> list[Tensor]:
        """Return for each scale its filters at their own support: (..., k_s, k_s). Asks the device for the sizes."""
        return list(self._filters(self.made(read=True), [weight] * self.scales))

    def lift(self, maps: Tensor, weight: Tensor, stride: int) -> list[Tensor]:
        """Convolve (N, C, H, W) with the filters of (O, C, F) at every scale -> S times (N, O, H', W')."""
        filters = self._filters(self._current(), [weight] * self.scales, max(maps.shape[2:]))
        return same_conv2d_bank(maps, list(filters), stride)

    def convolve(self, maps: Sequence[Tensor], weights: Sequence[Tensor], stride: int) -> list[Tensor]:
        """For each scale convolve its (N, C, H, W) with the filters of its weights (O, C, F) -> (N, O, H', W')."""
        filters = self._filters(self._current(), weights, max(maps[0].shape[2:]))
        return [same_conv2d(seen, bank, stride) for seen, bank in zip(maps, filters, strict=True)]

    def _filters(self, table: Table, weights: Sequence[Tensor], extent: int = LONGEST + 1) -> Iterator[Tensor]:
        """Of each scale, as far as a map of `extent` pixels can see."""
        for s, weight in enumerate(weights):
            yield torch.tensordot(weight, table.at(s, extent).to(weight.dtype), dims=1)

    def _current(self) -> Table:
        return self.table or self.made(read=self.may_read())


# -------------------------------------------------------------------------------------------------------------- networks


class LearnedScaleNet(MnistNet):
    """SESN's vector network, its basis made once per forward pass: (N, 1, 28, 28) -> (N, 10)."""

    def forward(self, maps: Tensor) -> Tensor:
        with self.filters.made_once():
            return super().forward(maps)

    @property
    def filters(self) -> LearnedFilters:
        """Those of all layers."""
        return next(module for module in self.modules() if isinstance(module, LearnedFilters))

    def parameter_groups(self) -> list[ParameterGroup]:
        """The scales learn at half the rate of the rest, 0.005 of 0.01, reached after 10 of 60 epochs."""
        return [ParameterGroup(tuple(self.filters.learned.parameters()), lr_factor=0.5, warm_up=1 / 6)]


OPTIONS = {"mode": MODES, "relu": (False, True), "learn_min_scale": (False, True), **UPSAMPLE}
PAPER = "Basting et al. 2024 (VISAPP)"


@register("sesn-learned", tasks="mnist-scale-56*", paper=PAPER, options=OPTIONS)
def sesn_learned(
    task: str,
    mode: str = "isr",
    relu: bool = False,
    learn_min_scale: bool = False,
    upsample: str = "nearest",
    parameter: float | Sequence[float] | None = None,
    basis_min_scale: float = 1.5,
) -> nn.Module:
    """494,549 parameters, and of the scales 1 (isr, single_ratio), 3 (spacing, ratios) or 4 (direct); `learn_min_scale` 1 more.

    `parameter`: where these start, without it one octave from `basis_min_scale`. `relu`: a rectifier after the first two
    convolutions too, where the public code has none. With mode "fixed" that octave stays: what to compare with.

    Raises ModelError: an unknown mode, or what to start from gives no list of scales, or none that can learn.
    """
    _check_settings(mode, parameter, relu, learn_min_scale)
    finest, numbers = _start(mode, parameter, basis_min_scale)
    if mode == "fixed":
        size = max(3, 2 * math.ceil(SUPPORT * numbers[-1]) + 1)
        body = vector_body(task, lambda: hermite_filters(size, numbers, EFFECTIVE_SIZE, MAX_ORDER, MULT), relu=relu)
        return mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample)
    learned = LearnedScales(mode, numbers, SCALES, finest, learn_min_scale=learn_min_scale)
    filters = LearnedFilters(learned)
    body = vector_body(task, lambda: filters, relu=relu)
    network = LearnedScaleNet(*mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample))
    network[0].scales = learned  # so that they are the first of the parameters
    return network


def _check_settings(mode: str, parameter: object, relu: object, learn_min_scale: object) -> None:
    """Raises ModelError: a setting that is none, or that the mode does not have."""
    if mode not in MODES:
        raise ModelError(f"{WHERE}: there is no mode {shown(mode)}{suggestion(str(mode), MODES)}; allowed: {', '.join(MODES)}")
    for name, given in (("relu", relu), ("learn_min_scale", learn_min_scale)):
        if not isinstance(given, bool):
            raise ModelError(f"{WHERE}: {name}={shown(given)}; allowed: False, True")
    if learn_min_scale and mode in ("direct", "fixed"):
        raise ModelError(f"{WHERE}: mode={mode} has no finest scale of its own to learn; leave out learn_min_scale=True")
    if mode == "fixed" and parameter is not None:
        raise ModelError(f"{WHERE}: mode=fixed learns no scales; leave out parameter={shown(parameter)} or take another mode")


def _start(mode: str, parameter: object, basis_min_scale: object) -> tuple[float, list[float]]:
    """The finest scale and the numbers to start from; with mode "fixed" these are its scales. Raises ModelError."""
    (finest,) = _numbers("basis_min_scale", basis_min_scale, 1, "a width in pixels, such as 1.5")
    kind = "direct" if mode == "fixed" else mode
    usual = starting_parameter(kind, SCALES, RANGE, finest)
    form = f"{len(usual)} for mode={mode}, such as {[round(number, 2) for number in usual]}"
    numbers = usual if parameter is None else _numbers("parameter", parameter, len(usual), form)
    if mode in ("isr", "spacing") and 0 in numbers:
        raise ModelError(f"{WHERE}: parameter={shown(parameter)}: 0 has no gradient and stays; give {form}")
    with torch.device("cpu"):  # wherever the network that asks is being built
        scales = LearnedScales(kind, numbers, SCALES, finest).double()().detach()
    if not (scales > 0).all() or scales.max() > LONGEST / SUPPORT or half_widths(scales).min() < 1:
        raise ModelError(
            f"{WHERE}: parameter={shown(numbers)} with basis_min_scale={finest:g} gives the scales "
            f"{[round(scale, 2) for scale in scales.tolist()]}; allowed: above 0, up to {LONGEST / SUPPORT:g}, and none so "
            "fine beside the coarsest that its filters have less than 3 pixels"
        )
    return finest, numbers


def _numbers(name: str, given: object, count: int, form: str) -> list[float]:
    """One number or a sequence of them, as many as wanted, all finite. Raises ModelError."""
    try:
        numbers = [float(number) for number in torch.as_tensor(given, dtype=torch.float64, device="cpu").flatten().tolist()]
    except (TypeError, ValueError, RuntimeError):
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ModelError(f"{WHERE}: {name}={shown(given)}; give {form}")
    return numbers

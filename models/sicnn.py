"""SiCNN: scale-invariant convolutional neural networks.

Xu, Xiao, Zhang, Yang, Zhang, "Scale-Invariant Convolutional Neural Networks", 2014, arXiv 1411.6369.

A stack of columns, one per scale. Column s convolves with the common filters resized by z_s: enlarged by repeating pixels,
reduced by bilinear interpolation, then brought back to the L1 norm of the original. Columns do not see one another until the
maximum over columns before the head.

Shape letters: N batch, C channels in, O channels out, S columns, k filter size, K size of the largest resized filter, H, W map.
Maps carry the columns in the channel axis, (N, S*C, H, W), channel s*C + c.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from models.layers.conv.fourier_bank import FilterBank
from models.layers.conv.same import same_conv2d, same_conv2d_bank, steered_conv2d
from models.layers.conv.separable import functions_of, values_of
from models.layers.launches import few_launches
from models.layers.layout import concatenate, from_hwnc
from models.layers.plain import BatchNorm2d, PoolingLayer, unpooled
from models.layers.resampling import bilinear, centred, nearest
from models.layers.scale_axis import largest, pool_scales, stack_scales
from models.mnist_net import CHANNELS, UPSAMPLE, linear_head, mnist_net, stage, stages
from models.registry import register
from models.wide_resnet import Parts, Place, Size, he_normal, wide_resnet

# ------------------------------------------------------------------------------------------------------- resized filters


def bank_size(size: int, scales: Sequence[float]) -> int:
    """K: the size of the zero-padded filter that all columns' filters are cut to; 1 x 1 filters are not resized."""
    return size + 2 * math.ceil((math.floor(size * max(scales)) - size) / 2) if size > 1 else 1


def resizing(size: int, scale: float, scales: Sequence[float], index: str = "ratio") -> Tensor:
    """One axis of R_z on a filter of `size` taps: float64 (K, size).

    Pad to K taps, resize to floor(K z), pad or crop back to K. `index` says which source pixel the enlarged filter repeats:
    "ratio", floor(i K / h), as published (torch of 2019), or "factor", floor(i * float32(1/z)), what torch does today when it
    is given a scale factor.
    """
    full = bank_size(size, scales)
    padded = centred(torch.eye(size, dtype=torch.float64), full)
    if scale == 1 or size == 1:
        return padded
    resized = math.floor(full * scale)
    if scale < 1:
        return centred(bilinear(full, resized, align_corners=True), full) @ padded
    if index == "ratio":
        sources = [i * full // resized for i in range(resized)]
    else:
        step = torch.tensor(1 / scale, dtype=torch.float32)
        sources = [min(int(i * step), full - 1) for i in range(resized)]
    return centred(nearest(sources, full), full) @ padded


def own_support(matrix: Tensor) -> Tensor:
    """Cut the rows that are zero, the same number at both ends, so that the centre stays the centre."""
    used = matrix.abs().sum(dim=1).nonzero()
    cut = min(int(used.min()), len(matrix) - 1 - int(used.max()))
    return matrix[cut : len(matrix) - cut]


class ResizedFilters(nn.Module):
    """Weights (O, C, k, k) -> the filters of each column, all of one L1 norm."""

    def __init__(self, size: int, scales: Sequence[float], index: str) -> None:
        super().__init__()
        self.scales = tuple(scales)
        matrices = [own_support(resizing(size, scale, scales, index)) for scale in scales]
        taps = [torch.kron(matrix, matrix) for matrix in matrices]  # (k_s^2, k^2): what R_z makes of all taps
        functions = [both.mT.unflatten(1, (len(m), len(m))) for both, m in zip(taps, matrices, strict=True)]
        # The enlarged filters by themselves: they need larger periods, with which the others would count twice as much.
        enlarged = sum(scale <= 1 for scale in scales)
        self.groups = [group for group in (range(enlarged), range(enlarged, len(scales))) if group]
        self.banks = [FilterBank([functions[s] for s in group]) for group in self.groups]
        # To all filters at once, and from their taps to their norms.
        self.register_buffer("resizings", torch.cat(taps), persistent=False)
        self.register_buffer(
            "columns_of_taps", torch.block_diag(*(torch.ones(len(both), 1) for both in taps)).double(), persistent=False
        )
        for s, matrix in enumerate(matrices):
            self.register_buffer(f"resizing_{s}", matrix, persistent=False)
        # What each tap becomes, where no two of them mix: their norms then follow from the taps' and no filter need be made.
        unmixed = [bool(((matrix != 0).sum(dim=1) <= 1).all()) for matrix in matrices]
        self.taps = [functions_of(m.mT) if alone else None for m, alone in zip(matrices, unmixed, strict=True)]

    def forward(self, weight: Tensor) -> list[Tensor]:
        """Return for each column R_z(w) ||w||_1 / ||R_z(w)||_1 at its own support: (O, C, k_s, k_s), k_s odd."""
        return [self.of_column(s, weight) for s in range(len(self.scales))]

    def of_column(self, s: int, weight: Tensor) -> Tensor:
        """The same for column s alone."""
        matrix, scale = self.get_buffer(f"resizing_{s}").to(weight.dtype), self.scales[s]
        filters = matrix @ weight @ matrix.mT
        if scale == 1 or weight.shape[-1] == 1:
            return filters
        return filters * _ratio(_l1(weight), _l1(filters))

    def together(self, maps: Tensor, weight: Tensor, stride: int) -> list[Tensor]:
        """Convolve (N, C, M, H, W), M = 1 or S, with all columns' filters, in few launches.

        Returns groups of columns, (N, O, columns, H', W') each.
        """
        taps = weight.flatten(2)
        all_taps, of_columns = (self.get_buffer(name).to(taps.dtype) for name in ("resizings", "columns_of_taps"))
        resized = taps @ all_taps.mT
        ratio = _ratio(taps.abs().sum(dim=2, keepdim=True), resized.abs() @ of_columns)  # (O, C, S)
        seen = [maps] * len(self.groups) if maps.shape[2] == 1 else maps.split([len(group) for group in self.groups], dim=2)
        if all(bank.pays(group, len(weight), stride) for bank, group in zip(self.banks, seen, strict=True)):
            scaled = (taps * ratio.permute(2, 0, 1)[..., None]).split([len(group) for group in self.groups])
            return [bank.convolve(one, own) for bank, one, own in zip(self.banks, seen, scaled, strict=True)]
        sizes = [k for bank in self.banks for k in bank.taps()]
        filters = (resized * (ratio @ of_columns.mT)).split([k * k for k in sizes], dim=2)
        banks = [one.unflatten(2, (k, k)) for one, k in zip(filters, sizes, strict=True)]
        if maps.shape[2] == 1:
            return [stack_scales(same_conv2d_bank(maps[:, :, 0], banks, stride))]
        return [stack_scales([same_conv2d(one, bank, stride) for one, bank in zip(maps.unbind(2), banks, strict=True)])]

    def convolve(self, maps: Sequence[Tensor], weight: Tensor, stride: int) -> list[Tensor]:
        """Convolve each column's (N, C, H, W) with its filters -> (N, O, H', W')."""
        return [self.convolve_column(s, seen, weight, stride) for s, seen in enumerate(maps)]

    def convolve_column(self, s: int, maps: Tensor, weight: Tensor, stride: int) -> Tensor:
        """Convolve column s, (N, C, H, W), with its filters -> (N, O, H', W')."""
        taps = self.taps[s]
        if self.scales[s] == 1 or weight.shape[-1] == 1:
            return same_conv2d(maps, weight, stride)
        if taps is None:
            return same_conv2d(maps, self.of_column(s, weight), stride)
        sizes = values_of(taps, weight.dtype, weight.device).abs().sum(dim=1)
        sizes = torch.outer(sizes, sizes).flatten()
        norms = weight.abs().flatten(2) @ torch.stack([torch.ones_like(sizes), sizes], dim=1)
        ratio = _ratio(*norms.unbind(2))[:, :, None, None]
        return steered_conv2d(maps, weight * ratio, taps, taps, stride)


def _ratio(wanted: Tensor, norms: Tensor) -> Tensor:
    # A filter whose few surviving taps are exactly zero stays zero instead of becoming 0/0.
    return wanted / (norms + (norms == 0))


def _l1(filters: Tensor) -> Tensor:
    return filters.abs().sum(dim=(2, 3), keepdim=True)


# --------------------------------------------------------------------------------------------------------------- layers


class ColumnConv(PoolingLayer):
    """One convolution per column: (N, S*C, H, W) -> (N, S*O, H', W').

    With `lifting`, the first layer, every column sees the same (N, C, H, W). Zero padding that keeps the size at stride 1.
    Weight (O, C, k, k), no bias.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        scales: Sequence[float],
        *,
        lifting: bool = False,
        stride: int = 1,
        index: str = "ratio",
    ) -> None:
        super().__init__()
        self.columns, self.lifting, self.stride = len(scales), lifting, stride
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, size, size))
        self.filters = ResizedFilters(size, scales, index)
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, maps: Tensor, pool: PoolingLayer.Pool = unpooled) -> Tensor:
        if few_launches(maps):
            by_column = maps[:, :, None] if self.lifting else maps.unflatten(1, (self.columns, -1)).transpose(1, 2)
            groups = self.filters.together(by_column, self.weight, self.stride)
            return from_hwnc(torch.cat([pool_scales(group, pool).permute(3, 4, 0, 2, 1) for group in groups], dim=3).flatten(3))
        seen = [maps] * self.columns if self.lifting else maps.chunk(self.columns, dim=1)
        return concatenate([pool(response) for response in self.filters.convolve(seen, self.weight, self.stride)], dim=1)


class ColumnMax(nn.Module):
    """The maximum over columns: (N, S*C, H, W) -> (N, C, H, W)."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maximum; its gradient goes to the column that attains it."""
        by_column = maps.view(len(maps), self.columns, -1, *maps.shape[2:])
        return largest(by_column.transpose(1, 2))[0]


# ------------------------------------------------------------------------------------------------------------- networks

SCALES = (0.3, 0.45, 0.67, 1.0, 1.49, 2.23, 3.33)
STL_SCALES = (0.67, 1.0, 1.5)
OPTIONS = {"index": {"mnist-scale-*": ("ratio", "factor")}, **UPSAMPLE}


@register("sicnn", tasks="mnist-scale-*", paper="Xu et al. 2014, arXiv 1411.6369", options=OPTIONS)
def sicnn(task: str, index: str = "ratio", upsample: str = "nearest") -> nn.Module:
    """496,639 parameters: seven columns; batch normalisation has statistics of its own for every column."""
    columns = len(SCALES)
    body: list[nn.Module] = []
    for channels_in, channels_out, pool in stages(task):
        convolution = ColumnConv(channels_in, channels_out, 7, SCALES, lifting=not body, index=index)
        body += stage(convolution, pool, BatchNorm2d(columns * channels_out))
    return mnist_net(task, [*body, ColumnMax(columns)], linear_head(4 * CHANNELS[-1]), upsample)


class EachColumn(nn.Module):
    """A network per column: S maps, or an image that every column sees, to S results."""

    def __init__(self, columns: Sequence[nn.Module]) -> None:
        super().__init__()
        self.columns = nn.ModuleList(columns)

    def forward(self, maps: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One column after the other, which never lie in one tensor: joining and parting them would copy all maps."""
        seen = [maps] * len(self.columns) if isinstance(maps, Tensor) else maps
        return tuple(column(one) for column, one in zip(self.columns, seen, strict=True))


class OneColumn(nn.Module):
    """Column s of a convolution that all columns share: (N, C, H, W) -> (N, O, H', W')."""

    def __init__(self, shared: ColumnConv, s: int) -> None:
        super().__init__()
        self.shared, self.s = shared, s

    def forward(self, maps: Tensor) -> Tensor:
        return self.shared.filters.convolve_column(self.s, maps, self.shared.weight, self.shared.stride)


class LargestColumn(nn.Module):
    """The maximum over columns: S of (N, C) -> (N, C)."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the maximum; its gradient goes to the column that attains it."""
        return largest(torch.stack(list(maps), dim=2))[0]


class ColumnParts(Parts):
    """The skeleton of column s, whose normalisations are its own and whose convolutions are those of `shared`, in order."""

    def __init__(self, s: int, shared: Sequence[ColumnConv]) -> None:
        self.s, self.shared = s, iter(shared)

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """Resized 3 x 3 filters."""
        return OneColumn(next(self.shared), self.s)

    def shortcut(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """One matrix for all columns."""
        return OneColumn(next(self.shared), self.s)


class SicnnParts(Parts):
    """The skeleton with a column per scale; every convolution, the 1 x 1 ones too, is a column convolution."""

    def __init__(self, index: str) -> None:
        self.index = index

    def stem(self, channels_out: int) -> nn.Module:
        """Every column sees the image."""
        shared = self._shared(3, channels_out, 3)
        return EachColumn([OneColumn(shared, s) for s in range(len(STL_SCALES))])

    def block(self, place: Place, channels_in: int, channels_out: int, stride: int, dropout: float) -> nn.Module:
        """A block per column, with the same convolutions."""
        shared = [self._shared(channels_in, channels_out, 3, stride), self._shared(channels_out, channels_out, 3)]
        if channels_in != channels_out:
            shared.append(self._shared(channels_in, channels_out, 1, stride))
        columns = [ColumnParts(s, shared) for s in range(len(STL_SCALES))]
        return EachColumn([column.block(place, channels_in, channels_out, stride, dropout) for column in columns])

    def tail(self, channels: int) -> Sequence[nn.Module]:
        """The maximum over columns comes after the average."""
        plain = Parts()
        return [EachColumn([nn.Sequential(*plain.tail(channels)) for _ in STL_SCALES]), LargestColumn()]

    def _shared(self, channels_in: int, channels_out: int, size: int, stride: int = 1) -> ColumnConv:
        return he_normal(ColumnConv(channels_in, channels_out, size, STL_SCALES, stride=stride, index=self.index))


@register("sicnn", tasks="stl10+", paper="Xu et al. 2014, arXiv 1411.6369", options={"index": {"stl10+": ("ratio", "factor")}})
def sicnn_wrn(task: str, index: str = "ratio", **size: Unpack[Size]) -> nn.Module:
    """10,975,770 parameters: WRN-16-8 of three columns."""
    del task
    return wide_resnet(SicnnParts(index), **size)

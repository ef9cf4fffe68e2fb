"""my-net: a scale-equivariant layer of one's own, its networks, and their registration. Change whatever you like.

The idea. A filter is a square of SIZE x SIZE weights, and each weight is the height of a small Gaussian bump, not the value of
one pixel. So the filter can be drawn at any scale: the bumps move apart and grow. The layer draws it at every scale of a list,
convolves with each of these filters, and keeps the largest response. What it saw small it sees large in the same place, at
another of its scales: scaling the image scales the map. (Truncated scales, a finite grid and the image's border make this an
approximation; `bench check my_net.py` measures how good a one.)

Shape letters: N images, C channels in, O channels out, S scales, K width of a filter in pixels at some scale, H, W map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import models
from models.layers.conv.same import same_conv2d_bank
from models.mnist_net import CHANNELS, linear_head, mnist_net, stage, stages  # [mnist]
from models.wide_resnet import Parts, Place, he_normal, wide_resnet  # [stl]

SCALES = (1.0, 1.73, 3.0)  # a geometric list, every step the same factor; more of them are more exact, and cost more [mnist]
STL_SCALES = (1.0, 1.41, 2.0)  # fewer pixels of photographs, for sixteen layers are to be paid for [stl]
SPACING, WIDTH = 0.7, 0.6  # in pixels at scale 1: from bump to bump, and the standard deviation of one


def bumps(size: int, scale: float) -> Tensor:
    """One axis of the bumps at a scale, on whole pixels around 0: float64 (size, K)."""
    reach = round(scale * (SPACING * (size - 1) / 2 + 1.5 * WIDTH))
    pixels = torch.arange(-reach, reach + 1, dtype=torch.float64)
    centres = scale * SPACING * (torch.arange(size, dtype=torch.float64) - (size - 1) / 2)
    # Divided by the scale in both axes: a filter twice as wide has a quarter of the height, so responses stay as large.
    return torch.exp(-(((pixels - centres[:, None]) / (scale * WIDTH)) ** 2) / 2) / scale


class MyConv(nn.Module):
    """Convolve with the same weights at every scale, and keep the maximum: (N, C, H, W) -> (N, O, H / stride, W / stride)."""

    def __init__(self, channels_in: int, channels_out: int, size: int, scales: tuple[float, ...], stride: int = 1) -> None:
        super().__init__()
        self.scales, self.stride = len(scales), stride
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, size, size))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)  # as torch does for its own convolutions
        for s, scale in enumerate(scales):
            # A buffer goes where the network goes, to a GPU or to float64. A plain attribute would stay behind.
            self.register_buffer(f"bumps{s}", bumps(size, scale), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        axes = [self.get_buffer(f"bumps{s}").to(self.weight.dtype) for s in range(self.scales)]
        filters = [axis.T @ self.weight @ axis for axis in axes]  # at every scale, (O, C, K, K)
        responses = same_conv2d_bank(maps, filters, self.stride)  # padded by (K - 1) / 2, done the cheapest way
        largest = torch.stack(responses).amax(dim=0)  # (S, N, O, H, W) -> (N, O, H, W)
        return largest + self.bias[:, None, None]


# [mnist]
# A builder gets the task's name and returns a new network, from (N, 1, 28, 28) to ten logits. This one fills the skeleton that
# the published networks share, so that errors differ by the layer alone; with 7 x 7 weights it has cnn's 494,549 parameters.
@models.register("my-net", tasks="mnist-scale-*", paper="You, 2027")
def my_net(task: str) -> nn.Module:
    """Three stages of [my layer, rectifier, max pooling, batch normalisation], then two linear layers."""
    body: list[nn.Module] = []
    for channels_in, channels_out, pool in stages(task):
        body += stage(MyConv(channels_in, channels_out, 7, SCALES), pool, nn.BatchNorm2d(channels_out))
    return mnist_net(task, body, linear_head(4 * CHANNELS[-1]))


# [stl]
class MyParts(Parts):
    """What this method puts into the wide residual network: its 3 x 3 convolutions. Shortcuts and the rest stay plain."""

    def stem(self, channels_out: int) -> nn.Module:
        """From the image (N, 3, 96, 96)."""
        return he_normal(MyConv(3, channels_out, 3, STL_SCALES))

    def convolution(self, place: Place, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        """In the blocks; `place` says where."""
        return he_normal(MyConv(channels_in, channels_out, 3, STL_SCALES, stride))


@models.register("my-net", tasks="stl10+", paper="You, 2027")
def my_net_stl10(task: str, depth: int = 16, widen_factor: int = 8) -> nn.Module:
    """WRN-16-8 with this layer, from (N, 3, 96, 96) to ten logits."""
    return wide_resnet(MyParts(), depth=depth, widen_factor=widen_factor)


# [end]
# What to type next, in the folder of this file:
#
# is it sound, how equivariant is it, how large, how fast:
#   bench check my_net.py
# train it, and two to compare it with, on a few hundred images; the board of these is results/LEADERBOARD.md: [mnist]
#   bench run --model my-net --model cnn --model sesn-vector --task mnist-scale-28 --plugin my_net.py --protocol quick [mnist]
# train it on a few images: [stl]
#   bench run --model my-net --task stl10+ --plugin my_net.py --protocol quick [stl]
# in earnest, as the published numbers were made (hours; `bench check` says how many):
#   bench run --model my-net --plugin my_net.py --protocol paper
#
# An edited file is another network, and is trained again. A network of no skeleton is as welcome: any torch.nn.Module will do,
# and compared_layers() tells `bench check` which of its layers to compare (docs/equivariance.md).

"""The plain convolutional network that every method is compared with.

Same skeleton, same number of channels and parameters as the scale-equivariant networks, ordinary filters: 7 x 7 on MNIST-scale
(Sosnovik et al. 2020, arXiv 1910.11093, section 5.1), the WRN-16-8 of Zagoruyko & Komodakis 2016 on STL-10 (section 5.2).
"""

from __future__ import annotations

from typing import Unpack

from torch import nn

from models.layers.plain import BatchNorm2d, SameConv2d
from models.mnist_net import CHANNELS, UPSAMPLE, linear_head, mnist_net, stage, stages
from models.registry import register
from models.wide_resnet import Parts, Size, wide_resnet


@register(
    "cnn",
    tasks="mnist-scale-*",
    paper="plain CNN of Sosnovik et al. 2020, arXiv 1910.11093",
    options=UPSAMPLE,
)
def mnist_cnn(task: str, upsample: str = "nearest") -> nn.Module:
    """494,549 parameters: three 7 x 7 convolutions of 32, 63 and 95 channels, and the linear head."""
    body: list[nn.Module] = []
    for channels_in, channels_out, pool in stages(task):
        body += stage(SameConv2d(channels_in, channels_out, 7), pool, BatchNorm2d(channels_out))
    return mnist_net(task, body, linear_head(4 * CHANNELS[-1]), upsample)


@register("cnn", tasks="stl10+", paper="WRN-16-8 of Zagoruyko & Komodakis 2016, arXiv 1605.07146")
def wrn_cnn(task: str, **size: Unpack[Size]) -> nn.Module:
    """10,961,370 parameters: the plain WRN-16-8. `size`: depth, widen_factor, classes, dropout, as in every stl10+ network."""
    del task
    return wide_resnet(Parts(), **size)

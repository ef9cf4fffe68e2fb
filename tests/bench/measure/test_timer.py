"""Counted operations against a count by hand: of single products, and of whole training steps of two networks."""

import pytest
import torch
from torch.nn import functional as F

from bench.measure.timed_step import TimedStep, timed_run
from bench.measure.timer import count
from models.mnist_net import CHANNELS, HIDDEN
from models.reference import plain_layers

CPU, BATCH = torch.device("cpu"), 4
EXTENTS = (28, 14, 7)  # of the maps that the three convolutions see
STAGES = list(zip((1, *CHANNELS), CHANNELS, EXTENTS, strict=False))
# Forward, gradient of the weights, gradient of the input: the head's two matrices.
HEAD = 3 * 2 * BATCH * (4 * CHANNELS[-1] * HIDDEN + HIDDEN * 10)


def test_single_products():
    images, filters = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3)
    assert count(lambda: F.conv2d(images, filters, padding=1)).operations == 2 * (2 * 5 * 8 * 8) * (3 * 3 * 3)
    real, spectrum = torch.randn(4, 6, 7), torch.randn(4, 7, 9, dtype=torch.complex64)
    assert count(lambda: torch.bmm(real, real.mT)).operations == 2 * 4 * 6 * 7 * 6
    assert count(lambda: torch.bmm(real.to(torch.complex64), spectrum)).operations == 4 * 2 * 4 * 6 * 7 * 9


def passes(stage: int) -> int:
    """Forward and the weights' gradient; and the input's, which the image does not need."""
    return 2 if stage == 0 else 3


def test_a_step_of_the_plain_cnn():
    by_hand = HEAD + sum(
        passes(stage) * 2 * BATCH * channels_out * extent**2 * channels_in * 7**2
        for stage, (channels_in, channels_out, extent) in enumerate(STAGES)
    )
    step = TimedStep(timed_run("cnn", "mnist-scale-28", BATCH, "float32"), CPU)
    with plain_layers(step.network):
        assert count(step).operations == by_hand


@pytest.mark.parametrize(("dtype", "factor"), [(torch.float32, 1), (torch.complex64, 4)])
def test_every_kind_of_product(dtype, factor):
    left, right, whole = (torch.zeros(2, *shape, dtype=dtype) for shape in ((3, 4), (4, 5), (3, 5)))
    batched = 2 * 2 * 3 * 4 * 5 * factor
    for product in (
        lambda: torch.bmm(left, right),
        lambda: torch.baddbmm(whole, left, right),
        lambda: whole.baddbmm_(left, right),
    ):
        assert count(product).operations == batched
    for product in (
        lambda: torch.mm(left[0], right[0]),
        lambda: torch.addmm(whole[0], left[0], right[0]),
        lambda: whole[0].addmm_(left[0], right[0]),
    ):
        assert count(product).operations == batched // 2


def test_a_step_of_plain_sesn():
    """Four scales of 15 x 15 filters, made from 49 basis functions at 7, 9, 11 and 15 pixels; no gradient of the basis."""
    step = TimedStep(timed_run("sesn-scalar", "mnist-scale-28", BATCH, "float32"), CPU)
    supports = [buffer.shape[-1] for name, buffer in step.network.named_buffers() if name.startswith("0.filters.basis")]
    assert len(supports) == 4 and supports[-1] == 15
    by_hand = HEAD
    for stage, (channels_in, channels_out, extent) in enumerate(STAGES):
        by_hand += passes(stage) * 2 * BATCH * 4 * channels_out * extent**2 * channels_in * 15**2
        by_hand += 2 * 2 * channels_out * channels_in * 49 * sum(size**2 for size in supports)
    with plain_layers(step.network):
        assert count(step).operations == by_hand


def test_bytes_of_an_operator():
    left, right = torch.zeros(10, 3), torch.zeros(3)
    assert count(lambda: left + right.expand(10, 3)).bytes == 4 * (30 + 3 + 30)
    assert count(lambda: left.mT).bytes == 0
    assert count(lambda: left.add_(right)).bytes == 4 * (30 + 3 + 30)
    assert count(lambda: torch.empty_like(left)).bytes == count(lambda: left.new_empty(5)).bytes == 0
    product = count(lambda: torch.zeros(2, 5, 3) @ right)  # of which the result is a view that torch does not mark
    assert [call.bytes for call in product.calls] == [4 * 30, 4 * (30 + 3 + 10)]

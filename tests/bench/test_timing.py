"""Counted operations, by hand for two calls; and the timing verb once, on the smallest network."""

import torch
from torch.nn import functional as F

from bench.timing import count_operations, time_model


def test_operations_counted_by_hand():
    images, filters = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3)
    assert count_operations(lambda: F.conv2d(images, filters, padding=1)) == 2 * (2 * 5 * 8 * 8) * (3 * 3 * 3)
    real, spectrum = torch.randn(4, 6, 7), torch.randn(4, 7, 9, dtype=torch.complex64)
    assert count_operations(lambda: torch.bmm(real, real.mT)) == 2 * 4 * 6 * 7 * 6
    assert count_operations(lambda: torch.bmm(real.to(torch.complex64), spectrum)) == 4 * 2 * 4 * 6 * 7 * 9


def test_a_model_is_timed_in_a_process_of_its_own():
    timing = time_model("cnn", "mnist-scale-28", "cpu", batch_size=4, repeats=2)
    assert len(timing.step_seconds) == len(timing.inference_seconds) == 2
    assert 0 < timing.inference < timing.step < 60
    assert timing.peak_memory_bytes > 1e7
    assert timing.step_operations > 3 * 4 * 2 * 494_549
    assert timing.rate_fraction > 0

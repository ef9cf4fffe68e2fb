"""A trained network on test digits that are all of one size, within the training range and outside it.

The digits are the test split's own, drawn from the MNIST originals by the affine that made the data set
(docs/methods.md 1.1, step 6), once per factor with that one factor for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import datasets
from bench.errors import BenchError
from bench.machine.device import choose_device, on, set_numerics
from bench.machine.hardware import measured_here
from bench.training.evaluate import NO_ANSWER, predict
from bench.training.state.weights import trained_network
from datasets.augment import scale_affine
from datasets.mnist_scale import SCALE_RANGE
from leaderboard.records.scale_sweep import AtFactor, ScaleSweep
from leaderboard.records.schema import Record

SWEPT_FACTORS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)


def sweep(
    results: Path,
    record: Record,
    device: str,
    command: str,
    images: int | None = None,
    factors: Sequence[float] = SWEPT_FACTORS,
) -> ScaleSweep:
    """Test a run's network on its test digits, or the first `images` of them, at every factor.

    Raises BenchError: the run's weights were not kept, or its images have no scale factors; DataError.
    """
    chosen = choose_device(device)
    with on(chosen):
        return _sweep(results, record, chosen, command, images, factors)


def _sweep(
    results: Path, record: Record, device: torch.device, command: str, count: int | None, factors: Sequence[float]
) -> ScaleSweep:
    if not datasets.has_scales(record.task):
        raise BenchError(f"{record.run_id}: the images of {record.task} have no scale factors; give a run on mnist-scale-*")
    precision, data = record.protocol.recipe["precision"], record.protocol.recipe["data"]
    set_numerics(precision, device)
    network = trained_network(results, record, device)
    wanted = {"realization": record.realization, "split": "test", "test_size": data["test_size"]}
    originals, labels = datasets.load_originals(record.task, **wanted)
    images, _ = datasets.load(record.task, **wanted)
    count = min(count or len(labels), data["test_images"] or len(labels))
    originals, images, labels = (part[:count].to(device) for part in (originals, images, labels))
    return ScaleSweep(
        name=record.run_id,
        model=record.model,
        task=record.task,
        **measured_here(device, command),
        run_id=record.run_id,
        realization=record.realization,
        protocol=record.protocol.name,
        protocol_digest=record.protocol.digest,
        data_fingerprint=record.data.fingerprint,
        trained_range=SCALE_RANGE,
        own_sizes_count=len(labels),
        own_sizes_wrong=wrong_answers(network, images, labels, precision),
        factors=[at_factor(network, originals, labels, factor, precision) for factor in factors],
    )


def at_factor(network: nn.Module, originals: Tensor, labels: Tensor, factor: float, precision: str) -> AtFactor:
    """Draw all digits at one factor and count the wrong answers: uint8 (N, 1, 28, 28), int64 (N,)."""
    factors = torch.full((len(originals),), factor, dtype=torch.float64, device=originals.device)
    wrong = wrong_answers(network, scale_affine(originals, factors), labels, precision)
    return AtFactor(factor=factor, count=len(labels), wrong=wrong)


def wrong_answers(network: nn.Module, images: Tensor, labels: Tensor, precision: str) -> int:
    """How many images get another class than their label's. Raises BenchError: some get none (`evaluate.NO_ANSWER`)."""
    answers = predict(network, images, precision)
    if missing := int((answers == NO_ANSWER).sum()):
        raise BenchError(f"{missing} of {len(labels)} images have logits that are not finite numbers")
    return int((answers != labels).sum())

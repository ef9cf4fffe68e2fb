"""From a network, at initialisation or trained, to the measurement that is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import datasets
import models
from bench.machine.device import set_numerics
from bench.machine.hardware import measured_here
from bench.machine.source import name_at_initialisation
from bench.measure.equivariance import Errors, measure
from bench.measure.layers import SHIFT, canvas_of
from bench.measure.probe_images import PROBED_FACTORS, REFERENCE_SCALE, Pictures, load_pictures
from bench.training.evaluate import logits
from bench.training.state.weights import trained_network
from leaderboard.records.equivariance import Equivariance
from leaderboard.records.schema import Record

CPU = torch.device("cpu")
IMAGES = {True: 32, False: 4}  # by whether the task is of MNIST-scale


def images_for(task: str, count: int | None) -> int:
    """How many images to measure with, unless told."""
    return IMAGES[datasets.has_scales(task)] if count is None else count


def at_initialisation(model: str, task: str, seed: int, count: int | None, command: str) -> Equivariance:
    """Measure a network as it is built, its weights drawn with torch's generator at `seed`. Raises as `measure`, DataError."""
    pictures = load_pictures(task, 0, images_for(task, count))
    torch.manual_seed(seed)
    network = models.create(model, task)
    state = {"state": "initialisation", "weights_seed": seed, "run_id": None, "protocol": None}
    name = name_at_initialisation(model, task, seed)
    return _equivariance(network, pictures, name, model, datasets.fingerprint(task), state, command)


def after_training(results: Path, record: Record, count: int | None, command: str) -> Equivariance:
    """Measure a run's network with its kept weights. Raises BenchError: they are not there; and as `measure`, DataError."""
    network = trained_network(results, record, CPU)
    data = record.protocol.recipe["data"]
    pictures = load_pictures(record.task, record.realization, images_for(record.task, count), data["test_size"])
    state = {"state": "trained", "weights_seed": None, "run_id": record.run_id, "protocol": record.protocol.name}
    return _equivariance(network, pictures, record.run_id, record.model, record.data.fingerprint, state, command)


def _equivariance(
    network: torch.nn.Module,
    pictures: Pictures,
    name: str,
    model: str,
    fingerprint: str,
    state: dict[str, Any],
    command: str,
) -> Equivariance:
    set_numerics("float32")
    network.eval()
    with torch.no_grad():
        empty = pictures.seen_by(network).empty(pictures.side)
        logits(network(empty), empty)  # raises where it gives something else
    errors: Errors = measure(network, pictures)
    canvas = canvas_of(network, pictures.side)
    return Equivariance(
        name=name,
        model=model,
        task=pictures.task,
        **measured_here(CPU, command),
        data_fingerprint=fingerprint,
        images=pictures.description,
        image_count=len(pictures.originals),
        resampling=pictures.resampling,
        reference_scale=REFERENCE_SCALE,
        factors=list(PROBED_FACTORS),
        canvas=canvas,
        interior=canvas // 2,
        shift=SHIFT,
        layers=errors.layers,
        network=errors.network,
        changed_answers=errors.changed_answers,
        notes=errors.notes,
        **state,
    )

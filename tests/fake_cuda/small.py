"""A protocol, data and networks small enough for the pretended runtime, where the host alone works."""

import json

import numpy as np

from datasets import stl10

PROTOCOL = """
name: small
summary: a few images, for tests
smoke: true
realizations: [0]
recipes:
  mnist-scale-*: &mnist
    epochs: 2
    batch_size: 8
    optimizer: {name: adam, lr: 0.01, betas: [0.9, 0.999], eps: 1.0e-8, weight_decay: 0.0}
    learning_rate_steps: {factor: 0.1, after_epochs: [1]}
    augmentation: {scale: [0.5, 2.0], centre: 14.5}
    select: best-validation
    precision: float32
    data: {train_images: 20, validation_images: 12, test_images: 12}
  stl10+:
    epochs: 2
    batch_size: 4
    optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
    learning_rate_steps: {factor: 0.2, after_epochs: [1]}
    augmentation: {pad: 12, cutout: 32}
    select: last
    precision: float32
    network: {depth: 10, widen_factor: 2}
    data: {test_size: 8000}
"""

IMAGES = {"train": 10, "test": 6}


def write_stl10(folder, images=IMAGES):
    """So many random images in the official format, into a folder that is made."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for split, count in images.items():
        (folder / f"{split}_X.bin").write_bytes(
            generator.integers(256, size=count * stl10.IMAGE_BYTES, dtype=np.uint8).tobytes()
        )
        (folder / f"{split}_y.bin").write_bytes(bytes((10, 1, 7)[i % 3] for i in range(count)))


def records_in(folder):
    """The records of the runs whose results lie in a test's folder."""
    return [json.loads(path.read_text()) for path in (folder / "results").rglob("*.json") if path.name[0] != "."]

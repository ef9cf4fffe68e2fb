"""A whole `paper` epoch as the published pipeline does it against ours, in alternating processes.

    python benchmarks/published_pipeline.py [--task mnist-scale-28+] [--steps 2] [--rounds 2] [MODEL ...]

The published pipeline: a PNG file per image, decoded and (task '+') rescaled one by one with Pillow in a DataLoader with two
workers; plain layers (models/reference.py); torch's defaults; the loss read back at every step. Ours:
`bench.training.data.Epoch` and `bench.training.train` as they are. Each process takes some training steps and one validation
batch, the first of each left out, and an epoch is worked out from them: 79 steps and 2,000 validation images. Seconds are
wall-clock and, less disturbed by other work on the machine, the processors'. So few batches are loaded ahead during the step
that is left out, so the published wall-clock time bears no loading; its processor time does, that of a batch loaded once more
in the process itself.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import normalize, pil_to_tensor

import datasets
import models
from bench.machine.device import reuse_memory, set_numerics
from bench.measure.timed_step import timed_run
from bench.training.data import Epoch, Split, load_split
from bench.training.evaluate import predict
from bench.training.step import build_network_and_optimizer, training_step
from datasets.mnist_scale import MNIST_SCALE_MEAN, MNIST_SCALE_STD
from models.reference import plain_layers

BATCH, VALIDATION_BATCH, VALIDATION_IMAGES, TRAIN_IMAGES = 128, 250, 2000, 10_000
CPU = torch.device("cpu")
CENTRE, LOW, HIGH = 14.5, 0.5, 2.0


class Files(Dataset[tuple[Tensor, int]]):
    """PNG files, decoded and augmented one by one."""

    def __init__(self, folder: Path, augment: bool) -> None:
        self.paths, self.augment = sorted(folder.glob("*.png")), augment

    def __len__(self) -> int:
        """The number of files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One image, normalised, and its label."""
        with Image.open(self.paths[index]) as file:
            image = file.convert("L")
        if self.augment:
            a = 1 / random.uniform(LOW, HIGH)
            c = CENTRE - a * CENTRE
            image = image.transform(image.size, Image.Transform.AFFINE, (a, 0, c, 0, a, c), Image.Resampling.BICUBIC)
        pixels = pil_to_tensor(image).float() / 255
        return normalize(pixels, [MNIST_SCALE_MEAN], [MNIST_SCALE_STD]), int(self.paths[index].stem[-1])


def main() -> None:
    """Alternate the two pipelines for each model and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["sesn-scalar", "sesn-vector", "sicnn"])
    parser.add_argument("--task", default="mnist-scale-28+")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", choices=["published", "ours"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps((published if given.one == "published" else ours)(given.models[0], given.task, given.steps)))
        return
    n = f"n = {given.rounds} x {given.steps} steps and {given.rounds} validation batches"
    print(f"{given.task}, float32, {torch.get_num_threads()} threads, {n}; medians; an epoch of 79 steps and 2,000 images, s")
    print("| model | published, wall | ours, wall | ratio | published, cpu | ours, cpu | ratio |\n|---|" + "---:|" * 6)
    for model in given.models:
        found: dict[str, list[dict[str, list[float]]]] = {"published": [], "ours": []}
        for _ in range(given.rounds):
            for which, results in found.items():
                call = [sys.executable, __file__, model, "--task", given.task, "--steps", str(given.steps), "--one", which]
                done = subprocess.run(call, check=True, capture_output=True, text=True)
                results.append(json.loads(done.stdout.splitlines()[-1]))
        cells = []
        for clock in ("wall", "cpu"):
            theirs, mine = (epoch_seconds(found[which], clock) for which in ("published", "ours"))
            cells += [f"{theirs:.1f}", f"{mine:.1f}", f"{theirs / mine:.1f}"]
        print(f"| {model} | {' | '.join(cells)} |", flush=True)


def epoch_seconds(results: list[dict[str, list[float]]], clock: str) -> float:
    """79 median steps and eight median validation batches."""
    step, validation = (
        statistics.median([seconds for result in results for seconds in result[f"{what} {clock}"]])
        for what in ("step", "validation")
    )
    return -(-TRAIN_IMAGES // BATCH) * step + VALIDATION_IMAGES / VALIDATION_BATCH * validation


def published(model: str, task: str, steps: int) -> dict[str, list[float]]:
    """Samples of the published pipeline in this process."""
    network = models.create(model, task)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    with tempfile.TemporaryDirectory() as name, plain_layers(network):
        write_files(task, "train", (steps + 1) * BATCH, Path(name, "train"))
        write_files(task, "validation", 2 * VALIDATION_BATCH, Path(name, "validation"))

        def train() -> Iterator[None]:
            loader = DataLoader(Files(Path(name, "train"), task.endswith("+")), BATCH, shuffle=True, num_workers=2)
            network.train()
            for images, labels in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(network(images), labels)
                loss.backward()
                optimizer.step()
                loss.item()
                yield

        def validate() -> Iterator[None]:
            loader = DataLoader(Files(Path(name, "validation"), False), VALIDATION_BATCH, num_workers=2)
            network.eval()
            with torch.no_grad():
                for images, labels in loader:
                    (network(images).argmax(dim=1) == labels).sum().item()
                    yield

        samples = clocked("step", train, steps) | clocked("validation", validate, 1)
        files = Files(Path(name, "train"), task.endswith("+"))
        loading = clocked("loading", lambda: (None for _ in range(2) if [files[index] for index in range(BATCH)]), 1)[
            "loading cpu"
        ]
        return samples | {"step cpu": [sample + loading[0] for sample in samples["step cpu"]]}


def write_files(task: str, split: str, count: int, folder: Path) -> None:
    """The first images of realization 0 as PNG files, the label last in each name."""
    folder.mkdir()
    images, labels = datasets.load(task, 0, split)
    for number, (image, label) in enumerate(zip(images[:count, 0].numpy(), labels[:count].tolist(), strict=True)):
        Image.fromarray(image).save(folder / f"{number:05}_{label}.png")


def ours(model: str, task: str, steps: int) -> dict[str, list[float]]:
    """Samples of this suite's training in this process; a step bears its part of the whole epoch's augmentation."""
    set_numerics("float32")
    reuse_memory()
    run = timed_run(model, task, BATCH, "float32")
    network, optimizer = build_network_and_optimizer(run, CPU)
    training, validation = load_split(run, "train", CPU), load_split(run, "validation", CPU)
    few = Split(training.images[: (steps + 1) * BATCH], training.labels[: (steps + 1) * BATCH])

    def train() -> Iterator[None]:
        epoch = Epoch(few, run.recipe, torch.Generator().manual_seed(0))
        network.train()
        for number in range(len(epoch)):
            training_step(network, optimizer, epoch.batch(number), run.recipe)
            yield

    def validate() -> Iterator[None]:
        while True:
            predict(network, validation.images[:VALIDATION_BATCH])
            yield

    def augment() -> Iterator[None]:
        while True:
            Epoch(few, run.recipe, torch.Generator().manual_seed(0))
            yield

    samples = clocked("step", train, steps) | clocked("validation", validate, 1)
    for clock in ("wall", "cpu"):  # the augmentation lies before the step that is left out
        seconds = clocked("augmentation", augment, 1)[f"augmentation {clock}"][0]
        samples[f"step {clock}"] = [sample + seconds / (steps + 1) for sample in samples[f"step {clock}"]]
    return samples


def clocked(what: str, work: Callable[[], Iterator[None]], count: int) -> dict[str, list[float]]:
    """Seconds of each of `count` rounds of the work after the first, by both clocks."""
    rounds, walls, cpus = work(), [], []
    next(rounds)
    for _ in range(count):
        wall, cpu = time.perf_counter(), time.process_time()
        next(rounds)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    rounds.close()
    return {f"{what} wall": walls, f"{what} cpu": cpus}


if __name__ == "__main__":
    main()

"""One run: train, select on validation, test once.

The random draws of an epoch (order, augmentation, dropout) come from a seed made of the run's id and the epoch, so that a run
is the same whenever and however often it is resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import models
from bench.checkpoint import Checkpoint, Progress, UnreadableCheckpoint
from bench.device import autocast, reuse_memory, set_numerics
from bench.errors import Diverged, Stopped
from bench.plan import Run
from bench.protocol import Recipe
from bench.splits import Split, epoch_images, load_split, normalise

EVALUATION_BATCH = 250


@dataclass(frozen=True)
class Trained:
    """What a finished run knows."""

    progress: Progress
    parameters: int
    answers: Tensor  # int64 (number of test images,): the class given to each
    labels: Tensor
    test_seconds: float


@dataclass(frozen=True)
class Watch:
    """How the outside looks at a run: told of every step, asked whether to stop."""

    on_step: Callable[[int, int], None] = lambda epoch, step: None
    should_stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = print


def train(run: Run, device: torch.device, checkpoint: Checkpoint, watch: Watch) -> Trained:
    """Train a run to its end, from its checkpoint where there is one.

    Raises Stopped (state saved), Diverged, DataError, ModelError, and whatever a model may raise.
    """
    recipe = run.recipe
    set_numerics(recipe.precision)
    reuse_memory()
    training, validation = load_split(run, "train", device), load_split(run, "validation", device)
    network, optimizer, progress = _start_or_resume(run, device, checkpoint, watch)

    while progress.epoch < recipe.epochs:
        _train_epoch(run, network, optimizer, training, progress, checkpoint, watch)
        started = time.perf_counter()
        wrong = (predict(network, validation.images, recipe.precision) != validation.labels).sum().item()
        progress.validation_seconds.append(time.perf_counter() - started)
        _finish_epoch(progress, network, 100 * wrong / len(validation.labels))
        checkpoint.save(progress, network, optimizer)

    network.load_state_dict(progress.best_weights)
    test = load_split(run, "test", device)
    started = time.perf_counter()
    answers = predict(network, test.images, recipe.precision).cpu()
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Trained(progress, parameters, answers, test.labels.cpu(), time.perf_counter() - started)


def _train_epoch(
    run: Run,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    training: Split,
    progress: Progress,
    checkpoint: Checkpoint,
    watch: Watch,
) -> None:
    recipe, before, started = run.recipe, progress.epoch_seconds, time.perf_counter()
    if progress.step == 0:
        torch.manual_seed(run.seed("dropout", progress.epoch))
    generator = torch.Generator().manual_seed(run.seed("epoch", progress.epoch))
    epoch = epoch_images(training, recipe.augmentation, generator)
    batches = list(zip(epoch.images.split(recipe.batch_size), epoch.labels.split(recipe.batch_size), strict=True))
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe, progress.epoch)

    network.train()
    loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=epoch.labels.device)
    for step in range(progress.step, len(batches)):
        images, labels = batches[step]
        optimizer.zero_grad(set_to_none=True)
        with autocast(recipe.precision, labels.device):
            loss = F.cross_entropy(network(normalise(images)), labels)
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach().double() * len(labels)
        watch.on_step(progress.epoch, step)
        if watch.should_stop():
            progress.step, progress.loss_sum = step + 1, loss_sum.item()
            progress.epoch_seconds = before + time.perf_counter() - started
            checkpoint.save(progress, network, optimizer)
            raise Stopped
    mean_loss = loss_sum.item() / len(epoch.labels)
    if not torch.isfinite(loss_sum):
        raise Diverged(f"the training loss is {mean_loss} after epoch {progress.epoch + 1}")
    progress.train_loss_curve.append(mean_loss)
    progress.train_seconds.append(before + time.perf_counter() - started)


def _finish_epoch(progress: Progress, network: nn.Module, validation_error: float) -> None:
    """Count the epoch and keep its weights if they are strictly better than all before (the earliest best wins)."""
    if validation_error < progress.best_error:
        progress.best_error, progress.best_epoch = validation_error, progress.epoch
        progress.best_weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    progress.validation_error_curve.append(validation_error)
    progress.epoch, progress.step, progress.loss_sum, progress.epoch_seconds = progress.epoch + 1, 0, 0.0, 0.0


def predict(network: nn.Module, images: Tensor, precision: str = "float32") -> Tensor:
    """The class that the network gives to each uint8 image: (N, C, H, W) -> int64 (N,)."""
    network.eval()
    with torch.no_grad(), autocast(precision, images.device):
        return torch.cat([network(normalise(batch)).argmax(dim=1) for batch in images.split(EVALUATION_BATCH)])


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate during an epoch (counted from 0)."""
    steps = recipe.learning_rate_steps
    return recipe.optimizer.lr * steps.factor ** sum(epoch >= after for after in steps.after_epochs)


def _start_or_resume(
    run: Run, device: torch.device, checkpoint: Checkpoint, watch: Watch
) -> tuple[nn.Module, torch.optim.Optimizer, Progress]:
    network, optimizer = _fresh(run, device)
    try:
        return network, optimizer, checkpoint.load(network, optimizer) or Progress()
    except UnreadableCheckpoint as error:
        watch.say(f"{error} is damaged; {run.id} starts again from the beginning")
        return *_fresh(run, device), Progress()


def _fresh(run: Run, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(run.seed("weights"))
    network = models.create(run.model, run.task).to(device)
    adam = run.recipe.optimizer
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return network, torch.optim.Adam(trainable, adam.lr, adam.betas, adam.eps, adam.weight_decay)

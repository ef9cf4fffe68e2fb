"""One run: train, select on validation (or take the last epoch, as the recipe says), test once.

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
from bench.checkpoint import Checkpoint, Progress, UnreadableCheckpoint, seed_all
from bench.device import autocast, reuse_memory, set_numerics
from bench.device_state import Others
from bench.errors import Diverged, Stopped
from bench.graphed import GraphedGradients
from bench.plan import Run
from bench.protocol import Adam, Recipe
from bench.splits import Epoch, Split, load_split, normalise
from models.wide_resnet import split_batches

SAME_DRAWS: dict[str, str | int | bool | Callable[..., object]] = {"fallback_random": True}  # dropout as without compilation
EVALUATION_PIXELS = 250 * 28 * 28  # a batch without gradients: 250 MNIST images, 21 of STL-10


@dataclass(frozen=True)
class Trained:
    """What a finished run knows."""

    progress: Progress
    parameters: int
    answers: Tensor  # int64 (number of test images,): the class given to each
    labels: Tensor
    test_seconds: float
    weights: dict[str, Tensor]  # those that were tested


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
    training = load_split(run, "train", device)
    validation = load_split(run, "validation", device) if recipe.select == "best-validation" else None
    network, optimizer, progress = _start_or_resume(run, device, checkpoint, watch)

    compute = _computation(network, recipe)
    while progress.epoch < recipe.epochs:
        others = Others()
        _train_epoch(run, network, optimizer, compute, training, progress, checkpoint, watch)
        progress.others_shares.append(others.share())
        if validation is not None:
            _validate(progress, network, validation, recipe)
        progress.epoch, progress.step, progress.loss_sum, progress.epoch_seconds = progress.epoch + 1, 0, 0.0, 0.0
        checkpoint.save(progress, network, optimizer)

    if validation is None:
        progress.best_epoch = recipe.epochs - 1
    else:
        network.load_state_dict(progress.best_weights)
    test = load_split(run, "test", device)
    started = time.perf_counter()
    answers = predict(network, test.images, recipe.precision).cpu()
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    seconds = time.perf_counter() - started
    return Trained(progress, parameters, answers, test.labels.cpu(), seconds, network.state_dict())


def _train_epoch(
    run: Run,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    compute: Callable[[Split], Tensor],
    training: Split,
    progress: Progress,
    checkpoint: Checkpoint,
    watch: Watch,
) -> None:
    recipe, started = run.recipe, time.perf_counter()
    if progress.step == 0:
        seed_all(run.seed("dropout", progress.epoch))
    generator = torch.Generator().manual_seed(run.seed("epoch", progress.epoch))
    epoch = Epoch(training, recipe, generator)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe, progress.epoch)

    network.train()
    if progress.step > 0:  # goes on as if it had not been interrupted
        started = time.perf_counter() - progress.epoch_seconds
    loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=epoch.labels.device)
    for step in range(progress.step, len(epoch)):
        batch = epoch.batch(step)
        loss_sum += compute(batch).double() * len(batch.labels)
        optimizer.step()
        watch.on_step(progress.epoch, step)
        stop = watch.should_stop()
        if stop or checkpoint.due():
            progress.step, progress.loss_sum = step + 1, loss_sum.item()
            progress.epoch_seconds = time.perf_counter() - started
            checkpoint.save(progress, network, optimizer)
            if stop:
                raise Stopped
            started = time.perf_counter() - progress.epoch_seconds  # saving is not training
    mean_loss = loss_sum.item() / len(epoch.labels)
    if not torch.isfinite(loss_sum):
        raise Diverged(f"the training loss is {mean_loss} after epoch {progress.epoch + 1}")
    progress.train_loss_curve.append(mean_loss)
    progress.train_seconds.append(time.perf_counter() - started)


def _computation(network: nn.Module, recipe: Recipe) -> Callable[[Split], Tensor]:
    """What leaves a batch's gradients in the parameters and returns its loss, as the recipe wants it done."""
    forward = torch.compile(network, options=SAME_DRAWS) if recipe.compile else network

    def compute(batch: Split) -> Tensor:
        network.zero_grad(set_to_none=True)
        return gradients(forward, batch, recipe)

    return GraphedGradients(network, compute, recipe.batch_size) if recipe.cuda_graph else compute


def gradients(forward: Callable[[Tensor], Tensor], batch: Split, recipe: Recipe) -> Tensor:
    """Add the gradients of the batch's mean loss and return that loss."""
    images = batch.images.contiguous(memory_format=torch.channels_last) if recipe.channels_last else batch.images
    with autocast(recipe.precision, images.device):
        loss = F.cross_entropy(forward(images), batch.labels)
    loss.backward()
    return loss.detach()


def _validate(progress: Progress, network: nn.Module, validation: Split, recipe: Recipe) -> None:
    """Keep the weights of this epoch if they are strictly better than all before (the earliest best wins)."""
    started = time.perf_counter()
    wrong = (predict(network, validation.images, recipe.precision) != validation.labels).sum().item()
    progress.validation_seconds.append(time.perf_counter() - started)
    error = 100 * wrong / len(validation.labels)
    if error < progress.best_error:
        progress.best_error, progress.best_epoch = error, progress.epoch
        progress.best_weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    progress.validation_error_curve.append(error)


def predict(network: nn.Module, images: Tensor, precision: str = "float32") -> Tensor:
    """The class that the network gives to each uint8 image: (N, C, H, W) -> int64 (N,)."""
    network.eval()
    batches = images.split(max(1, EVALUATION_PIXELS // images[0, 0].numel()))
    with torch.no_grad(), autocast(precision, images.device):
        return torch.cat([network(normalise(batch)).argmax(dim=1) for batch in batches])


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate during an epoch (counted from 0)."""
    steps = recipe.learning_rate_steps
    return recipe.optimizer.lr * steps.factor ** sum(epoch >= after for after in steps.after_epochs)


def _start_or_resume(
    run: Run, device: torch.device, checkpoint: Checkpoint, watch: Watch
) -> tuple[nn.Module, torch.optim.Optimizer, Progress]:
    for path in checkpoint.newest_first():
        network, optimizer = fresh(run, device)
        try:
            progress = checkpoint.load(path, network, optimizer)
        except UnreadableCheckpoint as error:
            watch.say(f"{error}; {run.id} goes on from the one before, or else from the beginning")
        else:
            return network, optimizer, progress
    return *fresh(run, device), Progress()


def fresh(run: Run, device: torch.device, batch_split: int | None = None) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A run's network before the first step and its optimizer. `batch_split`: another than the recipe's.

    Raises ModelError: the network's batches cannot be split; and whatever a model may raise.
    """
    recipe, parts = run.recipe, batch_split or run.recipe.batch_split
    seed_all(run.seed("weights"))
    network = models.create(run.model, run.task, **recipe.network).to(device)
    if recipe.channels_last:
        for parameter in network.parameters():  # `network.to` refuses networks with weights of five axes
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if parts > 1:
        split_batches(network, parts)
    trainable, given = [parameter for parameter in network.parameters() if parameter.requires_grad], recipe.optimizer
    fused = device.type == "cuda" or None  # one kernel for all parameters, the same update up to rounding
    if isinstance(given, Adam):
        return network, torch.optim.Adam(trainable, given.lr, given.betas, given.eps, given.weight_decay, fused=fused)
    sgd = torch.optim.SGD(
        trainable, given.lr, given.momentum, nesterov=given.nesterov, weight_decay=given.weight_decay, fused=fused
    )
    return network, sgd

"""One run: train, select on validation (or take the last epoch, as the recipe says), test once.

The random draws of an epoch (order, augmentation, dropout) come from a seed made of the run's id and the epoch, so that a run
is the same whenever and however often it is resumed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.checkpoint import Checkpoint, Progress, UnreadableCheckpoint, seed_all
from bench.device import Mark, Stopwatch, reuse_memory, set_numerics
from bench.device_state import Others
from bench.errors import Diverged, Stopped
from bench.evaluate import Evaluation
from bench.plan import Run
from bench.splits import Epoch, Split, load_split
from bench.step import Steps, fresh, learning_rate


@dataclass(frozen=True)
class Trained:
    """What a finished run knows."""

    progress: Progress
    parameters: int
    answers: Tensor  # int64 (number of test images,): the class given to each
    labels: Tensor
    test_seconds: float
    weights: dict[str, Tensor]  # those that were tested
    graphed: bool  # whether its steps were replayed as CUDA graphs
    evaluation_batch: int


@dataclass(frozen=True)
class Watch:
    """How the outside looks at a run: told of every step, asked whether to stop."""

    on_step: Callable[[int, int], None] = lambda epoch, step: None
    should_stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = print


def train(run: Run, device: torch.device, checkpoint: Checkpoint, watch: Watch) -> Trained:
    """Train a run to its end, from its checkpoint where there is one. To be called within `on(device)`.

    Raises Stopped (state saved), Diverged, DataError, ModelError, and whatever a model may raise.
    """
    recipe = run.recipe
    set_numerics(recipe.precision, device)
    reuse_memory()
    training = load_split(run, "train", device)
    validation = load_split(run, "validation", device) if recipe.select == "best-validation" else None
    network, optimizer, progress = _start_or_resume(run, device, checkpoint, watch)

    steps = Steps(network, optimizer, recipe, device, watch.say)
    evaluation = Evaluation(run, training.images[0, 0].numel(), device, watch.say)
    while progress.epoch < recipe.epochs:
        _do_epoch(run, steps, evaluation, training, validation, progress, checkpoint, watch)
        if checkpoint.due_after_epoch(device):
            checkpoint.save(progress, network, optimizer)

    if validation is None:
        progress.best_epoch = recipe.epochs - 1
    else:
        network.load_state_dict(progress.best_weights)
    test = load_split(run, "test", device)
    started = time.perf_counter()
    answers = evaluation.answers(network, test.images).cpu()
    seconds = time.perf_counter() - started
    return Trained(
        progress=progress,
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        answers=answers,
        labels=test.labels.cpu(),
        test_seconds=seconds,
        weights=network.state_dict(),
        graphed=steps.captured,
        evaluation_batch=evaluation.batch,
    )


def _do_epoch(
    run: Run,
    steps: Steps,
    evaluation: Evaluation,
    training: Split,
    validation: Split | None,
    progress: Progress,
    checkpoint: Checkpoint,
    watch: Watch,
) -> None:
    """Train, validate, and only then wait for the device, once: for the epoch's loss and the number of wrong answers."""
    clock, others = Stopwatch(steps.device), Others()
    started = _train_epoch(run, steps, training, progress, checkpoint, watch, clock)
    trained, wrong = clock.mark(), torch.zeros_like(steps.loss_sum)
    if validation is not None:
        wrong += (evaluation.answers(steps.network, validation.images) != validation.labels).sum()
    evaluated = clock.mark()
    loss_sum, wrong_answers = torch.stack([steps.loss_sum, wrong]).tolist()

    mean_loss = loss_sum / len(training.labels)
    if not math.isfinite(loss_sum):
        raise Diverged(f"the training loss is {mean_loss} after epoch {progress.epoch + 1}")
    progress.train_loss_curve.append(mean_loss)
    progress.train_seconds.append(progress.epoch_seconds + clock.seconds(started, trained))
    if validation is not None:
        progress.validation_seconds.append(clock.seconds(trained, evaluated))
        _select(progress, steps.network, 100 * wrong_answers / len(validation.labels))
    if (share := others.share()) is not None:
        progress.others_shares.append(share)
    progress.epoch, progress.step, progress.loss_sum, progress.epoch_seconds = progress.epoch + 1, 0, 0.0, 0.0


def _train_epoch(
    run: Run,
    steps: Steps,
    training: Split,
    progress: Progress,
    checkpoint: Checkpoint,
    watch: Watch,
    clock: Stopwatch,
) -> Mark:
    """Take the steps of an epoch that are left; since when no state has been saved in between, which is no training time.

    Raises Stopped: the state is saved.
    """
    started = clock.mark()
    if progress.step == 0:
        seed_all(run.seed("dropout", progress.epoch))
    generator = torch.Generator().manual_seed(run.seed("epoch", progress.epoch))
    epoch = Epoch(training, run.recipe, generator)
    steps.begin(epoch, learning_rate(run.recipe, progress.epoch), progress.step, progress.loss_sum)
    steps.network.train()
    for step in range(progress.step, len(epoch)):
        steps.take(step)
        watch.on_step(progress.epoch, step)
        stop = watch.should_stop()
        if stop or checkpoint.due():
            progress.step, progress.loss_sum = step + 1, steps.loss_sum.item()
            progress.epoch_seconds += clock.seconds(started, clock.mark())
            checkpoint.save(progress, steps.network, steps.optimizer)
            if stop:
                checkpoint.finish()
                raise Stopped
            started = clock.mark()
    return started


def _select(progress: Progress, network: nn.Module, error: float) -> None:
    """Keep the weights of this epoch if they are strictly better than all before (the earliest best wins)."""
    if error < progress.best_error:
        progress.best_error, progress.best_epoch = error, progress.epoch
        progress.best_weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    progress.validation_error_curve.append(error)


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

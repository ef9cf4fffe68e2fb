"""One run: train, select on validation (or take the last epoch, as the recipe says), test once.

The random draws of an epoch (order, augmentation, dropout) come from a seed made of the run's id and the epoch, so that a run
is the same whenever and however often it is resumed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.errors import Diverged
from bench.machine.background_load import BackgroundLoad
from bench.machine.device import Stopwatch, reuse_memory, set_numerics
from bench.plan import Run
from bench.training.captured_steps import Steps
from bench.training.data import Split, load_split
from bench.training.evaluate import NO_ANSWER, Evaluation
from bench.training.sanity_check import first_images
from bench.training.state.checkpoint import Checkpoint
from bench.training.state.network_state import StateDict, restore, state_of
from bench.training.state.run_state import Progress
from bench.training.trainer import Trainer, Watch, check_loss, start_or_resume


@dataclass(frozen=True)
class Trained:
    """What a finished run knows."""

    progress: Progress
    parameters: int
    answers: Tensor  # int64 (number of test images,): the class given to each
    labels: Tensor
    test_seconds: float
    weights: StateDict  # those that were tested
    graphed: bool  # whether its steps were replayed as CUDA graphs
    evaluation_batch: int


def train(run: Run, device: torch.device, checkpoint: Checkpoint, watch: Watch) -> Trained:
    """Train a run to its end, from its checkpoint where there is one. To be called within `on(device)`.

    Raises Stopped (state saved), Diverged, DataError, ModelError, and whatever a model may raise.
    """
    recipe = run.recipe
    set_numerics(recipe.precision, device)
    reuse_memory()

    training = load_split(run, "train", device)
    validation = load_split(run, "validation", device) if recipe.select == "best-validation" else None

    evaluation = Evaluation(run, training.images[0, 0].numel(), device, watch.say)
    network, optimizer, progress = start_or_resume(run, device, checkpoint, training, evaluation.batch, watch.say)
    steps = Steps(network, optimizer, recipe, device, watch.say)
    trainer = Trainer(run, steps, evaluation, progress, checkpoint, watch, Stopwatch(device))

    while progress.epoch < recipe.epochs:
        _train_and_validate(trainer, training, validation)
        if checkpoint.due_after_epoch(device):
            trainer.save()

    if validation is None:
        progress.best_epoch = recipe.epochs - 1
    else:
        restore(network, progress.best_weights, first_images(training, recipe.batch_size, network).images)
    return _test(trainer, load_split(run, "test", device))


def _train_and_validate(trainer: Trainer, training: Split, validation: Split | None) -> None:
    """One epoch; only then wait for the device, once: for the epoch's loss and the numbers of answers."""
    steps, progress, clock, background_load = trainer.steps, trainer.progress, trainer.clock, BackgroundLoad()
    trained = trainer.train(training)
    wrong, unanswered = torch.zeros_like(steps.loss_sum), torch.zeros_like(steps.loss_sum)
    if validation is not None:
        answers = trainer.answers(validation.images, trained)
        wrong += (answers != validation.labels).sum()
        unanswered += (answers == NO_ANSWER).sum()
    evaluated = clock.mark()
    loss_sum, wrong_answers, missing = torch.stack([steps.loss_sum, wrong, unanswered]).tolist()

    check_loss(loss_sum / len(training.labels), f"after epoch {progress.epoch + 1}")
    progress.train_loss_curve.append(loss_sum / len(training.labels))
    progress.train_seconds.append(progress.epoch_seconds + clock.seconds(*trained))
    if validation is not None:
        _check_answers(int(missing), len(validation.labels), f"validation after epoch {progress.epoch + 1}")
        progress.validation_seconds.append(clock.seconds(trained[1], evaluated))
        _select(progress, steps.network, 100 * wrong_answers / len(validation.labels))
    if (share := background_load.share()) is not None:
        progress.background_load.append(share)
    progress.epoch, progress.step, progress.loss_sum, progress.epoch_seconds = progress.epoch + 1, 0, 0.0, 0.0
    trainer.watch.on_epoch(progress)


def _select(progress: Progress, network: nn.Module, error: float) -> None:
    """Keep the weights of this epoch if they are strictly better than all before (the earliest best wins)."""
    if error < progress.best_error:
        progress.best_error, progress.best_epoch = error, progress.epoch
        progress.best_weights = state_of(network)
    progress.validation_error_curve.append(error)


def _test(trainer: Trainer, test: Split) -> Trained:
    """Answer the test images, once, with the network as it is now."""
    network = trainer.steps.network
    weights, started = state_of(network), time.perf_counter()
    answers = trainer.answers(test.images).cpu()
    seconds = time.perf_counter() - started
    _check_answers(int((answers == NO_ANSWER).sum()), len(answers), "test")
    return Trained(
        progress=trainer.progress,
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        answers=answers,
        labels=test.labels.cpu(),
        test_seconds=seconds,
        weights=weights,
        graphed=trainer.steps.captured,
        evaluation_batch=trainer.evaluation.batch,
    )


def _check_answers(missing: int, count: int, where: str) -> None:
    """Raises Diverged: the network gave so many of the images no answer (`evaluate.NO_ANSWER`)."""
    if missing:
        raise Diverged(f"{where}: {missing} of {count} images have logits that are not finite numbers")

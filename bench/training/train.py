"""One run: train, select on validation (or take the last epoch, as the recipe says), test once.

The random draws of an epoch (order, augmentation, dropout) come from a seed made of the run's id and the epoch, so that a run
is the same whenever and however often it is resumed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bench.errors import Diverged, Stopped
from bench.machine.background_load import BackgroundLoad
from bench.machine.device import Mark, Stopwatch, reuse_memory, set_numerics
from bench.plan import Run
from bench.training.data import Epoch, Split, load_split
from bench.training.evaluate import NO_ANSWER, Evaluation
from bench.training.network import try_out
from bench.training.rehearsal import first_images
from bench.training.start import start_or_resume
from bench.training.state.checkpoint import Checkpoint
from bench.training.state.network_state import State, restore, state_of
from bench.training.state.randomness import random_states, restore_random_states, seed_all
from bench.training.state.run_state import Progress
from bench.training.step import Steps, learning_rate


@dataclass(frozen=True)
class Trained:
    """What a finished run knows."""

    progress: Progress
    parameters: int
    answers: Tensor  # int64 (number of test images,): the class given to each
    labels: Tensor
    test_seconds: float
    weights: State  # those that were tested
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
    evaluation = Evaluation(run, training.images[0, 0].numel(), device, watch.say)
    network, optimizer, progress = start_or_resume(run, device, checkpoint, training, evaluation.batch, watch.say)

    steps = Steps(network, optimizer, recipe, device, watch.say)
    going = _Going(run, steps, evaluation, progress, checkpoint, watch)
    while progress.epoch < recipe.epochs:
        going.do_epoch(training, validation)
        if checkpoint.due_after_epoch(device):
            checkpoint.save(progress, network, optimizer)

    if validation is None:
        progress.best_epoch = recipe.epochs - 1
    else:
        restore(network, progress.best_weights, partial(try_out, images=first_images(training, recipe.batch_size).images))
    weights, test = state_of(network), load_split(run, "test", device)
    started = time.perf_counter()
    answers = going.answers(test.images).cpu()
    seconds = time.perf_counter() - started
    check_finite(int((answers == NO_ANSWER).sum()), len(answers), "test")
    return Trained(
        progress=progress,
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        answers=answers,
        labels=test.labels.cpu(),
        test_seconds=seconds,
        weights=weights,
        graphed=steps.captured,
        evaluation_batch=evaluation.batch,
    )


@dataclass(frozen=True)
class _Going:
    """A run under way."""

    run: Run
    steps: Steps
    evaluation: Evaluation
    progress: Progress
    checkpoint: Checkpoint
    watch: Watch

    def do_epoch(self, training: Split, validation: Split | None) -> None:
        """Train, validate, and only then wait for the device, once: for the epoch's loss and the numbers of answers."""
        steps, progress, clock, others = self.steps, self.progress, Stopwatch(self.steps.device), BackgroundLoad()
        started = self._train(training, clock)
        trained, wrong, unanswered = clock.mark(), torch.zeros_like(steps.loss_sum), torch.zeros_like(steps.loss_sum)
        if validation is not None:
            answers = self.answers(validation.images, lambda: self._pause(len(steps.epoch), started, trained, clock))
            wrong += (answers != validation.labels).sum()
            unanswered += (answers == NO_ANSWER).sum()
        evaluated = clock.mark()
        loss_sum, wrong_answers, missing = torch.stack([steps.loss_sum, wrong, unanswered]).tolist()

        _check_loss(loss_sum / len(training.labels), f"after epoch {progress.epoch + 1}")
        progress.train_loss_curve.append(loss_sum / len(training.labels))
        progress.train_seconds.append(progress.epoch_seconds + clock.seconds(started, trained))
        if validation is not None:
            check_finite(int(missing), len(validation.labels), f"validation after epoch {progress.epoch + 1}")
            progress.validation_seconds.append(clock.seconds(trained, evaluated))
            _select(progress, steps.network, 100 * wrong_answers / len(validation.labels))
        if (share := others.share()) is not None:
            progress.others_shares.append(share)
        progress.epoch, progress.step, progress.loss_sum, progress.epoch_seconds = progress.epoch + 1, 0, 0.0, 0.0

    def answers(self, images: Tensor, pause: Callable[[], None] = lambda: None) -> Tensor:
        """The network's answers. Raises Stopped: after `pause` the state is saved, so that nothing else is done again."""
        network, device = self.steps.network, self.steps.device
        before = random_states(device, network)
        try:
            return self.evaluation.answers(network, images, self.watch.should_stop)
        except Stopped:
            restore_random_states(before, device, network)
            pause()
            self._save()
            self.checkpoint.finish()
            raise

    def _train(self, training: Split, clock: Stopwatch) -> Mark:
        """Take the steps of an epoch that are left; since when no state has been saved in between, which is no training time.

        Raises Stopped: the state is saved.
        """
        run, steps, progress, started = self.run, self.steps, self.progress, clock.mark()
        if progress.step == 0:
            seed_all(run.seed("dropout", progress.epoch))
        generator = torch.Generator().manual_seed(run.seed("epoch", progress.epoch))
        epoch = Epoch(training, run.recipe, generator)
        steps.network.train()
        steps.begin(epoch, learning_rate(run.recipe, progress.epoch), progress.step, progress.loss_sum)
        for step in range(progress.step, len(epoch)):
            steps.take(step)
            self.watch.on_step(progress.epoch, step)
            if progress.epoch == step == 0:
                _check_loss(steps.loss_sum.item() / epoch.count(0), "in the first step")
            stop = self.watch.should_stop()
            if stop or self.checkpoint.due():
                self._pause(step + 1, started, clock.mark(), clock)
                self._save()
                if stop:
                    self.checkpoint.finish()
                    raise Stopped
                started = clock.mark()
        return started

    def _pause(self, step: int, started: Mark, now: Mark, clock: Stopwatch) -> None:
        """Note how far the epoch is, and how long its steps took."""
        self.progress.step, self.progress.loss_sum = step, self.steps.loss_sum.item()
        self.progress.epoch_seconds += clock.seconds(started, now)

    def _save(self) -> None:
        self.checkpoint.save(self.progress, self.steps.network, self.steps.optimizer)


def _check_loss(mean_loss: float, when: str) -> None:
    if not math.isfinite(mean_loss):
        raise Diverged(f"the training loss is {mean_loss} {when}")


def check_finite(missing: int, count: int, where: str) -> None:
    """Raises Diverged: the network gave so many of the images no answer (`evaluate.NO_ANSWER`)."""
    if missing:
        raise Diverged(f"{where}: {missing} of {count} images have logits that are not finite numbers")


def _select(progress: Progress, network: nn.Module, error: float) -> None:
    """Keep the weights of this epoch if they are strictly better than all before (the earliest best wins)."""
    if error < progress.best_error:
        progress.best_error, progress.best_epoch = error, progress.epoch
        progress.best_weights = state_of(network)
    progress.validation_error_curve.append(error)

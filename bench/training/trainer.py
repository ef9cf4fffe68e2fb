"""A run that can be stopped at any step, or batch of an evaluation, and resumed: its state is saved then, and in between."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.errors import Diverged, Stopped
from bench.machine.device import Mark, Stopwatch, reset_peak_memory
from bench.plan import Run
from bench.training.captured_steps import Steps
from bench.training.data import Epoch, Split, wants_raw_pixels
from bench.training.evaluate import Evaluation
from bench.training.sanity_check import first_images, sanity_check
from bench.training.state.checkpoint import Checkpoint, UnfitCheckpoint, UnreadableCheckpoint
from bench.training.state.network_state import form_of
from bench.training.state.randomness import random_states, restore_random_states, seed_all
from bench.training.state.run_state import Progress
from bench.training.step import build_network_and_optimizer

Marks = tuple[Mark, Mark]  # between which the steps were taken that `Progress.epoch_seconds` does not count yet


@dataclass(frozen=True)
class Watch:
    """How the outside looks at a run: told of every step and of every epoch's end, asked whether to stop."""

    on_step: Callable[[int, int], None] = lambda epoch, step: None
    should_stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = print
    on_epoch: Callable[[Progress], None] = lambda progress: None


@dataclass(frozen=True)
class Trainer:
    """A run under way."""

    run: Run
    steps: Steps
    evaluation: Evaluation
    progress: Progress
    checkpoint: Checkpoint
    watch: Watch
    clock: Stopwatch

    def train(self, training: Split) -> Marks:
        """Take the steps of an epoch that are left. Saving is no training time: the marks lie after the last save.

        Raises Stopped: the state is saved; Diverged; and whatever the network may raise.
        """
        run, steps, progress, started = self.run, self.steps, self.progress, self.clock.mark()
        if progress.step == 0:
            seed_all(run.seed("dropout", progress.epoch))
        generator = torch.Generator().manual_seed(run.seed("epoch", progress.epoch))
        epoch = Epoch(training, run.recipe, generator, raw=wants_raw_pixels(steps.network))
        steps.network.train()
        steps.begin_epoch(epoch, progress.epoch, progress.step, progress.loss_sum)
        for step in range(progress.step, len(epoch)):
            steps.step(step)
            self.watch.on_step(progress.epoch, step)
            if progress.epoch == step == 0:
                check_loss(steps.loss_sum.item() / epoch.count(0), "in the first step")
            stop = self.watch.should_stop()
            if stop or self.checkpoint.due():
                self._count(step + 1, (started, self.clock.mark()))
                self.save()
                if stop:
                    self.checkpoint.finish()
                    raise Stopped
                started = self.clock.mark()
        return started, self.clock.mark()

    def answers(self, images: Tensor, trained: Marks | None = None) -> Tensor:
        """The network's answers to uint8 images. `trained`: the epoch's steps that were taken just before.

        Raises Stopped: the state is saved, so that nothing but the answers is done again.
        """
        network, device = self.steps.network, self.steps.device
        before = random_states(device, network)
        try:
            return self.evaluation.answers(network, images, self.watch.should_stop)
        except Stopped:
            restore_random_states(before, device, network)
            if trained is not None:
                self._count(len(self.steps.epoch), trained)
            self.save()
            self.checkpoint.finish()
            raise

    def save(self) -> None:
        """Write the state to the checkpoint; on CUDA in the background. Raises NotSaved, ModelError."""
        self.checkpoint.save(self.progress, self.steps.network, self.steps.optimizer)

    def _count(self, step: int, trained: Marks) -> None:
        """Note how far the epoch is, and how long its steps took."""
        self.progress.step, self.progress.loss_sum = step, self.steps.loss_sum.item()
        self.progress.epoch_seconds += self.clock.seconds(*trained)


def start_or_resume(
    run: Run, device: torch.device, checkpoint: Checkpoint, training: Split, evaluated: int, say: Callable[[str], None]
) -> tuple[nn.Module, torch.optim.Optimizer, Progress]:
    """The network, the optimizer and how far they are. `evaluated`: images at a time in evaluation.

    A file that is damaged is passed over; one that is whole but of another network is kept under another name. Both are said.
    Raises BenchError: a file cannot be read or renamed; ModelError: what the network does is no run; what a model may raise.
    """
    for path in checkpoint.newest_first():
        network, optimizer = build_network_and_optimizer(run, device)
        images = first_images(training, run.recipe.batch_size, network).images
        try:
            return network, optimizer, checkpoint.load(path, network, optimizer, images)
        except UnfitCheckpoint as error:
            said = f"{error}; it is kept as {checkpoint.set_aside(path)}"
        except UnreadableCheckpoint as error:
            said = str(error)
        say(f"{said}; {run.id} resumes from the one before, or else from the beginning")
    sanity_check(run, device, training, evaluated, say)
    reset_peak_memory(device)
    network, optimizer = build_network_and_optimizer(run, device)
    return network, optimizer, Progress(form=form_of(network))


def check_loss(mean_loss: float, when: str) -> None:
    """Raises Diverged: the loss is no finite number."""
    if not math.isfinite(mean_loss):
        raise Diverged(f"the training loss is {mean_loss} {when}")

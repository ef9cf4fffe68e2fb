"""The training step that is timed and profiled: a run's own, on random images, plain, compiled or as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

import datasets
from bench.plan import Run
from bench.protocol import load_protocol
from bench.training.data import Split, wants_raw_pixels
from bench.training.graphs import StepState, capture_checked
from bench.training.step import build_network_and_optimizer, training_step
from bench.training.step import compiled as through_compiler

PROTOCOL = "paper"


def timed_run(model: str, task: str, batch_size: int, precision: str) -> Run:
    """A run of the protocol `paper`, but for these two settings; its data are never loaded."""
    protocol = load_protocol(PROTOCOL)
    recipe = protocol.recipe(task)
    assert recipe is not None, task  # it covers every task
    recipe = recipe.model_copy(update={"batch_size": batch_size, "precision": precision})
    return Run(model, task, 0, protocol, recipe, fingerprint="random images")


class TimedStep:
    """A new network in training, its optimizer and a batch; calling it is one step: forward, backward, optimizer."""

    def __init__(self, run: Run, device: torch.device, *, compiled: bool = False) -> None:
        """Raises whatever the model may raise."""
        self.recipe, self.device = run.recipe, device
        self.network, self.optimizer = build_network_and_optimizer(run, device)
        self.network.train()
        self.forward = through_compiler(self.network) if compiled else self.network
        count = run.recipe.batch_size
        draw = torch.rand if wants_raw_pixels(self.network) else torch.randn
        images = draw(count, *datasets.image_shape(run.task), device=device)
        self.batch = Split(images, torch.arange(count, device=device) % 10)

    def __call__(self) -> None:
        """Raises whatever the model may raise."""
        training_step(self.network, self.optimizer, self.batch, self.recipe, self.forward)

    def capture(self) -> Callable[[], None]:
        """The step as a CUDA graph, to be called within `on(device)` and while this object lives, which owns the tensors.

        Raises NotCaptured: the network asks the host for something in mid-step.
        """
        self()  # the optimizer has no tensors before
        return capture_checked(self, StepState(self.network, self.optimizer, [], self.device))

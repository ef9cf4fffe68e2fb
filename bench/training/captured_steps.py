"""The training steps of a run in order, on CUDA replayed as CUDA graphs.

A replayed step is launched once by the host and not kernel by kernel (`graphs.py`). Captured or not, it is the same operations
on the same tensors, all of them on the device: which batch is next, and the summed loss, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.recipe import Recipe
from bench.training.data import Epoch
from bench.training.graphs import NotCaptured, StepState, capture_checked, same_tensors, tensors_of
from bench.training.step import compiled, training_step

WARM_UP = 1  # eager steps before a capture: in the first one libraries choose and load kernels, and layers make their constants


class Steps:
    """`loss_sum` (float64, on the device) adds up every image's loss since `begin_epoch`."""

    epoch: Epoch  # the one in hand

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, device: torch.device,
        say: Callable[[str], None] = print,
    ) -> None:  # fmt: skip
        self.network, self.optimizer, self.recipe, self.device, self.say = network, optimizer, recipe, device, say
        self.forward: Callable[[Tensor], Tensor] = network
        if recipe.compile:
            torch.compiler.reset()  # of what it learnt of earlier runs' shapes, and how often it compiled
            self.forward = compiled(network)
        self.position = torch.zeros((), dtype=torch.long, device=device)  # of the next batch's first image
        self.offsets = torch.arange(recipe.batch_size, device=device)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        # A batch in parts is computed again with random states that the host keeps.
        self.to_capture = device.type == "cuda" and recipe.cuda_graph is not False and recipe.batch_split == 1
        self._eager_steps = 0
        self._replays: dict[int, Callable[[], None]] = {}  # by the number of images
        self._captured: list[Tensor] = []  # the network's tensors that they read and write

    @property
    def captured(self) -> bool:
        """Whether steps are replayed as CUDA graphs by now."""
        return bool(self._replays)

    def begin_epoch(self, epoch: Epoch, number: int, step: int = 0, loss_sum: float = 0.0) -> None:
        """Start an epoch, counted from 0, or go on with one at a step. The network is in training mode."""
        if self._replays and not same_tensors(tensors_of(self.network), self._captured):
            self._replays = {}
            self.say("no CUDA graph any more: the network has put new tensors in the place of its buffers")
        if self._replays:
            self.epoch.copy_(epoch)  # the graphs read these very tensors
        else:
            self.epoch = epoch
        self.position.fill_(step * self.recipe.batch_size)
        self.loss_sum.fill_(loss_sum)
        self._epoch_number, groups = number, self.optimizer.param_groups
        self._set_learning_rates(groups, step)
        self._warming_up = [group for group in groups if group.get("warm_up", 0.0) > number / self.recipe.epochs]

    def _set_learning_rates(self, groups: Sequence[dict[str, Any]], step: int) -> None:
        """Those of a step of the epoch; on CUDA in tensors that the steps read (models/parameter_group.py)."""
        rate = self.recipe.learning_rate(self._epoch_number)
        done = (self._epoch_number + step / len(self.epoch)) / self.recipe.epochs
        for group in groups:
            factor, warm_up = group.get("lr_factor", 1.0), group.get("warm_up", 0.0)
            own = rate * factor * (min(1.0, done / warm_up) if warm_up else 1.0)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(own)
            else:
                group["lr"] = own

    def step(self, number: int) -> None:
        """Take a step of the epoch; they are to be taken in order. Raises whatever the network may raise."""
        self._set_learning_rates(self._warming_up, number)
        count = self.epoch.count(number)
        if self.to_capture and self._eager_steps >= WARM_UP:
            self._capture(number)
        replay = self._replays.get(count)
        if replay is not None:
            replay()
        else:
            self._eager(count)
            self._eager_steps += 1

    def _eager(self, count: int) -> None:
        batch = self.epoch.take(self.position + self.offsets[:count])
        loss = training_step(self.network, self.optimizer, batch, self.recipe, self.forward)
        self.loss_sum += loss.double() * count
        self.position += count

    def _capture(self, number: int) -> None:
        """Replay from now on, batches of both sizes; or never, and say why. The step itself is still to be taken."""
        self.to_capture = False
        self.position.zero_()  # for a whole batch there may be no images left
        state = StepState(self.network, self.optimizer, [self.position, self.loss_sum], self.device)
        counts = sorted({self.epoch.count(number) for number in range(len(self.epoch))})
        try:
            self._replays = {count: capture_checked(partial(self._eager, count), state) for count in counts}
            self._captured = tensors_of(self.network)
        except NotCaptured as error:
            self.say(f"no CUDA graph, its steps are launched kernel by kernel: {error}")
        finally:
            self.position.fill_(number * self.recipe.batch_size)

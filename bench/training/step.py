"""Training steps: batch selection, forward and backward pass, update, summed loss; all on the device.

On CUDA the whole step is captured as a CUDA graph and replayed, so that the host launches a step once and not kernel by kernel
(`graphs.py`). Captured or not, a step is the same operations on the same tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.machine.device import autocast
from bench.plan import Run
from bench.protocol import Adam, Recipe
from bench.training.compiled import compiled
from bench.training.data import Epoch, Split
from bench.training.graphs import NotCaptured, State, are_same, capture_checked, tensors_of
from bench.training.network import built
from bench.training.outputs import logits
from bench.training.state.randomness import seed_all
from models.wide_resnet import split_batches

WARM_UP = 1  # plain steps before a capture: in the first one libraries choose and load kernels, and layers make their constants


class Steps:
    """The steps of one run, in order. `loss_sum` (float64) adds up every image's loss since `begin`; it lies on the device."""

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
        self._plain_steps = 0
        self._epoch: Epoch | None = None
        self._replays: dict[int, Callable[[], None]] = {}  # by the number of images
        self._captured: list[Tensor] = []  # the network's tensors that they read and write

    @property
    def captured(self) -> bool:
        """Whether steps are replayed as CUDA graphs by now."""
        return bool(self._replays)

    @property
    def epoch(self) -> Epoch:
        """The one in hand."""
        assert self._epoch is not None
        return self._epoch

    def begin(self, epoch: Epoch, learning_rate: float, step: int = 0, loss_sum: float = 0.0) -> None:
        """Start an epoch, or go on with one at a step. The network is in training mode."""
        if self._replays and not are_same(tensors_of(self.network), self._captured):
            self._replays = {}
            self.say("no CUDA graph any more: the network has put new tensors in the place of its buffers")
        if self._epoch is not None and self._replays:
            self._epoch.copy_(epoch)  # the graphs read these very tensors
        else:
            self._epoch = epoch
        self.position.fill_(step * self.recipe.batch_size)
        self.loss_sum.fill_(loss_sum)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def take(self, step: int) -> None:
        """Take a step of the epoch; they are to be taken in order. Raises whatever the network may raise."""
        count = self.epoch.count(step)
        if self.to_capture and self._plain_steps >= WARM_UP:
            self._capture(step)
        replay = self._replays.get(count)
        if replay is not None:
            replay()
        else:
            self._plain(count)
            self._plain_steps += 1

    def _plain(self, count: int) -> None:
        batch = self.epoch.take(self.position + self.offsets[:count])
        self.network.zero_grad(set_to_none=True)
        self.loss_sum += gradients(self.forward, batch, self.recipe).double() * count
        self.optimizer.step()
        self.position += count

    def _capture(self, step: int) -> None:
        """Replay from now on, batches of both sizes; or never, and say why. The step itself is still to be taken."""
        self.to_capture = False
        self.position.zero_()  # for a whole batch there may be no images left
        state = State(self.network, self.optimizer, [self.position, self.loss_sum], self.device)
        counts = sorted({self.epoch.count(step) for step in range(len(self.epoch))})
        try:
            self._replays = {count: capture_checked(partial(self._plain, count), state) for count in counts}
            self._captured = tensors_of(self.network)
        except NotCaptured as error:
            self.say(f"no CUDA graph, its steps are launched kernel by kernel: {error}")
        finally:
            state.restore()
            self.position.fill_(step * self.recipe.batch_size)


def gradients(forward: Callable[[Tensor], Tensor], batch: Split, recipe: Recipe) -> Tensor:
    """Add the gradients of the batch's mean loss and return that loss. Raises ModelError: the outputs are no logits."""
    images = batch.images.contiguous(memory_format=torch.channels_last) if recipe.channels_last else batch.images
    with autocast(recipe.precision, images.device):
        loss = F.cross_entropy(logits(forward(images), images), batch.labels)
    if loss.requires_grad:  # else nothing in the network is trained
        loss.backward()
    return loss.detach()


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate during an epoch (counted from 0)."""
    steps = recipe.learning_rate_steps
    return recipe.optimizer.lr * steps.factor ** sum(epoch >= after for after in steps.after_epochs)


def fresh(run: Run, device: torch.device, batch_split: int | None = None) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A run's network before the first step and its optimizer. `batch_split`: another than the recipe's.

    Raises ModelError: the network's batches cannot be split; and whatever a model may raise.
    """
    recipe, parts = run.recipe, batch_split or run.recipe.batch_split
    seed_all(run.seed("weights"))
    network = built(run.model, run.task, recipe.data.central_pixels, device, **recipe.network)
    if recipe.channels_last:
        for parameter in network.parameters():  # `network.to` refuses networks with weights of five axes
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if parts > 1:
        split_batches(network, parts)
    return network, _optimizer(network, recipe, device)


def _optimizer(network: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """On CUDA one kernel for all parameters, with everything that it reads on the device, so that it can be captured."""
    trainable, given = [parameter for parameter in network.parameters() if parameter.requires_grad], recipe.optimizer
    on_cuda = device.type == "cuda"
    fused, decay = (on_cuda and all(map(torch.is_floating_point, trainable))) or None, given.weight_decay
    groups = [{"params": trainable}]  # of which there may be none, unlike of parameters
    optimizer: torch.optim.Optimizer
    if isinstance(given, Adam):
        optimizer = torch.optim.Adam(groups, given.lr, given.betas, given.eps, decay, fused=fused, capturable=on_cuda)
    else:
        optimizer = torch.optim.SGD(groups, given.lr, given.momentum, 0, decay, nesterov=given.nesterov, fused=fused)
    for group in optimizer.param_groups if on_cuda else []:
        group["lr"] = torch.tensor(given.lr, device=device)
    return optimizer

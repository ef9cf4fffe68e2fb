"""One training step: the network and the optimizer it starts from, forward and backward pass, update.

Everything that trains takes this step: runs (`captured_steps.py`), the check before them, advice on memory, timings.
"""

from __future__ import annotations

import getpass
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

import datasets
import models
from bench.machine.device import autocast
from bench.plan import Run
from bench.recipe import Adam, Recipe
from bench.training.data import Split
from bench.training.evaluate import logits
from bench.training.state.randomness import seed_all
from leaderboard.errors import one_line
from models.wide_resnet import split_batches

FEW = 2  # images: normalisation over a batch needs more than one
SAME_DRAWS: dict[str, str | int | bool | Callable[..., object]] = {"fallback_random": True}  # dropout as without compilation
CACHE = "TORCHINDUCTOR_CACHE_DIR"


def training_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Split,
    recipe: Recipe,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Update the network, which is in training mode, and return the batch's mean loss before. `forward`: it, compiled.

    Raises ModelError: the outputs are no logits; and whatever the network may raise.
    """
    network.zero_grad(set_to_none=True)
    loss = forward_backward(forward or network, batch, recipe)
    optimizer.step()
    return loss


def forward_backward(forward: Callable[[Tensor], Tensor], batch: Split, recipe: Recipe) -> Tensor:
    """Add the gradients of the batch's mean loss and return that loss. Raises ModelError: the outputs are no logits."""
    images = batch.images.contiguous(memory_format=torch.channels_last) if recipe.channels_last else batch.images
    with autocast(recipe.precision, images.device):
        loss = F.cross_entropy(logits(forward(images), images), batch.labels)
    if loss.requires_grad:  # else nothing in the network is trained
        loss.backward()
    return loss.detach()


def build_network_and_optimizer(run: Run, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A run's network before the first step and its optimizer.

    Raises ModelError: the network's batches cannot be split; and whatever a model may raise.
    """
    recipe = run.recipe
    seed_all(run.seed("weights"))
    network = build_network(run.model, run.task, recipe.data.central_pixels, device, **recipe.network)
    if recipe.channels_last:
        for parameter in network.parameters():  # `network.to` refuses networks with weights of five axes
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if recipe.batch_split > 1:
        split_batches(network, recipe.batch_split)
    return network, _optimizer(network, recipe, device)


def build_network(model: str, task: str, central_pixels: int | None, device: torch.device, **overrides: Any) -> nn.Module:
    """A network on a device, its lazy parameters made. Raises ModelError, and whatever a model may raise."""
    network = models.create(model, task, **overrides)
    network.to(device)
    if any(is_lazy(parameter) for parameter in network.parameters()):  # an optimizer takes none that is not made
        network.eval()
        with torch.no_grad():
            network(blank_images(task, central_pixels, FEW, device))
        network.train()
    return network


def blank_images(task: str, central_pixels: int | None, count: int, device: torch.device) -> Tensor:
    """Images of a task without anything in them: float32 (count, C, H, W)."""
    channels, height, width = datasets.image_shape(task)
    height, width = (central_pixels or extent for extent in (height, width))
    return torch.zeros(count, channels, height, width, device=device)


def _optimizer(network: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """On CUDA one kernel for all parameters, with everything that it reads on the device, so that it can be captured."""
    groups, given, on_cuda = _parameter_groups(network, recipe.optimizer.lr), recipe.optimizer, device.type == "cuda"
    floating = all(torch.is_floating_point(parameter) for group in groups for parameter in group["params"])
    fused, decay = (on_cuda and floating) or None, given.weight_decay
    optimizer: torch.optim.Optimizer
    if isinstance(given, Adam):
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[given.name]
        optimizer = kind(groups, given.lr, given.betas, given.eps, decay, fused=fused, capturable=on_cuda)
    else:
        optimizer = torch.optim.SGD(groups, given.lr, given.momentum, 0, decay, nesterov=given.nesterov, fused=fused)
    for group in optimizer.param_groups if on_cuda else []:
        group["lr"] = torch.tensor(group["lr"], device=device)
    return optimizer


def _parameter_groups(network: nn.Module, lr: float) -> list[dict[str, Any]]:
    """Every trainable parameter in one group: the recipe's, which may be without any, or one that the network asks for.

    Raises ModelError: what it asks for is no list of `models.ParameterGroup`, each of its own parameters at most once.
    """
    ask: Callable[[], object] = getattr(network, "parameter_groups", list)
    asked = ask()
    if not isinstance(asked, Sequence) or not all(isinstance(group, models.ParameterGroup) for group in asked):
        said = one_line(repr(asked), 200)
        raise models.ModelError(f"parameter_groups() gives {said}; wanted: a list of models.ParameterGroup")
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    listed = Counter(id(parameter) for group in asked for parameter in group.parameters)
    for one, times in listed.items():
        if one not in names:
            raise models.ModelError("parameter_groups() lists what is no parameter of the network; list some that it has")
        if times > 1:
            raise models.ModelError(f"parameter_groups() lists {names[one]!r} {times} times; list each parameter once at most")

    def trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
        return [parameter for parameter in parameters if parameter.requires_grad]

    groups: list[dict[str, Any]] = [{"params": trainable(each for each in network.parameters() if id(each) not in listed)}]
    for group in asked:
        settings = {"lr": lr * group.lr_factor, "lr_factor": group.lr_factor, "warm_up": group.warm_up}
        groups.append({"params": trainable(group.parameters), **settings})
    return groups


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network through torch.compile; the first call does the work."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container: older versions of torch ask for the name
        os.environ.setdefault(CACHE, f"{tempfile.gettempdir()}/torchinductor_{os.getuid()}")
    forward: Callable[[Tensor], Tensor] = torch.compile(network, options=SAME_DRAWS)
    return forward

"""Before a run's first step: whether all that it will do works with this network, tried on copies that are thrown away.

A step with as many images as an epoch's last batch has, which may be one; an evaluation; and the way to a file and back. So
what a network cannot do is said at once, and not after an epoch, or when the run is to go on after it was stopped.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import torch
from torch import Tensor, nn

import datasets
from bench.machine.device import autocast, is_out_of_memory
from bench.plan import Run
from bench.training.data import Split, normalise, wants_raw_pixels
from bench.training.evaluate import logits
from bench.training.graphs import same_tensors
from bench.training.state.network_state import form_of, reason, same_bits, state_of, unpacked
from bench.training.state.randomness import seed_all
from bench.training.state.run_state import Progress, load_run_state, run_state
from bench.training.step import FEW, build_network_and_optimizer, training_step
from leaderboard.errors import one_line
from models import ModelError

CPU = torch.device("cpu")
DIFFERENT = 1e-3  # of the outputs' norm: more than rounding


def sanity_check(run: Run, device: torch.device, training: Split, evaluated: int, say: Callable[[str], None]) -> None:
    """Try a run's network. What is tried uses the generators of random numbers, which are to be seeded afterwards.

    `evaluated`: images at a time in evaluation.

    Raises ModelError: what it gives are no logits, it puts other parameters in the place of those trained, it cannot be
    stored and restored, or it fails with the last batch alone; and whatever the network may raise.
    """
    try:
        _check(run, device, training, evaluated, say)
    except ModelError as error:
        raise ModelError(f"{run.model}: {error}") from error


def _check(run: Run, device: torch.device, training: Split, evaluated: int, say: Callable[[str], None]) -> None:
    trial = _trial_step(run, device, training)
    network, images = trial.network, trial.batch.images
    _evaluate(run, network, images[:1] if _leaves_one(run, evaluated) else images)
    state = _through_a_file(trial)
    if not same_tensors(trial.parameters, list(network.parameters())):
        raise ModelError(
            "the network makes parameters or puts others in their place as it is used, and none of these would "
            "be trained; make them when it is built, or by torch.nn's lazy layers"
        )
    rebuilt, its_optimizer = build_network_and_optimizer(run, device)
    if {id(parameter) for parameter in trial.parameters} & {id(parameter) for parameter in rebuilt.parameters()}:
        raise ModelError("its builder gives the same parameters again and again; let it build a new network")
    try:
        load_run_state(state, trial.progress, rebuilt, its_optimizer, images)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"the network does not take its own state back: {type(error).__name__}: {one_line(str(error))}"
        ) from error
    _compare(run, network, rebuilt, images, say)


class _Trial:
    """A new network and its optimizer after a step with a batch."""

    def __init__(self, run: Run, device: torch.device, training: Split, count: int) -> None:
        self.network, self.optimizer = build_network_and_optimizer(run, device)
        self.batch = batch = first_images(training, count, self.network)
        self.progress, self.parameters = Progress(form=form_of(self.network)), list(self.network.parameters())
        self.network.train()
        training_step(self.network, self.optimizer, Split(batch.images.clone(), batch.labels), run.recipe)


def _trial_step(run: Run, device: torch.device, training: Split) -> _Trial:
    """A step with the images of the last, smaller batch. Where there is none with two, or else a whole batch."""
    count, size = len(training.labels), run.recipe.batch_size
    rest = count % size
    few = rest or min(FEW, count)
    try:
        return _Trial(run, device, training, few)
    except Exception as error:
        if few == min(size, count) or is_out_of_memory(error) or isinstance(error, ModelError):
            raise
        whole = _Trial(run, device, training, size)
        if not rest:
            return whole
        raise ModelError(
            f"the last batch of an epoch is of {rest} image{'s'[: rest - 1]} ({count} in batches of {size}), "
            f"for which the network raises {type(error).__name__}: {one_line(str(error))}; "
            "choose another batch_size or train_images"
        ) from error


def _leaves_one(run: Run, evaluated: int) -> bool:
    """Whether the last batch of validation or test is of one image, at so many at a time."""
    data, sizes = run.recipe.data, datasets.sizes(run.task, test_size=run.recipe.data.test_size)
    counts = [min(sizes["test"], data.test_images or sizes["test"])]
    if run.recipe.select == "best-validation":
        counts.append(min(sizes["validation"], data.validation_images or sizes["validation"]))
    return any(count % evaluated == 1 for count in counts)


def first_images(training: Split, count: int, network: nn.Module) -> Split:
    """So many images as the network takes them: float32 (count, C, H, W)."""
    return Split(normalise(training.images[:count], raw=wants_raw_pixels(network)), training.labels[:count])


def _evaluate(run: Run, network: nn.Module, images: Tensor) -> Tensor:
    network.eval()
    with torch.no_grad(), autocast(run.recipe.precision, images.device):
        return logits(network(images.clone()), images)


def _through_a_file(trial: _Trial) -> dict[str, object]:
    content = io.BytesIO()
    try:
        torch.save(run_state(trial.progress, trial.network, trial.optimizer), content)
        content.seek(0)
        state: dict[str, object] = torch.load(content, map_location="cpu", weights_only=True)
    except ModelError:  # which says what in the state
        raise
    except Exception as error:  # pickle and torch refuse in many ways
        raise ModelError(f"the network's state cannot be stored: {reason(error)}") from error
    return state


def _compare(run: Run, network: nn.Module, rebuilt: nn.Module, images: Tensor, say: Callable[[str], None]) -> None:
    """The network and the one with its state: the states, and what they give for the same random draws."""
    state, its_state = (unpacked(state_of(each), CPU) for each in (network, rebuilt))
    for name in state.keys() | its_state.keys():
        if not same_bits(state.get(name), its_state.get(name)):
            raise ModelError(f"of the network's state {name!r} is another one after it was stored and taken back")
    one, other = (_answers(run, each, images) for each in (network, rebuilt))
    if (one - other).norm() > DIFFERENT * one.norm():
        say(
            f"{run.model}: the network keeps what changes its answers outside of its state dict; "
            "a run of it that is stopped may not end with the numbers of one that is not"
        )


def _answers(run: Run, network: nn.Module, images: Tensor) -> Tensor:
    """In training and in evaluation mode."""
    seed_all(0)
    network.train()
    with torch.no_grad(), autocast(run.recipe.precision, images.device):
        trained = logits(network(images.clone()), images)
    return torch.stack([trained, _evaluate(run, network, images)]).float()

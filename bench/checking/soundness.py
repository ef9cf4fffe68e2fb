"""Whether a network can be trained and its answers believed: outputs, state, gradients, precision, neighbours, repetition.

Each check takes a Subject and returns a Finding; it may raise whatever the model raises, which is then its finding.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from bench.checking.finding import Finding, listed
from bench.checking.subject import Subject
from bench.measure.equivariance_record import CPU
from bench.training.data import Split
from bench.training.evaluate import PIXELS_ON_CPU, logits
from bench.training.graphs import tensors_of
from bench.training.sanity_check import sanity_check
from bench.training.state.network_state import same_bits
from bench.training.state.randomness import seed_all
from bench.training.step import build_network_and_optimizer, forward_backward, training_step
from leaderboard.errors import one_line
from models.errors import said

ROUNDING = 1e-4  # of the logits' norm: what float32 may differ by from float64, or in another batch
BROKEN = 0.1  # of an image's logits: sevf-vector, whose choices between equal values fall either way, differs by 0.03


def builds(subject: Subject) -> Finding:
    """Build it."""
    network = subject.build()
    return Finding(
        "pass", f"{type(network).__name__} of {sum(1 for _ in network.modules())} modules, from {subject.info.origin}"
    )


def outputs(subject: Subject) -> Finding:
    """Ten finite logits for every image, in training and in evaluation, and for one image alone."""
    network = subject.build()
    images = subject.images(network)
    before, found = images.clone(), [logits(network.train()(images), images)]
    changed = not torch.equal(before, images)
    network.eval()
    with torch.no_grad():
        found += [logits(network(before), before), logits(network(before[:1]), before[:1])]
    if not all(one.isfinite().all() for one in found):
        todo = "look for a division by zero, a logarithm or a square root of 0, or weights that are never drawn (torch.empty)"
        return Finding("fail", "some logits are no finite numbers (nan or inf) before anything is trained", todo)
    text = f"ten finite logits for each image of {tuple(images.shape)}, in training and evaluation, and for one alone"
    if changed:
        return Finding(
            "look", f"{text}; but it changes the images that it is given", "work on a copy, without in-place operations"
        )
    return Finding("pass", text)


def steps(subject: Subject) -> Finding:
    """What a run tries before its first step: a step, an evaluation, the way to a file and back."""
    warnings: list[str] = []
    sanity_check(subject.run, CPU, subject.split, max(1, PIXELS_ON_CPU // subject.split.images[0, 0].numel()), warnings.append)
    if warnings:
        todo = "keep what changes answers in parameters and buffers (register_buffer), or in get_extra_state"
        return Finding("look", one_line(warnings[0].partition(": ")[2]), todo)
    return Finding("pass", "a training step, an evaluation, and its state stored and taken back")


def gradients(subject: Subject) -> Finding:
    """After two steps, which parameters have a gradient, and whether it is finite."""
    network, optimizer = build_network_and_optimizer(subject.run, CPU)
    batch = _batch(subject, network)
    network.train()
    for _ in range(2):
        training_step(network, optimizer, batch, subject.run.recipe)
    network.zero_grad(set_to_none=True)
    forward_backward(network, batch, subject.run.recipe)
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    broken = [name for name, one in trained.items() if one.grad is not None and not one.grad.isfinite().all()]
    unused = [name for name, one in trained.items() if one.grad is None or not one.grad.any()]
    if broken:
        todo = "look at square roots, norms and divisions near 0, whose gradient is infinite there: add a small number inside"
        return Finding("fail", f"after two steps gradients are not finite: {listed(broken)}", todo)
    if not trained:
        return Finding("fail", "nothing is trained: no parameter has requires_grad", "make weights nn.Parameter")
    if unused:
        count = sum(trained[name].numel() for name in unused)
        text = f"{count:,} numbers in {len(unused)} parameters get no gradient, and are counted: {listed(unused)}"
        return Finding(
            "look", text, "use them or leave them out (a published network's own is called `unused`)", numbers={"unused": count}
        )
    return Finding("pass", f"finite in all {len(trained)} parameters after two steps, none without", numbers={"unused": 0})


def precision(subject: Subject) -> Finding:
    """Logits in float64 against those in float32, with the same weights."""
    single, double = subject.build().eval(), subject.build().double().eval()
    images = subject.images(single)
    todo = "keep constants as buffers (register_buffer), which .double() and .to(device) carry along; name no dtype in forward"
    with torch.no_grad():
        expected = logits(single(images.clone()), images).double()
        try:
            found = logits(double(images.double()), images)
        except Exception as error:
            return Finding("look", f"it does not work in float64: {one_line(said(error))}", todo)
    if found.dtype != torch.float64:
        return Finding("look", f"in float64 its logits are {str(found.dtype).removeprefix('torch.')}", todo)
    each = torch.tensor([_gap(one, other) for one, other in zip(found, expected, strict=True)])
    gap, median = float(each.max()), float(each.median())
    text = f"float32 and float64 differ by {gap:.1e} of an image's logits at most, {median:.1e} in the median"
    if gap < ROUNDING:
        return Finding("pass", text, numbers={"gap": gap})
    todo = "a sum of large and small numbers, or a division by something near 0, loses digits: compute that part in float64"
    todo += "; where single images differ, a choice (argmax, rounding) may have gone the other way"
    return Finding("fail" if median > BROKEN else "look", text, todo, numbers={"gap": gap})


def neighbours(subject: Subject) -> Finding:
    """In evaluation, the logits of images alone and in another order against those of the batch."""
    network = subject.build()
    images = subject.images(network)
    with torch.no_grad():
        network.train()(images.clone())  # statistics that are no longer those of a new network
        network.eval()
        together = logits(network(images.clone()), images)
        alone = torch.cat([logits(network(one.clone()), one) for one in images.split(1)])
        turned = logits(network(images.flip(0)), images).flip(0)
    gap = max(_gap(alone, together), _gap(turned, together))
    if gap < ROUNDING:
        return Finding("pass", f"in evaluation an image's logits do not depend on its neighbours in the batch ({gap:.1e})")
    todo = "in evaluation use running statistics (BatchNorm does), and nothing of the batch; reshape with the batch first"
    return Finding("fail", f"in evaluation an image's logits depend on its neighbours in the batch ({gap:.1e} of them)", todo)


def repeats(subject: Subject) -> Finding:
    """Two networks built and trained for a step under one seed, compared bit by bit."""
    one, other = subject.build(), subject.build()
    todo = "draw random numbers by torch, numpy or Python's random only, whose seeds a run sets, and keep nothing in globals"
    if not all(map(_same, tensors_of(one), tensors_of(other))) or len(tensors_of(one)) != len(tensors_of(other)):
        return Finding("fail", "built twice under one seed, it has other weights", todo)
    first, second = _step(subject, one), _step(subject, other)
    if all(map(_same, first, second)):
        return Finding("pass", "built and trained for a step twice under one seed, it is the same to the bit")
    gap = max(_gap(a, b) for a, b in zip(first, second, strict=True))
    if gap < ROUNDING:
        return Finding(
            "look",
            f"a step done twice under one seed differs by rounding ({gap:.1e})",
            "its runs cannot be repeated to the bit",
        )
    return Finding("fail", f"a step done twice under one seed gives other gradients ({gap:.1e} of them)", todo)


def surroundings(subject: Subject) -> Finding:
    """What building, a step and an evaluation leave changed in the process, and whether an evaluation draws random numbers."""
    before = _settings()
    network = subject.build()
    _step(subject, network)
    seed_all(1)
    draws = _draws()
    images = subject.images(network)
    with torch.no_grad():
        network.eval()(images)
    changed = [name for name, value in _settings().items() if value != before[name]]
    if changed:
        todo = "set nothing of torch's for the whole process, or set it back"
        return Finding("fail", f"it changes torch's {listed(changed)} for everything that runs after it", todo)
    if draws != _draws():
        return Finding(
            "look", "it draws random numbers in evaluation: its answers differ from one to the next", "ask self.training"
        )
    return Finding("pass", "it leaves the process as it was, and draws nothing in evaluation")


# ------------------------------------------------------------------------------------------------------------------ parts


def _batch(subject: Subject, network: nn.Module) -> Split:
    return Split(subject.images(network), subject.split.labels)


def _step(subject: Subject, network: nn.Module) -> list[Tensor]:
    """The loss and all gradients of a step, the seed being set before."""
    seed_all(1)
    network.train().zero_grad(set_to_none=True)
    loss = forward_backward(network, _batch(subject, network), subject.run.recipe)
    return [loss, *(one.grad for one in network.parameters() if one.grad is not None)]


def _same(one: Tensor, other: Tensor) -> bool:
    return same_bits(one.detach(), other.detach())


def _gap(found: Tensor, expected: Tensor) -> float:
    """Of the norm."""
    return float((found.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30))


SETTINGS: dict[str, Callable[[], object]] = {
    "default dtype": torch.get_default_dtype,
    "default device": torch.get_default_device,
    "number of threads": torch.get_num_threads,
    "gradient mode": torch.is_grad_enabled,
    "deterministic algorithms": torch.are_deterministic_algorithms_enabled,
    "float32 matrix products": torch.get_float32_matmul_precision,
    "anomaly detection": torch.is_anomaly_enabled,
    "cudnn.benchmark": lambda: torch.backends.cudnn.benchmark,
    "cudnn.allow_tf32": lambda: torch.backends.cudnn.allow_tf32,
}


def _settings() -> dict[str, object]:
    return {name: ask() for name, ask in SETTINGS.items()}


def _draws() -> tuple[object, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())

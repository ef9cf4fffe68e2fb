"""Capturing a training step as a CUDA graph, and not believing it before its replay has been compared with the step.

A graph repeats kernels on the same memory. What a step does on the host is done once, while it is captured, and never again:
a step that asks the device for a number, draws random numbers on the host or counts its calls there would go on with old ones.
So a step is captured only after one has been seen to need nothing from the host, and a graph is used only after one replay has
given the gradients of the plain step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.training.state.network_state import extras_of, same_bits, unpacked
from bench.training.state.randomness import random_states, restore_random_states

# Of the gradients' norm: sums in another order differ by 1e-6, steps that a graph does not repeat by much more.
TOLERANCE = 1e-3


class NotCaptured(Exception):
    """A step that cannot be a graph; the message says why in one line."""


class StepState:
    """All that a training step changes: weights, buffers, extra state, the optimizer's tensors, random generators, `counters`.

    The optimizer must have taken a step, the network is in training mode.
    """

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, counters: Sequence[Tensor], device: torch.device
    ) -> None:
        self.network, self.device = network, device
        of_optimizer = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
        self.of_network = tensors_of(network)
        self.tensors = [*self.of_network, *of_optimizer, *counters]
        self.values = [tensor.detach().clone() for tensor in self.tensors]
        self.extras, self.random = extras_of(network), random_states(device, network)

    def restore(self) -> None:
        """Bring everything back to where it was."""
        with torch.no_grad():
            for tensor, value in zip(self.tensors, self.values, strict=True):
                tensor.copy_(value)
        for name, value in unpacked(self.extras, self.device).items():
            self.network.get_submodule(name.rpartition(".")[0]).set_extra_state(value)
        restore_random_states(self.random, self.device, self.network)

    def host_side_change(self) -> str | None:
        """What a step since did to state that a graph would not repeat: draws on the host, tensors replaced by others."""
        if not same_bits(_on_host(random_states(self.device, self.network)), _on_host(self.random)):
            return "the network draws random numbers on the host"
        if extras_of(self.network) != self.extras:
            return "the network changes its extra state on the host"
        if not same_tensors(tensors_of(self.network), self.of_network):
            return "the network puts new tensors in the place of its buffers"
        return None

    def gradients(self) -> list[Tensor]:
        """The gradients of all parameters that have one."""
        return [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]


def tensors_of(network: nn.Module) -> list[Tensor]:
    """The network's own tensors: parameters and buffers."""
    return [*network.parameters(), *network.buffers()]


def same_tensors(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Whether they are the very same tensors, not only equal ones."""
    return len(tensors) == len(others) and all(one is other for one, other in zip(tensors, others, strict=True))


def capture_checked(step: Callable[[], None], state: StepState) -> Callable[[], None]:
    """Capture a step that always works on the same tensors; what is returned repeats it. The state is restored.

    Raises NotCaptured: the step asks the host for something, cannot be captured, or its replay gives other gradients.
    """
    try:
        return _capture_checked(step, state)
    finally:
        state.restore()


def _capture_checked(step: Callable[[], None], state: StepState) -> Callable[[], None]:
    try:
        step()  # for batches of a size that is new, layers make constants, which they send to the device
        state.restore()
        with _waiting_is_an_error():
            step()
    except RuntimeError as error:
        raise NotCaptured(_line(error)) from error
    if (why := state.host_side_change()) is not None:
        raise NotCaptured(why)
    expected = [gradient.clone() for gradient in state.gradients()]
    state.restore()
    replay = capture(step, state.device)
    replay()
    of_graph = state.gradients()  # a replay writes to those that the capture made
    if len(of_graph) != len(expected) or not _agree(of_graph, expected):
        raise NotCaptured("a replay gives other gradients than the step that was captured")
    return replay


def capture(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Capture a step, run once before, on the device's current stream; nothing is computed yet. What is returned repeats it.

    Gradients set to None within the step are made anew in the capture: they are then the graph's own, and each replay
    overwrites them. Raises NotCaptured.
    """
    graph = torch.cuda.CUDAGraph()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*CUDA Graph is empty.*")
        try:
            # On a stream of this device: torch's own choice is one of the device that was current at the first capture of all.
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream(device), capture_error_mode="thread_local"):
                step()
        except (RuntimeError, Warning) as error:
            generator = torch.cuda.default_generators[torch.cuda.current_device()]
            generator.graphsafe_set_state(generator.clone_state())  # this one may take itself for captured for ever
            raise NotCaptured(_line(error)) from error
    return graph.replay


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():  # that the mode does not see everything, which is why replays are compared
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def _agree(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Whether they are the same but for rounding. Not-a-numbers agree: that a run diverges is for others to say."""
    differences = [one - other for one, other in zip(found, expected, strict=True)]
    if not differences:  # nothing is trained
        return True
    gap, size = torch.stack([_norm(differences), _norm(expected)]).tolist()
    return not gap > TOLERANCE * size


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    norm: Tensor = torch.stack([torch.linalg.vector_norm(tensor.float()) for tensor in tensors]).norm()
    return norm


def _on_host(states: dict[str, Any]) -> tuple[Any, ...]:
    """Of the generators' states those that are not the device's own."""
    return [] if states["cuda"] is None else states["torch"], states["numpy"], states["python"], states["own"]


def _line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

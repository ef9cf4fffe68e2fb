"""A batch's gradients as one CUDA graph: the host launches a step once and not kernel by kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.checkpoint import random_states, restore_random_states
from bench.splits import Split

WARM_UP = 3  # steps on a side stream before the capture, as torch asks for: libraries choose and allocate in them


class GraphedGradients:
    """As ``gradients`` (bench/train.py) for batches of one size; a smaller one, the last of an epoch, goes through it as it is.

    The graph owns the batch and the gradients, and each replay writes the gradients anew. Capturing leaves no trace in the
    network or the generators. The update is the same; CUDA kernels may be chosen otherwise, so rounding may differ.
    """

    def __init__(self, network: nn.Module, compute: Callable[[Split], Tensor], batch_size: int) -> None:
        """``compute`` leaves a batch's gradients, and no older ones, in the parameters and returns its loss."""
        self.network, self.compute, self.batch_size = network, compute, batch_size
        self._replay: Callable[[], None] | None = None

    def __call__(self, batch: Split) -> Tensor:
        """Leave the batch's gradients in the parameters; its loss, valid until the next call.

        Raises RuntimeError: the network asks the host for something in mid-step.
        """
        if len(batch.labels) != self.batch_size:
            return self.compute(batch)
        if self._replay is None:
            self._prepare(batch)
        assert self._replay is not None
        self._images.copy_(batch.images)
        self._labels.copy_(batch.labels)
        self._replay()
        for parameter, gradient in zip(self.network.parameters(), self._gradients, strict=True):
            parameter.grad = gradient
        return self._loss

    def _prepare(self, batch: Split) -> None:
        self._images, self._labels = batch.images.clone(), batch.labels.clone()
        states = random_states(batch.images.device)
        buffers = [buffer.clone() for buffer in self.network.buffers()]
        self._replay = capture(self._step)
        for buffer, before in zip(self.network.buffers(), buffers, strict=True):
            buffer.copy_(before)
        restore_random_states(states, batch.images.device)
        self._gradients = [parameter.grad for parameter in self.network.parameters()]

    def _step(self) -> None:
        self._loss = self.compute(Split(self._images, self._labels))


def capture(step: Callable[[], None]) -> Callable[[], None]:
    """Capture a step that always works on the same tensors; what is returned repeats it.

    torch's recipe for a whole network. Gradients set to None within the step are made anew in the capture: they are then the
    graph's own, and each replay overwrites them. Raises RuntimeError: the step asks the host for something.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay

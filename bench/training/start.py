"""Where a run starts: from its checkpoint where there is one, or else, after a sanity check, from the beginning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from bench.machine.device import reset_peak_memory
from bench.plan import Run
from bench.training.data import Split
from bench.training.sanity_check import first_images, sanity_check
from bench.training.state.checkpoint import Checkpoint, UnfitCheckpoint, UnreadableCheckpoint
from bench.training.state.network_state import form_of
from bench.training.state.run_state import Progress
from bench.training.step import build_network_and_optimizer

Started = tuple[nn.Module, torch.optim.Optimizer, Progress]


def start_or_resume(
    run: Run, device: torch.device, checkpoint: Checkpoint, training: Split, evaluated: int, say: Callable[[str], None]
) -> Started:
    """The network, the optimizer and how far they are. `evaluated`: images at a time in evaluation.

    A file that is damaged is passed over; one that is whole but of another network is kept under another name. Both are said.
    Raises BenchError: a file cannot be read or renamed; ModelError: what the network does is no run; what a model may raise.
    """
    for path in checkpoint.newest_first():
        network, optimizer = build_network_and_optimizer(run, device)
        images = first_images(training, run.recipe.batch_size).images
        try:
            return network, optimizer, checkpoint.load(path, network, optimizer, images)
        except UnfitCheckpoint as error:
            said = f"{error}; it is kept as {checkpoint.set_aside(path)}"
        except UnreadableCheckpoint as error:
            said = str(error)
        say(f"{said}; {run.id} goes on from the one before, or else from the beginning")
    sanity_check(run, device, training, evaluated, say)
    reset_peak_memory(device)
    network, optimizer = build_network_and_optimizer(run, device)
    return network, optimizer, Progress(form=form_of(network))

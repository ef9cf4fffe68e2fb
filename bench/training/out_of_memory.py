"""What to do when a run does not fit into memory: found by trying, not by guessing."""

from __future__ import annotations

import gc

import torch

import models
from bench.machine.device import is_out_of_memory, on
from bench.plan import Run
from bench.training.data import Split
from bench.training.step import blank_images, build_network_and_optimizer, training_step


def out_of_memory_advice(run: Run, device: torch.device) -> str:
    """One line on a run that did not fit: which `--batch-split` would, the smallest power of two with which a step does."""
    batch, parts = run.recipe.batch_size, run.recipe.batch_split
    what = f"a batch of {batch}" + (f" in {parts} parts" if parts > 1 else "") + " does not fit into memory"
    with on(device):
        while (parts := 2 * parts) <= batch:
            if _fits(run, device, parts):
                return f"{what}; it fits with --batch-split {parts}"
    return f"{what}, nor in smaller parts; take a device with more memory, or a protocol with precision bf16 or smaller batches"


def _fits(run: Run, device: torch.device, parts: int) -> bool:
    """Whether a training step of a new network fits, on images without anything in them."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    recipe = run.recipe
    try:
        network, optimizer = build_network_and_optimizer(run, device, batch_split=parts)
        images = blank_images(run.task, recipe.data.central_pixels, recipe.batch_size, device)
        network.train()
        training_step(network, optimizer, Split(images, torch.zeros(len(images), dtype=torch.long, device=device)), recipe)
    except models.ModelError:  # the network's batches cannot be split
        return False
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True

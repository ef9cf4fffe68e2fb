"""Whether a recipe goes with a model, a task and a device: all is checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import datasets
import models
from bench.errors import BenchError
from bench.plan import Run
from bench.recipe import CropFlipCutout, Recipe, Rescaling
from models.registry.creation import overrides


def check_runs(runs: Sequence[Run], *, on_cuda: bool, tf32: bool | None = None) -> None:
    """Raises BenchError: one of the runs cannot be done as its recipe says. `tf32`: the device has it; None: as `on_cuda`."""
    recipes = {(run.task, run.recipe.digest, run.model if run.recipe.network else ""): run for run in runs}
    for run in recipes.values():
        where = f"protocol {run.protocol.name} on {run.task}"
        for wrong in incompatibilities(run.recipe, run.task):
            raise BenchError(f"{where}: {wrong}")
        for wrong in _network_incompatibilities(run):
            raise BenchError(f"{where}: {wrong}")
        if run.recipe.precision == "tf32" and not (on_cuda if tf32 is None else tf32):
            raise BenchError(f"{where}: this device has no tf32, it would compute in float32; write precision: float32")
    for run in runs:
        _check_execution(run, on_cuda=on_cuda)


def incompatibilities(recipe: Recipe, task: str) -> Iterator[str]:
    """What a recipe asks of a task's images that they do not have, each as one line."""
    data, sizes, side = recipe.data, datasets.sizes(task, test_size=recipe.data.test_size), datasets.image_shape(task)[-1]
    for split in datasets.SPLITS:
        asked, there = getattr(data, f"{split}_images"), sizes.get(split, 0)
        if asked is not None and asked > there:
            yield f"data.{split}_images: {asked} are more than the {there} that there are; give fewer, or null for all"
    if recipe.select == "best-validation" and not sizes.get("validation"):
        yield "select: best-validation needs validation images, which there are none of; write select: last"
    pixels = side if data.central_pixels is None else data.central_pixels
    if pixels > side or (side - pixels) % 2:
        yield f"data.central_pixels: {pixels} of {side} pixels have no place in the centre; give an even number up to {side}"
    augmentation = recipe.augmentation
    if isinstance(augmentation, Rescaling):
        if datasets.image_shape(task)[0] != 1:
            yield "augmentation: scale and centre are for the digits of mnist-scale-*; here: pad and cutout"
        if augmentation.centre > pixels:
            yield f"augmentation.centre: {augmentation.centre:g} is beyond the {pixels} pixels; their middle: {pixels / 2:g}"
    if isinstance(augmentation, CropFlipCutout):
        for name in ("pad", "cutout"):
            if getattr(augmentation, name) > pixels:
                yield f"augmentation.{name}: {getattr(augmentation, name)} is more than an image's {pixels} pixels; give fewer"


def _network_incompatibilities(run: Run) -> Iterator[str]:
    """Arguments of the builder that it does not take, or that belong into the model's name."""
    if not run.recipe.network:
        return
    accepted, options = overrides(run.model, run.task), models.info(run.model, run.task).choices(run.task)
    for key in run.recipe.network:
        if key in options:
            yield f"network.{key}: an option of {run.model}, part of its name: --model {run.model.partition('@')[0]}@{key}=..."
        elif accepted is not None and key not in accepted:
            yield f"network.{key}: {run.model} takes no such argument; it takes: {', '.join(accepted) or 'none'}"


def _check_execution(run: Run, *, on_cuda: bool) -> None:
    recipe = run.recipe
    if recipe.batch_split > 1 and run.task != datasets.STL10:
        raise BenchError(
            f"--batch-split is for the wide residual networks of {datasets.STL10}, not for {run.model} on {run.task}; "
            f"add --task {datasets.STL10}"
        )
    if recipe.batch_split > recipe.batch_size:
        raise BenchError(
            f"--batch-split {recipe.batch_split} is more parts than a batch has images; allowed: 1 to {recipe.batch_size}"
        )
    if recipe.cuda_graph and not on_cuda:
        raise BenchError("a CUDA graph needs a CUDA device; leave out --cuda-graph (`cuda_graph` in a protocol file)")
    if recipe.cuda_graph and recipe.batch_split > 1:  # parts are computed again with states that the host keeps
        raise BenchError("a batch in parts cannot be one CUDA graph; leave out --batch-split or --cuda-graph")

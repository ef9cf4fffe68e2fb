"""A recipe: how one run is trained, selected and tested. Every setting is within the range where it means something.

What depends on the task's images or on the device is checked in compatibility.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from bench.settings import TINIEST, Factor, Flag, Number, Positive, Real, Settings, Share, Whole
from leaderboard.records.schema import Precision


class Data(Settings):
    """Which split, how many images of each part (None: all), and how many central pixels of them (None: all).

    `test_size` is 8,000 on STL-10, which has no validation part.
    """

    test_size: Literal[50_000, 48_000, 8_000] = 50_000
    train_images: Whole | None = Field(default=None, gt=0)
    validation_images: Whole | None = Field(default=None, gt=0)
    test_images: Whole | None = Field(default=None, gt=0)
    central_pixels: Whole | None = Field(default=None, ge=24)

    @property
    def variant(self) -> str:
        """The split as the board names it, e.g. 10k-2k-50k, or 5k-8k for STL-10."""
        return "5k-8k" if self.test_size == 8_000 else f"10k-2k-{self.test_size // 1000}k"


class Rescaling(Settings):
    """The '+' of mnist-scale: every training image rescaled about `centre` by a factor drawn uniformly, anew at every visit."""

    scale: tuple[Factor, Factor]
    centre: Real = Field(ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: the smaller factor comes first, [{self.scale[1]:g}, {self.scale[0]:g}]")
        return self


class CropFlipCutout(Settings):
    """The '+' of stl10: pad by `pad` and crop anew, flip half of the images, hide a square of side `cutout`."""

    pad: Whole = Field(ge=0)
    cutout: Whole = Field(ge=0, multiple_of=2)  # half of it on either side of the centre


def _which_augmentation(given: object) -> str:
    keys = given.keys() if isinstance(given, Mapping) else type(given).model_fields if isinstance(given, Settings) else ()
    return "CropFlipCutout" if {"pad", "cutout"} & set(keys) else "Rescaling"


Augmentation = Annotated[
    Annotated[Rescaling, Tag(Rescaling.__name__)] | Annotated[CropFlipCutout, Tag(CropFlipCutout.__name__)],
    Discriminator(_which_augmentation),
]


class Adam(Settings):
    """Kingma and Ba 2015, as torch.optim.Adam names it; "adamw" (Loshchilov and Hutter 2019, torch.optim.AdamW): the weight
    decay is no part of the gradient, each step takes lr x weight_decay of every weight itself."""

    name: Literal["adam", "adamw"]
    lr: Positive
    betas: tuple[Share, Share]
    eps: Positive
    weight_decay: Real = Field(ge=0)


class Sgd(Settings):
    """Stochastic gradient descent as torch.optim.SGD names it; the weight decay acts on every trainable parameter."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Share
    nesterov: Flag
    weight_decay: Real = Field(ge=0)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: true needs a momentum above 0; write nesterov: false")
        return self


class LearningRateSteps(Settings):
    """Multiply the learning rate by `factor` after each of these numbers of epochs, in their order."""

    factor: Real = Field(gt=0)
    after_epochs: list[Annotated[Whole, Field(ge=1)]]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        ordered = sorted(set(self.after_epochs))
        if self.after_epochs != ordered:
            raise ValueError(f"after_epochs: {self.after_epochs[:20]} is not in order, each once; write {ordered[:20]}")
        return self


# How a run is computed and not what: these change rounding and nothing else, so a recipe's digest does not know of them.
EXECUTION = ("batch_split", "channels_last", "compile", "cuda_graph", "evaluation_batch")


class Recipe(Settings):
    """Everything that decides a run's numbers on one task, apart from the model and the realization; and how it is computed.

    The learning rate falls either by `learning_rate_steps` or, with `learning_rate_cosine`, along half a cosine to 0 after the
    last epoch (Loshchilov and Hutter 2017, equation 5, without restarts), and stays the same within an epoch.

    `select`: test the weights of the best validation epoch, or those of the last epoch. `network`: arguments of the builder; a
    run that sets any is of another network than the published one and never stands on the board.

    The rest (EXECUTION) changes rounding at most. `batch_split`: each batch goes through the network in so many parts, to save
    memory; the update is that of the whole batch (models/layers/microbatch.py). `cuda_graph`: steps are replayed as CUDA graphs
    (None: wherever the device is CUDA and the network allows it). `evaluation_batch`: images at a time without gradients
    (None: the device's usual number).
    """

    epochs: Whole = Field(gt=0)
    batch_size: Whole = Field(gt=1)
    optimizer: Annotated[Adam | Sgd, Field(discriminator="name")]
    learning_rate_steps: LearningRateSteps | None = None
    learning_rate_cosine: Flag = False
    augmentation: Augmentation | None
    select: Literal["best-validation", "last"]
    precision: Precision
    data: Data
    batch_split: Whole = Field(default=1, ge=1)
    channels_last: Flag = False
    compile: Flag = False
    cuda_graph: Flag | None = None
    evaluation_batch: Whole | None = Field(default=None, ge=1)
    network: dict[str, Number] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _learning_rates_are_some(self) -> Self:
        if (self.learning_rate_steps is None) is not self.learning_rate_cosine:
            raise ValueError(
                "give either learning_rate_steps or learning_rate_cosine: true; where the other one is inherited, leave that "
                "out with `learning_rate_steps: null` or `learning_rate_cosine: false`"
            )
        try:
            last = self.learning_rate(self.epochs - 1)  # a short trial of a long recipe reaches none of its steps
        except OverflowError:
            last = 0.0
        if not TINIEST <= last <= 1 / TINIEST:
            where = "learning_rate_cosine" if self.learning_rate_steps is None else "learning_rate_steps.factor"
            raise ValueError(f"{where}: the last learning rate is none that float32 can hold; give another")
        return self

    def learning_rate(self, epoch: int) -> float:
        """The learning rate during an epoch (counted from 0)."""
        steps = self.learning_rate_steps
        if steps is None:
            return self.optimizer.lr * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.optimizer.lr * steps.factor ** sum(epoch >= after for after in steps.after_epochs)

    @cached_property
    def digest(self) -> str:
        """A short hash of `settings`: two recipes are the same if and only if their digests are."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def model_copy(self, **changes: Any) -> Self:
        """A copy with other settings, and so with a digest of its own."""
        copy = super().model_copy(**changes)
        copy.__dict__.pop("digest", None)
        return copy

    @property
    def settings(self) -> dict[str, Any]:
        """As plain JSON, without EXECUTION. What came later is left out at its default, so that older digests stay the same."""
        settings = self.model_dump(mode="json", exclude=set(EXECUTION))
        if not settings["network"]:
            del settings["network"]
        if settings["data"]["central_pixels"] is None:
            del settings["data"]["central_pixels"]
        del settings["learning_rate_steps" if self.learning_rate_cosine else "learning_rate_cosine"]  # which is not used
        return settings

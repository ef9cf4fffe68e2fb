"""How far a network is from scale equivariance, layer by layer: the measurement that `bench equivariance` leaves behind."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from leaderboard.records.measurement import Measurement
from leaderboard.records.schema import Amount, Count, Name, Positive, PositiveCount, Seed, Strict, Text


class LayerError(Strict):
    """The errors of one layer's output, or of the logits.

    ``scale`` has one error per factor of the measurement, in its order: the mean over images of
    |L Phi(f) - Phi(L f)|^2 / |L Phi(f)|^2 (a fraction; 0 is exact, 1 is as large as the response itself).
    ``translation`` is the same for a shift. ``shape`` is (channels, height, width) of what was compared.
    """

    name: Text
    shape: list[Count]
    scale: list[Amount]
    translation: Amount


class Equivariance(Measurement):
    """Per layer and for the whole network, for one set of weights.

    ``factors`` are the scalings L (below 1 shrinks, above 1 enlarges); ``reference_scale`` is the scale of f itself, as a
    fraction of the data set's own images. ``canvas`` is the side of the images that the layers see, ``interior`` that of
    its central part in which maps are compared, ``shift`` the translation down and right, all in pixels. ``network`` is
    about logits, on images of the task's own size; ``changed_answers`` is the fraction of images that get another class
    than f does, per factor. ``notes`` says which layers these are where no skeleton does, and why others are not there.
    """

    kind: Literal["equivariance"] = "equivariance"
    state: Literal["initialisation", "trained"]
    weights_seed: Seed | None
    run_id: Name | None
    protocol: Name | None
    data_fingerprint: Text
    images: Text
    image_count: PositiveCount
    resampling: Text
    reference_scale: Positive
    factors: Annotated[list[Positive], Field(min_length=1)]
    canvas: Count
    interior: Count
    shift: Count
    layers: list[LayerError]
    network: LayerError
    changed_answers: list[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]
    notes: list[Text] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.factors)) != len(self.factors) or 1 in self.factors:
            raise ValueError("factors must differ from one another and from 1")
        lists = [self.changed_answers, *(layer.scale for layer in (*self.layers, self.network))]
        if any(len(values) != len(self.factors) for values in lists):
            raise ValueError("every layer, the network and changed_answers need one number per factor")
        trained = self.state == "trained"
        if trained != (self.run_id is not None) or trained != (self.protocol is not None):
            raise ValueError("state trained goes with a run_id and its protocol, initialisation with neither")
        if trained == (self.weights_seed is not None):
            raise ValueError("state initialisation goes with a weights_seed, trained with none")
        return self

    def mean(self, layer: LayerError, direction: Literal["shrink", "enlarge", "both"]) -> float | None:
        """The layer's mean scale error over the factors of one direction; None where there is no such factor."""
        pairs = zip(self.factors, layer.scale, strict=True)
        chosen = [error for factor, error in pairs if direction == "both" or (factor < 1) == (direction == "shrink")]
        return sum(chosen) / len(chosen) if chosen else None

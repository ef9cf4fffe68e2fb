"""Values of settings: a number is a number (not text, not `true`), finite, and not beyond what it can mean."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

LARGEST = 2**31 - 1  # of what is counted: more is a slip of the hand
TINIEST = 1e-37  # the smallest normal number of float32, almost


def _number(given: object) -> object:
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= LARGEST:  # nor is NaN
        raise ValueError("a finite number is needed, in plain digits")
    return given


def _in_float32(number: float) -> float:
    if number < TINIEST:
        raise ValueError(f"below {TINIEST} there is nothing but 0 in float32, in which networks compute")
    return number


Whole = Annotated[int, Field(strict=True, le=LARGEST)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False), AfterValidator(lambda number: number + 0.0)]  # -0.0 is 0.0
Positive = Annotated[Real, Field(gt=0), AfterValidator(_in_float32)]
Number = Annotated[int | float, BeforeValidator(_number)]
Flag = Annotated[bool, Field(strict=True)]
Share = Annotated[Real, Field(ge=0, lt=1)]  # of a running mean that is kept
Factor = Annotated[Real, Field(ge=0.01, le=100)]  # of an image's size


class Settings(BaseModel):
    """Base of everything a protocol file may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

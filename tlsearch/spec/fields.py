"""What the tables of a spec are made of: numbers, ranges, and a strict, frozen table.

Defaults marked "ours" in the tables are our own choice: the paper's tables do not state them.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
)

from tlsearch.records import Range

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _to_range(value: Any) -> Range | None:
    """Read `0.01` as a fixed value and `[0.001, 0.1]` as a closed range."""
    if value is None or isinstance(value, Range):
        return value
    pair = value if isinstance(value, list | tuple) else [value, value]
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, int | float) for v in pair):
        raise ValueError("must be a number (fixed) or [low, high]")
    low, high = pair
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("must be finite")
    if not low <= high:
        raise ValueError("has low above high; write [low, high] with low <= high")
    return Range(low, high)


def _from_range(value: Range | None) -> Any:
    if value is None:
        return None
    return value.low if value.fixed else [value.low, value.high]


RangeField = Annotated[Range | None, BeforeValidator(_to_range), PlainSerializer(_from_range)]


def _to_drop_rate(value: Any) -> Any:
    numeric = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
    if numeric or value == "timm":
        return value
    raise ValueError('must be a number from 0 to below 1, or "timm"')


DropRateField = Annotated[float | Literal["timm"], BeforeValidator(_to_drop_rate)]


class Table(BaseModel):
    """A table of a spec: frozen, without unknown keys, without converting types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must not contain a NUL character")
        return value

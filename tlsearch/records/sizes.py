"""Fixed features at other image sizes, and whether one of them pays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlsearch.records.answer import Lead
from tlsearch.records.format import percent, points
from tlsearch.records.precision import paired_error


@dataclass(frozen=True, slots=True)
class SizeMeasure:
    """Fixed features at one image size, beside those at the recipe's.

    Attributes:
        image_size: side of the square the network sees, pixels.
        val_accuracy: of a linear classifier on the features at this size, a fraction; of several
            labels an image its mean average precision.
        lead: over those at the recipe's size.
        seconds: it took.
    """

    image_size: int
    val_accuracy: float
    lead: Lead
    seconds: float

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "SizeMeasure":
        """Read what `dataclasses.asdict` made of one."""
        return cls(**{**stored, "lead": Lead(**stored["lead"])})


def size_lead(right_alone: int, other_right_alone: int, n_val: int) -> Lead:
    """Return the lead of a size that gets so many images right which the other does not."""
    gain = (right_alone - other_right_alone) / n_val
    return Lead(gain, paired_error(right_alone, other_right_alone, n_val), n_val)


def size_sentence(sizes: Sequence[SizeMeasure], image_size: int) -> str | None:
    """Say which size is clearly better than the recipe's; None where none is.

    Args:
        sizes: the sizes that were measured.
        image_size: the recipe's.
    """
    better = [size for size in sizes if size.lead.is_clear]
    if not better:
        return None
    best = max(better, key=lambda size: (size.val_accuracy, -size.image_size))
    how = "raise" if best.image_size > image_size else "lower"
    return (
        f"at {best.image_size} px fixed features alone have {percent(best.val_accuracy)}, "
        f"{points(best.lead.gain)} more than at {image_size} (+- {points(best.lead.error)}): "
        f"{how} recipe.image_size"
    )

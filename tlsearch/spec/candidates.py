"""The networks and image sizes that a study may choose from: in the table `[backbone]`."""

from typing import Annotated, Any

from pydantic import Field

from tlsearch.spec.fields import Table

SizeField = Annotated[int, Field(ge=16, le=1024)]


class CandidateSpec(Table):
    """A network that may be the study's; read by `tlsearch.studies.backbone_choice`.

    Attributes:
        model: a timm model name, as `backbone.model`.
        weights: as `backbone.weights`.
        image_size: pixels; 0 = the sizes of all candidates.
    """

    model: str = Field(min_length=1)
    weights: str = Field("timm", min_length=1)
    image_size: int = Field(0, ge=0, le=1024)

    def __str__(self) -> str:
        return self.model if not self.image_size else f"{self.model} at {self.image_size} pixels"


def without_empty(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return plain values without these keys where they are empty, as in specs older than them."""
    return {key: value for key, value in values.items() if key not in names or value}

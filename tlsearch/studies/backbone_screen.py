"""Which networks may be a study's, and what fixed features of each reach at each image size."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tlsearch.backbones import load_backbone
from tlsearch.data import Catalog
from tlsearch.errors import InputError, SpecError
from tlsearch.records.objective import ACCURACY, Objective
from tlsearch.spec import BackboneSpec, CandidateSpec, StudySpec
from tlsearch.studies.plan_sizes import Correct, SizeMeasurer, compared

Say = Callable[[str], None]
_FORMER_NAMES = {"val_accuracy": "score"}  # when all went by accuracy


@dataclass(frozen=True, slots=True)
class Screened:
    """What was found out about a candidate without training it.

    Attributes:
        model, weights: of the network, as in the spec.
        image_size: pixels.
        parameters: of the pretrained network, its classifier included; None where it is refused.
        images_per_second: of training on this device, without validation; None likewise.
        score: of a linear classifier on fixed features, by the objective, larger is better; None
            likewise.
        error: its standard error by the validation images.
        gain: over the first candidate that is not refused.
        gain_error: its standard error; both classifiers see the same validation images.
        imagenet: top-1 on ImageNet by the table that was given, a fraction; None = not in it.
        refused: why it cannot be used; None where it can.
        objective: the study's.
    """

    model: str
    weights: str
    image_size: int
    parameters: int | None = None
    images_per_second: float | None = None
    score: float | None = None
    error: float | None = None
    gain: float | None = None
    gain_error: float | None = None
    imagenet: float | None = None
    refused: str | None = None
    objective: Objective = ACCURACY

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Screened":
        """Return what `as_dict` described."""
        named = {_FORMER_NAMES.get(name, name): value for name, value in values.items()}
        return cls(**named)


def candidates_of(spec: StudySpec) -> list[CandidateSpec]:
    """Return every candidate with its image size: the spec's own network first.

    Raises:
        SpecError: a network is named twice at one size.
    """
    backbone = spec.backbone
    sizes = list(dict.fromkeys(backbone.image_sizes)) or [spec.recipe.image_size]
    own = CandidateSpec(model=backbone.model, weights=backbone.weights)
    found = [
        each.model_copy(update={"image_size": size})
        for each in (own, *backbone.candidates)
        for size in ([each.image_size] if each.image_size else sizes)
    ]
    names = [str(each) for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError([f"backbone.candidates: {twice[0]} is named twice; name each once"])
    return found


def closed(spec: StudySpec, candidate: CandidateSpec) -> StudySpec:
    """Return the spec with this candidate as its network, and nothing left to choose."""
    return spec.model_copy(
        update={
            "backbone": BackboneSpec(model=candidate.model, weights=candidate.weights),
            "recipe": spec.recipe.model_copy(update={"image_size": candidate.image_size}),
        }
    )


def screen(
    spec: StudySpec,
    catalog: Catalog,
    device: torch.device,
    imagenet: Mapping[str, float],
    say: Say,
) -> list[Screened]:
    """Measure fixed features and the pace of training of each candidate.

    Features are cached, so that doing it again costs the timing alone.

    Args:
        spec: with candidates.
        catalog: its images.
        device: where to measure.
        imagenet: top-1 on ImageNet by the model's name with or without its tag, a fraction.
        say: told what is going on.

    Returns:
        A row a candidate, in the order of `candidates_of`.

    Raises:
        SpecError: a network is named twice at one size.
    """
    found: list[Screened] = []
    first: Correct | None = None
    for candidate in candidates_of(spec):
        row, correct = _screened(
            closed(spec, candidate),
            catalog,
            device,
            first,
            lambda what, c=candidate: say(f"{c}: {what}"),  # type: ignore[misc]
        )
        first = correct if first is None else first
        top1 = imagenet.get(row.model, imagenet.get(row.model.partition(".")[0]))
        found.append(replace(row, imagenet=top1))
    return found


def _screened(
    spec: StudySpec, catalog: Catalog, device: torch.device, first: Correct | None, say: Say
) -> tuple[Screened, Correct | None]:
    backbone, size = spec.backbone, spec.recipe.image_size
    row = Screened(backbone.model, backbone.weights, size, objective=spec.objective)
    measurer = SizeMeasurer(spec, catalog, device, math.inf, say, spec.objective)
    try:
        loaded = load_backbone(backbone.model, backbone.weights, size)
        (facts,) = measurer.measure([size])
    except InputError as error:
        return replace(row, refused=str(error)), None
    if facts.pace is None or facts.probe is None:
        return replace(row, refused=facts.refused or facts.no_probe), None
    correct = measurer.correct[size]
    probe = compared(correct, correct if first is None else first, facts.probe.seconds)
    row = replace(
        row,
        parameters=sum(tensor.numel() for tensor in loaded.state.values()),
        images_per_second=1 / facts.pace.step_image,
        score=probe.val_accuracy,
        error=probe.error,
        gain=probe.gain,
        gain_error=probe.gain_error,
    )
    return row, correct


def ranked(rows: Sequence[Screened]) -> list[Screened]:
    """Return those that can be used, the best fixed features first; of equals the faster one."""
    usable = [row for row in rows if row.score is not None]
    return sorted(usable, key=lambda row: (-(row.score or 0), -(row.images_per_second or 0)))


def read_imagenet(path: Path) -> dict[str, float]:
    """Read top-1 accuracies from a table such as timm's `results-imagenet.csv`.

    Returns:
        Fractions by the model's name as the table has it, and without its tag.

    Raises:
        InputError: the file cannot be read, or is no such table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found = {row["model"]: float(row["top1"]) / 100 for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a CSV file") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: needs the columns model and top1 (per cent), as timm's "
            "results-imagenet.csv has them"
        ) from error
    return {name.partition(".")[0]: top1 for name, top1 in reversed(found.items())} | found

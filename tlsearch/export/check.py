"""Makes sure that an exported model does on the validation images what its study reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlsearch.data import Catalog, load_catalog
from tlsearch.data.imageset import labels_of
from tlsearch.data.packed_files import PackedFile
from tlsearch.data.references import Pixels
from tlsearch.errors import ExportError
from tlsearch.measures import average_precision_of_each, right_of
from tlsearch.predict import Predictor
from tlsearch.store.stored_study import StoredStudy
from tlsearch.worker.materials import check_same_images

_COMPARED = 128  # images
_ODD = 31  # of them at a time


@dataclass(frozen=True, slots=True)
class Checked:
    """What an exported model did on the validation images.

    Attributes:
        n_right: images that it gets right, by the files that were exported; of several labels an
            image with all of them.
        n_val: validation images.
        mean_average_precision: of several labels an image, a fraction; None otherwise.
    """

    n_right: int
    n_val: int
    mean_average_precision: float | None = None

    @property
    def accuracy(self) -> float:
        """The share of them, a fraction."""
        return self.n_right / self.n_val


def study_images(study: StoredStudy, data: str | None) -> Catalog:
    """Find the images of a study on this machine.

    Args:
        study: the study.
        data: where they are; None = where the spec says.

    Raises:
        DataError: they are not there, or others.
    """
    spec = study.spec.data
    if data is not None:
        spec = spec.model_copy(update={"path": data})
    catalog = load_catalog(spec, study.data.fingerprint, study.data.left_out)
    check_same_images(study, catalog, spec.path)
    return catalog


def checked(predictor: Predictor, catalog: Catalog) -> Checked:
    """Predict every validation image by the exported files.

    Raises:
        ExportError: one cannot be read.
    """
    found = predictor.predict([ref.source for ref in catalog.val])
    if found.errors:
        first = found.errors[0]
        raise ExportError(f"{first.image}: cannot be read any more ({first.error})")
    labels = labels_of(catalog.val, len(catalog.class_names))
    n_right = int(right_of(found.probabilities, labels).sum())
    if labels.ndim == 1:
        return Checked(n_right, len(labels))
    precisions = average_precision_of_each(found.probabilities, labels)
    return Checked(n_right, len(labels), float(np.nanmean(precisions)))


def compare(torch: Predictor, onnx: Predictor, catalog: Catalog, most: float) -> float:
    """Return by how much probabilities differ between torch and ONNX Runtime, at most.

    The validation images go through both, the first alone and others in batches of odd sizes.

    Args:
        torch: the networks.
        onnx: the graph.
        catalog: of the study's images.
        most: that is allowed.

    Raises:
        ExportError: they differ by more.
    """
    differences = []
    for part in _batches([ref.source for ref in catalog.val[:_COMPARED]]):
        wanted, found = (each.predict(part).probabilities for each in (torch, onnx))
        differences.append(float(np.abs(wanted - found).max()))
    worst = max(differences)
    if not worst <= most:  # NaN too
        raise ExportError(
            f"the ONNX graph gives probabilities that differ by {worst:.2g} from torch's on the "
            f"validation images, and {most:g} is allowed; export without --onnx"
        )
    return worst


def _batches(
    images: Sequence[Path | PackedFile | Pixels],
) -> list[list[Path | PackedFile | Pixels]]:
    first, others = list(images[:1]), list(images[1:])
    return [first, *(others[start : start + _ODD] for start in range(0, len(others), _ODD))]

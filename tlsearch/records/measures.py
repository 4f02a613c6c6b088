"""The domain measures of a study."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tlsearch.records.objective import ACCURACY, Objective
from tlsearch.records.precision import standard_error
from tlsearch.records.sizes import SizeMeasure


@dataclass(frozen=True, slots=True)
class Measures:
    """How well the pretrained weights fit the target: the domain measures.

    Source: Plested, Shen, Gedeon, section 4.1 and Table 1. Accuracies are fractions. Where an image
    has several labels, mean average precision stands in their place.

    Attributes:
        fixed_features: validation accuracy of a linear classifier on frozen features.
        fixed_features_strength: its regularisation, the C of logistic regression; how it is
            chosen: docs/measures.md.
        random_init: validation accuracy of the same network trained from random weights; None
            where that trial failed.
        random_init_epochs: epochs it was given.
        fisher: normalised Fisher score Tr(Sw^-1 Sb) / Nc with shrunk Sw; None of several labels.
        fisher_floor: the same with permuted labels, the mean of several permutations; likewise.
        fisher_floor_spread: its standard deviation; likewise.
        emd: earth mover's distance from source to target class means, in feature units; None
            where nothing is known about the source, and of several labels.
        emd_similarity: exp(-0.01 emd).
        emd_source: what was taken as the source, or why nothing was.
        lr_range: learning rate at the lowest loss of a range test; None where that failed.
        n_val: number of validation images; it gives the precision of the accuracies.
        feature_seconds: time to compute the features and the measures on them.
        lr_range_seconds: time of the range test.
        random_init_seconds: time of the training from random weights.
        sizes: fixed features at other image sizes.
        objective: what the two accuracies are: accuracy, or of several labels mean average
            precision.
        fixed_features_error, random_init_error: standard errors of the two, where they are no
            accuracies; None where they are, and of one that is not known.
    """

    fixed_features: float
    fixed_features_strength: float
    random_init: float | None
    random_init_epochs: int
    fisher: float | None
    fisher_floor: float | None
    fisher_floor_spread: float | None
    emd: float | None
    emd_similarity: float | None
    emd_source: str
    lr_range: float | None
    n_val: int
    feature_seconds: float
    lr_range_seconds: float
    random_init_seconds: float
    sizes: tuple[SizeMeasure, ...] = ()
    objective: Objective = ACCURACY
    fixed_features_error: float | None = None
    random_init_error: float | None = None

    @property
    def fit(self) -> float | None:
        """Random initialisation minus fixed features: negative where the weights fit."""
        return None if self.random_init is None else self.random_init - self.fixed_features

    @property
    def fit_error(self) -> float | None:
        """Standard error of `fit`, as if the two accuracies were independent.

        See `tlsearch.records.precision.standard_error`.
        """
        if self.random_init is None:
            return None
        if self.objective != ACCURACY:
            if self.fixed_features_error is None or self.random_init_error is None:
                return None
            return math.hypot(self.fixed_features_error, self.random_init_error)
        accuracies = self.fixed_features, self.random_init
        return math.hypot(*(standard_error(each, self.n_val) for each in accuracies))

    @property
    def fisher_ratio(self) -> float | None:
        """Fisher score divided by its floor; 1 = no better than noise."""
        if self.fisher is None or self.fisher_floor is None:
            return None
        return self.fisher / self.fisher_floor

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for storing."""
        return asdict(self) | {"sizes": [asdict(size) for size in self.sizes]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Measures":
        """Read what `as_dict` wrote."""
        sizes = tuple(SizeMeasure.from_dict(size) for size in stored.get("sizes", ()))
        return cls(**{**stored, "sizes": sizes})

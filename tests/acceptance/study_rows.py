"""A study with measures, a prior and ended trials, made through Optuna rather than by workers."""

from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from tlsearch.artifacts import Artifacts, picture_attrs
from tlsearch.prior import build_prior
from tlsearch.records import DEPTHS, Hyperparameters, Measures
from tlsearch.report.trial_pictures import confusion_matrix, learning_curve
from tlsearch.store.measures import save_measures
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study

MEASURES = Measures(
    fixed_features=0.78,
    fixed_features_strength=1.0,
    random_init=0.52,
    random_init_epochs=10,
    fisher=2.5,
    fisher_floor=0.8,
    fisher_floor_spread=0.1,
    emd=57.1,
    emd_similarity=0.565,
    emd_source="the pretrained classifier",
    lr_range=0.05,
    n_val=50,
    feature_seconds=1.0,
    lr_range_seconds=2.0,
    random_init_seconds=30.0,
)


def measure(storage: RDBStorage, name: str) -> None:
    """Store measures and the prior that follows from them."""
    study = find_study(storage, name)
    space = study.space
    prior = build_prior(
        MEASURES,
        space.n_body_layers,
        space.ranges,
        study.spec.prior,
        study.spec.recipe,
        study.data.n_train,
    )
    save_measures(storage, study, MEASURES, prior, [])


def add_trial(
    storage: RDBStorage,
    study: StoredStudy,
    val_accuracy: float,
    *,
    origin: str = "tpe",
    state: TrialState = TrialState.COMPLETE,
    system_attrs: dict[str, str] | None = None,
    user_attrs: dict[str, object] | None = None,
    params: Mapping[str, float] | None = None,
) -> int:
    """Add an ended trial, the plain default but for `params`; return its number."""
    space = study.space
    values = Hyperparameters.from_dict(
        space.plain_default().as_dict() | dict(params or {})
    ).as_dict()
    distributions: dict[str, BaseDistribution] = {
        name: IntDistribution(int(min(r.low, values[name])), int(max(r.high, values[name])))
        if name in DEPTHS
        else FloatDistribution(min(r.low, values[name]), max(r.high, values[name]))
        for name, r in space.ranges.items()
    }
    curve = curve_to(val_accuracy, study.spec.recipe.epochs)
    trial = create_trial(
        state=state,
        params=values,
        distributions=distributions,
        value=val_accuracy,
        intermediate_values=dict(enumerate(curve, start=1)),
        user_attrs={"origin": origin, "attempt": 1, "seconds": 12.5, **(user_attrs or {})},
        system_attrs=system_attrs or {},
    )
    return storage.get_trial(storage.create_new_trial(study.study_id, trial)).number


def curve_to(val_accuracy: float, epochs: int) -> list[float]:
    return [val_accuracy * epoch / epochs for epoch in range(1, epochs + 1)]


def pictures(artifacts: Artifacts, study: StoredStudy, val_accuracy: float) -> dict[str, str]:
    """Save a good trial's pictures; return the attributes that show them."""
    names = study.data.class_names
    labels = np.arange(5 * len(names)) % len(names)
    predictions = np.where(np.arange(len(labels)) < val_accuracy * len(labels), labels, 0)
    curve = curve_to(val_accuracy, study.spec.recipe.epochs)
    others = [curve_to(0.5, len(curve)), curve_to(0.6, len(curve))]
    files = {
        "learning_curve.png": learning_curve(curve, others, "trial 3"),
        "confusion_matrix.png": confusion_matrix(labels, predictions, names),
    }
    return picture_attrs(artifacts, files)

"""What a stored spec means by a key that it does not have, because it is older than the key.

A study trains to its end as it began, whatever the default of a new spec has become since.
"""

from collections.abc import Mapping
from typing import Any

from tlsearch.spec.study import StudySpec

# A stored spec has all keys that there were when it was stored, so a key that is new belongs here.
LEGACY: Mapping[str, Mapping[str, Any]] = {
    "data": {"splits": "ranked", "max_bad_fraction": 0.0},
    "recipe": {
        "batch_norm": "running",
        "augment": "none",
        "augment_ops": 2,
        "augment_magnitude": 9,
        "erasing": 0.0,
        "ema_epochs": 0.0,
        "eval_size": 0,
        "optimizer": "sgd",
        "mixup": 0.0,
        "cutmix": 0.0,
        "clip_norm": 0.0,
        "loss": "cross_entropy",
        "focal_gamma": 2.0,
        "class_weights": "none",
        "class_weights_beta": 0.999,
        "sampling": "shuffled",
        "dropout": "timm",
        "drop_path": "timm",
        "resize": "rounded",
    },
}


def with_legacy_values(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored spec with what its missing keys meant."""
    tables = {name: {**values, **document.get(name, {})} for name, values in LEGACY.items()}
    return {**document, **tables}


def in_words_of(stored: StudySpec, given: StudySpec) -> StudySpec:
    """Return a given spec in which keys that are left out mean what they mean in a stored spec.

    So the spec file of an older study still describes it: a key that is newer than the study is
    left out there, and counts as the stored legacy value, not as the default of today.
    """
    for table, values in LEGACY.items():
        ours, theirs = getattr(given, table), getattr(stored, table)
        left_out = {
            key: value
            for key, value in values.items()
            if key not in ours.model_fields_set and getattr(theirs, key) == value
        }
        given = given.model_copy(update={table: ours.model_copy(update=left_out)})
    return given


def without_legacy_values(table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a table without those that an older spec means by leaving them out."""
    legacy = LEGACY[table]
    return {k: v for k, v in values.items() if k not in legacy or v != legacy[k]}

"""A stored spec that is older than a key means what it meant."""

import json
from typing import Any

from tests.parity.conftest import stand_in
from tlsearch.finetune.checkpoint import identity_of
from tlsearch.finetune.checkpointfile import sha256
from tlsearch.records import Hyperparameters
from tlsearch.space import resolve
from tlsearch.spec import (
    LEGACY,
    RecipeSpec,
    StudySpec,
    in_words_of,
    parse_spec,
    spec_hash,
    to_toml_dict,
    with_legacy_values,
)
from tlsearch.store.stored_study import (
    Provenance,
    StudyBackbone,
    StudyData,
    from_attrs,
    to_attrs,
)

MINIMAL = {"name": "a", "data": {"path": "x"}, "backbone": {"model": "resnet18"}}
# The keys of [recipe] in versions 0.1.0 and 0.2.0.
FIRST_KEYS = {
    "image_size",
    "epochs",
    "batch_size",
    "momentum",
    "schedule",
    "warmup_epochs",
    "step_epochs",
    "step_factor",
    "label_smoothing",
    "crop_scale",
    "crop_ratio",
    "horizontal_flip",
    "eval_crop",
    "decay_norm",
    "seed",
}


def stored_by_an_older_version() -> dict[str, Any]:
    document = to_toml_dict(parse_spec(MINIMAL))
    for table, values in LEGACY.items():
        for key in values:
            del document[table][key]
    return document


def test_every_new_key_of_the_recipe_has_a_legacy_value():
    assert set(RecipeSpec.model_fields) == FIRST_KEYS | set(LEGACY["recipe"])


def test_legacy_values_are_allowed_ones():
    document = with_legacy_values(MINIMAL)
    spec = parse_spec(document)
    for table, values in LEGACY.items():
        for key, value in values.items():
            assert getattr(getattr(spec, table), key) == value


def test_missing_keys_are_read_as_what_they_meant(monkeypatch):
    monkeypatch.setitem(LEGACY, "recipe", {"batch_norm": "frozen"})
    assert parse_spec(with_legacy_values(MINIMAL)).recipe.batch_norm == "frozen"
    given = {**MINIMAL, "recipe": {"batch_norm": "recalibrated", "epochs": 7}}
    assert with_legacy_values(given)["recipe"] == given["recipe"]
    assert with_legacy_values(given)["data"] == {"path": "x", **LEGACY["data"]}


def test_an_older_spec_file_still_describes_its_study(monkeypatch):
    """As if the default had changed since: keys that are left out are the stored ones."""
    monkeypatch.setitem(LEGACY, "recipe", {"batch_norm": "frozen"})
    document = stored_by_an_older_version()
    stored = parse_spec(with_legacy_values(document))
    given = parse_spec(MINIMAL)
    assert spec_hash(given) != spec_hash(stored)
    assert in_words_of(stored, given) == stored
    data = {"path": "x", "splits": "ranked"}
    explicit = parse_spec({**MINIMAL, "data": data, "recipe": {"batch_norm": "running"}})
    assert in_words_of(stored, explicit) == explicit
    new: StudySpec = parse_spec({**MINIMAL, "recipe": {"batch_norm": "recalibrated"}})
    assert in_words_of(new, given) == given


def test_a_checkpoint_from_before_a_key_is_of_the_same_training():
    """Against the formula of 0.2.0; another value of a new key is another training."""
    backbone, knobs = stand_in("test_efficientnet"), Hyperparameters(1, 0.01, 1.0, 0, 0.0, 1e-4, 0)
    recipe = parse_spec(with_legacy_values(stored_by_an_older_version())).recipe
    recipe_then = recipe.model_dump(mode="json", include=FIRST_KEYS)
    assert set(recipe_then) == FIRST_KEYS
    parts = {
        "backbone": [backbone.name, backbone.fingerprint()],
        "recipe": recipe_then,
        "hyperparameters": knobs.as_dict(),
        "images": (300, 200),
        "classes": 10,
    }
    then = sha256(json.dumps(parts, sort_keys=True))
    assert identity_of(backbone, recipe, knobs, (300, 200), 10) == then
    other = recipe.model_copy(update={"batch_norm": "recalibrated"})
    assert identity_of(backbone, other, knobs, (300, 200), 10) != then


def test_a_study_that_is_read_has_them():
    """Whatever the defaults are today."""
    spec = parse_spec(MINIMAL)
    space = resolve(spec.space, 6)
    data = StudyData(("a", "b"), "0" * 64, 10, 5, 5)
    backbone, provenance = StudyBackbone(("stem", "classifier"), "0" * 64), Provenance({}, None)
    attrs = to_attrs(spec, space, data, backbone, provenance)
    attrs |= {"spec": stored_by_an_older_version()}
    del attrs["space"]["optimizer"]
    found = from_attrs(1, "a", json.loads(json.dumps(attrs)))
    recipe = found.spec.recipe
    assert {key: getattr(recipe, key) for key in LEGACY["recipe"]} == LEGACY["recipe"]
    assert recipe.batch_norm != RecipeSpec().batch_norm  # a default that has changed since
    assert found.space == space

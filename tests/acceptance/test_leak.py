"""Nothing before `tlsearch test` depends on the test images: not by a bit."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.tested_study import NAME, TestedStudy
from tests.conftest import fresh_database
from tests.db.rows import Rows
from tests.parity.trainings import assert_same_bits
from tlsearch.data import load_catalog
from tlsearch.finetune import load_weights
from tlsearch.spec import DataSpec
from tlsearch.store.connect import open_storage
from tlsearch.store.models import model_files
from tlsearch.studies.finals import read_finals
from tlsearch.studies.tested import read_tests

FAMILY = (NAME, f"{NAME}/measures", f"{NAME}/finalists")
TIMES = re.compile(r"seconds|worker|^at$|_at$")
PLACES = ("path", "folder", "fingerprint", "spec_hash", "token", "study_id")
TABLES = {
    "trial_params": "param_name, param_value",
    "trial_values": "value",
    "trial_intermediate_values": "step, intermediate_value",
    "trial_user_attributes": "key, value_json",
}


def without_times(value: Any) -> Any:
    """Plain values without how long things took, and where they lie."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not TIMES.search(k) and k not in PLACES}
        return {key: without_times(each) for key, each in kept.items()}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def rows_of(study: TestedStudy) -> dict[str, Any]:
    """What the database holds of a family, by what it is."""
    rows = Rows(study.url)
    found: dict[str, Any] = {}
    for name in FAMILY:
        attrs = rows.ask(
            "SELECT key, value_json FROM study_user_attributes JOIN studies USING (study_id)"
            " WHERE study_name = %s ORDER BY key",
            name,
        )
        found[name] = without_times({key: json.loads(text) for key, text in attrs})
        for table, columns in TABLES.items():
            of_trials = rows.ask(
                f"SELECT number, state::text, {columns} FROM {table} JOIN trials USING (trial_id)"
                f" JOIN studies USING (study_id) WHERE study_name = %s ORDER BY number, {columns}",
                name,
            )
            found[f"{table} of {name}"] = [
                row for row in of_trials if not TIMES.search(str(row[2]))
            ]
    expected = "SELECT trial_id, expected_accuracy, sd FROM tlsearch.expected_accuracies ORDER BY 1"
    found["expected"] = rows.ask(expected)
    rows.session.close()
    return found


def models_of(study: TestedStudy) -> dict[tuple[str, int], dict[str, Any]]:
    """The weights of all models that were kept, by study and trial."""
    storage = open_storage(study.url)
    found = {}
    for name in FAMILY:
        study_id = storage.get_study_id_from_name(name)
        for trial, file in model_files(storage.engine, study_id).items():
            found[name, trial] = load_weights((study.artifacts / file).read_bytes())
    return found


@pytest.mark.slow
def test_permuted_labels_of_test_images_change_nothing(
    embedded_url: str, template: str, tiny_weights: Path, tmp_path: Path
) -> None:
    with (
        fresh_database(embedded_url, template) as url,
        fresh_database(embedded_url, template) as other_url,
    ):
        options: dict[str, Any] = {"measures": "worker", "trials": 5}
        plain = TestedStudy.create(url, tmp_path / "plain", tiny_weights, **options)
        options["permute_test"] = True
        permuted = TestedStudy.create(other_url, tmp_path / "permuted", tiny_weights, **options)
        prints = [load_catalog(DataSpec(path=str(s.data))).fingerprint for s in (plain, permuted)]
        assert prints[0] != prints[1], "the labels differ"
        ours, theirs = rows_of(plain), rows_of(permuted)
        assert ours[NAME]["measures"], "it was measured"
        assert len(ours[f"trial_values of {NAME}/finalists"]) >= 5
        assert ours.keys() == theirs.keys()
        for what, rows in ours.items():
            assert rows == theirs[what], what
        our_models, their_models = models_of(plain), models_of(permuted)
        assert our_models.keys() == their_models.keys()
        assert len(our_models) >= 5
        for key, weights in our_models.items():
            assert_same_bits(their_models[key], weights)
        assert read_finals(NAME, url) == without_seconds(url, other_url)
        # And the test does see them: the same models are right on other images.
        import tlsearch

        first, second = (tlsearch.test_study(NAME, each) for each in (url, other_url))
        assert [f.accuracies for f in first.figures] != [f.accuracies for f in second.figures]
        assert read_tests(NAME, url) == [first]


def without_seconds(url: str, other_url: str) -> Any:
    """The finals of the other database with the times of this one."""
    from dataclasses import replace

    ours, theirs = read_finals(NAME, url), read_finals(NAME, other_url)
    assert ours is not None
    assert theirs is not None
    finalists = tuple(
        replace(
            their,
            runs=tuple(
                replace(run, seconds=our_run.seconds)
                for our_run, run in zip(our.runs, their.runs, strict=True)
            ),
        )
        for our, their in zip(ours.finalists, theirs.finalists, strict=True)
    )
    return replace(theirs, finalists=finalists)

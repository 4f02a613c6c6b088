"""A search for the least log loss by the commands, from its spec to the report."""

import pytest

from tests.acceptance.conftest import storage_at
from tlsearch.records.objective import OF_ONE_LABEL
from tlsearch.store.studies import find_study

pytestmark = pytest.mark.slow


def test_from_the_spec_to_the_report(tlsearch, tiny, storage_url, tmp_path):
    path = tiny(trials=5)
    path.write_text('objective = "log_loss"\n' + path.read_text())
    tlsearch.run("create", str(path))
    assert "val log loss " in tlsearch.run("worker", "tiny").stdout
    storage = storage_at(storage_url)
    trials = storage.get_all_trials(find_study(storage, "tiny").study_id)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    for trial in complete:
        assert trial.value == -trial.user_attrs["val_log_loss"]
        assert {f"val_{name}" for name in OF_ONE_LABEL} <= trial.user_attrs.keys()
    found = tlsearch.json("best", "tiny", "--top", "5")
    losses = [trial["val_objective"] for trial in found]
    assert (
        losses == sorted(losses) == sorted(trial.user_attrs["val_log_loss"] for trial in complete)
    )
    assert all(trial["expected_objective"] > 0 for trial in found)
    assert "log loss" in tlsearch.run("status", "tiny").stdout
    finals = tlsearch.json("finalists", "tiny", "--top", "1", "--seeds", "2")
    assert finals["complete"]
    assert finals["objective"] == "log_loss"
    assert all(each["mean"] > 0 for each in finals["finalists"] if each["runs"])
    assert {each["baseline"] for each in finals["comparisons"]} == {"default", "fixed features"}
    tlsearch.run("report", "tiny", "--out", str(tmp_path / "page"))
    page = (tmp_path / "page" / "index.html").read_text()
    assert "This study makes log loss best" in page
    assert "validation log loss, nats" in page
    tlsearch.run("export", "tiny", "--out", str(tmp_path / "model"))
    card = (tmp_path / "model" / "README.md").read_text()
    assert "The study chose by log loss on the validation images" in card

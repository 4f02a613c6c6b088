"""A study that validates by folds, by the commands, from its spec to the exported model."""

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import storage_at
from tlsearch.store.measures import read_measures
from tlsearch.store.studies import find_study

N, FOLDS = 130, 3  # images in folds


def in_folds(path: Path, folds: int = FOLDS) -> str:
    path.write_text(path.read_text().replace("[data]", f"[data]\nfolds = {folds}"))
    return str(path)


@pytest.mark.slow
def test_the_plan_counts_the_networks(tlsearch, tiny):
    spec = in_folds(tiny(trials=5))
    found = tlsearch.json("plan", spec)
    assert 80 < found["n_train"] < 95
    assert found["n_val"] == N
    cost, pace = found["as_it_is"], found["sizes"][0]["pace"]
    assert cost["disk"]["checkpoints"] == 2 * (FOLDS + 1) * pace["checkpoint_bytes"]
    assert cost["disk"]["models"] == 3 * pace["model_bytes"]
    assert cost["trial_seconds"] > (FOLDS + 1) * pace["setup"]
    lines = tlsearch.run("plan", spec).stdout
    assert f"{N} images to train and to validate in {FOLDS} folds" in lines


def test_what_check_says_and_refuses(tlsearch, tiny):
    said = tlsearch.run("check", in_folds(tiny())).stdout
    assert f"10 classes; {N} in {FOLDS} folds of " in said
    found = tlsearch.json("check", in_folds(tiny("more"), 10))
    assert (found["n_val"], len(found["folds"]), sum(found["folds"])) == (N, 10, N)
    done = tlsearch.run("check", in_folds(tiny("one"), 1), rc=2)
    assert "data.folds = 1: must be 2 to 10, or 0 for none" in done.stderr
    few = tiny("few")
    few.write_text(
        few.read_text().replace("_per_class = 8", "_per_class = 1").replace("= 5", "= 2")
    )
    done = tlsearch.run("check", in_folds(few, 5), rc=2)
    assert "has 3 images for training and validation, too few for data.folds = 5" in done.stderr
    assert "\n" not in done.stderr.strip()


@pytest.mark.slow
def test_from_the_spec_to_the_model(tlsearch, tiny, storage_url, tmp_path):
    spec = in_folds(tiny(trials=5, epochs=2, measures="worker"))
    tlsearch.run("create", spec)
    tlsearch.run("enqueue", "tiny", "--set", "reinit_layers=0", "--set", "high_lr=0.001")
    assert "failed" not in tlsearch.run("worker", "tiny").stdout
    storage = storage_at(storage_url)
    study = find_study(storage, "tiny")
    assert study.data.n_val == N
    trials = storage.get_all_trials(study.study_id)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert len(complete) >= 3
    for trial in complete:
        for accuracy in (trial.value or 0.0, *trial.intermediate_values.values()):
            assert accuracy * N == pytest.approx(round(accuracy * N))  # of all images
    measures = read_measures(storage, study.study_id)
    assert measures is not None
    assert measures.n_val == N
    floor = next(t for t in complete if t.user_attrs["origin"] == "fixed_features")
    assert floor.value == pytest.approx(measures.fixed_features, abs=1.5 / N)
    assert f"{N} images to train and to validate in {FOLDS} folds" in str(
        storage.get_study_system_attrs(study.study_id)
    )
    finals = tlsearch.json("finalists", "tiny", "--top", "1", "--seeds", "2")
    assert finals["complete"]
    assert {each["kind"] for each in finals["finalists"]} >= {"default", "fixed_features", "mean"}
    (tested,) = tlsearch.json("test", "tiny")
    assert tested["trained_on"] == "train+val"  # all but the test images, without training again
    assert all(figure["temperature"] is None for figure in tested["figures"])
    model = tmp_path / "model"
    done = tlsearch.run("export", "tiny", "--out", str(model))
    assert "trained on all images but the test images" in done.stdout
    card = (model / "README.md").read_text()
    assert f"Validation is by {FOLDS} folds" in card
    assert json.loads((model / "tlsearch.json").read_text())["n_val"] == N
    tlsearch.run("report", "tiny", "--out", str(tmp_path / "page"))
    assert f"{N} in {FOLDS} folds" in (tmp_path / "page" / "index.html").read_text()


@pytest.mark.slow
def test_another_worker_goes_on_with_all_networks(tlsearch, tiny, storage_url):
    """A worker that is told to stop saves them all, and the curve is that of one in one piece."""
    from tests.acceptance.conftest import wait_until

    for name in ("whole", "stopped"):
        tlsearch.run("create", in_folds(tiny(name, trials=1, epochs=6)))
    tlsearch.run("worker", "whole")
    storage = storage_at(storage_url)
    studies = {name: find_study(storage, name).study_id for name in ("whole", "stopped")}

    def curve(name: str) -> dict[int, float]:
        return storage.get_all_trials(studies[name])[0].intermediate_values

    worker = tlsearch.start("worker", "stopped")
    wait_until(lambda: curve("stopped") or worker.poll() is not None, "a first epoch")
    worker.terminate()
    worker.communicate(timeout=60)
    tlsearch.run("worker", "stopped")
    assert curve("stopped") == curve("whole")
    trial = storage.get_all_trials(studies["stopped"])[0]
    assert trial.state.name == "COMPLETE"

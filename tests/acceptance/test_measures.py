"""Measures, prior and queued trials as a user has them, with real workers."""

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
from PIL import Image

from tests.acceptance.conftest import wait_until
from tlsearch.prior import prior_of, starting_trials
from tlsearch.records import Measures
from tlsearch.store import measures as measures_store
from tlsearch.store.connect import open_storage
from tlsearch.store.measures import read_measures
from tlsearch.store.studies import find_study, queue_trial
from tlsearch.store.trials import trial_counts

MEASURED = {"measures": "worker", "sampler": "earned_prior"}


def trials_of(url, name):
    storage = open_storage(url)
    study = find_study(storage, name)
    return storage.get_all_trials(study.study_id)


def origins_of(url, name):
    return [trial.user_attrs.get("origin") for trial in trials_of(url, name)]


def test_the_first_worker_measures_then_the_seeds_run(tlsearch, tiny, tmp_path):
    tlsearch.run("create", str(tiny(trials=8, **MEASURED)))
    for command in ("measures", "prior"):
        assert "tlsearch measure tiny" in tlsearch.run(command, "tiny", rc=2).stderr
    assert "not measured yet" in tlsearch.run("status", "tiny").stdout
    tlsearch.run("worker", "tiny", "--trials", "8")
    assert tlsearch.json("status", "tiny")["measured"]

    assert origins_of(tlsearch.storage_url, "tiny")[:8] == [
        "fixed_features",
        "default",
        "prior",
        "from_probe",
        "range_rate",
        "opposite",
        "draw",
        "draw",
    ]
    assert set(origins_of(tlsearch.storage_url, "tiny")[8:]) <= {"draw", "tpe", "uniform"}
    (random_init,) = trials_of(tlsearch.storage_url, "tiny/measures")
    assert random_init.user_attrs["canonical"]["reinit_layers"] == 7
    measures = tlsearch.json("measures", "tiny")
    floor = trials_of(tlsearch.storage_url, "tiny")[0]
    assert floor.value == measures["fixed_features"]
    assert floor.intermediate_values == {}
    assert measures["random_init"] == random_init.value
    assert measures["random_init_epochs"] == 3
    assert 0 <= measures["fixed_features"] <= 1
    assert "\n" not in measures["meaning"]
    assert "Caltech" in tlsearch.run("measures", "tiny").stdout

    prior = tlsearch.json("prior", "tiny")
    mode = trials_of(tlsearch.storage_url, "tiny")[2].params
    assert {name: belief["mode"] for name, belief in prior["beliefs"].items()} == mode
    picture = tmp_path / "prior.png"
    shown = tlsearch.run("prior", "tiny", "--picture", str(picture)).stdout
    assert "random init - fixed features" in shown
    assert Image.open(picture).size[0] > 500
    wrong = tlsearch.run("prior", "tiny", "--picture", str(tmp_path / "prior.txt"), rc=2)
    assert ".png" in wrong.stderr


def test_queued_trials_are_never_pruned(tlsearch, tiny):
    """The pruner stops whatever is below the best; queued trials run to their end all the same."""
    path = tiny(trials=12, epochs=4, **MEASURED)
    text = path.read_text().replace("startup_trials = 3", "startup_trials = 0")
    path.write_text(text.replace('name = "median"', 'name = "percentile"\npercentile = 99'))
    tlsearch.run("create", str(path))
    tlsearch.run("enqueue", "tiny", "--set", "high_lr=0.001")
    tlsearch.run("worker", "tiny")
    trials = trials_of(tlsearch.storage_url, "tiny")
    states = {
        t.user_attrs["origin"]: t.state.name for t in trials if "fixed_params" in t.system_attrs
    }
    expected = [
        "fixed_features",
        "default",
        "user",
        "prior",
        "from_probe",
        "range_rate",
        "opposite",
        "draw",
    ]
    assert states == dict.fromkeys(expected, "COMPLETE")
    assert "PRUNED" in {t.state.name for t in trials}


def test_seeds_are_queued_once_whatever_the_number_of_workers(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=12, **MEASURED)))
    workers = [tlsearch.start("worker", "tiny") for _ in range(3)]
    for worker in workers:
        _, stderr = worker.communicate(timeout=240)
        assert worker.returncode == 0, stderr
    origins = origins_of(tlsearch.storage_url, "tiny")
    assert len(origins) == 12
    assert [origins.count(name) for name in ("fixed_features", "default", "opposite")] == [1] * 3
    queued = [
        t for t in trials_of(tlsearch.storage_url, "tiny") if "fixed_params" in t.system_attrs
    ]
    assert len(queued) == 8
    assert origins_of(tlsearch.storage_url, "tiny/measures") == ["random_init"]


@pytest.mark.slow
def test_a_worker_killed_while_it_measures_loses_nothing(tlsearch, tiny):
    path = tiny(trials=3, epochs=60, **MEASURED)
    tlsearch.run("create", str(path))
    worker = tlsearch.start("worker", "tiny")

    def measuring():
        (trial,) = trials_of(tlsearch.storage_url, "tiny/measures")
        return len(trial.intermediate_values) >= 2

    wait_until(measuring, "training from random weights")
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    assert tlsearch.run("measures", "tiny", rc=2)
    tlsearch.run("measure", "tiny")
    (trial,) = trials_of(tlsearch.storage_url, "tiny/measures")
    assert trial.user_attrs["attempt"] == 2
    assert len(trial.intermediate_values) == 36  # a fifth of the 3 x 60 epochs of the search
    assert origins_of(tlsearch.storage_url, "tiny") == ["fixed_features", "default", "prior"]


def test_an_interrupt_while_queueing_seeds_is_made_good(tlsearch, tiny, monkeypatch):
    tlsearch.run("create", str(tiny(trials=9, **MEASURED)))
    storage = open_storage(tlsearch.storage_url)
    study = find_study(storage, "tiny")
    measures = Measures(0.6, 0.1, 0.5, 3, 5.0, 1.0, 0.1, 9.0, 0.9, "x", 0.02, 50, 1.0, 1.0, 1.0)
    prior = prior_of(study.spec, study.space, study.data.n_train, measures)
    assert prior is not None
    seeds = starting_trials(prior, study.space, 2, 0)
    queued: list[int] = []

    def die_after_two(*args):
        if len(queued) == 2:
            raise KeyboardInterrupt
        queued.append(queue_trial(*args))

    with monkeypatch.context() as patch:
        patch.setattr(measures_store, "queue_trial", die_after_two)
        with pytest.raises(KeyboardInterrupt):
            measures_store.save_measures(storage, study, measures, prior, seeds)
    assert read_measures(storage, study.study_id) is None
    assert measures_store.save_measures(storage, study, measures, prior, seeds)
    assert not measures_store.save_measures(storage, study, measures, prior, seeds)
    assert origins_of(tlsearch.storage_url, "tiny") == [
        "fixed_features",
        "default",
        "prior",
        "from_probe",
        "range_rate",
        "opposite",
        "draw",
        "draw",
    ]
    assert read_measures(storage, study.study_id) == measures


def test_measuring_when_creating_and_never(tlsearch, tiny):
    done = tlsearch.run("create", str(tiny("now", trials=6, measures="create")))
    assert "study 'now' created" in done.stdout
    assert tlsearch.json("measures", "now")["fixed_features"] > 0
    assert (
        "nothing changed"
        in tlsearch.run("create", str(tiny("now", trials=6, measures="create"))).stdout
    )
    tlsearch.run("create", str(tiny("never", trials=6, measures="off")))
    for command in ("measure", "measures", "prior"):
        assert 'measures.when = "off"' in tlsearch.run(command, "never", rc=2).stderr
    assert "not exist" in tlsearch.run("status", "never/measures", rc=2).stderr


@pytest.mark.slow
def test_one_worker_or_one_after_each_trial_search_alike(tlsearch, tiny):
    for name in ("straight", "restarted"):
        tlsearch.run("create", str(tiny(name, trials=9, **MEASURED)))
    tlsearch.run("worker", "straight")
    for _ in range(9):
        tlsearch.run("worker", "restarted", "--trials", "1")
    straight, restarted = (trials_of(tlsearch.storage_url, n) for n in ("straight", "restarted"))
    assert [t.params for t in straight] == [t.params for t in restarted]
    assert [t.intermediate_values for t in straight] == [t.intermediate_values for t in restarted]
    assert [t.user_attrs["origin"] for t in straight] == [t.user_attrs["origin"] for t in restarted]


def test_enqueue(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=3)))
    done = tlsearch.json("enqueue", "tiny", "--set", "high_lr=0.02", "--set", "low_layers=2")
    assert done["number"] == 1
    assert done["params"] == done["params"] | {"high_lr": 0.02, "low_layers": 2, "reinit_layers": 1}
    for setting, message in {
        "high_lr=5": "high_lr = 5: must lie within the study's range [0.001, 0.1]",
        "low_layers=1.5": "low_layers = 1.5: counts layers; give a whole number",
        "hihg_lr=0.1": "hihg_lr: no such hyperparameter; there are reinit_layers",
    }.items():
        failed = tlsearch.run("enqueue", "tiny", "--set", setting, rc=2)
        assert failed.stderr.startswith(f"error: {message}")
    for setting in ("high_lr", "high_lr=", "high_lr=much", "high_lr=nan"):
        assert "NAME=NUMBER" in tlsearch.run("enqueue", "tiny", "--set", setting, rc=2).stderr
    tlsearch.run("worker", "tiny", "--trials", "2")
    own = trials_of(tlsearch.storage_url, "tiny")[1]
    assert own.user_attrs["origin"] == "user"
    assert own.params["high_lr"] == 0.02
    tlsearch.run("enqueue", "tiny", "--set", "high_lr=0.03")
    full = tlsearch.run("enqueue", "tiny", "--set", "high_lr=0.04", rc=2)
    assert "its budget of 3 trials is used up" in full.stderr
    assert "does not exist" in tlsearch.run("enqueue", "x", "--set", "high_lr=0.04", rc=2).stderr


def test_editing_the_prior(tlsearch, tiny):
    path = tiny(trials=9, **MEASURED)
    tlsearch.run("create", str(path))
    tlsearch.run("measure", "tiny")
    before = tlsearch.json("prior", "tiny")
    text = path.read_text()
    path.write_text(text + "\n[prior]\nmode.high_lr = 0.05\nspread.low_layers = 1.5\n")
    shown = tlsearch.run("prior", "tiny", "--spec", str(path)).stdout
    old = before["beliefs"]["high_lr"]["mode"]
    assert f"changed: high_lr mode {old:.3g} -> 0.05" in shown
    assert "set by the spec; the rule gave" in shown
    assert tlsearch.json("prior", "tiny") == before

    tlsearch.run("prior", "tiny", "--spec", str(path), "--apply")
    after = tlsearch.json("prior", "tiny")["beliefs"]
    assert after["high_lr"]["mode"] == 0.05
    assert after["low_layers"]["spread"] == 1.5
    assert (
        trials_of(tlsearch.storage_url, "tiny")[-1].system_attrs["fixed_params"]["high_lr"] == 0.05
    )
    assert "nothing changed" in tlsearch.run("create", str(path)).stdout

    for changed, message in {
        text + "\n[prior]\nmode.high_lr = 5\n": "prior.mode.high_lr = 5: must lie within",
        text + "\n[prior]\nspread.high_lr = 0\n": "spread.high_lr = 0 must be above 0",
        text.replace("epochs = 3", "epochs = 4"): "differs in more than its [prior]",
    }.items():
        path.write_text(changed)
        assert message in tlsearch.run("prior", "tiny", "--spec", str(path), rc=2).stderr
    path.write_text(text + "\n[prior]\nuse = false\n")
    tlsearch.run("prior", "tiny", "--spec", str(path), "--apply")
    assert "prior.use = false" in tlsearch.run("prior", "tiny", rc=2).stderr
    assert "--apply needs --spec" in tlsearch.run("prior", "tiny", "--apply", rc=2).stderr
    tlsearch.run("worker", "tiny")
    assert trial_counts(open_storage(tlsearch.storage_url), 1)["complete"] >= 4


def test_images_of_the_source_of_any_size(tlsearch, tiny, tmp_path):
    source, generator = tmp_path / "source", np.random.default_rng(0)
    for label in ("x", "y", "z"):
        (source / label).mkdir(parents=True)
        for number in range(4):
            size = (20 + 30 * number, 90 - 15 * number, 3)
            pixels = generator.integers(0, 256, size, dtype=np.uint8)
            Image.fromarray(pixels).save(source / label / f"{number}.png")
    path = tiny(trials=3, **MEASURED)
    with_source = path.read_text().replace("[measures]", f'[measures]\nsource = "{source}"')
    path.write_text(with_source)
    tlsearch.run("create", str(path))
    measures = json.loads(tlsearch.run("measure", "tiny", "--json").stdout)
    assert measures["emd_source"] == f"images in {source}"
    assert measures["emd"] > 0
    path.write_text(with_source.replace(str(source), str(tmp_path / "none")).replace("tiny", "t2"))
    missing = tlsearch.run("create", str(path), rc=2).stderr
    assert "measures.source: " in missing
    assert "no such file or folder" in missing
    assert "does not exist" in tlsearch.run("status", "t2", rc=2).stderr
    (tmp_path / "one" / "only").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "one" / "only" / "1.png")
    path.write_text(with_source.replace(str(source), str(tmp_path / "one")).replace("tiny", "t3"))
    assert "at least two are needed" in tlsearch.run("create", str(path), rc=2).stderr


def test_names_of_measuring_studies_are_kept_free(tlsearch, tiny):
    failed = tlsearch.run("create", str(tiny("a/measures")), rc=2)
    assert "names that end in /measures are reserved" in failed.stderr


def test_features_that_are_not_finite(tlsearch, tiny, tiny_weights, tmp_path: Path):
    import safetensors.torch

    state = safetensors.torch.load_file(tiny_weights)
    state["conv_stem.weight"] = state["conv_stem.weight"] * 1e38
    broken = tmp_path / "broken.safetensors"
    safetensors.torch.save_file(state, broken)
    path = tiny(trials=4, **MEASURED)
    path.write_text(path.read_text().replace(str(tiny_weights), str(broken)))
    tlsearch.run("create", str(path))
    failed = tlsearch.run("measure", "tiny", rc=2)
    assert "features that are not finite for 80 of 80 images" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert "has not been measured" in tlsearch.run("measures", "tiny", rc=2).stderr
    assert origins_of(tlsearch.storage_url, "tiny") == ["fixed_features", "default"]


def test_images_that_leave_nothing_to_measure(tlsearch, tiny, tmp_path):
    path = tiny(trials=4, **MEASURED)
    text = path.read_text()
    path.write_text(text.replace("train_per_class = 8", "train_per_class = 1"))
    failed = tlsearch.run("create", str(path), rc=2).stderr
    assert "10 training images of 10 classes leave no spread within a class to measure" in failed
    assert 'set measures.when = "off"' in failed

    same = np.full((24, 32, 32), 7, np.uint8)
    labels = np.arange(24) % 2
    np.savez(tmp_path / "same.npz", x_train=same, y_train=labels, x_val=same, y_val=labels)
    path.write_text(text.replace("builtin:fashion-mnist-30", str(tmp_path / "same.npz")))
    tlsearch.run("create", str(path))
    failed = tlsearch.run("measure", "tiny", rc=2).stderr
    assert "gives all 16 images the same features" in failed
    assert failed.count("\n") == 1
    assert "has not been measured" in tlsearch.run("prior", "tiny", rc=2).stderr


def test_a_worker_searches_on_where_the_study_cannot_be_measured(tlsearch, tiny, tmp_path):
    """Two classes, and in each the same image again and again."""
    labels = np.arange(24) % 2
    images = np.where(labels[:, None, None] == 0, 20, 200).astype(np.uint8)
    images = np.broadcast_to(images, (24, 32, 32))
    np.savez(tmp_path / "two.npz", x_train=images, y_train=labels, x_val=images, y_val=labels)
    path = tiny(trials=3, **MEASURED)
    path.write_text(path.read_text().replace("builtin:fashion-mnist-30", str(tmp_path / "two.npz")))
    tlsearch.run("create", str(path))
    shown = tlsearch.run("worker", "tiny").stdout
    assert "could not be measured, the search has no prior" in shown
    assert origins_of(tlsearch.storage_url, "tiny") == ["fixed_features", "default", "uniform"]
    failed = tlsearch.run("measures", "tiny", rc=2).stderr
    assert "no spread within a class" in failed
    assert "no spread within a class" in tlsearch.run("measure", "tiny", rc=2).stderr


def test_a_study_whose_measuring_study_was_deleted(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=2, **MEASURED)))
    storage = open_storage(tlsearch.storage_url)
    storage.delete_study(find_study(storage, "tiny/measures").study_id)
    tlsearch.run("worker", "tiny")
    assert "is gone" in tlsearch.run("measures", "tiny", rc=2).stderr
    assert trial_counts(storage, find_study(storage, "tiny").study_id)["complete"] == 2


def test_edits_that_are_refused_leave_everything_as_it_was(tlsearch, tiny, tmp_path):
    path = tiny(trials=9, **MEASURED)
    tlsearch.run("create", str(path))
    tlsearch.run("measure", "tiny")
    before = (tlsearch.json("prior", "tiny"), len(trials_of(tlsearch.storage_url, "tiny")))
    text = path.read_text()
    path.write_text(text + "\n[prior]\nmode.high_lr = 0.05\n")
    wrong = ("--apply", "--picture", str(tmp_path / "prior.txt"))
    tlsearch.run("prior", "tiny", "--spec", str(path), *wrong, rc=2)
    path.write_text(text + "\n[prior]\nmode.low_layers = 3.7\n")
    failed = tlsearch.run("prior", "tiny", "--spec", str(path), "--apply", rc=2)
    assert "prior.mode.low_layers = 3.7: counts layers" in failed.stderr
    for value in ("inf", "-inf"):
        failed = tlsearch.run("enqueue", "tiny", "--set", f"low_layers={value}", rc=2)
        assert "must be a finite number" in failed.stderr
    after = (tlsearch.json("prior", "tiny"), len(trials_of(tlsearch.storage_url, "tiny")))
    assert after == before


def test_an_edit_made_twice_queues_its_mode_once(tlsearch, tiny):
    path = tiny(trials=9, **MEASURED)
    tlsearch.run("create", str(path))
    tlsearch.run("measure", "tiny")
    path.write_text(path.read_text() + "\n[prior]\nmode.high_lr = 0.05\n")
    first = tlsearch.json("prior", "tiny", "--spec", str(path), "--apply")
    again = tlsearch.json("prior", "tiny", "--spec", str(path), "--apply")
    assert first["queued"] == again["queued"] == 8
    assert len(trials_of(tlsearch.storage_url, "tiny")) == 9


def test_a_name_too_long_for_its_measuring_study(tlsearch, tiny):
    failed = tlsearch.run("create", str(tiny("n" * 192, **MEASURED)), rc=2).stderr
    assert "at most 191 leave room for /measures" in failed
    tlsearch.run("create", str(tiny("n" * 191, **MEASURED)))
    assert "not measured yet" in tlsearch.run("status", "n" * 191).stdout


def test_fixed_features_at_other_sizes(tlsearch, tiny, tmp_path):
    path = tiny("sizes", trials=6, measures="create")
    path.write_text(path.read_text().replace("[measures]", "[measures]\nsizes = [32, 48]"))
    tlsearch.run("create", str(path))
    (size,) = tlsearch.json("measures", "sizes")["sizes"]  # 32 is the recipe's own
    assert size["image_size"] == 48
    assert 0 < size["val_accuracy"] <= 1
    assert size["lead"]["n_val"] == 50
    gain = size["val_accuracy"] - tlsearch.json("measures", "sizes")["fixed_features"]
    assert size["lead"]["gain"] == pytest.approx(gain)
    shown = tlsearch.run("measures", "sizes").stdout
    assert "at 48 px" in shown
    said = tlsearch.json("measures", "sizes")["size_meaning"]
    assert said is None or said in shown

    refused = tiny("refused", trials=6, measures="worker")
    text = refused.read_text().replace("[measures]", "[measures]\nsizes = [48]")
    weights = tmp_path / "gmlp.safetensors"
    model = timm.create_model("gmlp_ti16_224", num_classes=3, img_size=32)
    safetensors.torch.save_file(model.state_dict(), weights)
    text = re.sub(r"(?m)^model = .*$", 'model = "gmlp_ti16_224"', text)
    refused.write_text(re.sub(r"(?m)^weights = .*$", f'weights = "{weights}"', text))
    stderr = tlsearch.run("create", str(refused), rc=2).stderr
    assert "measures.sizes: gmlp_ti16_224 cannot take images of 48 pixels" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_a_network_with_two_classifiers_is_measured_and_has_no_floor(tlsearch, tiny, tmp_path):
    """The linear probe cannot take the place of both, so no trial asks for that."""
    name, weights = "deit_tiny_distilled_patch16_224", tmp_path / "deit.safetensors"
    safetensors.torch.save_file(timm.create_model(name).state_dict(), weights)
    spec = tiny("deit", trials=3, epochs=1, measures="create")
    text = re.sub(r"(?m)^model = .*$", f'model = "{name}"', spec.read_text())
    spec.write_text(re.sub(r"(?m)^weights = .*$", f'weights = "{weights}"', text))
    tlsearch.run("create", str(spec))
    assert 0 < tlsearch.json("measures", "deit")["fixed_features"] < 1
    assert origins_of(tlsearch.storage_url, "deit")[0] == "default"
    tlsearch.run("worker", "deit", "--trials", "1")
    (done, *_) = trials_of(tlsearch.storage_url, "deit")
    assert done.state.name == "COMPLETE"

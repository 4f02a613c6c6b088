"""The commands as a user or a script types them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tlsearch as library
from tlsearch.records import Range
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study


def test_create_then_again_then_changed(tlsearch, tiny):
    spec = tiny(trials=2)
    first = tlsearch.json("create", str(spec))
    assert first["created"] is True
    again = tlsearch.json("create", str(spec))
    assert again == {**first, "created": False}
    assert "exists with this very spec" in tlsearch.run("create", str(spec)).stdout
    spec.write_text("# a comment\n" + spec.read_text().replace("trials = 2", "trials   = 2"))
    assert tlsearch.json("create", str(spec))["created"] is False
    spec.write_text(spec.read_text().replace("epochs = 3", "epochs = 4"))
    refused = tlsearch.run("create", str(spec), rc=2)
    assert "study 'tiny' exists with another spec" in refused.stderr
    assert "recipe.epochs: 3 -> 4" in refused.stderr


def test_what_is_stored_with_a_study(tlsearch, tiny, storage_url):
    tlsearch.run("create", str(tiny()))
    found = find_study(open_storage(storage_url), "tiny")
    assert {"tlsearch", "torch", "timm", "optuna"} <= set(found.provenance.versions)
    assert found.provenance.git_commit is None or len(found.provenance.git_commit) >= 40
    assert found.data.n_train == 80
    assert len(found.data.class_names) == 10
    assert re.fullmatch("[0-9a-f]{64}", found.backbone.weights_sha256)
    assert found.space.n_body_layers == 6


def test_best_and_status(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=3)))
    assert tlsearch.json("best", "tiny") == []
    assert "no trial of study 'tiny' is complete yet" in tlsearch.run("best", "tiny").stdout
    tlsearch.run("worker", "tiny")
    best = tlsearch.json("best", "tiny", "--top", "2")
    assert len(best) == 2
    assert best[0]["val_accuracy"] >= best[1]["val_accuracy"]
    assert set(best[0]) >= {"number", "val_accuracy", "params", "epochs", "seconds"}
    assert list(best[0]["params"]) == [
        "reinit_layers",
        "high_lr",
        "low_lr_ratio",
        "low_layers",
        "alpha",
        "beta",
        "l2sp_layers",
    ]
    assert 0 <= best[0]["val_accuracy"] <= 1
    assert best[0]["epochs"] == 3
    assert best[0]["seconds"] > 0
    status = tlsearch.json("status", "tiny")
    assert (status["ended"], status["budget_trials"]) == (3, 3)
    assert status["best"]["number"] == best[0]["number"]
    shown = tlsearch.run("best", "tiny", "--top", "3").stdout.splitlines()
    assert "  tlsearch budget tiny --trials 6" in shown[8]
    assert "  tlsearch create --from tiny --set recipe.image_size=48 " in "\n".join(shown[8:])
    assert shown[4].startswith("val_accuracy: as seen")
    assert shown[5].startswith(f"recommended: trial {best[0]['number']}, ")
    *names, place = re.split(", | in ", shown[6].removeprefix("model files: "))
    assert all((Path(place) / name).is_file() for name in names)
    assert shown[7] == "next:"
    assert shown[0].split()[:4] == ["trial", "val_accuracy", "expected", "reinit_layers"]
    text = tlsearch.run("status", "tiny").stdout
    assert "3 of 3 trials done" in text
    assert re.search(r"best \d+\.\d % \(trial \d\), expected \d+\.\d ± \d+\.\d %\n", text)


def test_every_complete_trial_has_an_expected_accuracy(tlsearch, tiny):
    """Also the last one of a worker that stops at its own limit; ranks follow it where asked to."""
    tlsearch.run("create", str(tiny(trials=6, sampler="random")))
    ended = tlsearch.json("worker", "tiny", "--trials", "1")
    assert ended[0]["expected_accuracy"] == ended[0]["val_accuracy"]
    tlsearch.run("worker", "tiny")
    seen = tlsearch.json("best", "tiny", "--top", "6")
    assert all(0 < trial["expected_accuracy"] < 1 for trial in seen)
    assert all(0 < trial["expected_accuracy_sd"] < 0.3 for trial in seen)
    if len(seen) >= 4:
        assert [t["expected_accuracy"] for t in seen] != [t["val_accuracy"] for t in seen]
    expected = tlsearch.json("best", "tiny", "--top", "6", "--by", "expected")
    order = sorted(seen, key=lambda trial: -trial["expected_accuracy"])
    assert [t["number"] for t in expected] == [t["number"] for t in order]
    assert "Invalid value" in tlsearch.run("best", "tiny", "--by", "luck", rc=2).stderr


def test_layers(tlsearch):
    layers = tlsearch.json("layers", "inception_v4")
    assert len(layers) == 23
    assert [layer["classifier"] for layer in layers] == [False] * 22 + [True]
    assert [layer["index"] for layer in layers] == list(range(23))
    assert "22 body layers and the classifier" in tlsearch.run("layers", "inception_v4").stdout
    assert {layer["order"] for layer in layers} == {"group_matcher"}
    said = tlsearch.run("layers", "pit_ti_224").stdout
    assert "13 body layers and the classifier; timm declares no order; this is" in said
    assert "note" not in said
    said = tlsearch.run("layers", "vgg11").stdout
    assert "note: layer 7 has 95% of the body's parameters" in said


def test_check(tlsearch, tiny):
    checked = tlsearch.json("check", str(tiny()))
    assert (checked["n_train"], checked["n_val"], checked["n_test"]) == (80, 50, 1000)
    assert checked["space"]["ranges"]["low_layers"] == [0, 6]
    text = tlsearch.run("check", str(tiny())).stdout
    assert "10 classes; 80 train, 50 validation, 1000 test; all readable" in text
    tlsearch.run("status", "tiny", rc=2)  # checking creates nothing


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_storage_urls(tlsearch, tiny, storage_url, scheme):
    url = storage_url.replace("postgresql://", f"{scheme}://")
    tlsearch.run("create", str(tiny()), "--storage", url)
    assert tlsearch.json("status", "tiny", "--storage", url)["name"] == "tiny"


def test_storage_in_the_spec(tlsearch, tiny, storage_url):
    spec = tiny()
    spec.write_text(f'storage = "{storage_url}"\n' + spec.read_text())
    created = tlsearch.run("create", str(spec), TLSEARCH_STORAGE="")
    assert "give other commands --storage as well" in created.stdout
    assert tlsearch.json("status", "tiny")["name"] == "tiny"


def test_own_folder_of_images(tlsearch, tiny, tmp_path, tiny_weights):
    """From files on disk to trials, with files that are no images among them."""
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for n in range(12):
            pixels = rng.integers(0, 255, (40 + n, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / label / f"{n}.png")
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("not an image")
    spec = tiny(trials=2)
    text = spec.read_text().replace('"builtin:fashion-mnist-30"', '"pets"')
    spec.write_text(re.sub("train_per_class.*\nval_per_class.*\n", "", text))
    checked = tlsearch.json("check", str(spec))
    numbers = [checked["n_train"], checked["n_val"], checked["n_test"]]
    assert sum(numbers) == 24
    assert all(numbers)
    assert checked["ignored_files"] == ["cat/notes.txt"]
    tlsearch.run("create", str(spec))
    assert len(tlsearch.json("worker", "tiny", "--trials", "1")) == 1
    # On another machine the images may lie elsewhere, but they must be the same.
    (tmp_path / "pets").rename(tmp_path / "moved")
    assert len(tlsearch.json("worker", "tiny", "--data", str(tmp_path / "moved"))) == 1


def test_a_worker_refuses_other_images_and_other_weights(tlsearch, tiny, tmp_path, tiny_weights):
    import safetensors.torch

    tlsearch.run("create", str(tiny()))
    labels = np.repeat([0, 1], 10)
    np.savez(tmp_path / "x.npz", images=np.zeros((20, 8, 8), np.uint8), labels=labels)
    refused = tlsearch.run("worker", "tiny", "--data", str(tmp_path / "x.npz"), rc=2)
    assert "these are not the images study 'tiny' was created with" in refused.stderr
    state = safetensors.torch.load_file(tiny_weights)
    state["conv_stem.weight"] += 1
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    refused = tlsearch.run("worker", "tiny", "--weights", str(tmp_path / "w.safetensors"), rc=2)
    assert "the weights of test_efficientnet here are not those" in refused.stderr
    assert tlsearch.json("status", "tiny")["counts"]["waiting"] == 1


def test_as_a_library(tiny, storage_url):
    study, created = library.create_study(tiny(trials=2), storage_url)
    summary = library.run_worker(study.name, storage_url)
    best = library.best_trials(study.name, storage_url, top=1)
    assert created
    assert summary.budget_spent
    assert len(summary.trials) == 2
    assert best[0].val_accuracy == max(trial.val_accuracy or 0.0 for trial in summary.trials)
    assert isinstance(best[0].params, library.Hyperparameters)


def test_the_test_split_is_out_of_a_trials_reach(tiny, storage_url):
    """Nothing that a worker holds has as many images as train and validation do not explain."""
    from tlsearch.store.connect import open_storage
    from tlsearch.store.studies import find_study
    from tlsearch.worker.materials import load_materials
    from tlsearch.worker.progress import SilentProgress
    from tlsearch.worker.run import WorkerOptions, open_contexts

    library.create_study(tiny(), storage_url)
    storage = open_storage(storage_url)
    study = find_study(storage, "tiny")
    with open_contexts(storage, [study], WorkerOptions("cpu"), SilentProgress()) as (context,):
        materials = load_materials(context)
    assert study.data.n_test == 1000
    assert (len(materials.data.train), len(materials.data.val)) == (80, 50)
    assert not hasattr(materials.data, "test")


def test_psql_asks_the_database(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=1)))
    tlsearch.run("worker", "tiny")
    sql = "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"
    assert tlsearch.run_process("db", "psql", "-Atc", sql).stdout.strip() == "1"


def test_help_names_every_command(tlsearch):
    text = tlsearch.run("--help").stdout
    for command in ("create", "worker", "status", "best", "layers", "check", "db", "quickstart"):
        assert command in text
        assert json.dumps(tlsearch.run(*command.split(), "--help").stdout)


def test_another_study_of_the_same_data(tlsearch, tiny):
    tlsearch.run("create", str(tiny(trials=3, epochs=9)))
    tlsearch.run("budget", "tiny", "--trials", "5")
    made = ["create", "--from", "tiny", "--set", "recipe.image_size=48", "--set", "recipe.epochs=2"]
    said = tlsearch.run(*made).stdout
    name = "tiny-image_size-48-epochs-2"
    assert f"study '{name}' created" in said
    assert f"study '{name}' exists with this very spec" in tlsearch.run(*made).stdout
    database = open_storage(tlsearch.storage_url)
    one, other = find_study(database, "tiny").spec, find_study(database, name).spec
    assert other.recipe == one.recipe.model_copy(update={"image_size": 48, "epochs": 2})
    assert (other.data, other.backbone, other.space) == (one.data, one.backbone, one.space)
    assert other.budget.trials == 5, "as it is now"
    more = ["--set", "name=mine", "--set", "budget.gpu_hours=2", "--set", "sampler.name=random"]
    more += ["--set", "space.high_lr=[0.001, 0.01]", "--set", "recipe.horizontal_flip=false"]
    tlsearch.run("create", "--from", "tiny", *more)
    mine = find_study(database, "mine").spec
    assert (mine.budget.gpu_hours, mine.sampler.name) == (2, "random")
    assert mine.space.high_lr == Range(0.001, 0.01)
    assert not mine.recipe.horizontal_flip


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "give a spec (a TOML file), or --from STUDY"),
        (["x.toml", "--from", "tiny", "--set", "name=x"], "give a spec (a TOML file), or --from"),
        (["x.toml", "--set", "name=x"], "--set needs --from STUDY"),
        (["--from", "tiny"], "--from needs what is to differ"),
        (["--from", "tiny", "--set", "name"], "must be KEY=VALUE"),
        (["--from", "tiny", "--set", "name=x", "--set", "name=y"], "name is set twice"),
        (["--from", "tiny", "--set", "recipe.epoch=3"], "did you mean recipe.epochs?"),
        (["--from", "tiny", "--set", "name.x=3"], "name.x: name is a value, not a table"),
        (["--from", "tiny", "--set", "name=tiny", "--set", "recipe.epochs=4"], "another spec"),
        (["--from", "cars", "--set", "recipe.epochs=4"], "study 'cars' does not exist"),
    ],
)
def test_what_no_study_can_be_made_from(tlsearch, tiny, args, sentence):
    tlsearch.run("create", str(tiny()))
    said = " ".join(tlsearch.run("create", *args, rc=2).stderr.replace("│", " ").split())
    assert sentence in said


def test_fewer_epochs_have_a_shorter_warm_up(tlsearch, tiny):
    path = tiny(epochs=9)
    path.write_text(path.read_text().replace("warmup_epochs = 0\n", ""))
    tlsearch.run("create", str(path))
    tlsearch.run("create", "--from", "tiny", "--set", "recipe.epochs=2")
    recipe = find_study(open_storage(tlsearch.storage_url), "tiny-epochs-2").spec.recipe
    assert (recipe.epochs, recipe.warmup_epochs) == (2, 1)

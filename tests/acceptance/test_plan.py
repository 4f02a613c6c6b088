"""`tlsearch plan` on a real, tiny network, and budgets in minutes."""

import re

import pytest

from tlsearch.spec import load_spec

FEW = ("--sizes", "32,48", "--gpu-hours", "3")


def test_a_plan(tlsearch, tiny):
    found = tlsearch.json("plan", str(tiny(measures="worker")), *FEW)
    assert (found["n_train"], found["n_val"], found["workers"]) == (80, 50, 1)
    assert [facts["image_size"] for facts in found["sizes"]] == [32, 48]
    for facts in found["sizes"]:
        assert facts["refused"] is None
        assert facts["upscaled"]  # the files hold 28 pixels
        assert facts["pace"]["step_image"] > 0
        assert facts["pace"]["val_image"] > 0
    probe = found["sizes"][0]["probe"]  # of the spec's own size; of others where there is time
    assert probe["gain"] == 0
    assert 0 <= probe["val_accuracy"] <= 1
    assert found["sizes"][0]["pace"]["bursts"] >= 3
    chosen = found["proposed"]
    assert chosen in found["combinations"]
    assert all(one["total_seconds"] <= 3 * 3600 for one in found["combinations"])
    assert chosen["measuring_seconds"] > 0
    assert found["own_trials"] is None


def test_what_a_spec_costs(tlsearch, tiny):
    """Without a budget of time: its own trials, and what they take."""
    path = tiny(trials=5, measures="worker")
    found = tlsearch.json("plan", str(path), "--workers", "2")
    assert (found["budget_seconds"], found["proposed"], found["combinations"]) == (None, None, [])
    assert [facts["image_size"] for facts in found["sizes"]] == [32]
    cost, pace = found["as_it_is"], found["sizes"][0]["pace"]
    assert (cost["trials"], cost["epochs"], cost["image_size"]) == (5, 3, 32)
    trials = 5 * cost["trial_seconds"] + cost["measuring_seconds"]
    assert cost["total_seconds"] == pytest.approx(trials)
    assert cost["gpu_hours"] == pytest.approx(cost["total_seconds"] / 3600)
    disk = cost["disk"]
    assert disk["checkpoints"] == 2 * 2 * pace["checkpoint_bytes"]  # two workers
    assert disk["models"] == 4 * pace["model_bytes"]  # three of the best, and the floor's
    assert disk["total"] == disk["checkpoints"] + disk["models"] + disk["images"]
    assert disk["images"] == 130 * 32 * 32 * 3
    assert cost["memory_bytes"] > 100e6  # torch itself


def test_the_files_of_a_study_have_the_planned_sizes(tlsearch, tiny, tmp_path):
    path = tiny(trials=2)
    disk = tlsearch.json("plan", str(path))["as_it_is"]["disk"]
    tlsearch.run("create", str(path))
    tlsearch.run("worker", "tiny", TLSEARCH_ARTIFACTS=str(tmp_path / "files"))
    models = sum(each.stat().st_size for each in (tmp_path / "files").rglob("*.safetensors"))
    assert models == pytest.approx(disk["models"], rel=0.05)


def test_a_grid_costs_what_it_holds(tlsearch, tiny):
    from tests.acceptance.test_grids import grid_of

    found = tlsearch.json("plan", grid_of(tiny, trials=40))
    assert found["as_it_is"]["trials"] == 9  # eight points, and the plain default


def test_for_people(tlsearch, tiny):
    done = tlsearch.run("plan", str(tiny()), *FEW, "--workers", "2")
    assert "budget    3:00:00, shared by 2 workers" in done.stdout
    assert "more pixels than the files hold" in done.stdout
    assert re.search(
        r"^the spec +6 trials of 3 epochs at 32 pixels: .* GPU-hours", done.stdout, re.M
    )
    assert re.search(r"^disk +[\d.]+ MB at most: checkpoints .*, models .*", done.stdout, re.M)
    assert re.search(r"^memory +[\d.]+ [MG]B of a worker's process", done.stdout, re.M)
    assert re.search(r"^it costs +\d+ trials", done.stdout, re.M)
    assert "proposed: recipe.image_size = " in done.stdout
    assert re.search(r"a validation image +fixed features +gain", done.stdout)
    assert re.search(r"^ *32 .*\d %? ?\+- \d+\.\d", done.stdout, re.MULTILINE)


def test_the_planned_spec_is_written_and_can_be_created(tlsearch, tiny, tmp_path):
    spec, target = tiny(), tmp_path / "planned.toml"
    spec.write_text("# mine\n" + spec.read_text())
    found = tlsearch.json(
        "plan", str(spec), "--sizes", "32", "--minutes", "90", "--write", str(target)
    )
    planned = load_spec(target)
    assert target.read_text().startswith("# mine")
    assert planned.recipe.epochs == found["proposed"]["epochs"]
    assert planned.budget.trials == found["proposed"]["trials"]
    assert planned.budget.gpu_hours == 1.5
    assert tlsearch.json("create", str(target))["created"] is True
    refused = tlsearch.run("plan", str(spec), *FEW, "--write", str(target), rc=2)
    assert "is there already" in refused.stderr


def test_the_budget_of_the_spec_and_what_its_trials_say(tlsearch, tiny):
    path = tiny(trials=2)
    path.write_text(path.read_text().replace("trials = 2", "trials = 2\ngpu_hours = 1.0"))
    tlsearch.run("create", str(path))
    tlsearch.run("worker", "tiny")
    found = tlsearch.json("plan", str(path), "--sizes", "32")
    assert found["budget_seconds"] == 3600
    own = found["own_trials"]
    assert (own["image_size"], own["epochs"], own["same_spec"]) == (32, 3, True)
    assert own["n_complete"] == 2
    assert own["seconds"] > 0
    assert own["rising"] is None  # three epochs tell nothing
    said = tlsearch.run("plan", str(path), "--sizes", "32").stdout
    assert "the study exists: 2 complete trials at 32 pixels and 3 epochs" in said
    assert "study tiny exists: give the planned spec another name" in said


def test_sizes_that_the_network_cannot_take(tlsearch, tiny, tmp_path):
    """The weights of a gMLP mix the positions of images of 32 pixels, and of no others."""
    import safetensors.torch

    from tlsearch.backbones import build

    weights = tmp_path / "gmlp.safetensors"
    state = build("gmlp_ti16_224", 1000, seed=0, image_size=32).state_dict()
    safetensors.torch.save_file(state, weights)
    spec = tiny()
    text = re.sub("weights = .*", f'weights = "{weights}"', spec.read_text())
    spec.write_text(text.replace("test_efficientnet", "gmlp_ti16_224"))
    found = tlsearch.json("plan", str(spec), "--sizes", "32,48,64", "--gpu-hours", "1")
    own, *others = found["sizes"]
    assert own["refused"] is None
    assert [facts["refused"][:33] for facts in others] == [
        "the network cannot take 48 pixels",
        "the network cannot take 64 pixels",
    ]
    assert {one["image_size"] for one in found["combinations"]} == {32}
    spec.write_text(spec.read_text().replace("image_size = 32", "image_size = 48"))
    refused = tlsearch.run("plan", str(spec), "--gpu-hours", "1", rc=2)
    assert "recipe.image_size = 48: the network cannot take 48 pixels" in refused.stderr


def test_too_little_time(tlsearch, tiny):
    done = tlsearch.run("plan", str(tiny()), "--sizes", "32", "--minutes", "0.0001")
    assert "nothing fits into this budget; it takes at least" in done.stdout
    refused = tlsearch.run(
        *("plan", str(tiny()), "--sizes", "32", "--minutes", "0.0001", "--write", "x.toml"), rc=2
    )
    assert "x.toml is not written" in refused.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--write", "never.toml"], "never.toml is not written: there is no budget"),
        (["--minutes", "5", "--gpu-hours", "1"], "not both"),
        (["--minutes", "-5"], "must be above 0"),
        (["--gpu-hours", "nan"], "must be above 0"),
        (["--minutes", "5", "--sizes", "64,x"], "give pixels from 16 to 1024"),
        (["--minutes", "5", "--sizes", "8"], "give pixels from 16 to 1024"),
        (["--minutes", "5", "--device", "cuda:7"], "cuda:7"),
    ],
)
def test_bad_input(tlsearch, tiny, options, sentence):
    done = tlsearch.run("plan", str(tiny()), *options, rc=2)
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_budget_in_minutes(tlsearch, tiny):
    spec = tiny(trials=1000)
    created = tlsearch.json("create", str(spec), "--minutes", "0.001")
    assert tlsearch.json("create", str(spec), "--minutes", "0.001") == {**created, "created": False}
    assert tlsearch.json("budget", "tiny")["gpu_hours"] == pytest.approx(0.001 / 60)
    said = tlsearch.run("worker", "tiny").stdout
    assert "GPU-hours are used up" in said
    assert tlsearch.json("status", "tiny")["ended"] < 1000
    refused = tlsearch.run("create", str(spec), rc=2)
    assert "budget.gpu_hours" in refused.stderr
    assert "must be above 0" in tlsearch.run("create", str(spec), "--minutes", "0", rc=2).stderr

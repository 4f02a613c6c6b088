"""studies/paper: script and files agree, and each file is what a study of the paper has to be."""

import importlib
import json
import re
from math import prod

import pytest

from tlsearch.sampler import try_sampler
from tlsearch.space import resolve
from tlsearch.spec import load_spec

units = importlib.import_module("bench.paper.units")
make = units.maker()
small_sets = importlib.import_module("studies.paper.small")
FILES = sorted(make.files())
PAPER = [path for path in FILES if path.parent == make.HERE]
QUICK = [path for path in FILES if path not in PAPER]


def grid_of(spec):
    return spec.sampler.options.get("search_space", {})


def spec_of(name):
    return load_spec(make.HERE / f"{name}.toml")


def point_of(name):
    """The one setting of a table's file."""
    space = spec_of(name).space
    return {knob: getattr(space, knob).low for knob in make.PLAIN}


def test_script_and_files_agree():
    assert make.differing(make.files()) == []


def test_a_changed_file_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "HERE", tmp_path)
    assert len(make.write()) == len(FILES)
    assert make.differing(make.files()) == []
    (changed := tmp_path / "table2-dtd.toml").write_text("# other\n")
    (tmp_path / "figure9-dtd.toml").write_text("")
    (tmp_path / "quickstart" / "table2-emoji.toml").unlink()
    assert len(make.differing(make.files())) == 3
    assert len(make.write()) == 3
    assert changed.read_text() == (make.files()[changed])
    assert not (tmp_path / "figure9-dtd.toml").exists()


@pytest.mark.parametrize("name", make.PAPER)
def test_every_figure_and_table_has_its_files(name):
    of_set = {path.stem.removesuffix(f"-{name}") for path in PAPER if path.stem.endswith(name)}
    assert {f"figure{n}" for n in range(1, 6)} <= of_set
    layers = {f"table3-{k}layers" for k in (2, 3)} | {"table4-1layer", "table4-2layers"}
    assert {"table1", "table2", "table4-3layers", "table5-default"} | layers <= of_set
    assert ("table5-overall" in of_set) is (name != "caltech")


def test_names_are_those_of_one_study_each():
    names = [load_spec(path).name for path in FILES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_a_study_that_ends_with_its_grid(path):
    """Ranges are the grid's, everything else is fixed, and the queued default is on the grid."""
    spec = load_spec(path)
    n_body = 22 if path in PAPER else 17
    space = resolve(spec.space, n_body, takes_head=True)
    grid = grid_of(spec)
    try_sampler(spec.sampler, space)
    for knob, found in space.ranges.items():
        values = grid.get(knob, [found.low])
        assert (min(values), max(values)) == (found.low, found.high), knob
    default = space.plain_default().as_dict()
    assert all(default[knob] in values for knob, values in grid.items())
    if path.stem.startswith("table1"):
        assert (spec.measures.when, spec.budget.trials) == ("worker", 2)
        return
    assert spec.measures.when == "off"
    assert spec.budget.trials == 1 + (prod(map(len, grid.values())) if grid else 0)
    assert spec.pruner.name == "none"


@pytest.mark.parametrize("name", make.PAPER)
def test_the_grids_hold_what_the_tables_found(name):
    rates = grid_of(spec_of(f"figure1-{name}"))["high_lr"]
    assert point_of(f"table2-{name}")["high_lr"] in rates
    layers = grid_of(spec_of(f"figure2-{name}"))
    low = grid_of(spec_of(f"figure3-{name}"))
    for k in (1, 2, 3):
        if k > 1:
            found = point_of(f"table3-{k}layers-{name}")
            assert found["reinit_layers"] == k
            assert found["high_lr"] in layers["high_lr"]
        found = point_of(f"table4-{k}layer{'s' if k > 1 else ''}-{name}")
        assert found["high_lr"] in low["high_lr"]
        assert found["low_layers"] in low["low_layers"]
        assert min(abs(found["low_lr_ratio"] - each) for each in low["low_lr_ratio"]) < 1e-4
    decay = grid_of(spec_of(f"figure4-{name}"))
    found = point_of(f"table5-default-{name}")
    assert found["alpha"] in decay["alpha"]
    assert found["beta"] in decay["beta"]


def test_values_of_the_papers_tables():
    """Some by hand, from the paper's text."""
    assert point_of("table2-dtd")["high_lr"] == 0.002
    cars = point_of("table4-1layer-cars")
    assert (cars["high_lr"], cars["low_lr_ratio"], cars["low_layers"]) == (0.025, 0.4, 8)
    dtd = point_of("table5-overall-dtd")  # Table 6: 2 new layers, lr 0.002, L2SP 0.001 0.001, 14
    values = {"reinit_layers": 2, "high_lr": 0.002, "alpha": 0.001, "beta": 0.001}
    assert {**dtd, **values, "l2sp_layers": 14} == dtd
    assert point_of("table5-default-caltech")["l2sp_layers"] == 22  # all


@pytest.mark.parametrize("target", units.TARGETS)
def test_small_targets_say_how_long_they_take(target):
    of_target = [path for path in QUICK if path.stem.endswith(f"-{target}")]
    assert len(of_target) == len(units.experiments(target))
    for path in of_target:
        assert re.search(r"^# \d+ trials, about \d+ min on one core", path.read_text(), re.M)


def test_one_target_trains_a_thousand_steps():
    recipe = load_spec(make.HERE / "quickstart" / "figure4-fashion-30-long.toml").recipe
    assert recipe.epochs * (300 // recipe.batch_size) >= 1000


class TestSettingsFromFigures:
    def results(self, folder, monkeypatch, *trials, complete=True):
        line = {"experiment": "figure1", "complete": complete, "trials": list(trials)}
        (folder / "emoji.jsonl").write_text('{"target": "emoji"}\n' + json.dumps(line) + "\n")
        monkeypatch.setattr(small_sets, "RESULTS", folder)
        return {each.name: each for each in make.quick_experiments("emoji")}

    def trial(self, high_lr, val_accuracy, origin="GridSampler"):
        params = {**make.PLAIN, "high_lr": high_lr}
        return {"origin": origin, "val_accuracy": val_accuracy, "params": params}

    def test_the_best_trial_of_the_grid_decides(self, tmp_path, monkeypatch):
        trials = [(0.04, 0.5), (0.07, 0.6), (0.1, 0.6), (0.01, None)]
        found = self.results(
            tmp_path,
            monkeypatch,
            *(self.trial(*each) for each in trials),
            self.trial(0.01, 0.9, "default"),
        )
        assert found["table2"].knobs["high_lr"] == 0.07
        assert found["figure4"].knobs["high_lr"] == 0.07
        assert found["table2"].ours == ("the setting is the best of figure1",)
        assert "stand-in" in found["table5-default"].ours[0]

    def test_half_a_figure_decides_nothing(self, tmp_path, monkeypatch):
        found = self.results(tmp_path, monkeypatch, self.trial(0.07, 0.6), complete=False)
        assert found["table2"].knobs == small_sets.STAND_IN


class TestUnits:
    def test_tables_have_four_runs_and_figures_one(self):
        found = list(units.units("emoji"))
        assert [unit.run for unit in found if unit.experiment == "table2"] == [1, 2, 3, 4]
        assert [unit.run for unit in found if unit.experiment in ("table1", "figure2")] == [0, 0]

    def test_runs_differ_in_the_seed_and_the_name_alone(self):
        first, second, *_ = (unit.spec() for unit in units.units("emoji", ["table2"]))
        assert (first.recipe.seed, second.recipe.seed) == (1, 2)
        assert first.name != second.name
        recipe = second.recipe.model_copy(update={"seed": 1})
        assert second.model_copy(update={"name": first.name, "recipe": recipe}) == first

    def test_only_some(self):
        names = {unit.experiment for unit in units.units("digits", ["table5", "figure1"])}
        assert names == {"figure1", "table5-default", "table5-1layer"}

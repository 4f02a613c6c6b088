"""bench/paper runs real studies, goes on where it stopped, and takes settings from figures."""

import importlib
import json
import re

import pytest

units, run = (importlib.import_module(f"bench.paper.{name}") for name in ("units", "run"))
make = units.maker()
small_sets = importlib.import_module("studies.paper.small")


@pytest.fixture
def small(tmp_path, monkeypatch, storage_url, tiny_weights):
    """The quickstart's studies with a tiny network and one epoch, and results elsewhere."""
    results = tmp_path / "results"
    home = tmp_path / "studies"
    (home / "quickstart").mkdir(parents=True)
    rendered = make.rendered

    def shorter(target, experiment):
        text = rendered(target, experiment)
        text = re.sub(r"epochs = \d+\nwarmup_epochs = \d+", "epochs = 1\nwarmup_epochs = 0", text)
        return re.sub(r"high_lr = \[.*, .*, .*\]", "high_lr = [0.001, 0.1]", text)

    monkeypatch.setattr(make, "rendered", shorter)
    monkeypatch.setattr(make, "HERE", home)
    monkeypatch.setattr(small_sets, "RESULTS", results)
    monkeypatch.setattr(units, "PAPER", home)
    monkeypatch.setattr(run, "RESULTS", results)
    monkeypatch.setenv("TLSEARCH_STORAGE", storage_url)
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(tmp_path / "files"))
    monkeypatch.setenv("TLSEARCH_BENCH_CACHE", str(tmp_path / "cache"))
    make.write()
    return results


def lines(results):
    return [json.loads(each) for each in (results / "fashion-30.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_figure_then_table(small):
    runner = run.Runner("fashion-30", small, None)
    with pytest.raises(run.Absent, match="takes its setting from figure1"):
        runner.run(["table2"])
    with pytest.raises(run.OutOfTime):
        run.Runner("fashion-30", small, 0.0).run(["figure1"])
    runner.run(["figure1"])
    head, figure = lines(small)
    assert len(head["labels"]) == 1000
    assert figure["complete"]
    drawn = [each for each in figure["trials"] if each["origin"] == "GridSampler"]
    assert {each["params"]["high_lr"] for each in drawn} == {0.001, 0.1}
    best = max(drawn, key=lambda each: each["val_accuracy"])
    runner.run(["table2"])
    *_, one, two, three, four, ensemble = lines(small)
    assert [each["run"] for each in (one, two, three, four)] == [1, 2, 3, 4]
    for each in (one, two, three, four):
        (trial,) = each["trials"]
        assert trial["params"] == best["params"]
        assert len(each["predictions"]) == 1000
        assert each["seed"] == each["run"]
    assert (ensemble["run"], ensemble["n"]) == ("ensemble", 4)
    before = (small / "fashion-30.jsonl").read_text()
    runner.run(["figure1", "table2"])
    assert (small / "fashion-30.jsonl").read_text() == before

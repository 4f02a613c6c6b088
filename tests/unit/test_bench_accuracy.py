"""bench/accuracy: its intervals, its splits, and that it goes on where it stopped."""

import importlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]

# By name, since mypy knows the modules of bench/ by other names.
comparison, hieroglyphs, places, run, table, targets, answers, unit = (
    importlib.import_module(f"bench.accuracy.{name}")
    for name in (
        "comparison",
        "hieroglyphs",
        "places",
        "run",
        "table",
        "targets",
        "answers",
        "unit",
    )
)


# Intervals


def test_with_one_seed_it_is_the_paired_t_interval_over_images():
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 1, 300)) < np.array([0.8, 0.7])[:, None, None]
    found = comparison.difference(first, second)
    paired = stats.ttest_rel(first[0].astype(float), second[0].astype(float))
    interval = paired.confidence_interval()
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def rows_without_image_effect(counts: list[int], n_images: int) -> np.ndarray:
    """Return (2 x len(counts), n_images): each image is correct under half of the seeds."""
    rows = [np.arange(n_images) < count for count in counts]
    return np.stack([row for one in rows for row in (one, ~one)])


def test_where_images_do_not_differ_it_is_welchs_interval_over_seeds():
    first = rows_without_image_effect([3, 5], 12)
    second = rows_without_image_effect([1, 4, 6], 12)
    found = comparison.difference(first, second)
    welch = stats.ttest_ind(first.mean(axis=1), second.mean(axis=1), equal_var=False)
    interval = welch.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert not found.clear


def test_nineteen_of_twenty_intervals_hold_the_true_difference():
    """Seeds and images both random: few of each, as in the bench."""
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        hard = generator.normal(0, 1, 150)  # an image, for both arms
        arms = []
        for gain in (0.9, 0.6):
            own = generator.normal(0, 0.5, 150)  # an image, for this arm
            good = generator.normal(0, 0.2, (5, 1))  # a seed
            luck = generator.normal(0, 0.7, (5, 150))
            arms.append(gain + hard + own + good + luck > 0)
        spread = np.sqrt(1 + 0.5**2 + 0.2**2 + 0.7**2)
        truth = stats.norm.cdf(0.9 / spread) - stats.norm.cdf(0.6 / spread)
        found = comparison.difference(*arms)
        held += found.low <= truth <= found.high
    assert 0.94 <= held / 600 <= 0.995


def test_an_arm_against_itself_and_unequal_images():
    same = np.random.default_rng(2).random((1, 40)) < 0.5
    found = comparison.difference(same, same)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert not found.clear
    with pytest.raises(ValueError, match="40 images cannot be paired with 39"):
        comparison.difference(same, same[:, 1:])
    with pytest.raises(ValueError, match="2 predictions for 3 labels"):
        comparison.correctness("01", "012")


def test_predictions_survive_being_written():
    generator = np.random.default_rng(3)
    labels, predicted = generator.integers(0, 12, (2, 500))
    found = comparison.correctness(unit.written(predicted), unit.written(labels))
    assert np.array_equal(found, predicted == labels)


# The table


def line(arm: str, seed: int, predictions: str, **more: object) -> dict[str, object]:
    return {
        "target": "digits",
        "arm": arm,
        "seed": seed,
        "val": 0.5,
        "test": 0.5,
        "predictions": predictions,
        "seconds": 10.0 + seed,
        "cpu_seconds": 5.0,
        "trials": 8,
        "epochs": 20,
        "machine": "a machine",
        "commit": "0123456789abcdef",
        **more,
    }


HEAD = {"target": "digits", "n_train": 4, "n_val": 2, "labels": "01" * 50}


def test_the_table_shows_each_arm_with_its_differences():
    right, wrong = "01" * 50, "10" * 10 + "01" * 40
    others = {"mean": {"val": 0.5, "test": 1.0, "predictions": right}}
    rows = [
        HEAD,
        line("probe", 0, wrong),
        line("probe", 1, wrong),
        line("tlsearch", 0, right, others=others),
        line("tlsearch", 1, wrong, others=others),
        line("tlsearch", 2, right, others=others, trials=4),
    ]
    text = table.markdown({"digits": rows}, answers.Settings())
    cells = {row.split(" | ")[0]: row.split(" | ") for row in text.splitlines() if " | " in row}
    probe, ours = cells["| probe: fixed features"], cells["| **tlsearch: recommended**"]
    assert probe[1:4] == ["2", "50.0 +- 0.0", "80.0 +- 0.0"]
    assert ours[1:4] == ["2", "50.0 +- 0.0", "90.0 +- 14.1"]
    arms = table.arms_of(rows, answers.Settings())
    found = comparison.difference(arms["tlsearch"].correct, arms["probe"].correct)
    assert ours[4] == probe[5] == table.shown(found)
    assert cells["| mean of the two"][3] == "100.0 +- 0.0"
    assert ours[6] == "10"
    assert "100 test images" in text
    assert "tlsearch at 0123456789ab" in text


def test_it_is_put_between_its_marks():
    document = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    once = table.placed(document, "new")
    assert once == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
    assert table.placed(once, "new") == once
    with pytest.raises(ValueError, match="has no"):
        table.placed("nothing", "new")
    readme = (ROOT / "bench" / "accuracy" / "README.md").read_text()
    assert table.BEGIN in table.placed(readme, "new")


# The images


@pytest.fixture
def bench_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(places.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_hieroglyphs_are_split_by_name_into_disjoint_parts():
    by_category = hieroglyphs.names_by_category()
    sizes = {"train": 0, "val": 0, "test": 0}
    for names in by_category.values():
        parts = hieroglyphs.split(names)
        assert sorted(name for part in parts.values() for name in part) == sorted(names)
        assert parts == hieroglyphs.split(names[::-1]), "the order of the names does not count"
        assert (len(parts["train"]), len(parts["val"])) == (24, 10)
        sizes = {part: sizes[part] + len(names) for part, names in parts.items()}
    assert sizes == {"train": 288, "val": 120, "test": 349}


@pytest.mark.parametrize("name", ["fashion-30", "emoji", "digits"])
def test_no_test_image_is_in_the_file_for_the_product(name, bench_cache):
    """Of hieroglyphs the names say it: their images are fetched."""
    try:
        prepared = targets.TARGETS[name].prepared()
    except places.Absent as absent:
        pytest.skip(str(absent))
    with np.load(prepared.study) as study, np.load(prepared.test) as test:
        assert sorted(study) == ["class_names", "x_train", "x_val", "y_train", "y_val"]
        seen = {image.tobytes() for part in ("x_train", "x_val") for image in study[part]}
        assert not [image for image in test["x_test"] if image.tobytes() in seen]
        assert len(test["x_test"]) >= 300
    if name == "digits":
        fingerprint = prepared.fingerprint()
        shutil.rmtree(bench_cache)
        assert targets.TARGETS[name].prepared().fingerprint() == fingerprint


def test_what_is_not_the_chosen_package_is_refused(tmp_path):
    (tmp_path / hieroglyphs._TARBALL).write_bytes(b"another")
    with pytest.raises(places.Absent, match="has the SHA-256"):
        hieroglyphs.arrays(tmp_path)


# The matrix


def test_all_arms_come_under_the_first_seed_before_the_second():
    units = run.wanted(["a", "b"], ["probe", "tlsearch"], 2, answers.Settings())
    assert [each.seed for each in units] == [0] * 4 + [1] * 4
    assert {(each.target, each.arm) for each in units[:4]} == {
        (target, arm) for target in "ab" for arm in ("probe", "tlsearch")
    }


def test_a_unit_is_known_by_arm_seed_and_settings():
    few, usual = answers.Settings(trials=4), answers.Settings()
    search, probe = line("tlsearch", 0, ""), line("probe", 0, "")
    assert run.Wanted("digits", "tlsearch", 0, usual).is_in([HEAD, search])
    assert not run.Wanted("digits", "tlsearch", 0, few).is_in([HEAD, search])
    assert not run.Wanted("digits", "tlsearch", 1, usual).is_in([HEAD, search])
    assert run.Wanted("digits", "probe", 0, few).is_in([HEAD, probe]), "it has no trials"
    assert run.Wanted("digits", "probe", 0, usual).without([HEAD, search, probe]) == [HEAD, search]


@pytest.fixture
def sigterm():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm", "bench_cache")
def test_it_runs_what_is_missing_and_nothing_else(tmp_path, monkeypatch, capsys):
    """The probe on digits, for real."""
    results = tmp_path / "results"
    command = ["run", "--targets", "digits", "--arms", "probe", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", [*command, "--results", str(results)])
    run.main()
    assert "1 units, 0 of them done" in capsys.readouterr().err
    first = (results / "digits.jsonl").read_text()
    head, found = map(json.loads, first.splitlines())
    assert (len(head["labels"]), found["arm"], found["seed"]) == (1097, "probe", 0)
    correct = comparison.correctness(found["predictions"], head["labels"])
    assert correct.mean() == pytest.approx(found["test"], abs=1e-5)
    assert found["test"] > 0.5
    run.main()
    assert "1 units, 1 of them done" in capsys.readouterr().err
    assert (results / "digits.jsonl").read_text() == first
    other = json.dumps({**head, "images": "others"}) + "\n"
    (results / "digits.jsonl").write_text(other)
    with pytest.raises(SystemExit, match="is of other images"):
        run.main()
    with places.only_run(), pytest.raises(SystemExit, match="another run uses"):
        run.main()


def test_what_it_runs_ends_with_it(tmp_path):
    """SIGTERM while a child sleeps."""
    arguments = "['sh', '-c', 'echo $$ > pid; exec sleep 600']"
    script = (
        "import sys; from bench.accuracy.places import call, end_children_on_sigterm\n"
        "end_children_on_sigterm()\n"
        f"call({arguments}, {{'PATH': '/bin:/usr/bin'}}, sys.argv[1])"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT)
    file = tmp_path / "pid"
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"))
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    child = int(file.read_text())
    wait_until(lambda: not Path(f"/proc/{child}").exists())


def wait_until(true, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)

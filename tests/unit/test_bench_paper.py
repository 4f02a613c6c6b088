"""bench/paper: the rules of its verdicts, and the page that follows from results."""

import importlib
import json
import math

import numpy as np
import pytest

from tlsearch.records.precision import standard_error

verdicts, found_module, claims, page, units, results = (
    importlib.import_module(f"bench.paper.{name}")
    for name in ("verdicts", "found", "claims", "page", "units", "results")
)
comparison = importlib.import_module("bench.accuracy.comparison")

LABELS = "0123456789" * 40  # 400 test images
N_VAL = 200
PLAIN = units.maker().PLAIN
MEASURES = {
    "fixed_features": 0.80,
    "fixed_features_strength": 1.0,
    "random_init": 0.40,
    "random_init_epochs": 20,
    "fisher": 1.5,
    "fisher_floor": 0.5,
    "fisher_floor_spread": 0.1,
    "emd": 50.0,
    "emd_similarity": 0.6,
    "emd_source": "the classifier's weights",
    "lr_range": None,
    "n_val": N_VAL,
    "feature_seconds": 1.0,
    "lr_range_seconds": 1.0,
    "random_init_seconds": 1.0,
    "sizes": [],
}


def trial(val_accuracy, origin="GridSampler", **params):
    return {
        "number": 0,
        "state": "complete",
        "origin": origin,
        "params": {**PLAIN, **params},
        "val_accuracy": val_accuracy,
    }


def line(experiment, trials, run=0, **more):
    about = {"machine": "m, 2 cores", "commit": "0123456789abcdef", "measures": None}
    unit = {"experiment": experiment, "run": run, "complete": True}
    return {**about, **unit, "trials": trials, **more}


def predicted(share, seed):
    """Predictions of which a share is right; which ones depends on the seed a little."""
    generator = np.random.default_rng(seed)
    order = np.argsort(np.arange(len(LABELS)) + generator.normal(0, 20, len(LABELS)))
    right = set(order[: round(share * len(LABELS))].tolist())
    return "".join(label if n in right else "x" for n, label in enumerate(LABELS))


def table(experiment, shares, **params):
    return [
        line(
            experiment, [trial(share, "default", **params)], run, predictions=predicted(share, run)
        )
        for run, share in enumerate(shares, 1)
    ]


def write(folder, target, *lines):
    head = {"target": target, "n_train": 300, "n_val": N_VAL, "labels": LABELS}
    text = "".join(json.dumps(each) + "\n" for each in (head, *lines))
    (folder / f"{target}.jsonl").write_text(text)
    return found_module.Found(target, [head, *lines])


def suited():
    return line("table1", [], measures=MEASURES)


def unsuited():
    return line("table1", [], measures={**MEASURES, "random_init": 0.95})


class TestRules:
    def difference(self, low, high):
        return comparison.Difference((low + high) / 2, low, high)

    @pytest.mark.parametrize(
        ("low", "high", "gain", "no_gain"),
        [
            (0.01, 0.03, "agrees", "disagrees"),
            (-0.01, 0.03, "cannot be told", "cannot be told"),
            (-0.03, -0.01, "disagrees", "agrees"),
            (-0.002, 0.004, "disagrees", "agrees"),  # no gain of half a point
            (0.001, 0.004, "agrees", "agrees"),
        ],
    )
    def test_a_gain(self, low, high, gain, no_gain):
        found = self.difference(low, high)
        assert verdicts.of_difference(found, "gain") == gain
        assert verdicts.of_difference(found, "no gain") == no_gain

    def test_whether_the_weights_fit(self):
        assert verdicts.side_of(-0.2, 0.05) == "fits"
        assert verdicts.side_of(0.2, 0.05) == "does not fit"
        assert verdicts.side_of(-0.09, 0.05) is None
        assert verdicts.side_of(None, None) is None

    def test_values_within_a_standard_error_may_be_the_best(self):
        error = math.sqrt(2) * standard_error(0.8, N_VAL)
        rates = {0.001: 0.6, 0.01: 0.8 - 0.9 * error, 0.02: 0.8, 0.05: 0.8 - 1.1 * error}
        trials = [trial(accuracy, high_lr=rate) for rate, accuracy in rates.items()]
        trials.append(trial(0.1, high_lr=0.02, alpha=0.1))  # the best trial of a value counts
        assert verdicts.best_values(trials, "high_lr", N_VAL) == (0.01, 0.02)

    def test_ranges(self):
        assert verdicts.of_ranges((0.001, 0.002), (0.01, 0.02)) == "agrees"
        assert verdicts.of_ranges((0.001, 0.01), (0.01, 0.02)) == "cannot be told"
        assert verdicts.of_ranges((0.03, 0.04), (0.01, 0.02)) == "disagrees"
        assert verdicts.of_limit((0.001, 0.002), 0.008, below=True) == "agrees"
        assert verdicts.of_limit((0.001, 0.01), 0.008, below=True) == "cannot be told"
        assert verdicts.of_limit((0.01, 0.02), 0.008, below=True) == "disagrees"
        assert verdicts.of_limit((0.01, 0.02), 0.008, below=False) == "agrees"


class TestClaims:
    def words(self, found):
        return [claim.find(found).word for claim in claims.CLAIMS]

    def test_nothing_was_run(self, tmp_path):
        assert set(self.words(write(tmp_path, "emoji"))) == {"not run"}

    @pytest.mark.parametrize(
        ("measures", "word"),
        [(suited, "agrees"), (unsuited, "disagrees"), (None, "cannot be told")],
    )
    def test_what_is_expected_follows_from_the_measures(self, tmp_path, measures, word):
        """L2-SP gains ten points: as claimed where the weights fit, and not elsewhere."""
        first = [measures()] if measures else []
        default = table("table2", (0.7, 0.705, 0.695, 0.7))
        l2sp = table("table5-default", (0.8, 0.805, 0.795, 0.8), alpha=0.01, l2sp_layers=17)
        found = write(tmp_path, "emoji", *first, *default, *l2sp)
        finding = claims._l2sp(found)
        assert finding.word == word
        assert finding.ours.startswith("+10.0 [+")
        assert finding.n == "4 runs, 400 test images"

    def test_three_runs_of_four_say_nothing(self, tmp_path):
        lines = [*table("table2", (0.7, 0.7, 0.7)), *table("table5-default", (0.8,) * 4)]
        assert claims._l2sp(write(tmp_path, "emoji", suited(), *lines)).word == "not run"

    def test_half_a_figure_says_nothing(self, tmp_path):
        half = line("figure1", [trial(0.8, high_lr=0.01)]) | {"complete": False}
        assert claims._rate(write(tmp_path, "emoji", suited(), half)).word == "not run"

    def test_rates(self, tmp_path):
        one = line("figure1", [trial(0.4, high_lr=0.001), trial(0.8, high_lr=0.04)])
        more = [trial(0.9, high_lr=0.002, reinit_layers=2), trial(0.3, high_lr=0.04)]
        found = write(tmp_path, "emoji", suited(), one, line("figure2", more))
        assert claims._rate(found).word == "disagrees"  # it fits, and the best rate is high
        assert claims._rate_of_layers(found).word == "agrees"

    def test_alpha(self, tmp_path):
        trials = [trial(0.8, alpha=0.0001), trial(0.4, alpha=0.1), trial(0.6, alpha=0.01)]
        figure = line("figure4", trials)
        assert claims._alpha(write(tmp_path, "emoji", unsuited(), figure)).word == "agrees"
        assert claims._alpha(write(tmp_path, "emoji", suited(), figure)).word == "not claimed"

    def test_an_ensemble(self, tmp_path):
        default = table("table2", (0.7, 0.7, 0.7, 0.7))
        together = {"experiment": "table2", "run": "ensemble", "complete": True, "n": 4}
        together["predictions"] = predicted(0.9, 0)
        found = write(tmp_path, "emoji", *default, together)
        assert claims._ensemble(found).word == "agrees"
        assert found.setting("table2").test == pytest.approx([0.7] * 4)


class TestPage:
    def test_says_what_was_not_run(self, tmp_path):
        text = page.page(tmp_path)
        assert "Nothing was run yet." in text
        assert text.count("not run yet") == len(units.TARGETS)

    def test_has_every_claim_with_figures_and_verdict(self, tmp_path):
        figure = line("figure1", [trial(0.4, high_lr=0.001), trial(0.8, high_lr=0.04)])
        default = table("table2", (0.7, 0.72, 0.68, 0.7), high_lr=0.04)
        write(tmp_path, "emoji", suited(), figure, *default)
        text = page.page(tmp_path)
        for number, claim in enumerate(claims.CLAIMS, 1):
            assert f"## {number}. {claim.text}" in text
        assert (
            "| emoji | best rate 0.04; weights: fits | 1 run, 200 val. images | disagrees |" in text
        )
        assert "| table2 | high_lr 0.04 | 4 | 70.0 | 70.0 +- 1.6 |" in text
        assert "| reinit_layers / high_lr | 0.001 | 0.04 |" in text
        assert "6 of 30 studies | m, 2 cores | 0123456789ab |" in text
        assert "below 0.5 points" in text

    def test_the_committed_page_follows_from_the_committed_results(self):
        assert page.PAGE.read_text(encoding="utf-8") == page.page(results.RESULTS)


def test_a_line_takes_the_place_of_its_earlier_one(tmp_path):
    half = line("figure1", []) | {"complete": False}
    write(tmp_path, "emoji", half, line("figure2", []))
    whole = line("figure1", [trial(0.5)])
    results.keep(tmp_path, "emoji", whole)
    unit = next(iter(units.units("emoji", ["figure1"])))
    assert results.kept(tmp_path, unit) == whole
    assert len((tmp_path / "emoji.jsonl").read_text().splitlines()) == 3

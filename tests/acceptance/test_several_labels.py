"""Images with several labels by the commands, from the spec to predictions."""

from pathlib import Path

import pytest

from tests.acceptance.conftest import Command
from tests.several_labels import write_set

pytestmark = pytest.mark.slow

SPEC = """
name = "patches"
data.path = "{data}"
data.multi_label = true
backbone.model = "test_efficientnet"
backbone.weights = "{weights}"
budget.trials = 6
sampler.startup_trials = 3

[recipe]
image_size = 32
epochs = 4
eval_crop = 1.0
"""


@pytest.fixture
def spec(tmp_path: Path, tiny_weights: Path) -> Path:
    path = tmp_path / "patches.toml"
    data = write_set(tmp_path / "patches")
    path.write_text(SPEC.format(data=data, weights=tiny_weights))
    return path


def test_from_the_spec_to_predictions(tlsearch: Command, spec: Path, tmp_path: Path) -> None:
    checked = tlsearch.json("check", str(spec))
    assert checked["multi_label"]
    assert all(train > 0 for train, _, _ in checked["class_counts"].values())
    assert "an image in the mean" in tlsearch.run("check", str(spec)).stdout
    tlsearch.run("create", str(spec))
    assert "val mean average precision " in tlsearch.run("worker", "patches").stdout
    best = tlsearch.json("best", "patches", "--top", "6")
    assert {trial["objective"] for trial in best} == {"mean_average_precision"}
    assert {trial["origin"] for trial in best} >= {"fixed_features", "default"}
    figures = [trial["val_objective"] for trial in best]
    assert figures == sorted(figures, reverse=True)
    assert 0 < figures[-1] <= figures[0] <= 1
    assert "mean average precision" in tlsearch.run("status", "patches").stdout

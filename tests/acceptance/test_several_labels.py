"""Images with several labels by the commands, from the spec to predictions."""

import json
from pathlib import Path
from statistics import fmean

import pytest
import torch

from tests.acceptance.conftest import Command
from tests.several_labels import NAMES, write_set
from tlsearch.backbones import load_exported
from tlsearch.data import Unread
from tlsearch.predict import load
from tlsearch.predict.images import crops_of, given_images
from tlsearch.predict.preprocess import normalised

pytestmark = pytest.mark.slow

SPEC = """
name = "patches"
data.path = "{data}"
data.multi_label = true
backbone.model = "test_efficientnet"
backbone.weights = "{weights}"
budget.trials = 6
sampler.startup_trials = 3
measures.sizes = [48]

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
    assert {trial["origin"] for trial in best} >= {
        *("fixed_features", "default", "prior", "range_rate")
    }
    figures = [trial["val_objective"] for trial in best]
    assert figures == sorted(figures, reverse=True)
    assert 0 < figures[-1] <= figures[0] <= 1
    assert "mean average precision" in tlsearch.run("status", "patches").stdout
    finals = tlsearch.json("finalists", "patches", "--top", "1", "--seeds", "2")
    assert finals["complete"]
    assert finals["objective"] == "mean_average_precision"
    (tested,) = tlsearch.json("test", "patches")
    figures = [each for each in tested["figures"] if each["prediction"] == "single crop"]
    for each in figures:
        assert each["mean"] == pytest.approx(fmean(each["average_precisions"]))
        assert 0 <= each["low"] <= each["mean"] <= each["high"] <= 1
    assert tested["confusion"] == []
    assert [each["name"] for each in tested["classes"]] == list(NAMES)
    assert " mAP " in tlsearch.run("test", "patches").stdout
    page = tmp_path / "page"
    tlsearch.run("report", "patches", "--out", str(page))
    html = (page / "index.html").read_text()
    assert "This study makes mean average precision best" in html
    assert "average precision of each class" in html
    measured = tlsearch.json("measures", "patches")
    (floor,) = (trial for trial in best if trial["origin"] == "fixed_features")
    assert measured["objective"] == "mean_average_precision"
    assert measured["fixed_features"] == pytest.approx(floor["val_objective"], abs=1e-6)
    assert 0 < measured["random_init"] <= 1
    assert measured["fit"] == measured["random_init"] - measured["fixed_features"]
    assert 0 < measured["fit_error"] < 0.5
    assert measured["lr_range"] > 0
    assert measured["fisher"] is measured["fisher_ratio"] is measured["emd"] is None
    (size,) = measured["sizes"]
    assert size["lead"]["gain"] == pytest.approx(size["val_accuracy"] - measured["fixed_features"])
    assert "the paper's are accuracies" in tlsearch.run("measures", "patches").stdout
    prior = tlsearch.json("prior", "patches")
    assert 0 < prior["unfit"] < 1
    (at_range,) = (trial for trial in best if trial["origin"] == "range_rate")
    assert at_range["params"]["high_lr"] == pytest.approx(measured["lr_range"])
    plan = tlsearch.json("plan", str(spec), "--minutes", "60", "--sizes", "48")
    assert plan["fixed_features_in"] == "mean_average_precision"
    own = next(each for each in plan["sizes"] if each["image_size"] == 32)
    assert own["probe"]["val_accuracy"] == pytest.approx(measured["fixed_features"])
    assert plan["proposed"]["trials"] >= 8
    assert "fixed features by mean average precision" in tlsearch.run("plan", str(spec)).stdout

    folder, photo = tmp_path / "model", str(tmp_path / "patches" / "1.png")
    exported = tlsearch.json("export", "patches", "--out", str(folder), "--onnx")
    assert exported["checked_val_accuracy"] == exported["val_accuracy"]
    assert "An image may have several labels" in (folder / "README.md").read_text()
    said = [
        json.loads(tlsearch.run("predict", str(folder), photo, "--format", "jsonl", *more).stdout)
        for more in ((), ("--onnx",), ("--threshold", "0.001"))
    ]
    shares = said[0]["probabilities"]
    assert said[1]["probabilities"] == pytest.approx(shares, abs=1e-4)
    assert {*said[0]["labels"]} == {name for name in NAMES if shares[name] >= 0.5}
    assert {*said[2]["labels"]} == set(NAMES)
    # What plain torch says of the exported network.
    network = load_exported(folder, len(NAMES)).eval()
    preparing = load(folder).exported.preprocessing
    (crop,) = crops_of(given_images([photo]), preparing)
    assert not isinstance(crop, Unread)
    inputs = normalised([crop], preparing)
    with torch.inference_mode():
        outputs = network(torch.from_numpy(inputs).permute(0, 3, 1, 2))
    assert outputs.sigmoid()[0].tolist() == pytest.approx([shares[n] for n in NAMES], abs=1e-5)
    rows = tlsearch.run("predict", str(folder), photo, "--format", "csv").stdout.splitlines()
    assert rows[0] == "image,labels,probability blue,probability green,probability red,error"
    assert (
        "must lie between 0 and 1"
        in tlsearch.run("predict", str(folder), photo, "--threshold", "2", rc=2).stderr
    )


def test_a_network_is_chosen_by_mean_average_precision(tlsearch: Command, spec: Path) -> None:
    sizes = "backbone.image_sizes = [32, 48]\n"
    path = spec.with_name("sizes.toml")
    text = spec.read_text().replace("budget.trials = 6", f"budget.trials = 8\n{sizes}")
    path.write_text(text.replace("measures.sizes = [48]\n", ""))
    found = tlsearch.json("backbones", str(path))
    assert (found["step"], found["objective"]) == ("done", "mean_average_precision")
    figures = {row["image_size"]: row["val_objective"] for row in found["screened"]}
    assert sorted(figures) == [32, 48]
    assert all(0 < figure <= 1 for figure in figures.values())
    assert all(row["val_accuracy"] is None for row in found["screened"])
    assert sum(each["ended"] for each in found["entrants"]) == 8
    for each in found["entrants"]:
        best = tlsearch.json("best", each["study"], "--top", "8")
        (floor,) = (trial for trial in best if trial["origin"] == "fixed_features")
        assert floor["val_objective"] == pytest.approx(figures[each["image_size"]], abs=1e-6)

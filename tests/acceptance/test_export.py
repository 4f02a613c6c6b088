"""A study's model in a folder: for timm, ONNX Runtime and `tlsearch predict`."""

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image

import tlsearch as library
from tests.acceptance.conftest import TINY, Command
from tests.conftest import fresh_database
from tlsearch.artifacts import open_artifacts
from tlsearch.data import load_catalog
from tlsearch.errors import DataError, ExportError
from tlsearch.export import source, study
from tlsearch.export.source import Choice, one_trial, recommended_finalist
from tlsearch.finetune.checkpoint import load_weights
from tlsearch.predict.exported import read_exported
from tlsearch.records.finals import MEAN, Finalist, Finals, SeedRun
from tlsearch.studies.read import StudyReader

pytestmark = pytest.mark.xdist_group("export")  # one set of files for all

FILES = {"README.md", "config.json", "model.safetensors", "tlsearch.json"}
NAME = "tiny"


@pytest.fixture(scope="module")
def url(embedded_url: str, template: str, tiny_weights: Path, tmp_path_factory) -> Iterator[str]:
    """A study that is done: a floor and two fine-tuned trials."""
    spec = tmp_path_factory.mktemp("export") / "spec.toml"
    values = {"name": NAME, "trials": 3, "epochs": 2, "space": "", "max_attempts": 3}
    values |= {"measures": "worker", "sampler": "tpe"}
    network = {"model": "test_efficientnet", "weights": tiny_weights}
    spec.write_text(TINY.format(**values, **network))
    with fresh_database(embedded_url, template) as url:
        library.create_study(spec, url)
        library.run_worker(NAME, url)
        yield url


@pytest.fixture
def reader(url: str) -> StudyReader:
    return StudyReader(NAME, url)


def both(reader: StudyReader) -> Choice:
    """The mean, whatever the study recommends."""
    tuned = next(trial.number for trial in reader.best() if trial.number > 0)
    sources = [one_trial(reader, n, "").sources[0] for n in (0, tuned)]
    accuracy = sources[1].trial.mean_with_fixed_features
    return Choice("mean", tuple(sources), accuracy, "the mean of two")


def logits_by_timm(folder: Path, images: torch.Tensor) -> torch.Tensor:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.inference_mode():
        logits: torch.Tensor = model(images)
    return logits


def trained_logits(reader: StudyReader, number: int, images: torch.Tensor) -> torch.Tensor:
    """What the file among the artifacts gives in a network that is built anew."""
    data = open_artifacts().read(reader.files()[number])
    assert data is not None
    spec = reader.study.spec
    model = timm.create_model(spec.backbone.model, num_classes=len(reader.study.data.class_names))
    model.load_state_dict(load_weights(data), strict=True)
    with torch.inference_mode():
        logits: torch.Tensor = model.eval()(images)
    return logits


def some_images(side: int = 32) -> torch.Tensor:
    return torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("number", [0, 1])
def test_a_trial_is_exported_as_it_was_trained(reader, url, tmp_path, number):
    done = library.export_study(NAME, tmp_path / "out", url, trial=number)
    assert {path.name for path in done.folder.iterdir()} == FILES
    images = some_images()
    found = logits_by_timm(done.folder, images)
    assert torch.equal(found, trained_logits(reader, number, images))
    assert done.exported.kind == ("trial" if number else "fixed_features")
    trial = next(each for each in reader.best() if each.number == number)
    assert done.checked is not None
    assert done.checked.n_val == 50
    assert done.checked.n_right == round(50 * (trial.val_accuracy or 0))


def test_the_mean_with_a_graph(reader, url, tmp_path, monkeypatch):
    choice = both(reader)
    monkeypatch.setattr(study, "choose", lambda *_: choice)
    done = library.export_study(NAME, tmp_path / "out", url, onnx=True)
    names = {path.name for path in done.folder.iterdir()}
    assert names == {"1", "2", "README.md", "model.onnx", "tlsearch.json"}
    assert done.checked is not None
    assert done.checked.n_right == round(50 * (choice.val_accuracy or 0))
    assert done.onnx_difference is not None
    assert done.onnx_difference < 1e-5
    images = some_images()
    for n, each in enumerate(choice.sources, start=1):
        wanted = trained_logits(reader, each.trial.number, images)
        assert torch.equal(logits_by_timm(done.folder / str(n), images), wanted)


def test_the_recommended_answer_by_the_command(reader, url, tlsearch: Command, tmp_path):
    command = Command(url, tlsearch._capsys)
    out = tmp_path / "new" / "out"
    shown = command.run("export", NAME, "--out", str(out))
    answer = reader.answer()
    assert answer is not None
    assert f"{answer.trials[0]} of study {NAME}" in shown.stdout.replace(" and trial ", " ")
    assert [each.trial for each in read_exported(out).members] == list(answer.trials)
    refused = command.run("export", NAME, "--out", str(out), rc=2)
    assert "replace it with --force" in refused.stderr
    assert "plain timm sees all 1130 images as tlsearch does" in shown.stdout
    assert "fill in the licence" in shown.stdout
    told = ("--base-model", "me/net", "--licence", "mit")
    again = command.json("export", NAME, "--out", str(out), "--force", "--trial", "0", *told)
    assert (again["kind"], again["n_val"], again["licence"]) == ("fixed_features", 50, "mit")
    assert again["plain_timm"] == {"n_images": 1130, "n_otherwise": 0, "kinds": {}}
    head = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    assert (head["base_model"], head["license"]) == ("me/net", "mit")
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    image = tmp_path / "image.png"
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(image)
    assert command.run("predict", str(out), str(image)).stdout.count("\n") == 1


def test_the_card(reader, url, tmp_path):
    folder = library.export_study(NAME, tmp_path / "out", url, trial=1).folder
    _, front, body = (folder / "README.md").read_text().split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["license"] == "other"  # the weights are a file, so timm's licence is not theirs
    assert "base_model" not in head
    assert (head["library_name"], head["pipeline_tag"]) == ("timm", "image-classification")
    assert "Fill it in before you share this model" in body
    trial = next(each for each in reader.best() if each.number == 1)
    assert trial.params is not None
    for text in (
        reader.study.spec_hash,
        "| 80 | 50 | 1000 |",
        f"| `high_lr` | {trial.params.high_lr:.6g} |",
        "| `eval_crop` | 1.0 |",
        f"{100 * (trial.val_accuracy or 0):.1f} %",
        f"| timm of the export | {timm.__version__} |",
        "Ankle boot",
    ):
        assert text in body, text
    config = json.loads((folder / "config.json").read_text())
    assert config["label_names"][-1] == "Ankle boot"
    assert "license" not in config["pretrained_cfg"]


def test_timms_own_pixels_are_those_of_validation(reader, url, tmp_path):
    """On square images of eight bits: no grey level apart, and no other prediction."""
    folder = library.export_study(NAME, tmp_path / "out", url, trial=1).folder
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    val = load_catalog(reader.study.spec.data).val
    pictures = [Image.fromarray(np.asarray(ref.source).squeeze()).convert("RGB") for ref in val]
    with torch.inference_mode():
        predicted = model(torch.stack([transform(each) for each in pictures])).argmax(1)
    found = library.load(folder).predict([ref.source for ref in val])
    assert predicted.tolist() == found.probabilities.argmax(1).tolist()
    right = [int(k) == ref.label for k, ref in zip(predicted, val, strict=True)]
    trial = next(each for each in reader.best() if each.number == 1)
    assert np.mean(right) == pytest.approx(trial.val_accuracy)


@pytest.mark.parametrize("problem", ["a file", "something else", "another study", "no folder here"])
def test_a_folder_that_is_not_free(url, tmp_path, problem):
    out = tmp_path / "out"
    if problem == "a file":
        out.write_text("mine")
    elif problem == "something else":
        out.mkdir()
        (out / "photo.jpg").write_text("mine")
    elif problem == "another study":
        from tests.exported_folder import write_folder

        write_folder(out)
        text = (out / "tlsearch.json").read_text()
        (out / "tlsearch.json").write_text(text.replace('"study": "tiny"', '"study": "other"'))
    else:
        (tmp_path / "plain").write_text("mine")
        out = tmp_path / "plain" / "out"
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ExportError) as caught:
        library.export_study(NAME, out, url, trial=0, force=True)
    assert str(out) in str(caught.value)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("earlier", [False, True])
def test_a_full_disk_leaves_nothing_half_written(url, tmp_path, earlier):
    out = tmp_path / "out"
    if earlier:
        library.export_study(NAME, out, url, trial=0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ExportError, match="cannot be written \\(File too large\\); make room"):
            library.export_study(NAME, out, url, trial=1, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert os.listdir(tmp_path) == (["out"] if earlier else [])


@pytest.mark.slow
@pytest.mark.parametrize(("share", "options"), [(0.1, []), (1.6, ["--onnx"])])
def test_a_disk_that_is_really_full(url, tlsearch: Command, tmp_path, share, options):
    """Too small for the weights, or for the graph beside them."""
    weights = library.export_study(NAME, tmp_path / "there", url, trial=1).folder
    size = int(share * (weights / "model.safetensors").stat().st_size)
    (small := tmp_path / "small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        args = ["export", NAME, "--out", str(small / "out"), "--trial", "1", *options]
        said = Command(url, tlsearch._capsys).run(*args, rc=2).stderr
        assert said.startswith(f"error: {small}/out: cannot be written (No space left on device);")
        assert said.count("\n") == 1
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_models_that_are_not_there(url, tlsearch: Command, tmp_path):
    command = Command(url, tlsearch._capsys)
    out = str(tmp_path / "out")
    refused = command.run("export", NAME, "--out", out, "--trial", "77", rc=2).stderr
    assert refused == (
        f"error: study '{NAME}' has no complete trial 77; trials with a model: 0, 1, 2\n"
    )
    place = ["--artifacts", str(tmp_path / "empty")]
    (tmp_path / "empty").mkdir()
    refused = command.run("export", NAME, "--out", out, "--trial", "1", *place, rc=2).stderr
    assert "does not lie in" in refused
    assert "--artifacts" in refused
    assert "does not exist" in command.run("export", "other", "--out", out, rc=2).stderr
    assert (
        "not both"
        in command.run("export", NAME, "--out", out, "--trial=0", "--answer", rc=2).stderr
    )
    assert os.listdir(tmp_path) == ["empty"]


def test_a_damaged_model_is_named(reader, url, tmp_path):
    artifacts = open_artifacts()
    name = reader.files()[1]
    data = artifacts.read(name)
    assert data is not None
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ExportError, match=f"trial 1 of study 'tiny' \\({name}\\).*damaged"):
        library.export_study(
            NAME, tmp_path / "out", url, trial=1, artifacts=str(tmp_path / "files")
        )
    assert os.listdir(tmp_path) == ["files"]


def test_images_that_are_not_here(url, tmp_path, monkeypatch):
    """The model is written all the same, but no graph: nothing could compare it."""

    def gone(*_: object) -> None:
        raise DataError("data.path photos: no such folder")

    monkeypatch.setattr(study, "study_images", gone)
    done = library.export_study(NAME, tmp_path / "out", url, trial=0)
    assert (done.checked, done.not_checked) == (None, "data.path photos: no such folder")
    with pytest.raises(DataError, match="no such folder"):
        library.export_study(NAME, tmp_path / "graph", url, trial=0, onnx=True)
    assert os.listdir(tmp_path) == ["out"]


def test_the_best_seed_of_the_recommended_finalist(reader):
    runs = tuple(SeedRun(n, 10 + n, accuracy, 1.0) for n, accuracy in ((1, 0.5), (2, 0.7)))
    finalist = Finalist("trial 9", "candidate", None, 9, 2, runs)
    finals = Finals(NAME, (finalist,), True, recommended="trial 9")
    choice = recommended_finalist(finals, reader)
    assert choice is not None
    assert [each.trial.number for each in choice.sources] == [2]
    assert "best of 2 seeds" in choice.why
    assert recommended_finalist(Finals(NAME, (finalist,), False), reader) is None
    assert source.choose(reader, None, finals, reader) == choice


def test_the_mean_that_finalists_recommend_is_both_networks(reader):
    floor = Finalist("fixed features", "fixed_features", None, None, 1, (SeedRun(0, 1, 0.5, 1.0),))
    runs = tuple(SeedRun(n, n, accuracy, 1.0) for n, accuracy in ((1, 0.8), (2, 0.7)))
    mean = Finalist(MEAN, "mean", None, 9, 2, runs)
    found = Finals(NAME, (floor, mean), True, winner="trial 9", recommended=MEAN)
    choice = recommended_finalist(found, reader)
    assert choice is not None
    assert (choice.kind, choice.val_accuracy) == ("mean", 0.8)
    assert [each.trial.number for each in choice.sources] == [0, 1]
    assert "best of 2 seeds of trial 9" in choice.why


@pytest.mark.slow
def test_real_weights(tlsearch: Command, tiny, storage_url: str, tmp_path):
    """EfficientNet-Lite0 on the shipped images, for timm bit by bit."""
    tlsearch.run("create", str(tiny(real=True, trials=1, epochs=1)))
    tlsearch.run("worker", "tiny")
    done = library.export_study("tiny", tmp_path / "out", storage_url)
    reader, images = StudyReader("tiny", storage_url), some_images()
    (best,) = reader.best()
    found = logits_by_timm(done.folder, images)
    assert torch.equal(found, trained_logits(reader, best.number, images))
    assert done.checked is not None
    assert done.checked.n_right == round(50 * (best.val_accuracy or 0))
    front = (done.folder / "README.md").read_text().split("---\n")[1]
    assert yaml.safe_load(front)["license"] == done.licence == "apache-2.0"  # its package's

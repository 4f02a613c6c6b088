"""What the check of a study says that is no error: steps, batch norm, memory, classes."""

import numpy as np
import pytest
from PIL import Image

from tests.unit.data.made_files import png
from tlsearch.backbones import build, load_backbone
from tlsearch.cli.data_table import class_lines, passed_lines
from tlsearch.data import load_catalog, load_training_data, read_once
from tlsearch.data.needs import decoded_bytes
from tlsearch.finetune import few_values, steps_of
from tlsearch.finetune.batch_size import values_a_channel
from tlsearch.spec import DataSpec, RecipeSpec, StudySpec
from tlsearch.studies import findings
from tlsearch.studies.checked_study import CheckedStudy
from tlsearch.studies.create import check_study


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    import safetensors.torch

    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    safetensors.torch.save_file(build("test_efficientnet", 1000, seed=3).state_dict(), path)
    return str(path)


def pictures(root, n=10, size=(20, 20)):
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for k in range(n):
            colour = (200 * label, 10 * k, 90)
            Image.new("RGB", size, colour).save(root / name / f"{k}.png")
    return root


def spec(root, weights, **recipe) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "x",
            "data": {"path": str(root)},
            "backbone": {"model": "test_efficientnet", "weights": weights},
            "recipe": {"image_size": 32, "epochs": 1, **recipe},
            "measures": {"when": "off"},
        }
    )


def checked(root, weights, **recipe) -> CheckedStudy:
    return check_study(spec(root, weights, **recipe))


@pytest.mark.parametrize(
    ("n_train", "batch_size", "steps"),
    [(40, 32, (1, 32, 8)), (64, 32, (2, 32, 0)), (5, 32, (1, 5, 0)), (33, 1, (33, 1, 0))],
)
def test_steps(n_train, batch_size, steps):
    found = steps_of(RecipeSpec(batch_size=batch_size), n_train)
    assert (found.n, found.images, found.left_out) == steps


def test_steps_are_said(tmp_path, weights):
    root = pictures(tmp_path / "p", 33)
    found = checked(root, weights, batch_size=32)
    n_train = len(found.catalog.train)
    left = n_train - 32
    assert findings.steps_text(found) == (
        f"1 an epoch, of 32 images; {left} of {n_train} training images left out, others each epoch"
    )
    (said,) = [note for note in findings.notes(found) if "leaves out" in note]
    assert f"each epoch leaves out {left} of {n_train} training images" in said


@pytest.mark.parametrize(("size", "positions"), [(32, 1), (64, 4), (96, 9)])
def test_values_that_batch_norm_gets(weights, size, positions):
    """The last feature maps of this network are a 32nd of the image wide."""
    backbone = load_backbone("test_efficientnet", weights, size)
    recipe = RecipeSpec(image_size=size, batch_size=2, batch_norm="running")
    assert values_a_channel(recipe, backbone, 100) == 2 * positions
    said = few_values(recipe, backbone, 100)
    assert (said is None) == (2 * positions >= 8)
    if said is not None:
        assert f"has only {2 * positions} values a channel" in said
    assert values_a_channel(recipe.model_copy(update={"batch_norm": "frozen"}), backbone, 9) is None


def test_networks_without_batch_norm_have_no_such_note():
    backbone = load_backbone_of_layer_norm()
    assert values_a_channel(RecipeSpec(image_size=160, batch_size=1), backbone, 9) is None


def load_backbone_of_layer_norm():
    from types import SimpleNamespace

    return SimpleNamespace(name="test_vit", image_size=160)


@pytest.mark.parametrize("eval_size", [0, 64])
def test_memory_is_what_decoding_takes(tmp_path, weights, eval_size):
    root = pictures(tmp_path / "p")
    for k in range(3):
        Image.new("RGB", (90, 20), (k, 0, 0)).save(root / "cat" / f"wide{k}.png")
    found = checked(root, weights, eval_size=eval_size, batch_norm="running")
    train = load_training_data(found.catalog, 32, found.spec.recipe.eval_crop).train
    val = load_training_data(found.catalog, eval_size or 32, found.spec.recipe.eval_crop).val
    assert findings.decoded_memory(found) == train.pixels.nbytes + val.pixels.nbytes
    assert decoded_bytes([], 32, 1.0, "timm") == 0


def test_too_little_memory_is_said_not_refused(tmp_path, weights, monkeypatch):
    found = checked(pictures(tmp_path / "p"), weights)
    monkeypatch.setattr(findings, "free_bytes", lambda: 1000)
    assert any("too little for the decoded images" in note for note in findings.notes(found))


def test_a_small_part_of_the_range_is_said(tmp_path, weights):
    root = pictures(tmp_path / "p")
    for path in root.rglob("*.png"):
        png(path, np.full((9, 9), 4095, np.uint16), 16)
    notes = findings.notes(checked(root, weights))
    assert any("set data.bit_depth = 12" in note for note in notes)


def test_the_table_of_classes(tmp_path):
    root = pictures(tmp_path / "p")
    (root / "cat" / "a.HEIC").write_bytes(b"x")
    (root / "cat" / ".hidden").write_bytes(b"x")
    catalog = load_catalog(DataSpec(path=str(root), splits="ranked"))
    assert len(read_once(catalog, 16, 1.0)) == 20
    assert [line.split() for line in class_lines(catalog)] == [
        ["class", "train", "val", "test"],
        ["cat", "6", "2", "2"],
        ["dog", "6", "2", "2"],
    ]
    lines = [line.strip() for line in passed_lines(catalog.passed)]
    assert lines == [
        "passed over: 1 HEIC photo (cat/a.HEIC); install pillow-heif, or save them as JPEG",
        "passed over: 1 hidden file (cat/.hidden)",
    ]


def test_the_table_of_many_classes_shows_the_first_and_the_last(tmp_path):
    for k in range(40):
        (tmp_path / "p" / f"c{k:02}").mkdir(parents=True)
        for n in range(3):
            Image.new("RGB", (9, 9)).save(tmp_path / "p" / f"c{k:02}" / f"{n}.png")
    lines = class_lines(load_catalog(DataSpec(path=str(tmp_path / "p"))))
    assert [line.split()[0] for line in lines] == [
        "class", *(f"c{k:02}" for k in range(12)), "...", "c37", "c38", "c39"
    ]  # fmt: skip
    assert "25 more" in lines[13]


def test_odd_names_of_classes_are_seen(tmp_path):
    for name in (" cat", "cat", "x" * 60):
        (tmp_path / "p" / name).mkdir(parents=True)
        for n in range(3):
            Image.new("RGB", (9, 9)).save(tmp_path / "p" / name / f"{n}.png")
    lines = class_lines(load_catalog(DataSpec(path=str(tmp_path / "p"))))
    assert "' cat'" in lines[1]
    assert lines[3].split()[0] == "x" * 37 + "..."

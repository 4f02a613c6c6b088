"""A spec that is written with other values keeps what its user wrote."""

import pytest

from tlsearch.errors import SpecError
from tlsearch.spec import load_spec
from tlsearch.spec.rewrite import rewrite_spec

TABLES = """# my photographs
name = "photos"

[data]
path = "photos"        # one folder a class

[backbone]
model = "resnet50"
weights = "w.safetensors"

[recipe]
epochs = 10            # few
"""
DOTTED = """name = "photos"
data.path = "photos"
backbone.model = "resnet50"
recipe.epochs = 20  # many
"""
VALUES: dict[str, float] = {"recipe.image_size": 96, "recipe.epochs": 40, "budget.trials": 12}
VALUES["budget.gpu_hours"] = 0.5


@pytest.mark.parametrize("text", [TABLES, DOTTED])
def test_values_change_and_comments_stay(tmp_path, text):
    source, target = tmp_path / "a.toml", tmp_path / "b.toml"
    source.write_text(text)
    rewrite_spec(source, target, VALUES)
    before, after = load_spec(source), load_spec(target)
    assert (after.recipe.image_size, after.recipe.epochs) == (96, 40)
    assert (after.budget.trials, after.budget.gpu_hours) == (12, 0.5)
    assert (after.data, after.backbone) == (before.data, before.backbone)
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert all(comment in target.read_text() for comment in comments)
    assert source.read_text() == text


def test_paths_name_the_same_from_another_folder(tmp_path):
    source = tmp_path / "a.toml"
    source.write_text(TABLES)
    (tmp_path / "other").mkdir()
    target = tmp_path / "other" / "b.toml"
    rewrite_spec(source, target, VALUES)
    assert load_spec(target).data == load_spec(source).data
    assert load_spec(target).backbone == load_spec(source).backbone


def test_the_spec_itself_can_be_rewritten_but_no_other_file(tmp_path):
    source, other = tmp_path / "a.toml", tmp_path / "b.toml"
    source.write_text(TABLES)
    rewrite_spec(source, source, VALUES)
    assert load_spec(source).recipe.epochs == 40
    other.write_text("mine")
    with pytest.raises(SpecError, match="is there already"):
        rewrite_spec(source, other, VALUES)
    assert other.read_text() == "mine"
    with pytest.raises(SpecError, match="cannot be written"):
        rewrite_spec(source, tmp_path / "nowhere" / "c.toml", VALUES)
    with pytest.raises(SpecError, match="warmup_epochs"):
        rewrite_spec(source, tmp_path / "d.toml", {"recipe.warmup_epochs": 99})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.toml", "b.toml"]

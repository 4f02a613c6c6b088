import pytest

from tlsearch.errors import SpecError
from tlsearch.records import Range
from tlsearch.spec import (
    MeasuresSpec,
    RecipeSpec,
    differences,
    load_spec,
    parse_spec,
    spec_hash,
    to_toml_dict,
)

MINIMAL = {"name": "a", "data": {"path": "x"}, "backbone": {"model": "resnet18"}}


def spec_of(**tables):
    return {**MINIMAL, **tables}


def problems_of(document):
    with pytest.raises(SpecError) as caught:
        parse_spec(document)
    return caught.value.problems


def test_defaults_and_round_trip():
    spec = parse_spec(spec_of(space={"high_lr": [0.001, 0.1], "low_layers": 3}))
    assert spec.space.high_lr == Range(0.001, 0.1)
    assert spec.space.low_layers == Range(3, 3)
    assert spec.recipe.batch_size == 32
    assert parse_spec(to_toml_dict(spec)) == spec


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"recipe": {"epoch": 3}}, "recipe.epoch: no such key; did you mean recipe.epochs?"),
        ({"nam": 3}, "nam: no such key; did you mean name?"),
        ({"recipe": {"epochs": "ten"}}, 'recipe.epochs = "ten": must be a whole number'),
        ({"recipe": {"epochs": 1.5}}, "recipe.epochs = 1.5: must be a whole number"),
        ({"recipe": {"epochs": True}}, "recipe.epochs = true: must be a whole number"),
        (
            {"recipe": {"batch_size": 0}},
            "recipe.batch_size = 0: must be greater than or equal to 1",
        ),
        ({"recipe": {"schedule": "cos"}}, 'recipe.schedule = "cos": must be one of'),
        (
            {"recipe": {"optimizer": "adamw", "momentum": 0.9}},
            '[recipe]: momentum = 0.9 is of SGD, and optimizer is "adamw"; leave one',
        ),
        ({"recipe": {"optimizer": "adam"}}, "recipe.optimizer = \"adam\": must be one of 'sgd' or"),
        (
            {"recipe": {"eval_size": 8}},
            "[recipe]: eval_size = 8 must be 0 (the same as image_size) or at least 16",
        ),
        (
            {"recipe": {"epochs": 10, "ema_epochs": 10.5}},
            "[recipe]: ema_epochs = 10.5 must be at most epochs = 10",
        ),
        (
            {"recipe": {"epochs": 2, "warmup_epochs": 3}},
            "[recipe]: warmup_epochs = 3 must be below epochs = 2",
        ),
        (
            {"recipe": {"batch_size": 1, "mixup": 0.2}},
            "[recipe]: mixup and cutmix mix the images of a batch, and batch_size is 1",
        ),
        ({"recipe": {"cutmix": -1.0}}, "recipe.cutmix = -1.0: must be greater than or equal to 0"),
        (
            {"recipe": {"dropout": 1.0}},
            'recipe.dropout = 1.0: must be a number from 0 to below 1, or "timm"',
        ),
        ({"space": {"high_lr": [0.1, 0.01]}}, "space.high_lr = [0.1, 0.01]: has low above high"),
        ({"space": {"high_lr": [0.1]}}, "space.high_lr = [0.1]: must be a number (fixed) or"),
        ({"space": {"alpha": "x"}}, 'space.alpha = "x": must be a number (fixed) or'),
        ({"space": {"alpha": [0, float("nan")]}}, "space.alpha"),
        ({"space": {"alpha": float("inf")}}, "space.alpha"),
        ({"data": {"path": 3}}, "data.path = 3: must be text in quotes"),
        ({"data": {}}, "data.path: is missing"),
        ({"data": "x"}, 'data = "x": must be a table'),
        (
            {"data": {"path": "x", "val_fraction": 0.5, "test_fraction": 0.5}},
            "[data]: val_fraction + test_fraction = 1 must be below 1, to leave images for",
        ),
        (
            {"workers": {"heartbeat_seconds": 40}},
            "[workers]: stalled_after_seconds = 60 must be at least twice heartbeat_seconds = 40",
        ),
    ],
)
def test_each_problem_is_one_sentence(tables, sentence):
    problems = problems_of(spec_of(**tables))
    assert len(problems) == 1
    assert problems[0].startswith(sentence)
    assert "\n" not in problems[0]


def test_all_problems_at_once():
    problems = problems_of(
        {
            "data": {"path": "x", "val_fracton": 0.1},
            "backbone": {"model": 3},
            "recipe": {"epochs": 0},
            "budget": {"trials": -1},
        }
    )
    assert [p.split(":")[0].split(" ")[0] for p in problems] == [
        "name",
        "data.val_fracton",
        "backbone.model",
        "recipe.epochs",
        "budget.trials",
    ]


def test_file_errors(tmp_path):
    for name, content, sentence in [
        ("none.toml", None, "no such file"),
        ("bad.toml", "name = ", "is not valid TOML"),
        ("binary.toml", b"\xff\xfe\x00", "cannot be read"),
        ("digits.toml", b"x = " + b"9" * 5000, "is not valid TOML"),
        ("deep.toml", b"x = " + b"[" * 100_000, "is not valid TOML"),
    ]:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(SpecError, match=sentence) as caught:
            load_spec(path)
        assert str(path) in str(caught.value)
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path)


def test_paths_are_relative_to_the_file(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "a"\n[data]\npath = "images"\n[backbone]\nmodel = "m"\nweights = "w.pth"\n'
    )
    spec = load_spec(path)
    assert spec.data.path == str(tmp_path / "images")
    assert spec.backbone.weights == str(tmp_path / "w.pth")


class TestAdamW:
    def test_it_has_no_momentum_and_can_be_read_again(self):
        spec = parse_spec(spec_of(recipe={"optimizer": "adamw"}))
        stored = to_toml_dict(spec)
        assert "momentum" not in stored["recipe"]
        assert parse_spec(stored) == spec
        assert spec_hash(parse_spec(stored)) == spec_hash(spec)
        assert to_toml_dict(parse_spec(MINIMAL))["recipe"]["momentum"] == 0.9

    @pytest.mark.parametrize(
        ("measures", "rate"),
        [({}, 1e-3), ({"when": "create"}, 1e-3), ({"random_init_lr": 0.03}, 0.03)],
    )
    def test_training_from_random_weights_has_a_rate_of_its_own(self, measures, rate):
        given = spec_of(recipe={"optimizer": "adamw"}, measures=measures)
        assert parse_spec(given).measures.random_init_lr == rate
        of_records = {"recipe": RecipeSpec(optimizer="adamw"), "measures": MeasuresSpec(**measures)}
        assert parse_spec(spec_of(**of_records)).measures.random_init_lr == rate
        assert parse_spec(spec_of(measures=measures)).measures.random_init_lr == 0.03


class TestHash:
    def test_layout_defaults_and_storage_do_not_count(self):
        plain = parse_spec(MINIMAL)
        spelt_out = parse_spec(spec_of(recipe={"momentum": 0.9}, storage="postgresql://u:p@h/d"))
        assert spec_hash(plain) == spec_hash(spelt_out)
        assert "storage" not in to_toml_dict(spelt_out)

    def test_content_counts(self):
        assert spec_hash(parse_spec(MINIMAL)) != spec_hash(parse_spec(spec_of(recipe={"seed": 1})))

    def test_differences_name_the_keys(self):
        one = to_toml_dict(parse_spec(MINIMAL))
        two = to_toml_dict(parse_spec(spec_of(recipe={"seed": 1}, space={"alpha": 0.1})))
        assert differences(one, two) == ["recipe.seed: 0 -> 1", "space.alpha: null -> 0.1"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-8"])
def test_byte_order_marks(tmp_path, encoding):
    """As Notepad and PowerShell write them."""
    text = 'name = "größe"\r\ndata.path = "x"\r\nbackbone.model = "resnet18"\r\n'
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "s.toml").write_bytes((mark + text).encode(encoding))
    assert load_spec(tmp_path / "s.toml").name == "größe"


def test_a_spec_that_is_no_text(tmp_path):
    for data in (b"name = '\xe9'", b"\xff\xfe\x00", b"\xef\xbb\xbf\xef\xbb\xbf"):
        (tmp_path / "s.toml").write_bytes(data)
        with pytest.raises(SpecError) as caught:
            load_spec(tmp_path / "s.toml")
        assert str(tmp_path / "s.toml") in str(caught.value)


def test_final_changes_no_hash_of_a_study_that_is_older():
    """A study that does not say what its final models are trained on has the hash it had."""
    plain = parse_spec(MINIMAL)
    assert "final" not in to_toml_dict(plain)
    assert spec_hash(parse_spec(spec_of(final={"train_on": "train"}))) == spec_hash(plain)
    both = parse_spec(spec_of(final={"train_on": "train+val"}))
    assert spec_hash(both) != spec_hash(plain)
    assert parse_spec(to_toml_dict(both)) == both
    said = differences(to_toml_dict(plain), to_toml_dict(both))
    assert said == ['final: null -> {"train_on": "train+val"}']


def test_final_is_train_or_both():
    (problem,) = problems_of(spec_of(final={"train_on": "test"}))
    assert problem == "final.train_on = \"test\": must be one of 'train' or 'train+val'"

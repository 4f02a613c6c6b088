"""`tlsearch backbones` on a real server, with real tiny networks."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import storage_at, wait_until
from tests.acceptance.test_workers import records_of
from tlsearch.records.objective import words
from tlsearch.studies.backbone_choice import FIRST_TRIALS

OWN, OTHER = "tiny-test_efficientnet-32", "tiny-test_resnet-32"


@pytest.fixture
def open_spec(tiny: Callable[..., Path], tiny_weights: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write the spec of a study that has another network to choose from."""
    import safetensors.torch

    from tlsearch.backbones import build

    weights = tmp_path / "resnet.safetensors"
    safetensors.torch.save_file(build("test_resnet", 1000, seed=3).state_dict(), weights)
    resnet = f'{{ model = "test_resnet", weights = "{weights.name}" }}'

    def write(candidates: str = resnet, *, more: str = "", trials: int = 10, **options) -> Path:
        path = tiny(trials=trials, measures="worker", sampler="earned_prior", **options)
        given = f'weights = "{tiny_weights}"\ncandidates = [{candidates}]\n{more}'
        path.write_text(path.read_text().replace(f'weights = "{tiny_weights}"', given))
        return path

    return write


def test_from_the_candidates_to_a_searched_study(tlsearch, open_spec, storage_url, tmp_path):
    table = tmp_path / "results-imagenet.csv"
    table.write_text("model,top1\ntest_resnet.r160_in1k,41.5\n")
    path = open_spec()
    queued = tlsearch.json("backbones", str(path), "--queue-only", "--imagenet", str(table))
    assert (queued["step"], queued["winner"]) == ("first trials", None)
    assert sorted(queued["studies"]) == [OWN, OTHER]
    rows = {row["model"]: row for row in queued["screened"]}
    assert rows["test_resnet"]["imagenet"] == pytest.approx(0.415)
    assert rows["test_efficientnet"]["imagenet"] is None
    best_first = [row["val_accuracy"] for row in queued["screened"]]
    assert best_first == sorted(best_first, reverse=True)
    gain = rows["test_resnet"]["val_accuracy"] - rows["test_efficientnet"]["val_accuracy"]
    assert rows["test_resnet"]["gain"] == pytest.approx(gain)
    assert all(row["images_per_second"] > 0 and row["parameters"] > 0 for row in rows.values())

    said = tlsearch.run("backbones", str(path)).stdout
    assert f"tlsearch worker {' '.join(queued['studies'])}" in said
    found = tlsearch.json("backbones", str(path))
    assert (found["step"], found["screened"]) == ("done", queued["screened"]), "compared once"
    (loser,) = {OWN, OTHER} - {found["winner"]}
    ended = {each["study"]: each["ended"] for each in found["entrants"]}
    assert ended == {loser: FIRST_TRIALS, found["winner"]: 10 - FIRST_TRIALS}
    assert f"chosen: test_{'resnet' if 'resnet' in found['winner'] else 'efficientnet'}" in said
    for study, record in ((name, r) for name in ended for r in records_of(storage_url, name)):
        if record.origin == "fixed_features":
            (row,) = [row for row in rows.values() if row["model"] in study]
            assert record.val_accuracy == row["val_accuracy"], "the comparison is what trials see"
    first = {loser: ["fixed_features", "default", "prior"]}
    first[found["winner"]] = [*first[loser], "from_probe", "range_rate", "opposite", "draw"]
    for study, origins in first.items():
        assert [r.origin for r in records_of(storage_url, study)] == origins


@pytest.mark.parametrize("objective", ["log_loss", "macro_f1"])
def test_the_comparison_is_by_the_objective(tlsearch, open_spec, storage_url, objective):
    path = open_spec(trials=7)
    path.write_text(f'objective = "{objective}"\n{path.read_text()}')
    queued = tlsearch.json("backbones", str(path), "--queue-only")
    rows = queued["screened"]
    figures = [row["val_objective"] for row in rows]
    assert figures == sorted(figures, reverse=objective == "macro_f1")
    assert [row["val_accuracy"] for row in rows] == [None, None]
    (other,) = (row for row in rows if row["model"] == "test_resnet")
    (own,) = (row for row in rows if row["model"] == "test_efficientnet")
    better = other["val_objective"] - own["val_objective"]
    assert other["gain"] == pytest.approx(-better if objective == "log_loss" else better)
    said = tlsearch.run("backbones", str(path), "--queue-only").stdout
    assert f"fixed features: {words(objective)} of a linear classifier" in said
    tlsearch.run("worker", *queued["studies"])
    for row in rows:
        (name,) = (each for each in queued["studies"] if row["model"] in each)
        (floor,) = (r for r in records_of(storage_url, name) if r.origin == "fixed_features")
        assert row["val_objective"] == pytest.approx(floor.val_objective, abs=1e-6)


@pytest.mark.slow
def test_a_killed_choice_goes_on(tlsearch, open_spec, storage_url):
    """At any moment: while networks are compared, and in the first trials of the second one."""
    path = str(open_spec(epochs=20))
    process = tlsearch.start("backbones", path)
    wait_until(lambda: studies_there(storage_url), "a candidate's study")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = tlsearch.start("backbones", path)
    wait_until(
        lambda: OTHER in studies_there(storage_url) and records_of(storage_url, OTHER),
        "a trial of the other one",
    )
    process.send_signal(signal.SIGKILL)
    process.communicate()
    found = tlsearch.json("backbones", path)
    assert found["step"] == "done"
    assert sum(each["ended"] for each in found["entrants"]) == 10
    assert len(studies_there(storage_url)) == 4  # two, and what measures for each


def studies_there(storage_url: str) -> list[str]:
    return [study.study_name for study in storage_at(storage_url).get_all_studies()]


@pytest.mark.parametrize(
    ("candidates", "options", "sentence"),
    [
        ("", {}, "nothing to choose from"),
        ('{ model = "test_efficientnet" }', {}, "is named twice"),
        ('{ model = "test_resnet" }', {"trials": 6}, "raise it above 6"),
        ('{ modle = "test_resnet" }', {}, "did you mean backbone.candidates.0.model?"),
        ('"test_resnet"', {}, "must be a table"),
        ('{ model = "test_resnet" }', {"more": "image_sizes = [8]"}, "image_sizes.0 = 8"),
    ],
)
def test_what_cannot_be_chosen_from(tlsearch, open_spec, candidates, options, sentence):
    refused = tlsearch.run("backbones", str(open_spec(candidates, **options)), rc=2)
    assert sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1 + ("modle" in candidates)


def test_other_bad_input(tlsearch, open_spec, tmp_path):
    spec = str(open_spec())
    assert (
        "--top 0: must be at least 1" in tlsearch.run("backbones", spec, "--top", "0", rc=2).stderr
    )
    table = tmp_path / "table.csv"
    table.write_text("name,accuracy\nx,1\n")
    for path, sentence in (
        (table, "needs the columns model and top1"),
        (tmp_path, "cannot be read"),
    ):
        refused = tlsearch.run("backbones", spec, "--imagenet", str(path), rc=2)
        assert sentence in refused.stderr
    assert "choose it first" in tlsearch.run("create", spec, rc=2).stderr


def test_candidates_that_are_refused(tlsearch, open_spec, tmp_path):
    """The reason stands beside each; where none is left the command says so."""
    absent = f'{{ model = "test_resnet", weights = "{tmp_path}/absent.safetensors" }}'
    path = open_spec(absent)
    (other,) = [
        row
        for row in tlsearch.json("backbones", str(path), "--queue-only")["screened"]
        if row["model"] == "test_resnet"
    ]
    assert "no such file" in other["refused"]
    assert "no such file" in tlsearch.run("backbones", str(path), "--queue-only").stdout
    text = path.read_text()
    own = text.split('weights = "')[1].split('"')[0]
    path.write_text(text.replace(own, f"{tmp_path}/gone.pth").replace('"tiny"', '"other"'))
    refused = tlsearch.run("backbones", str(path), rc=2)
    assert "no candidate can be used: test_efficientnet at 32 pixels: " in refused.stderr

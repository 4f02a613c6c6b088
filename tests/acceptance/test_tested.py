"""`tlsearch test` from end to end: a real search, real finalists, real test images."""

import csv
import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax

import tlsearch as library
from tests.acceptance.conftest import Command, wait_until
from tests.acceptance.tested_study import CLASSES, NAME, TestedStudy, write_images
from tests.conftest import fresh_database
from tests.db.rows import Rows
from tlsearch.backbones import build, load_backbone
from tlsearch.finetune import load_weights
from tlsearch.records.format import p_value
from tlsearch.records.tested import TestResult
from tlsearch.store.connect import open_storage
from tlsearch.store.models import model_files
from tlsearch.store.runs import run_trials
from tlsearch.store.studies import find_study
from tlsearch.studies.finals import read_finals
from tlsearch.studies.tested import read_tests

pytestmark = pytest.mark.xdist_group("tested")  # one study for all


@pytest.fixture(scope="module")
def prepared(
    embedded_url: str, template: str, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestedStudy]:
    """A study with finalists, of which tests take copies."""
    with fresh_database(embedded_url, template) as url:
        folder = tmp_path_factory.mktemp("tested")
        yield TestedStudy.create(url, folder, tiny_weights)


@pytest.fixture
def study(prepared: TestedStudy, embedded_url: str, tmp_path: Path) -> Iterator[TestedStudy]:
    with prepared.copied(embedded_url, tmp_path) as found:
        yield found


@pytest.fixture
def command(study: TestedStudy, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(study.url, capsys)


def args(study: TestedStudy, *more: str) -> list[str]:
    where = ["--artifacts", str(study.artifacts), "--data", str(study.data)]
    return ["test", NAME, *where, *more]


def refused(command: Command, study: TestedStudy, *more: str) -> str:
    """Run the test, which is refused in one sentence; nothing is recorded."""
    done = command.run(*args(study, *more), rc=2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert read_tests(NAME, study.url) == []
    return done.stderr


def models_of(study: TestedStudy, trials: list[int]) -> list[torch.nn.Module]:
    """The models of trials of the finalists, built by timm alone."""
    engine = open_storage(study.url).engine
    stored = find_study(open_storage(study.url), f"{NAME}/finalists")
    files = model_files(engine, stored.study_id)
    found = []
    for trial in trials:
        model = build("test_efficientnet", len(CLASSES), seed=0, image_size=32)
        model.load_state_dict(load_weights((study.artifacts / files[trial]).read_bytes()))
        found.append(model.eval())
    return found


def plain_softmax(model: torch.nn.Module, crops: np.ndarray) -> np.ndarray:
    statistics = load_backbone("test_efficientnet", WEIGHTS[0], 32).statistics
    values = (crops / 255 - np.array(statistics.mean)) / np.array(statistics.std)
    with torch.no_grad():
        outputs = model(torch.from_numpy(values.transpose(0, 3, 1, 2).astype(np.float32)))
    shares: np.ndarray = softmax(outputs.double().numpy(), axis=1)
    return shares


WEIGHTS: list[str] = []


@pytest.fixture(autouse=True)
def _weights(tiny_weights: Path) -> None:
    WEIGHTS[:] = [str(tiny_weights)]


def test_the_figures_are_those_of_plain_numpy(study: TestedStudy, command: Command) -> None:
    (document,) = json.loads(command.run(*args(study, "--json")).stdout)
    found = TestResult.from_dict(document)
    assert found == read_tests(NAME, study.url)[0]
    finals = read_finals(NAME, study.url)
    assert finals is not None
    assert (found.look, found.n_test, found.answer) == (1, 30, finals.recommended)
    arrays = np.load(study.data)
    pixels, labels = arrays["x_test"], arrays["y_test"]
    crops = [pixels[:, top : top + 32, left : left + 32] for top, left in PLACES]
    crops += [crop[:, :, ::-1] for crop in crops]
    for finalist in finals.finalists:
        if finalist.kind == "mean":  # tested below against both of its networks
            continue
        models = models_of(study, [run.trial for run in finalist.runs])
        shares = [[plain_softmax(model, crop) for crop in crops] for model in models]
        single = [each[0] for each in shares]
        several = [np.mean(each, axis=0) for each in shares]
        accuracies = {
            "single crop": [accuracy(each, labels) for each in single],
            "10-crop": [accuracy(each, labels) for each in several],
        }
        if len(models) > 1:
            accuracies["ensemble"] = [accuracy(np.mean(single, axis=0), labels)]
            accuracies["ensemble, 10-crop"] = [accuracy(np.mean(several, axis=0), labels)]
        for prediction, expected in accuracies.items():
            figure = found.figure(finalist.name, prediction)  # type: ignore[arg-type]
            assert figure is not None
            assert list(figure.accuracies) == expected, (finalist.name, prediction)


PLACES = [(4, 4), (0, 0), (0, 8), (8, 0), (8, 8)]  # the centre and the corners of 40 x 40 pixels


def accuracy(shares: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(shares.argmax(1) == labels))


def test_every_finalist_is_tested_in_every_way(study: TestedStudy, command: Command) -> None:
    shown = command.run(*args(study)).stdout
    (found,) = read_tests(NAME, study.url)
    finals = read_finals(NAME, study.url)
    assert finals is not None
    assert finals.winner is not None
    several = {"single crop", "10-crop", "ensemble", "ensemble, 10-crop"}
    ways: dict[str, set[str]] = {}
    for figure in found.figures:
        ways.setdefault(figure.finalist, set()).add(figure.prediction)
        assert 0 <= figure.low <= figure.mean <= figure.high <= 1
        assert figure.seconds_per_image > 0
        assert figure.ece_scaled is not None
        assert figure.prediction in shown
    assert ways == {
        finals.winner: several | {"uniform soup", "greedy soup"},
        "default": several | {"uniform soup", "greedy soup"},
        "fixed features": {"single crop", "10-crop"},
        "mean": several,
    }
    passes = {f.prediction: f.passes for f in found.figures if f.finalist == finals.winner}
    assert passes == {
        "single crop": 1,
        "10-crop": 10,
        "ensemble": 2,
        "ensemble, 10-crop": 20,
        "uniform soup": 1,
        "greedy soup": 1,
    }
    assert {gain.other for gain in found.gains} == set(ways) - {found.answer}
    n_models = len(found.figure(found.answer).accuracies)  # type: ignore[union-attr]
    assert [sum(row) for row in found.confusion] == [10 * n_models] * 3
    assert [(each.name, each.n) for each in found.classes] == [(name, 10) for name in CLASSES]
    assert Rows(study.url).ask("SELECT count(*) FROM tlsearch.tests") == [(len(found.figures),)]
    for gain in found.gains:
        assert p_value(gain.p_value) in shown


def test_a_second_call_shows_the_first_result(study: TestedStudy, command: Command) -> None:
    first = command.run(*args(study)).stdout
    for file in study.artifacts.iterdir():
        file.unlink()
    study.data.unlink()
    assert first.endswith(command.run("test", NAME).stdout)
    assert library.test_study(NAME, study.url) == read_tests(NAME, study.url)[0]
    assert len(read_tests(NAME, study.url)) == 1


def test_another_look_is_marked_for_good(study: TestedStudy, command: Command) -> None:
    command.run(*args(study))
    shown = command.run(*args(study, "--again")).stdout
    assert "look 2: no longer an honest figure" in shown
    first, second = read_tests(NAME, study.url)
    assert (first.look, second.look) == (1, 2)
    assert [f.accuracies for f in first.figures] == [f.accuracies for f in second.figures]
    again = command.run("test", NAME).stdout
    assert "look 1 of" in again
    assert "looked at again: look 2 of" in again
    assert len(command.json("test", NAME)) == 2


def test_files_come_out_now_or_later(study: TestedStudy, command: Command, tmp_path: Path) -> None:
    now, later = tmp_path / "now", tmp_path / "later" / "there"
    command.run(*args(study, "--out", str(now)))
    command.run(*args(study, "--out", str(later)))
    names = {"most_wrong.png", "predictions.csv", "test.json"}
    for folder in (now, later):
        assert {path.name for path in folder.iterdir()} == names
    for name in names:
        assert (now / name).read_bytes() == (later / name).read_bytes()
    with Image.open(now / "most_wrong.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200
    (found,) = read_tests(NAME, study.url)
    assert TestResult.from_dict(json.loads((now / "test.json").read_text())) == found
    rows = list(csv.DictReader((now / "predictions.csv").open()))
    assert [row["image"] for row in rows] == [f"x_test[{i}]" for i in range(30)]
    wrong = [row for row in rows if row["right"] == "0"]
    assert {row["image"] for row in wrong} >= {each.image for each in found.most_wrong}
    assert all((row["label"] == row["predicted"]) == (row["right"] == "1") for row in rows)
    mean = found.figure(found.answer).mean  # type: ignore[union-attr]
    assert sum(int(r["models_right"]) / int(r["models"]) for r in rows) / 30 == pytest.approx(mean)


def test_a_place_of_artifacts_that_takes_no_files(study: TestedStudy, command: Command) -> None:
    """The look counts, and says that its files were not kept."""
    command.run(*args(study))
    rows = Rows(study.url)
    rows.ask("DELETE FROM study_system_attributes WHERE key LIKE 'artifacts:%' RETURNING 1")
    done = command.run(*args(study, "--out", str(study.artifacts / "out")))
    assert "not kept of look 1: most_wrong.png, predictions.csv" in done.stdout


def test_no_finalists(
    storage_url: str, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = TestedStudy.create(storage_url, tmp_path, tiny_weights, finalists=False, trials=1)
    said = refused(Command(storage_url, capsys), study)
    assert said == (
        f"error: study '{NAME}' has no finalists to test: run tlsearch finalists {NAME} first\n"
    )


def test_a_study_of_the_family(study: TestedStudy, command: Command) -> None:
    done = command.run("test", f"{NAME}/finalists", rc=2)
    assert done.stderr == (
        f"error: study '{NAME}/finalists' was made from study '{NAME}'; name that one\n"
    )


def test_no_test_split(
    storage_url: str, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = (6, 4, 0)
    study = TestedStudy.create(storage_url, tmp_path, tiny_weights, numbers=numbers)
    assert "there are no test images" in refused(Command(storage_url, capsys), study)


def test_a_class_without_a_test_image(study: TestedStudy, command: Command) -> None:
    """Where a split of the data lacks a class, no study can be created; here it is carved."""
    write_images(study.data, without_test_of=[1])
    assert "there is no image of the class 'bee'" in refused(command, study)


def test_test_images_that_have_changed(study: TestedStudy, command: Command) -> None:
    arrays = dict(np.load(study.data))
    arrays["x_test"][3] = 0
    np.savez(study.data, **arrays)
    assert "the test images have changed since study 'tested' was created" in refused(
        command, study
    )


def test_training_images_that_have_changed(study: TestedStudy, command: Command) -> None:
    write_images(study.data, seed=1)
    assert "these are not the images study 'tested' was created with" in refused(command, study)


def test_a_model_that_is_gone(study: TestedStudy, command: Command) -> None:
    file = model_file(study, "default")
    file.unlink()
    said = refused(command, study)
    assert f"is gone: there is no {file.name} in {study.artifacts}" in said
    assert "default, seed 1" in said


def test_a_damaged_model(study: TestedStudy, command: Command) -> None:
    file = model_file(study, "default")
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    said = refused(command, study)
    assert f"restore {file.name} in {study.artifacts}" in said
    assert "checksum" in said


def test_a_model_of_another_network(study: TestedStudy, command: Command) -> None:
    from tlsearch.finetune.checkpointfile import CheckpointFile, TrainingPosition

    tensors = {"model.weight": torch.zeros(3)}
    position = TrainingPosition(0, 0, (), 0.0)
    model_file(study, "default").write_bytes(CheckpointFile("x", position, tensors).pack())
    assert "do not fit the network" in refused(command, study)


def model_file(study: TestedStudy, finalist: str) -> Path:
    finals = read_finals(NAME, study.url)
    assert finals is not None
    stored = find_study(open_storage(study.url), f"{NAME}/finalists")
    files = model_files(open_storage(study.url).engine, stored.study_id)
    return study.artifacts / files[finals.finalist(finalist).runs[0].trial]


def test_an_out_folder_that_is_a_file(study: TestedStudy, command: Command) -> None:
    assert "--out" in refused(command, study, "--out", str(study.data))


def test_finalists_that_are_not_complete(study: TestedStudy, command: Command) -> None:
    from tlsearch.studies.finalists import queue_finalists

    queue_finalists(NAME, study.url, seeds=3)
    assert "are not complete" in refused(command, study)


def test_models_trained_on_validation_images_too(study: TestedStudy, command: Command) -> None:
    first = command.run(*args(study, "--train-on", "train+val")).stdout
    (found,) = read_tests(NAME, study.url)
    finals = read_finals(NAME, study.url)
    assert finals is not None
    assert found.trained_on == "train+val"
    tested = {figure.finalist for figure in found.figures} - {"mean"}
    assert tested == {finals.recommended, "default", "fixed features"}
    assert {figure.temperature for figure in found.figures} == {None}
    assert not any(figure.prediction == "greedy soup" for figure in found.figures)
    trials = Rows(study.url).names(
        f"SELECT seed, train_on, state FROM tlsearch.trials_flat WHERE study = '{NAME}/final'"
    )
    assert {trial["train_on"] for trial in trials} == {"train+val"}
    assert {trial["state"] for trial in trials} == {"complete"}
    assert found.seeds == tuple(run.seed for run in finals.finalist(found.answer).runs)
    # Another look trains nothing anew.
    command.run(*args(study, "--train-on", "train+val", "--again"))
    now = Rows(study.url).ask(
        f"SELECT count(*) FROM tlsearch.trials_flat WHERE study = '{NAME}/final'"
    )
    assert now == [(len(trials),)]
    assert "trained on train+val" in first


PATIENCE = 600.0  # seconds; a process that has to load torch and train takes long on a busy machine
SLOW_INSERT = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER waiting AFTER INSERT ON tlsearch.test_results
DEFERRABLE INITIALLY {when} FOR EACH ROW EXECUTE FUNCTION wait()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "recorded"), [("testing", False), ("IMMEDIATE", False), ("DEFERRED", True)]
)
def test_ctrl_c_leaves_a_look_with_its_figure_or_none(
    study: TestedStudy, command: Command, moment: str, recorded: bool
) -> None:
    """While models are tried, while the look is being written, and while that is committed."""
    rows, model = Rows(study.url), model_file(study, "fixed features")
    kept, spare = set(study.artifacts.iterdir()), study.data.with_name("spare")
    if moment == "testing":
        model.rename(spare)
        os.mkfifo(model)  # whoever reads it waits
    else:
        rows.ask(SLOW_INSERT.format(when=moment))
    process = command.start(*args(study))
    if moment == "testing":
        pipe = wait_until(lambda: end_of_pipe(model), "the model is being read", PATIENCE)
    else:
        asleep = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        wait_until(lambda: rows.ask(asleep), "the look is being written", PATIENCE)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=240)
    assert (process.returncode, "Traceback" in stderr) == (130, False), stderr
    assert ("interrupted, but the look is recorded" in stdout) == recorded
    assert ("interrupted: nothing was recorded" in stdout) == (not recorded)
    looks = read_tests(NAME, study.url)
    assert [look.look for look in looks] == [1] * recorded
    assert set(study.artifacts.iterdir()) == kept, "neither a picture nor a half of one"
    if moment == "testing":
        os.close(pipe)
        spare.replace(model)
    rows.ask("DROP FUNCTION IF EXISTS wait CASCADE")
    rows.session.close()
    again = command.run(*args(study)).stdout
    assert "look 1 of" in again
    assert "no longer an honest figure" not in again
    (found,) = read_tests(NAME, study.url)
    assert found in looks or not recorded


def end_of_pipe(path: Path) -> int | None:
    """Open the writing end of a pipe; None until somebody reads."""
    with suppress(OSError):
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    return None


@pytest.mark.slow
def test_a_killed_training_on_validation_images_too_costs_nothing(
    study: TestedStudy, command: Command
) -> None:
    """The next call goes on from the checkpoint; the weights are those of an undisturbed one."""
    rows = Rows(study.url)
    longer = "replace(value_json, '\"epochs\": 2', '\"epochs\": 30')"
    changed = rows.ask(
        f"UPDATE study_user_attributes SET value_json = {longer} WHERE key = 'spec' AND study_id"
        f" IN (SELECT study_id FROM studies WHERE study_name = '{NAME}') RETURNING value_json"
    )
    assert '"epochs": 30' in changed[0][0]
    both = args(study, "--train-on", "train+val")
    victim = command.start(*both)
    under_way = (
        f"SELECT trial FROM tlsearch.trials_flat WHERE study = '{NAME}/final'"
        " AND state = 'running' AND origin = 'final' AND epochs > 4"
    )
    ((number,),) = wait_until(lambda: rows.ask(under_way), "it trains", PATIENCE)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert read_tests(NAME, study.url) == []
    command.run(*both)
    (found,) = read_tests(NAME, study.url)
    assert (found.look, found.trained_on) == (1, "train+val")
    first_epochs = rows.ask(
        "SELECT number, attempt, first_epoch FROM tlsearch.attempts JOIN trials USING (trial_id)"
        f" JOIN studies ON studies.study_id = trials.study_id WHERE study_name = '{NAME}/final'"
        " AND attempt > 1"
    )
    assert [row[:2] for row in first_epochs] == [(number, 2)]
    assert first_epochs[0][2] > 3, "it went on from a checkpoint"
    ours = final_weights(study)
    command.run("delete", f"{NAME}/final", "--yes", "--artifacts", str(study.artifacts))
    command.run(*both, "--again")
    undisturbed = final_weights(study)
    assert ours.keys() == undisturbed.keys()
    assert len(ours) >= 3
    for key, tensors in undisturbed.items():
        assert all(torch.equal(ours[key][name], tensors[name]) for name in tensors), key
    first, second = read_tests(NAME, study.url)
    assert [f.accuracies for f in first.figures] == [f.accuracies for f in second.figures]
    rows.session.close()


def final_weights(study: TestedStudy) -> dict[tuple[str, int], dict[str, torch.Tensor]]:
    """The weights of the models that are tested, by finalist and seed."""
    database = open_storage(study.url)
    stored = find_study(database, f"{NAME}/final")
    files = model_files(database.engine, stored.study_id)
    attrs = {t.number: t.user_attrs for t in run_trials(database, stored.study_id)}
    return {
        (attrs[number]["run_of"], attrs[number]["seed"]): load_weights(
            (study.artifacts / file).read_bytes()
        )
        for number, file in files.items()
    }


def test_deleting_a_study_deletes_its_tests(study: TestedStudy, command: Command) -> None:
    command.run(*args(study))
    before = set(study.artifacts.iterdir())
    command.run("delete", NAME, "--yes", "--artifacts", str(study.artifacts))
    assert Rows(study.url).ask("SELECT count(*) FROM tlsearch.test_results") == [(0,)]
    assert before
    assert list(study.artifacts.glob("*")) == []


def test_python_and_the_command_agree(study: TestedStudy, command: Command) -> None:
    found: Any = library.test_study(
        NAME, study.url, artifacts=str(study.artifacts), data_path=str(study.data)
    )
    assert library.read_tests(NAME, study.url) == [found]
    assert command.json("test", NAME) == [json.loads(json.dumps(found.as_dict()))]

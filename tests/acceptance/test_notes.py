"""Notes of studies, as optuna-dashboard reads them."""

from collections.abc import Mapping

import optuna
import optuna_dashboard
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from tests.acceptance.study_rows import add_trial, measure
from tests.conftest import execute
from tlsearch.cli.app import app
from tlsearch.dashboard.note_storage import save_note
from tlsearch.dashboard.notes import NoteUpdater, write_note
from tlsearch.records import BEING_CREATED_PREFIX
from tlsearch.store.connect import open_storage
from tlsearch.store.controls import set_state
from tlsearch.store.expected import write_expected
from tlsearch.store.studies import find_study


class Study:
    """A study that was just created."""

    def __init__(self, storage_url: str, name: str = "tiny") -> None:
        self.storage = open_storage(storage_url)
        self.study = find_study(self.storage, name)
        self.updater = NoteUpdater(self.storage)

    @property
    def optuna(self) -> optuna.Study:
        return optuna.load_study(study_name=self.study.name, storage=self.storage)

    @property
    def note(self) -> str:
        body: str = optuna_dashboard.get_note(self.optuna)
        return body

    def edit(self, body: str) -> None:
        """As the dashboard does for a user."""
        optuna_dashboard.save_note(self.optuna, body)

    def add(
        self,
        val_accuracy: float,
        *,
        origin: str = "tpe",
        state: TrialState = TrialState.COMPLETE,
        user_attrs: dict[str, object] | None = None,
        params: Mapping[str, float] | None = None,
    ) -> int:
        return add_trial(
            self.storage,
            self.study,
            val_accuracy,
            origin=origin,
            state=state,
            user_attrs=user_attrs,
            params=params,
        )


@pytest.fixture
def made(tlsearch, tiny) -> Study:
    tlsearch.run("create", str(tiny(measures="worker", space="beta = 0.001", trials=20)))
    return Study(tlsearch.storage_url)


def test_a_new_study_has_a_note(made):
    assert "Fine-tunes **test\\_efficientnet** (weights" in made.note
    assert "on `builtin:fashion-mnist-30`: 10 classes, 80 images to train and 50" in made.note
    assert "3 epochs per trial at 32 pixels. Budget: 20 trials." in made.note
    assert "Fixed: `beta` = 0.001." in made.note
    assert "0 of 20 trials are done: 0 complete, 0 pruned, 0 failed." in made.note
    assert "The plain fine-tuning default is not complete." in made.note
    assert "Not measured yet" in made.note
    assert made.optuna.metric_names == ["val_accuracy"]


def test_what_a_note_says_once_there_are_trials(made):
    measure(made.storage, "tiny")
    made.add(0.6, origin="default")
    for n in range(6):
        made.add(0.7 + n / 100, origin="prior", params={"high_lr": 0.002 + n / 1000})
    made.add(0.99, state=TrialState.PRUNED)
    made.add(0.75, origin="user", user_attrs={"duplicate_of": 7})
    set_state(made.storage.engine, [made.study.study_id], "paused")
    figures = {8: (0.71, 0.03), 7: (0.72, 0.03)}
    write_expected(made.storage.engine, made.study.study_id, figures)
    write_note(made.storage, made.study)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in made.note.splitlines()]
    note = made.note
    assert "9 of 20 trials are done: 8 complete, 1 pruned, 0 failed." in note
    assert "default has **60.0 %**. No trial runs now: the study is paused." in note
    best = [row for row in rows if len(row) == 11 and row[0].isdigit()]
    accuracies = ["75.0 %", "74.0 %", "73.0 %", "72.0 %", "71.0 %"]
    assert [row[:2] for row in best] == [[str(8 - n), acc] for n, acc in enumerate(accuracies)]
    assert [row[2] for row in best[:3]] == ["71.0 ± 3.0 %", "72.0 ± 3.0 %", "-"]
    assert best[0][4] == "0.007"
    assert {row[-1] for row in best} == {"prior"}
    assert "Fixed features beat training from random weights by 26.0 points" in note
    assert ["Fisher score", "2.50", "1.35", "3.47", "1.18", "0.83"] in rows
    assert [row[0] for row in rows if row and row[0].startswith("`")][1] == "`high_lr`"
    assert "a tenth of the highest useful rate where the weights fit" in note


def test_curves_that_still_rise_are_said(made, tlsearch, tiny):
    tlsearch.run("create", str(tiny("longer", epochs=10, trials=20)))
    longer = Study(tlsearch.storage_url, "longer")
    for n in range(8):
        longer.add(0.7 + n / 1000)
    longer.updater.update()
    sentence = "longer training would help: +7.1 points an epoch at the end"
    assert sentence[1:] in longer.note
    assert sentence in tlsearch.run("status", "longer").stdout
    assert sentence in tlsearch.run("best", "longer").stdout
    status = tlsearch.json("status", "longer")
    assert status["rising"]["epochs_to_try"] == 20
    assert (status["seconds_per_trial"], status["trials_left"]) == (12.5, 12)
    assert "a trial takes 0:12" in tlsearch.run("status", "longer").stdout
    assert "a trial takes 0:12" in tlsearch.run("budget", "longer").stdout
    for n in range(8):
        made.add(0.7 + n / 1000)  # three epochs are too few to tell
    assert tlsearch.json("status", "tiny")["rising"] is None
    assert "longer training" not in tlsearch.run("status", "tiny").stdout


def test_the_floor_and_what_is_recommended(made, tlsearch):
    made.add(0.76, origin="default")
    assert "alone have" not in made.note
    alone = made.add(0.8, origin="fixed_features")
    compared = {"mean_with_fixed_features": 0.84, "right_alone": 3, "fixed_features_right_alone": 2}
    best = made.add(0.82, origin="tpe", user_attrs=compared)
    made.updater.update()
    recommended = f"the mean of fixed features and trial {best}, 84.0 % on validation"
    unclear = "o trial is ahead of fixed features by more than 50 validation images can tell"
    assert "Fixed features alone have **80.0 %**." in made.note
    assert f"**Recommended:** {recommended}. N{unclear}" in made.note
    for command in ("status", "best"):
        shown = tlsearch.run(command, "tiny").stdout
        assert f"recommended: {recommended}" in shown
        assert f"n{unclear}: the best is 2.0 points ahead, +- 4.5 points" in shown
    assert "fixed features alone 80.0 %" in tlsearch.run("status", "tiny").stdout
    status = tlsearch.json("status", "tiny")
    answer = status["answer"]
    assert status["fixed_features_val_accuracy"] == 0.8
    assert (answer["kind"], answer["trials"]) == ("mean", [alone, best])
    assert answer["models"] == [None, None]
    assert not answer["lead_is_clear"]
    assert tlsearch.json("best", "tiny", "--answer") == answer
    assert "model files: (not kept), (not kept)" in tlsearch.run("best", "tiny", "--answer").stdout
    ranked = tlsearch.json("best", "tiny", "--top", "2")
    assert [(trial["number"], trial["params"] is None) for trial in ranked] == [
        (best, False),
        (alone, True),
    ]


def test_every_command_of_the_note_exists(made):
    commands = [line.split()[1] for line in made.note.splitlines() if line.startswith("tlsearch ")]
    registered = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    registered |= {group.name for group in app.registered_groups}
    assert {"worker", "best", "pause", "budget", "enqueue", "prior", "db"} <= set(commands)
    assert set(commands) | {"resume"} <= registered


def test_what_a_user_wrote_is_kept(made, caplog):
    made.edit("My own words.")
    made.add(0.9)
    made.updater.update()
    assert write_note(made.storage, made.study) is False
    assert made.note == "My own words."
    made.edit("")
    made.updater.update()
    assert made.note == ""
    assert [r for r in caplog.records if r.name.startswith("tlsearch")] == []


def test_an_edit_that_was_begun_before_an_update_is_taken(made):
    from optuna_dashboard import _note

    attrs = made.storage.get_study_system_attrs(made.study.study_id)
    version = _note.get_note_from_system_attrs(attrs, None)["version"]
    made.add(0.9)
    made.updater.update()
    assert "90.0 %" in made.note
    attrs = made.storage.get_study_system_attrs(made.study.study_id)
    assert _note.version_is_incremented(attrs, None, version + 1)
    _note.save_note_with_version(made.storage, made.study.study_id, None, version + 1, "Mine.")
    made.updater.update()
    assert made.note == "Mine."


def test_notes_of_any_length(made):
    for length in (0, 1, 2045, 2046, 9000, 100):
        body = "".join(chr(0x4E00 + n % 1000) for n in range(length))
        assert save_note(made.storage, made.study.study_id, body) is True
        assert made.note == body
    made.edit("x" * 5000)
    assert save_note(made.storage, made.study.study_id, "y") is False
    assert made.note == "x" * 5000


def test_only_what_changed_is_read(made, tlsearch, tiny):
    tlsearch.run("create", str(tiny("other")))
    other = Study(tlsearch.storage_url, "other")
    made.updater.update()
    statements: list[str] = []
    listen = sa.event.listens_for(made.storage.engine, "before_cursor_execute")
    listen(lambda conn, cursor, statement, *_: statements.append(statement))
    made.updater.update()
    assert len(statements) == 1
    other.add(0.8)
    made.updater.update()
    assert "80.0 %" in other.note
    assert "80.0 %" not in made.note
    made.add(0.7)
    for change in (
        lambda: made.storage.set_study_user_attr(made.study.study_id, "unmeasured", "no | images"),
        lambda: set_state(made.storage.engine, [made.study.study_id], "paused"),
    ):
        made.updater.update()
        before = made.note
        change()
        made.updater.update()
        assert made.note != before
    assert "Could not be measured: no \\| images." in made.note


def test_studies_that_are_not_ours_and_those_being_created(made, caplog):
    for name in ("somebody's", f"{BEING_CREATED_PREFIX}x"):
        optuna.create_study(study_name=name, storage=made.storage)
    made.updater.update()
    somebodys = optuna.load_study(study_name="somebody's", storage=made.storage)
    assert optuna_dashboard.get_note(somebodys) == ""
    assert [r for r in caplog.records if r.name.startswith("tlsearch")] == []


def test_the_study_that_measures(made):
    made.updater.update()
    note = Study(made.storage.engine.url.render_as_string(False), "tiny/measures").note
    assert note == (
        "Trains the network from random weights, for the measures of study **tiny**; the note "
        "of that study has the result.\n"
    )


def test_a_database_that_refuses(made, embedded_url, caplog):
    made.add(0.8)
    name = made.storage.engine.url.database
    execute(embedded_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    made.storage.engine.dispose()
    for _ in range(3):
        made.updater.update()
    assert len([words for words in caplog.messages if "'tiny'" in words]) == 1
    assert "read-only transaction" in caplog.messages[0]
    execute(embedded_url, f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    made.storage.engine.dispose()
    made.updater.update()
    assert "80.0 %" in made.note


def test_a_database_that_is_away(made, embedded_url, caplog):
    made.add(0.8)
    name = made.storage.engine.url.database
    made.storage.engine.dispose()
    execute(embedded_url, f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    for _ in range(3):
        made.updater.update()
    assert len(caplog.messages) == 1
    assert "\n" not in caplog.messages[0]
    execute(embedded_url, f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    made.updater.update()
    assert "80.0 %" in made.note

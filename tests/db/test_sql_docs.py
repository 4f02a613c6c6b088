"""Every query of docs/sql.md runs and yields the columns that the document shows."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from tests.db.rows import PARAMS, VIEWS, Rows
from tests.db.sql_docs import DOCUMENT, Question, answer, columns_of, questions
from tlsearch.postgres.cluster import binary
from tlsearch.records import Measures
from tlsearch.store.connect import libpq_environment, open_storage, resolve_url

MEASURED = Measures(0.7, 1.0, 0.6, 10, 5.0, 2.0, 0.1, 12.5, 0.88, "a proxy", 0.1, 200, 1, 2, 3)
README = DOCUMENT.parents[1] / "README.md"


@pytest.fixture
def quickstart(storage_url: str) -> Iterator[str]:
    """A study by Optuna's own means, with what workers add to it by hand."""
    storage = open_storage(storage_url)
    study = optuna.create_study(storage=storage, study_name="quickstart", direction="maximize")
    study.set_user_attr("measures", MEASURED.as_dict())

    def objective(trial: optuna.Trial) -> float:
        origin = "default" if trial.number == 0 else ("prior", "tpe")[trial.number % 2]
        trial.set_user_attr("origin", origin)
        for name, value in PARAMS.items():
            trial.suggest_float(name, value, value)
        for epoch in range(1, 5):
            trial.report(trial.number / 20 + epoch / 100, epoch)
            if trial.number % 3 == 2 and epoch == 2:
                raise optuna.TrialPruned
        return trial.number / 20 + 0.04

    study.optimize(objective, n_trials=9)
    rows = Rows(storage_url)
    worker = rows.worker("h:1:cpu")
    for trial_id, state in rows.ask("SELECT trial_id, lower(state::text) FROM trials"):
        if trial_id % 4 == 1:
            rows.attempt(study._study_id, trial_id, 1, worker, 0, 10, "stalled", last_epoch=2)
        rows.attempt(study._study_id, trial_id, 2, worker, 10, 20, state, last_epoch=4)
    rows.session.close()
    yield storage_url
    storage.engine.dispose()


def test_ten_questions() -> None:
    assert len(questions()) == 10


@pytest.mark.parametrize("number", range(10))
def test_question(quickstart: str, number: int) -> None:
    question: Question = questions()[number]
    found = answer(quickstart, question.query)
    assert columns_of(found) == question.columns
    assert not found.endswith("(0 rows)\n"), found
    assert re.search(r"\([1-9][0-9]* rows?\)\n$", question.answer), "the document shows an answer"


def test_answers(quickstart: str) -> None:
    """What the rows above come to, where the questions compute something."""
    rows = Rows(quickstart)
    asked = {q.query.split("FROM")[0]: rows.names(q.query.replace("%", "%%")) for q in questions()}
    best, origin, _, curve, workers, hours, again, measures, pruning, growth = asked.values()
    assert [row["trial"] for row in best] == [7, 6, 4, 3, 1]
    assert {row["origin"]: (row["trials"], row["pruned"]) for row in origin} == {
        "prior": (4, 2),
        "tpe": (4, 1),
        "default": (1, 0),
    }
    assert [row["plain_default"] for row in curve] == [0.01, 0.02, 0.03, 0.04]
    assert [row["trials_ended"] for row in workers] == [9]
    assert float(hours[-1]["hours"]) == pytest.approx((9 * 20 + 3 * 10) / 3600, abs=1e-4)
    assert float(hours[-1]["lost_hours"]) == pytest.approx(3 * 10 / 3600, abs=1e-4)
    assert [row["ended"] for row in again] == ["stalled"] * 3
    assert float(measures[0]["fit_error"]) == round(0.0474, 3)
    assert (pruning[0]["pruned"], pruning[0]["epochs_saved"]) == (3, 6)
    assert pruning[0]["ahead"] == 1
    assert float(pruning[0]["furthest_ahead"]) == pytest.approx(0.05)
    assert [row["trial"] for row in growth] == [0, 1, 3, 4, 6, 7]
    assert [float(row["gain"]) for row in growth][:2] == [0, 0.05]
    rows.session.close()


def test_every_view_is_described() -> None:
    text = DOCUMENT.read_text()
    described = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert described == set(VIEWS)


def test_the_variable_in_a_script(storage_url: str) -> None:
    rows = Rows(storage_url)
    rows.trial(rows.study("it's mine"), 0, value=0.5)
    rows.session.close()
    (line,) = re.findall(r"tlsearch db psql (-v study=.*)", DOCUMENT.read_text())
    command = f"{binary('psql')} -At {line}"
    shown = subprocess.run(
        ["bash", "-c", command],
        env=libpq_environment(resolve_url(storage_url)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("it's mine|1|0|0.5|")


def test_before_optuna_upgrades_its_tables(storage_url: str) -> None:
    rows = Rows(storage_url)
    (drop,) = re.findall(r"`(DROP VIEW [^`]*)`", DOCUMENT.read_text())
    rows.ask(drop)
    assert rows.ask("SELECT viewname FROM pg_views WHERE schemaname = 'tlsearch'") == []
    rows.ask("ALTER TABLE trial_params ALTER param_value TYPE real")
    rows.ask("ALTER TABLE trial_user_attributes ALTER value_json TYPE varchar")
    open_storage(storage_url)
    for view in VIEWS:
        rows.ask(f"SELECT * FROM tlsearch.{view}")
    rows.session.close()


@pytest.mark.parametrize("path", [README], ids=["README"])
def test_sql_elsewhere(quickstart: str, path: Path) -> None:
    for query in re.findall(r"```sql\n(.*?)```", path.read_text(), re.DOTALL):
        for statement in filter(str.strip, query.split(";")):
            answer(quickstart, statement.strip())

"""Looks at test images in the database."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.db.rows import Rows
from tests.db.test_roles import apply
from tests.unit.test_tested import FIGURE, RESULT
from tlsearch.errors import StudyError
from tlsearch.store.connect import open_storage
from tlsearch.store.deletion import delete_study
from tlsearch.store.schema import VERSION
from tlsearch.store.test_results import read_test_results, write_test_result


@pytest.fixture
def rows(storage_url: str) -> Iterator[Rows]:
    found = Rows(storage_url)
    yield found
    found.session.close()


def test_looks_are_counted_and_never_change(storage_url: str, rows: Rows) -> None:
    engine, study_id = open_storage(storage_url).engine, rows.study("a b")
    other = rows.study("other")
    assert read_test_results(engine, study_id) == []
    named = replace(RESULT, most_wrong=())  # jsonb holds no half characters
    first = write_test_result(engine, study_id, named)
    second = write_test_result(engine, study_id, replace(named, n_test=99))
    assert first is not None
    assert second is not None
    assert (first.look, second.look) == (1, 2)
    assert write_test_result(engine, study_id, named, only_first=True) is None
    assert read_test_results(engine, study_id) == [named, replace(named, n_test=99, look=2)]
    assert read_test_results(engine, other) == []


def test_names_that_no_json_of_postgresql_takes(storage_url: str, rows: Rows) -> None:
    engine, study_id = open_storage(storage_url).engine, rows.study("a b")
    odd = replace(RESULT, answer="nul \0 half \udcff")
    write_test_result(engine, study_id, odd)
    (found,) = read_test_results(engine, study_id)
    assert found.answer == "nul \ufffd half ?"


def test_looks_at_the_same_moment_have_numbers_of_their_own(storage_url: str, rows: Rows) -> None:
    engine, study_id = open_storage(storage_url).engine, rows.study("a b")
    plain = replace(RESULT, most_wrong=())
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: write_test_result(engine, study_id, plain), range(8)))
    assert sorted(result.look for result in found if result) == list(range(1, 9))


def test_of_two_first_looks_at_the_same_moment_one_counts(storage_url: str, rows: Rows) -> None:
    engine, study_id = open_storage(storage_url).engine, rows.study("a b")

    def look(n: int) -> bool:
        plain = replace(RESULT, most_wrong=(), n_test=n)
        return write_test_result(engine, study_id, plain, only_first=True) is not None

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(look, range(8))) == 1
    assert len(read_test_results(engine, study_id)) == 1


def test_they_go_with_their_study(storage_url: str, rows: Rows) -> None:
    engine, study_id = open_storage(storage_url).engine, rows.study("a b")
    kept = rows.study("kept")
    for each in (study_id, kept):
        write_test_result(engine, each, replace(RESULT, most_wrong=()))
    delete_study(engine, study_id)
    assert rows.ask("SELECT study_id FROM tlsearch.test_results") == [(kept,)]
    with pytest.raises(StudyError, match="was deleted"):
        write_test_result(engine, study_id, RESULT)


def test_the_view_has_a_row_for_each_figure(storage_url: str, rows: Rows) -> None:
    engine, study_id = open_storage(storage_url).engine, rows.study("a b")
    write_test_result(engine, study_id, replace(RESULT, most_wrong=()))
    single, together = rows.names("SELECT * FROM tlsearch.tests ORDER BY prediction DESC")
    assert (single["study"], single["look"], single["at"]) == ("a b", 1, RESULT.at)
    assert (single["finalist"], single["prediction"]) == ("trial 7", "single crop")
    assert single["test_accuracy"] == FIGURE.mean
    assert single["mean_average_precision"] is None
    for name in ("sd", "low", "high", "macro_f1", "log_loss", "ece", "temperature", "passes"):
        assert single[name] == getattr(FIGURE, name), name
    assert (single["models"], together["models"]) == (2, 1)
    assert (single["answer"], single["n_test"], single["trained_on"]) == ("trial 7", 100, "train")


def test_of_several_labels_the_mean_is_that_of_average_precision(
    storage_url: str, rows: Rows
) -> None:
    engine, study_id = open_storage(storage_url).engine, rows.study("a b")
    figure = replace(FIGURE, average_precisions=(0.8, 0.82), accuracies=(0.5, 0.6))
    write_test_result(engine, study_id, replace(RESULT, most_wrong=(), figures=(figure,)))
    (row,) = rows.names("SELECT * FROM tlsearch.tests")
    assert row["mean_average_precision"] == FIGURE.mean
    assert row["test_accuracy"] == pytest.approx(0.55)


@pytest.mark.parametrize(
    "result", [{}, {"figures": 3}, {"figures": [1, "a", {"mean": "x", "accuracies": 2}]}, [], 1]
)
def test_the_view_fails_on_no_row(rows: Rows, result: object) -> None:
    rows.ask(
        "INSERT INTO tlsearch.test_results VALUES (%s, 1, now(), %s) RETURNING 1",
        rows.study("odd"),
        json.dumps(result),
    )
    rows.ask("SELECT * FROM tlsearch.tests")


def test_a_database_of_version_3_gets_the_table(storage_url: str, rows: Rows) -> None:
    rows.ask("DROP VIEW tlsearch.tests")
    rows.ask("DROP TABLE tlsearch.test_results")
    rows.ask("DELETE FROM tlsearch.migrations WHERE version > 3")
    rows.ask("UPDATE tlsearch.installed SET version = 3")
    engine = open_storage(storage_url).engine
    assert read_test_results(engine, rows.study("a b")) == []
    assert rows.ask("SELECT version FROM tlsearch.installed") == [(VERSION,)]


def test_readers_read_them_and_no_more(storage_url: str, rows: Rows) -> None:
    rows.test(rows.study("a b"), 1, RESULT.as_dict() | {"most_wrong": []})
    assert apply(storage_url).returncode == 0
    rows.ask("SET ROLE tlsearch_reader")
    assert rows.ask("SELECT look FROM tlsearch.test_results") == [(1,)]
    assert rows.ask("SELECT DISTINCT look FROM tlsearch.tests") == [(1,)]
    with pytest.raises(Exception, match="permission denied"):
        rows.ask("DELETE FROM tlsearch.test_results")
    rows.ask("RESET ROLE")
    rows.ask("DROP OWNED BY tlsearch_reader")

"""Tests in this folder need no database: `make test-unit` runs them alone."""

from collections.abc import Iterator

import pytest

from tlsearch.postgres import cluster, embedded


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that uses one of PostgreSQL's programs, or whose processes start a server."""

    def refuse(name: str) -> None:
        pytest.fail(f"a test in tests/unit wants PostgreSQL's {name}: move it to tests/db")

    data, at_first = embedded.data_folder(), embedded.data_folder().exists()
    monkeypatch.setattr(cluster, "binary", refuse)
    monkeypatch.setattr(embedded, "binary", refuse)
    yield
    assert data.exists() == at_first, "a test in tests/unit started an embedded server"

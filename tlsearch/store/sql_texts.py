"""The SQL texts of the folder `db/`, which the package carries as `tlsearch/db`.

Migrations are numbered, make and change tables, and are each applied once. Functions and views keep
nothing, so they are replaced whole whenever their texts change.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tlsearch.errors import StorageError
from tlsearch.records import BEING_CREATED_PREFIX
from tlsearch.store.locks import PROJECT_KEY

FOLDER = Path(__file__).resolve().parents[1] / "db"
REPLACEABLE = (
    "functions/values.sql",
    "functions/budget.sql",
    "functions/trials.sql",
    "functions/deletion.sql",
    "views/trials.sql",
    "views/overviews.sql",
    "views/tests.sql",
    "views/grants.sql",
)
# What Python and SQL have to agree on.
_FILLED_IN = {"{lock_key}": str(PROJECT_KEY), "{being_created_prefix}": BEING_CREATED_PREFIX}


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the tables from a version to the next.

    Attributes:
        version: of the schema once it is applied, from 1.
        name: of its file in `db/migrations`, without the ending.
    """

    version: int
    name: str

    @property
    def text(self) -> str:
        """Its SQL."""
        return sql_text(f"migrations/{self.name}.sql")


def sql_text(name: str) -> str:
    """Return one of the SQL texts, by its path in `db/`, with Python's constants filled in.

    Raises:
        StorageError: the installation is damaged.
    """
    try:
        text = (FOLDER / name).read_text(encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{FOLDER / name} cannot be read ({error.strerror}); install tlsearch again"
        ) from None
    for placeholder, value in _FILLED_IN.items():
        text = text.replace(placeholder, value)
    return text


def migrations() -> tuple[Migration, ...]:
    """Return all migrations in order."""
    names = sorted(path.stem for path in (FOLDER / "migrations").glob("*.sql"))
    return tuple(Migration(int(name.partition("_")[0]), name) for name in names)


def replaceable_digest() -> str:
    """Return the SHA-256 of the texts of functions and views."""
    texts = "\0".join(map(sql_text, REPLACEABLE))
    return hashlib.sha256(texts.encode()).hexdigest()

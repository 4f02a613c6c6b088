"""Optuna's storage, most of which is loaded when Optuna first uses it."""

import threading
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa


class LazyRDBStorage(optuna.storages.RDBStorage):
    """An RDBStorage whose `engine` is there at once, and all the rest when it is first used.

    Optuna's own methods need SQLAlchemy's object-relational half and alembic, whose import takes
    as long as everything else that a command such as `tlsearch status` does.

    Args:
        url: of the database.
        engine_kwargs: as RDBStorage takes them.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        self._arguments = (url, engine_kwargs)
        self._loading = threading.RLock()
        self._own_engine = sa.create_engine(url, **engine_kwargs)

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out what belongs to this process."""
        return {"arguments": self._arguments}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Begin anew in another process."""
        LazyRDBStorage.__init__(self, *state["arguments"])

    @property
    def engine(self) -> sa.Engine:
        """The engine of the database; RDBStorage makes one of its own, which is not used."""
        return self._own_engine

    @engine.setter
    def engine(self, engine: sa.Engine) -> None:
        engine.dispose()

    def load(self, create_tables: bool = False) -> None:
        """Initialise RDBStorage, which checks the version of its tables.

        Raises:
            RuntimeError: another version of Optuna made the tables.
            sqlalchemy.exc.SQLAlchemyError: the database cannot be used; its connections are closed.
        """
        url, engine_kwargs = self._arguments
        with self._loading:
            if "_version_manager" in self.__dict__:
                return
            try:
                super().__init__(url, engine_kwargs, skip_table_creation=not create_tables)
            except BaseException:
                self._own_engine.dispose()
                raise

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that RDBStorage sets when it is initialised."""
        if name.startswith("__") or name in ("_arguments", "_loading", "_own_engine"):
            raise AttributeError(name)
        self.load()
        return object.__getattribute__(self, name)


def newest_tables_version() -> str:
    """Return the version of Optuna's tables that this Optuna makes, without loading alembic."""
    folder = Path(optuna.__file__).parent / "storages" / "_rdb" / "alembic" / "versions"
    return max(path.stem.rstrip("_") for path in folder.glob("v*.py"))

"""Which database to use, and Optuna's storage in it."""

import getpass
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, unquote

import optuna
import sqlalchemy as sa

from tlsearch.errors import StorageError
from tlsearch.postgres import cluster, embedded
from tlsearch.store import error_messages, schema
from tlsearch.store.causes import own_words
from tlsearch.store.locks import create_lock
from tlsearch.store.optuna_storage import LazyRDBStorage, newest_tables_version

ENVIRONMENT = "TLSEARCH_STORAGE"
DRIVER = "postgresql+psycopg2"
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg")
WORKING = "give postgresql://user:password@host:5432/database, or nothing for the embedded server"
SECRETS = {"password", "sslpassword", "passfile", "oauth_client_secret"}
SECRETS |= {"scram_client_key", "scram_server_key"}


def given_storage(storage: str | None = None) -> str | None:
    """Return the given URL, else that of TLSEARCH_STORAGE; None means the embedded server."""
    return storage or os.environ.get(ENVIRONMENT) or None


def resolve_url(storage: str | None = None) -> sa.URL:
    """Return the URL of the database to use; starts the embedded server if none is given.

    Raises:
        StorageError: the URL is not of PostgreSQL, or the embedded server fails.
    """
    text = given_storage(storage) or embedded.ensure_running()
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme not in SCHEMES:
        kind = f"{scheme}:// is not supported" if scheme.isalnum() else "the storage is no URL"
        raise StorageError(f"{kind}: {WORKING}")
    try:
        url = _libpq_hosts(sa.make_url(DRIVER + text[len(scheme) :]))
    except (sa.exc.ArgumentError, ValueError):
        raise StorageError(f"the storage URL cannot be read: {WORKING}") from None
    if "@" in _options(url).get("host", ""):
        raise StorageError("the storage URL has an @ too many: write @ in a password as %40")
    if "\0" in unquote(text):
        raise StorageError(f"the storage URL has a %00, which PostgreSQL cannot take: {WORKING}")
    return url


def without_secrets(url: sa.URL) -> sa.URL:
    """Return the URL without passwords."""
    return url._replace(password=None).difference_update_query(_secrets(url))


def shown_url(url: sa.URL) -> str:
    """Return the URL for logs and messages, without passwords."""
    return libpq_url(without_secrets(url))


def optuna_url(url: sa.URL) -> str:
    """Return the URL with its password as Optuna, its dashboard and SQLAlchemy take it.

    It names the driver, for which SQLAlchemy has another default, and the schema of Optuna's
    tables, where the user's own would come first.
    """
    if (path := _search_path(url)) and "options" not in url.query:
        url = url.update_query_dict({"options": path})
    return _for_optuna(url)


def libpq_url(url: sa.URL) -> str:
    """Return the URL with its password as psql and other libpq programs take it."""
    secret = f":{_quoted(url.password)}" if url.password else ""
    user = f"{_quoted(url.username)}{secret}@" if url.username else ""
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    port = f":{url.port}" if url.port else ""
    pairs = [(k, v) for k, values in url.normalized_query.items() for v in values]
    query = "&".join(f"{_quoted(k)}={quote(v)}" for k, v in pairs)
    return (
        f"postgresql://{user}{host}{port}/{_quoted(url.database or '')}{'?' * bool(query)}{query}"
    )


def libpq_environment(url: sa.URL) -> dict[str, str]:
    """Return the process environment with the connection in it, for psql and its like.

    There, other users of the machine cannot see the password; on a command line they could.
    """
    names = {"dbname": "PGDATABASE", "connect_timeout": "PGCONNECT_TIMEOUT"}
    names["application_name"] = "PGAPPNAME"
    found = _options(url)
    ours = {names.get(k, f"PG{k.upper().replace('_', '')}"): v for k, v in found.items() if v}
    stronger = ("PGSERVICE", "PGHOSTADDR") if "host" in found else ("PGSERVICE",)
    return {k: v for k, v in os.environ.items() if k not in stronger} | ours


def open_storage(storage: str | None = None) -> optuna.storages.RDBStorage:
    """Connect to the database and return Optuna's storage in it; creates missing tables.

    Any number of processes may do this at once, also on an empty database.

    Raises:
        StorageError: the database cannot be reached or refuses, or holds another schema.
    """
    url = resolve_url(storage)
    with _sentences(url):
        return _open(url, _engine(url))


def migrate(storage: str | None = None) -> int | None:
    """Install tlsearch's tables, functions and views anew, whatever is there.

    Returns:
        The version that was there before; None where there was none. Now it is `schema.VERSION`.

    Raises:
        StorageError: as `open_storage`.
    """
    url = resolve_url(storage)
    with _sentences(url):
        engine = _engine(url)
        before = schema.installed_version(engine)
        _open(url, engine, migrate=True).engine.dispose()
        return before


def place(url: sa.URL) -> str:
    """Return where the database is, for messages: `database d at host:port as user u`."""
    found = _options(url)
    host = found.get("host") or os.environ.get("PGHOST") or "the local socket"
    port = found.get("port") or os.environ.get("PGPORT") or cluster.PORT
    user = found.get("user") or os.environ.get("PGUSER") or ""
    database = found.get("dbname") or os.environ.get("PGDATABASE") or user
    where = f"database {database!r} at {host}:{port}"
    return f"{where} as user {user!r}" if user else where


def _engine(url: sa.URL) -> sa.Engine:
    os.environ.pop("PGTZ", None)  # it would win over the zone that _connect_args sets
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=_connect_args(url))


def _open(url: sa.URL, engine: sa.Engine, migrate: bool = False) -> LazyRDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        version = None if migrate else _ready_version(engine)
        if version is None:
            with create_lock(engine):
                version = None if migrate else _ready_version(engine)
                if version is None:
                    _create(url, engine, schema.install if migrate else schema.install_if_allowed)
        storage = _storage(url)
        if version != newest_tables_version():
            storage.load()
        return storage


def _ready_version(engine: sa.Engine) -> str | None:
    """Return the version of Optuna's tables; None where they or ours are to be created."""
    return _tables_version(engine) if schema.is_current(engine) else None


def _create(url: sa.URL, engine: sa.Engine, install: Callable[[sa.Engine], None]) -> None:
    storage = _storage(url)
    storage.load(create_tables=_tables_version(engine) is None)
    storage.engine.dispose()
    schema.is_current(engine)  # refuses what is newer or belongs to other tables
    install(engine)


def _storage(url: sa.URL) -> LazyRDBStorage:
    options = {"pool_pre_ping": True, "connect_args": _connect_args(url)}
    return LazyRDBStorage(_for_optuna(url), options)


def _for_optuna(url: sa.URL) -> str:
    """Return the URL as text; Optuna calls format() on it, so a brace in it must not be seen."""
    return url.render_as_string(hide_password=False).replace("{", "%7B").replace("}", "%7D")


def _connect_args(url: sa.URL) -> dict[str, Any]:
    """Return libpq's options; those in the URL win."""
    # Optuna writes heartbeats as the session's local time without a zone and compares them with
    # now(): with sessions in different zones a trial would look hours old, or never stale.
    own = _text(url.query.get("options")) or os.environ.get("PGOPTIONS", "")
    path = "" if "search_path" in own else _search_path(url)
    defaults = {
        "connect_timeout": 10,  # seconds, a host
        "application_name": "tlsearch",
        "keepalives_idle": 30,  # a server that vanished is noticed after about a minute
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,  # milliseconds
    }
    if "host" in _options(url):
        defaults["hostaddr"] = ""  # else PGHOSTADDR, meant for another server, would win
    kept = {name: value for name, value in defaults.items() if name not in url.query}
    return kept | {"options": f"{own} -c timezone=UTC {path}".strip()}


def _search_path(url: sa.URL) -> str:
    """Return the option that makes tables go into `public`, where a user has a schema tlsearch."""
    return "-c search_path=public" if _user(url) == "tlsearch" else ""


def _user(url: sa.URL) -> str:
    """Return whom libpq connects as: a user's own schema comes first in its search_path."""
    with suppress(KeyError, OSError):
        return _options(url).get("user") or os.environ.get("PGUSER") or getpass.getuser()
    return ""


def _tables_version(engine: sa.Engine) -> str | None:
    """Return the version of Optuna's tables; None unless they are complete: it is written last."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        return found


@contextmanager
def _sentences(url: sa.URL) -> Iterator[None]:
    try:
        yield
    except (sa.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise StorageError(_sentence(url, error)) from None


def _sentence(url: sa.URL, error: BaseException) -> str:
    """Say in one sentence what went wrong, where, and what to do."""
    if found := re.search(r"set up by optuna ([^)\s]+)", str(error)):
        what = f"holds tables of Optuna {found[1]}, which Optuna {optuna.__version__} cannot use"
        how = "drop tlsearch's views (docs/sql.md) and run `optuna storage upgrade`"
        return f"{place(url)} {what}: give an empty database, or {how}"
    words = own_words(error)
    if known := error_messages.predicate(words):
        return f"{place(url)} {known}"
    for secret in filter(None, (url.password, *map(_text, map(url.query.get, _secrets(url))))):
        words = words.replace(secret, "***")
    return f"{place(url)} refuses: {' '.join(words.split())}; check the URL and the server"


def _options(url: sa.URL) -> dict[str, str]:
    """Return what the driver gives to libpq: what is in the query wins."""
    found = url.get_dialect()().create_connect_args(url)[1]
    return {name: _text(value) for name, value in found.items()}


def _libpq_hosts(url: sa.URL) -> sa.URL:
    """Write several hosts as libpq does: `host=a:1&host=b:2`, SQLAlchemy's way, is lost on it."""
    found = _options(url)
    if "host" not in url.query:
        return url
    return url.update_query_dict({k: found[k] for k in ("host", "port") if found.get(k)})


def _secrets(url: sa.URL) -> list[str]:
    return [name for name in url.query if name.lower() in SECRETS]


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value or "")


def _quoted(text: str | None) -> str:
    return quote(text or "", safe="")

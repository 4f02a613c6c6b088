"""The `tlsearch` command: every command and where its code is."""

from typing import Annotated

import typer

from tlsearch import __version__
from tlsearch.cli import (
    backbones,
    dashboard,
    db,
    export,
    finals,
    knobs,
    plan,
    predict,
    prior,
    quickstart,
    report,
    spec,
    status,
    steer,
    test,
    worker,
)

app = typer.Typer(
    name="tlsearch",
    help="Find the best way to fine-tune a pretrained image classifier on your images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(db.app, name="db")
for command in (
    spec.create,
    spec.check,
    plan.plan,
    backbones.backbones,
    worker.worker,
    worker.measure,
    prior.measures,
    prior.prior,
    status.status,
    status.best,
    finals.finalists,
    knobs.knobs,
    test.test,
    export.export,
    predict.predict,
    report.report,
    steer.enqueue,
    steer.pause,
    steer.resume,
    steer.stop,
    steer.budget,
    steer.delete,
    spec.layers,
    dashboard.dashboard,
    quickstart.quickstart,
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tlsearch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    del version

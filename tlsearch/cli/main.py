"""The `tlsearch` command."""

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tlsearch.cli import db
from tlsearch.cli import prior as prior_commands
from tlsearch.cli.display import (
    TerminalProgress,
    console,
    duration,
    percent,
    print_json,
    status_as_json,
    trial_as_json,
    trials_lines,
)
from tlsearch.errors import TlsearchError

app = typer.Typer(
    name="tlsearch",
    help="Find the best way to fine-tune a pretrained image classifier on your images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(db.app, name="db")

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="TLSEARCH_STORAGE",
        show_envvar=True,
        help="PostgreSQL URL, better in the environment if with a password; "
        "without one, the embedded server on this machine.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="CPU threads; default: all cores.")
]
DataHere = Annotated[
    str | None, typer.Option(metavar="PATH", help="The study's images on this machine.")
]
WeightsHere = Annotated[
    str | None, typer.Option(metavar="PATH", help="The study's weights on this machine.")
]
SpecPath = Annotated[Path, typer.Argument(metavar="SPEC.toml", help="Study spec.")]


@app.command()
def create(spec: SpecPath, storage: Storage = None, as_json: Json = False) -> None:
    """Create a study from its spec, or say that it exists."""
    from tlsearch.spec import load_spec
    from tlsearch.study import create_study

    loaded = load_spec(spec)
    leave_on_sigterm()
    if as_json or loaded.measures.when != "create":
        study, created = create_study(loaded, storage)
    else:
        with TerminalProgress(loaded.recipe.epochs, None) as progress:
            study, created = create_study(loaded, storage, progress)
    if as_json:
        print_json({"name": study.name, "created": created, "spec_hash": study.spec_hash})
        return
    did = "created" if created else "exists with this very spec; nothing changed"
    console.print(f"study {study.name!r} {did} (spec {study.spec_hash[:12]})")
    console.print(f"run trials with: tlsearch worker {shlex.quote(study.name)}")
    if storage is None and loaded.storage is not None:
        console.print("its database is named in the spec: give other commands --storage as well")


@app.command()
def check(spec: SpecPath, as_json: Json = False) -> None:
    """Validate a spec, its images and its network without training."""
    from tlsearch.spec import load_spec, spec_hash
    from tlsearch.study import check_study

    checked = check_study(load_spec(spec))
    catalog, space = checked.catalog, checked.space
    if as_json:
        print_json(
            {
                "name": checked.spec.name,
                "spec_hash": spec_hash(checked.spec),
                "classes": list(catalog.class_names),
                "n_train": len(catalog.train),
                "n_val": len(catalog.val),
                "n_test": len(catalog.test),
                "ignored_files": list(catalog.ignored),
                "space": space.as_dict(),
            }
        )
        return
    console.print(f"spec      {checked.spec.name!r} is valid (spec {spec_hash(checked.spec)[:12]})")
    console.print(
        f"images    {len(catalog.class_names)} classes; {len(catalog.train)} train, "
        f"{len(catalog.val)} validation, {len(catalog.test)} test; all readable"
    )
    if catalog.ignored:
        shown = ", ".join(catalog.ignored[:5]) + (" ..." if len(catalog.ignored) > 5 else "")
        console.print(f"          passed over, no images: {len(catalog.ignored)} ({shown})")
    console.print(
        f"network   {checked.backbone.name}: {space.n_body_layers} body layers and the classifier"
    )
    for name, given in space.ranges.items():
        shown = f"{given.low:g} (fixed)" if given.fixed else f"{given.low:g} to {given.high:g}"
        console.print(f"search    {name:<14} {shown}")


@app.command()
def worker(
    study: StudyName,
    storage: Storage = None,
    device: Device = "auto",
    trials: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Run at most N trials, then leave.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Begin no trial after S seconds.")
    ] = None,
    threads: Threads = None,
    data: DataHere = None,
    weights: WeightsHere = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON of the trials run, and no progress.")
    ] = False,
) -> None:
    """Claim and run trials of a study until its budget is spent."""
    from tlsearch.worker import run_worker

    limits: dict[str, Any] = {"device": device, "max_trials": trials, "timeout_seconds": timeout}
    limits |= {"data_path": data, "weights": weights}
    set_threads(threads)
    leave_on_sigterm()
    if as_json:
        summary = run_worker(study, storage, **limits)
        print_json([trial_as_json(trial) for trial in summary.trials])
        return
    with progress_of(study, storage) as progress:
        try:
            summary = run_worker(study, storage, progress=progress, **limits)
        except KeyboardInterrupt:
            console.print("interrupted: a trial under way is back in the queue")
            raise typer.Exit(130) from None
    end = "the study is done" if summary.budget_spent else "this worker's limit is reached"
    console.print(f"trials run: {len(summary.trials)}; {end} (tlsearch best {shlex.quote(study)})")


@app.command()
def measure(
    study: StudyName,
    storage: Storage = None,
    device: Device = "auto",
    threads: Threads = None,
    data: DataHere = None,
    weights: WeightsHere = None,
    as_json: Json = False,
) -> None:
    """Measure how well the pretrained weights fit the images, unless that is done."""
    from tlsearch.worker import measure_study

    set_threads(threads)
    leave_on_sigterm()
    limits: dict[str, Any] = {"device": device, "data_path": data, "weights": weights}
    if as_json:
        measure_study(study, storage, **limits)
    else:
        with progress_of(study, storage) as progress:
            try:
                measure_study(study, storage, progress=progress, **limits)
            except KeyboardInterrupt:
                console.print("interrupted: what was under way is back in the queue")
                raise typer.Exit(130) from None
    prior_commands.show_measures(study, storage, as_json)


@app.command()
def measures(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Show a study's measures beside those of the paper's data sets."""
    prior_commands.show_measures(study, storage, as_json)


@app.command()
def prior(
    study: StudyName,
    storage: Storage = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it into a .png, .svg or .pdf file.")
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(metavar="SPEC.toml", help="Show what this spec's [prior] would change."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="With --spec: keep it.")] = False,
    as_json: Json = False,
) -> None:
    """Show where the search starts, and by which rule and measure."""
    if spec is not None:
        prior_commands.show_edited(study, spec, storage, apply, picture, as_json)
        return
    if apply:
        raise typer.BadParameter("--apply needs --spec SPEC.toml, whose [prior] is to be kept")
    prior_commands.show_prior(study, storage, picture, as_json)


@app.command()
def enqueue(
    study: StudyName,
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=NUMBER", help="A hyperparameter; may be repeated."),
    ],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Queue a trial of your own; what is not set is the plain default's."""
    prior_commands.enqueue_trial(study, settings, storage, as_json)


@app.command()
def status(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Show where a study stands."""
    from tlsearch.results import StudyReader

    reader = StudyReader(study, storage)
    found = reader.status()
    if as_json:
        print_json(status_as_json(found) | {"measured": reader.measured()})
        return
    console.print(f"{found.name}: {found.ended} of {found.budget_trials} trials done")
    console.print("  " + ", ".join(f"{n} {state}" for state, n in found.counts.items() if n))
    console.print(f"  plain fine-tuning default {percent(found.default_val_accuracy)}")
    if found.best:
        console.print(f"  best {percent(found.best.val_accuracy)} (trial {found.best.number})")
    console.print(f"  training time {duration(found.train_seconds)}")
    if reader.study.spec.measures.when != "off" and not reader.measured():
        console.print(
            f"  not measured yet: tlsearch measure {shlex.quote(study)}, or a worker, does it"
        )
    for trial in found.running:
        console.print(
            f"  trial {trial.number} runs on {trial.worker}, epoch {trial.epochs} done,"
            f" val {percent(trial.val_accuracy)}"
        )


@app.command()
def best(
    study: StudyName,
    storage: Storage = None,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="How many trials.")] = 1,
    as_json: Json = False,
) -> None:
    """Show the best complete trials."""
    from tlsearch.results import best_trials

    found = best_trials(study, storage, top=top)
    if as_json:
        print_json([trial_as_json(trial) for trial in found])
    elif found:
        console.print("\n".join(trials_lines(found)))
    else:
        console.print(f"no trial of study {study!r} is complete yet; run tlsearch worker {study}")


@app.command()
def layers(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="timm model name.")],
    as_json: Json = False,
) -> None:
    """List a network's layers from the input, as the hyperparameters count them."""
    from tlsearch.backbones import build, layers_of

    found = layers_of(build(model, n_classes=1000, seed=0), model).layers
    if as_json:
        print_json(
            [
                {
                    "index": layer.index,
                    "name": layer.name,
                    "parameters": layer.n_parameters,
                    "classifier": layer.is_classifier,
                }
                for layer in found
            ]
        )
        return
    for layer in found:
        role = "  classifier (1000 classes)" if layer.is_classifier else ""
        console.print(f"{layer.index:>4}  {layer.n_parameters:>12,}  {layer.name}{role}")
    console.print(f"{len(found) - 1} body layers and the classifier")


@app.command()
def dashboard(
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
) -> None:
    """Serve optuna-dashboard on this machine. It has no login: do not expose it as it is."""
    from optuna.storages import get_storage
    from optuna_dashboard import run_server

    from tlsearch.store.connect import open_storage

    database = get_storage(open_storage(storage))
    console.print(f"optuna-dashboard on http://{host}:{port} (Ctrl-C stops it)")
    try:
        run_server(database, host=host, port=port)
    except OSError as error:
        message = f"cannot listen on {host}:{port} ({error.strerror}); choose another --port"
        raise typer.BadParameter(message) from None


@app.command()
def quickstart(storage: Storage = None) -> None:
    """Tune a real network on the shipped images: a study from end to end in a few minutes."""
    from tlsearch.cli.quickstart import run

    leave_on_sigterm()
    run(storage)


def progress_of(study: str, storage: str | None) -> TerminalProgress:
    """Return a progress display for a study."""
    from tlsearch.results import StudyReader

    reader = StudyReader(study, storage)
    return TerminalProgress(reader.study.spec.recipe.epochs, reader.status)


def set_threads(threads: int | None) -> None:
    """Set how many CPU threads torch uses."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def leave_on_sigterm() -> None:
    """Make SIGTERM end the worker as Ctrl-C does: its trial goes back into the queue."""

    def leave(*_: object) -> None:
        sys.stderr.write("terminated: a trial under way goes back into the queue\n")
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, leave)


def main() -> None:
    """Run the command line; what a user can mend is one sentence a problem and exit code 2."""
    try:
        app()
    except TlsearchError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"error: {line}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()

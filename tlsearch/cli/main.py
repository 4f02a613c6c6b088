"""The `tlsearch` command."""

import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlsearch.cli import db, steer
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
from tlsearch.cli.launch import Places, launch, share_of_threads
from tlsearch.cli.options import Artifacts, Json, Storage, StudyName, StudyNames
from tlsearch.cli.work import progress_of, set_threads, work, work_with_news
from tlsearch.errors import TlsearchError
from tlsearch.launcher import WorkerCommand
from tlsearch.threads import spin_shortly

if TYPE_CHECKING:
    from tlsearch.records import TrialRecord
    from tlsearch.spec import WorkersSpec

app = typer.Typer(
    name="tlsearch",
    help="Find the best way to fine-tune a pretrained image classifier on your images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(db.app, name="db")
for command in (steer.pause, steer.resume, steer.stop, steer.budget, steer.delete):
    app.command()(command)

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
    from tlsearch.studies.create import create_study

    loaded = load_spec(spec)
    leave_on_sigterm()
    if as_json or loaded.measures.when != "create":
        study, created = create_study(loaded, storage)
    else:
        with TerminalProgress() as progress:
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
    from tlsearch.studies.create import check_study

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
    studies: StudyNames,
    storage: Storage = None,
    device: Device = "auto",
    gpus: Annotated[
        str | None,
        typer.Option(metavar="all|N,N", help="A process on each of these CUDA devices."),
    ] = None,
    per_gpu: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="With --gpus: K processes on each.")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="N processes on the CPU, or on --device."),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Run at most N trials in a process, then leave."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Begin no trial after S seconds.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="CPU threads of a process; default: its share."),
    ] = None,
    data: DataHere = None,
    weights: WeightsHere = None,
    artifacts: Artifacts = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON of what was run, at the end, and no progress."),
    ] = False,
    news: Annotated[bool, typer.Option("--news", hidden=True)] = False,
) -> None:
    """Claim and run trials of studies until their budgets are spent."""
    studies = list(dict.fromkeys(studies))
    leave_on_sigterm()
    if artifacts is not None:
        os.environ["TLSEARCH_ARTIFACTS"] = artifacts  # the launcher's processes inherit it
    places = Places(gpus, per_gpu, processes, device)
    if places.several:
        slots = places.slots()
        share = share_of_threads(slots, threads)
        command = WorkerCommand(studies, share, storage, trials, timeout, data, weights)
        raise typer.Exit(launch(slots, command, as_json))
    limits: dict[str, Any] = {"device": device, "max_trials": trials, "timeout_seconds": timeout}
    limits |= {"data_path": data, "weights": weights}
    if news:
        work_with_news(studies, storage, threads, limits)
        return
    set_threads(threads)
    work(studies, storage, limits, as_json)


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
        with progress_of(study, storage=storage) as progress:
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
        typer.Option(
            metavar="SPEC.toml", help="Show what the prior table of this spec would change."
        ),
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
    from tlsearch.studies.read import StudyReader

    reader = StudyReader(study, storage)
    found = reader.status()
    if as_json:
        print_json(status_as_json(found) | {"measured": reader.measured()})
        return
    console.print(f"{found.name}: {found.ended} of {found.budget_trials} trials done")
    console.print("  " + steer.budget_line(found.controls))
    if found.controls.why:
        console.print(f"  {found.controls.why}")
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
            f" val {percent(trial.val_accuracy)}{_silence(trial, reader.study.spec.workers)}"
        )


def _silence(trial: "TrialRecord", workers: "WorkersSpec") -> str:
    """Say so where a running trial's worker seems to be gone."""
    if trial.silent_seconds is None or trial.silent_seconds < workers.stalled_after_seconds:
        return ""
    return f"; silent for {duration(trial.silent_seconds)}, the next worker takes it over"


@app.command()
def best(
    study: StudyName,
    storage: Storage = None,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="How many trials.")] = 1,
    as_json: Json = False,
) -> None:
    """Show the best complete trials."""
    from tlsearch.studies.read import best_trials

    found = best_trials(study, storage, top=top)
    if as_json:
        print_json([trial_as_json(trial) for trial in found])
    elif found:
        console.print("\n".join(trials_lines(found)))
    else:
        console.print(
            f"no trial of study {study!r} is complete yet; run tlsearch worker {shlex.quote(study)}"
        )


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
    artifacts: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Folder or s3://bucket/prefix with the files of trials; default: "
            "TLSEARCH_ARTIFACTS, else where the studies keep them.",
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Nobody can change anything by it.")
    ] = False,
    token_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Environment variable with the token to ask visitors for; default: "
            "TLSEARCH_DASHBOARD_TOKEN, where it is set.",
        ),
    ] = None,
) -> None:
    """Serve optuna-dashboard on this machine; see docs/dashboard.md before exposing it."""
    from tlsearch.dashboard.serve import serve

    raise typer.Exit(serve(storage, host, port, artifacts, read_only, token_env))


@app.command()
def quickstart(storage: Storage = None) -> None:
    """Tune a real network on the shipped images: a study from end to end in a few minutes."""
    from tlsearch.cli.quickstart import run

    leave_on_sigterm()
    run(storage)


def leave_on_sigterm() -> None:
    """Make SIGTERM end the worker as Ctrl-C does: its trial goes back into the queue."""

    def leave(*_: object) -> None:
        with contextlib.suppress(OSError):  # whoever read it may be gone
            sys.stderr.write("terminated: a trial under way goes back into the queue\n")
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, leave)


def main() -> None:
    """Run the command line; what a user can mend is one sentence a problem and exit code 2."""
    spin_shortly()
    try:
        app()
    except TlsearchError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"error: {line}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if "sqlalchemy" not in sys.modules:
            raise
        from tlsearch.store.error_messages import explained

        sentence = explained(error)
        if sentence is None:
            raise
        sys.stderr.write(f"error: {sentence}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()

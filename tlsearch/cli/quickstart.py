"""`tlsearch quickstart`: a study from end to end on the shipped images."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tlsearch.cli.display import answer_lines, console
from tlsearch.cli.options import Storage
from tlsearch.cli.ticker import beginning
from tlsearch.errors import InputError
from tlsearch.records import Answer, StudyStatus
from tlsearch.records.format import duration, percent, points


def quickstart(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the model and the report.")
    ] = Path("quickstart"),
    storage: Storage = None,
) -> None:
    """Tune a real network on the shipped images: from a study to a model in a few minutes."""
    from tlsearch.cli.quickstart_results import Results
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.report.measures_table import meaning
    from tlsearch.studies.create import create_study
    from tlsearch.studies.read import StudyReader
    from tlsearch.worker import run_worker

    console.print("starting: database, images, network ...")
    beginning.end()
    with TerminalProgress() as progress:
        study, created = create_study(spec_path(), storage, progress)
    reader = StudyReader(study.name, storage)
    before = reader.status()
    if not created:
        console.print(
            f"study {study.name!r} goes on: {before.ended} of {before.budget_trials} trials done"
        )
    with TerminalProgress() as progress:
        progress.follow({study.name: reader})
        with _going_on():
            run_worker(study.name, storage, progress=progress)
    _show_result(reader.status(), reader.answer())
    if reader.measured():
        console.print(f"\n{meaning(reader.measures(), reader.prior_or_none())}")
    if reader.answer() is not None:
        with _going_on():
            Results(study.name, storage, out).show()
    console.print(_next(study.name, out))


@contextmanager
def _going_on() -> Iterator[None]:
    """Say how to go on where the user interrupts."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("interrupted: run the same command again to go on")
        raise SystemExit(130) from None


def spec_path() -> Path:
    """Return where the quickstart's spec is: `studies/quickstart.toml`, carried by the package."""
    path = Path(__file__).resolve().parents[1] / "quickstart.toml"
    if not path.is_file():
        raise InputError(f"{path} is missing; install tlsearch again")
    return path


def _show_result(status: StudyStatus, answer: Answer | None) -> None:
    best = status.best
    if best is None:
        console.print(f"no trial is complete; tlsearch status {status.name} says more")
        return
    rows = [
        (
            "fixed features alone",
            percent(status.fixed_features_val_accuracy),
            "validation accuracy",
        ),
        ("plain fine-tuning default", percent(status.default_val_accuracy), "validation accuracy"),
        (f"best of {status.ended} trials", percent(best.val_accuracy), "validation accuracy"),
    ]
    if best.expected_accuracy is not None and best.expected_accuracy_sd is not None:
        what = f"± {points(best.expected_accuracy_sd)}, on new images"
        rows.append(("  expected accuracy", percent(best.expected_accuracy), what))
    params = best.params.as_dict() if best.params else {}
    rows += [(f"  {k}", f"{v:.4g}", _MEANING[k]) for k, v in params.items()]
    rows += [
        ("  epochs", str(best.epochs), f"trial {best.number}, origin {best.origin}"),
        ("  time", duration(best.seconds), "of this trial"),
        ("time of all trials", duration(status.train_seconds), _states(status)),
    ]
    console.print()
    for name, value, what in rows:
        console.print(f"{name:<27}{value:>10}  {what}")
    console.print("\n" + "\n".join(answer_lines(answer)))


def _program() -> str:
    """Return how to type the command: its name, or its path where it is not on PATH."""
    if shutil.which("tlsearch"):
        return "tlsearch"
    invoked = Path(sys.argv[0]).absolute()
    inside = invoked.is_relative_to(Path.cwd())
    return str(invoked.relative_to(Path.cwd()) if inside else invoked)


def _next(study: str, out: Path) -> str:
    names = {"STUDY_NAME": study, "PROGRAM": _program(), "OUT": shlex.quote(str(out))}
    text = _NEXT
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def _states(status: StudyStatus) -> str:
    return ", ".join(f"{n} {state}" for state, n in status.counts.items() if n)


_MEANING = {
    "reinit_layers": "top layers started from random weights (1 = the classifier, 0 = none)",
    "high_lr": "peak learning rate",
    "low_lr_ratio": "low learning rate as a share of it",
    "low_layers": "lowest layers at the low rate",
    "alpha": "L2-SP: decay toward the pretrained weights",
    "beta": "L2: decay toward zero",
    "l2sp_layers": "lowest layers under L2-SP",
}

_NEXT = """
The best of many validation accuracies is too high by chance; 200 images tell apart about 3 points.

What next:
  PROGRAM predict OUT/model IMAGE...  what is in your own images of clothes
  PROGRAM test STUDY_NAME             the test in full: 10-crop, ensemble, calibration, classes
  PROGRAM finalists STUDY_NAME --top 3 --seeds 4     more finalists and seeds
  PROGRAM best STUDY_NAME --top 5     the best trials, and where each came from
  PROGRAM measures STUDY_NAME         how well the pretrained weights fit these images
  PROGRAM prior STUDY_NAME            where the search started, and why
  PROGRAM dashboard                   curves and importances in a browser
  PROGRAM status STUDY_NAME           where the study stands
  PROGRAM create SPEC.toml            a study of your own images (see README.md)
  PROGRAM worker STUDY                work on a study, from any number of processes
  PROGRAM db stop                     stop the database, which runs on until then

Ask by SQL:
  PROGRAM db psql -c "
    SELECT rank, trial, val_accuracy, origin, high_lr, reinit_layers, seconds
    FROM tlsearch.best_trials WHERE study = 'STUDY_NAME' ORDER BY rank LIMIT 5"
"""

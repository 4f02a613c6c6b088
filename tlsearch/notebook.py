"""A study as one object, for notebooks and scripts."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from tlsearch.records import Answer, StudyStatus, TrialRecord
from tlsearch.records.answer import answer_words
from tlsearch.records.format import duration
from tlsearch.records.html import html_table
from tlsearch.records.objective import ACCURACY, attr, shown

if TYPE_CHECKING:
    from tlsearch.export import ExportedModel
    from tlsearch.records.finals import Finals
    from tlsearch.records.knobs import KnobsTable
    from tlsearch.records.tested import TestResult
    from tlsearch.spec import StudySpec
    from tlsearch.worker import WorkerSummary

_SHOWN = 5  # trials in a study's table


@dataclass(frozen=True)
class Study:
    """A study by its name; each method does what the command of its name does.

    Attributes:
        name: of the study.
        storage: a PostgreSQL URL; None = the environment's, or the embedded server.
    """

    name: str
    storage: str | None = None

    @classmethod
    def create(cls, spec: "StudySpec | str | Path", storage: str | None = None) -> "Study":
        """Create a study, or find the one that was created from the same spec.

        Args:
            spec: a spec, or the path of a TOML file.
            storage: see above.

        Raises:
            SpecError, StudyError, DataError, StorageError: as `tlsearch.create_study`.
        """
        from tlsearch.studies.create import create_study

        study, _ = create_study(spec, storage)
        return cls(study.name, storage)

    def work(self, *, max_trials: int | None = None, device: str = "auto") -> "WorkerSummary":
        """Run trials in this process; see `tlsearch.run_worker`."""
        from tlsearch.worker import run_worker

        return run_worker(self.name, self.storage, max_trials=max_trials, device=device)

    def status(self) -> StudyStatus:
        """Return where the study stands."""
        from tlsearch.studies.read import StudyReader

        return StudyReader(self.name, self.storage).status()

    def best(self, top: int = 1) -> list[TrialRecord]:
        """Return the best complete trials."""
        from tlsearch.studies.read import best_trials

        return list(best_trials(self.name, self.storage, top=top))

    def answer(self) -> Answer | None:
        """Return what the search recommends; None before a trial is complete."""
        from tlsearch.studies.read import recommended_answer

        return recommended_answer(self.name, self.storage)

    def finalists(self, *, top: int | None = None, seeds: int | None = None) -> "Finals":
        """Train the best configurations and both baselines over seeds, or go on with that."""
        from tlsearch.studies.finalists import run_finalists

        return run_finalists(self.name, self.storage, top=top, seeds=seeds)

    def knobs(self, *, seeds: int | None = None) -> "KnobsTable":
        """Train what tells which knob of the winner paid, or go on with that."""
        from tlsearch.studies.queue_knobs import run_knobs

        return run_knobs(self.name, self.storage, seeds=seeds)

    def test(self, *, again: bool = False) -> "TestResult":
        """Test the finalists on the test images, once; later calls return the first look."""
        from tlsearch.studies.test_study import test_study

        return test_study(self.name, self.storage, again=again)

    def export(
        self,
        out: str | PathLike[str],
        *,
        trial: int | None = None,
        onnx: bool = False,
        force: bool = False,
        base_model: str | None = None,
        licence: str | None = None,
    ) -> "ExportedModel":
        """Write the recommended model into a folder; see `tlsearch.export_study`."""
        from tlsearch.export import export_study

        return export_study(
            self.name,
            out,
            self.storage,
            trial=trial,
            onnx=onnx,
            force=force,
            base_model=base_model,
            licence=licence,
        )

    def report(self, out: str | Path, *, force: bool = False) -> Path:
        """Write the report of the study into a folder, and return its page."""
        from tlsearch.studies.report import write_report

        return write_report(self.name, out, self.storage, force=force)

    def _repr_html_(self) -> str:
        """Return the study's state and its best trials."""
        status, answer = self.status(), self.answer()
        best = self.best(_SHOWN)
        objective = best[0].objective if best else ACCURACY
        rows = [("trial", attr(objective), "expected", "origin", "epochs", "time")]
        rows += [_row(trial) for trial in best]
        recommended = f"; recommended: {answer_words(answer)}" if answer else ""
        done = f"{status.ended} of {status.budget_trials} trials done"
        return html_table(rows, f"{self.name}: {done}{recommended}")


def _row(trial: TrialRecord) -> tuple[str, str, str, str, str, str]:
    seen = shown(trial.objective, trial.score), shown(trial.objective, trial.expected_score)
    origin, epochs = trial.origin or "-", str(trial.epochs)
    return (str(trial.number), *seen, origin, epochs, duration(trial.seconds))

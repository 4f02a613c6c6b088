"""What the quickstart does once the search is over: finalists, the test, a model and a report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tlsearch.cli.display import console
from tlsearch.records.format import percent
from tlsearch.records.names import FINALISTS_SUFFIX

if TYPE_CHECKING:
    from tlsearch.records.tested import TestResult
    from tlsearch.worker import Progress

FINALISTS, SEEDS = 1, 3
_IMAGE = Path(__file__).resolve().parents[1] / "data" / "shipped" / "ankle_boot.png"

T = TypeVar("T")


@dataclass(frozen=True)
class Results:
    """What follows the search of a study.

    Attributes:
        study: the search.
        storage: where it is.
        out: the folder for the model and the report.
    """

    study: str
    storage: str | None
    out: Path

    def show(self) -> None:
        """Do it all, and show what came out; what was done before is shown again."""
        self._finalists()
        _show_test(self._shown("testing on the test images, once", self._test))
        console.print()
        model = self._shown("exporting the model", self._export)
        console.print(f"the model, for timm and tlsearch predict: {model}")
        self._predict(model)
        console.print(f"the report, for a browser: {self._report()}")

    def _finalists(self) -> None:
        from tlsearch.cli.finals_table import finals_lines
        from tlsearch.cli.single import following
        from tlsearch.studies.finalists import queue_finalists, run_finalists
        from tlsearch.studies.finals import read_finals

        console.print("\nfinalists: the best configuration and both baselines, over seeds")
        if read_finals(self.study, self.storage) is None:
            queue_finalists(self.study, self.storage, top=FINALISTS, seeds=SEEDS)
        with following([self.study + FINALISTS_SUFFIX], self.storage) as progress:
            found = run_finalists(self.study, self.storage, progress=progress)
        console.print("\n".join(finals_lines(found)) + "\n")

    def _test(self, progress: "Progress") -> "TestResult":
        from tlsearch.studies.test_study import test_study

        return test_study(self.study, self.storage, progress=progress)

    def _export(self, progress: "Progress") -> Path:
        from tlsearch.export import export_study

        out = self.out / "model"
        say = progress.preparing
        return export_study(self.study, out, self.storage, force=True, say=say).folder

    def _report(self) -> Path:
        from tlsearch.studies.report import write_report

        return write_report(self.study, self.out / "report", self.storage)

    def _predict(self, model: Path) -> None:
        from tlsearch.predict import load

        (guess,) = load(model).predict(_IMAGE)
        said = f"{guess.label}, {percent(guess.probability)}"
        console.print(f"its prediction on a shipped image, {_IMAGE.name}: {said}")

    def _shown(self, what: str, do: Callable[["Progress"], T]) -> T:
        from tlsearch.cli.terminal_progress import TerminalProgress

        with TerminalProgress() as progress:
            progress.preparing(what)
            return do(progress)


def _show_test(result: "TestResult") -> None:
    """Show the recommended finalist and the others on the test images, in a line each."""
    from tlsearch.cli.test_table import gain_line

    console.print(f"on {result.n_test} test images, looked at once:")
    for figure in result.figures:
        if figure.prediction != "single crop":
            continue
        marked = f"{figure.finalist} (recommended)" if figure.finalist == result.answer else None
        interval = f"95 % {100 * figure.low:.1f} to {100 * figure.high:.1f}"
        models = f"{len(figure.accuracies)} model{'s' * (len(figure.accuracies) > 1)}"
        name = marked or figure.finalist
        console.print(f"  {name:<27}{percent(figure.mean):>8}  {interval}, {models}")
    for gain in result.gains:
        console.print(f"  {gain_line(result.answer, gain)}")

"""The report of a chaos test: what was lost, counted by SQL and by training again."""

import json
import os
import platform
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.acceptance.crashes import SUFFIX, Retraining, ask, attempts_of, curves_of, files_in
from tlsearch.artifacts import HALF_WRITTEN

if TYPE_CHECKING:
    from tests.acceptance.chaos import ChaosTest

N_RETRAINED = 20
ENDINGS = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "fail"}
RECOVERABLE = {0, 2, 130, 143, -9, -15}  # 2: the database was away when the worker started

_TRIALS = (
    "SELECT t.trial_id, number, state::text AS state, value,"
    " (SELECT value_json FROM trial_user_attributes AS u WHERE u.trial_id = t.trial_id"
    "  AND key = 'reason') AS reason FROM trials AS t LEFT JOIN trial_values USING (trial_id)"
    " ORDER BY number"
)
_SESSIONS = "SELECT worker_id, pid FROM tlsearch.worker_sessions"
_PICTURES = (
    "SELECT substr(key, length('artifacts:') + 1) AS name FROM trial_system_attributes"
    " WHERE key LIKE 'artifacts:%'"
)


@dataclass(frozen=True)
class ChaosReport:
    """What a chaos test did, and what was lost.

    Attributes:
        day, machine, options, seconds: when, where, with which options, and how long.
        injected: faults by name.
        exit_codes: of the workers.
        states: trials by state.
        attempts: by how they ended.
        redone: by fault, how many attempts trained how many epochs again.
        live_taken: attempts of live workers that were taken for stalled.
        n_retrained: complete trials trained again undisturbed, to compare bit by bit.
        half_written: files that a kill left half-written, which tlsearch removes after a day.
        stray_pictures: pictures whose worker was killed before it recorded them.
        problems: by kind; every list is empty when nothing was lost.
    """

    day: str
    machine: str
    options: Mapping[str, int]
    seconds: float
    injected: Mapping[str, int]
    exit_codes: Mapping[str, int]
    states: Mapping[str, int]
    attempts: Mapping[str, int]
    redone: Mapping[str, Mapping[str, int]]
    live_taken: int
    n_retrained: int
    half_written: int
    stray_pictures: int
    problems: Mapping[str, Sequence[str]]

    @classmethod
    def of(
        cls, chaos_test: "ChaosTest", options: Mapping[str, int], seconds: float
    ) -> "ChaosReport":
        trials, attempts = ask(chaos_test.url, _TRIALS), attempts_of(chaos_test.url)
        pids = {row.worker_id: row.pid for row in ask(chaos_test.url, _SESSIONS)}
        stalled = [a for a in attempts if a.ended == "stalled"]
        curves, redone = curves_of(chaos_test.url), _redone(attempts, pids, chaos_test.killed)
        chosen = _sample(trials, attempts, options["seed"])
        names = set(os.listdir(chaos_test.artifacts))
        pictures = {row.name for row in ask(chaos_test.url, _PICTURES)}
        known = pictures | {f"{token}{SUFFIX}" for token in files_in(chaos_test.artifacts)}
        half = {name for name in names if name.startswith(HALF_WRITTEN)}
        return cls(
            date.today().isoformat(),
            f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
            dict(options),
            round(seconds, 1),
            dict(sorted(chaos_test.injected.items())),
            {str(code): n for code, n in sorted(chaos_test.exit_codes.items())},
            dict(Counter(trial.state for trial in trials)),
            dict(Counter(attempt.ended for attempt in attempts)),
            {cause: dict(Counter(map(str, epochs))) for cause, epochs in redone.items()},
            sum(pids[a.worker_id] not in chaos_test.killed for a in stalled),
            len(chosen),
            len(half),
            len(names - known - half),
            {
                "trials lost or doubled": _trial_problems(trials, options["trials"]),
                "attempts open or doubled": _attempt_problems(trials, attempts),
                "curves with holes": _curve_problems(trials, curves, options["epochs"]),
                "more than one epoch redone": _redone_problems(redone),
                "accuracies that differ from undisturbed ones": _unequal(
                    chaos_test.url, chosen, curves
                ),
                "files left": _file_problems(chaos_test.artifacts, attempts),
                "workers that died of an error": [
                    *chaos_test.tracebacks,
                    *(f"exit code {c}" for c in chaos_test.exit_codes if c not in RECOVERABLE),
                ],
            },
        )

    def losses(self) -> list[str]:
        """Return all problems, one line each."""
        return [f"{what}: {each}" for what, found in self.problems.items() for each in found]

    def as_markdown(self) -> str:
        """Return the tables."""
        faults = [f"| {fault} | {n} |" for fault, n in self.injected.items()]
        lost = [f"| {what} | {len(found)} |" for what, found in self.problems.items()]
        redone = [
            f"| {cause} | {epochs} | {n} |"
            for cause, counts in self.redone.items()
            for epochs, n in sorted(counts.items())
        ]
        trials = ", ".join(f"{n} {state}" for state, n in self.states.items())
        attempts = ", ".join(f"{n} {ended}" for ended, n in self.attempts.items())
        parts = [
            f"{self.day}, {self.machine}, {self.seconds / 60:.0f} minutes; "
            + ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in self.options.items()),
            "\n".join(["| fault | n |", "|---|---:|", *faults]),
            "\n".join(["| lost, or not as it should be | n |", "|---|---:|", *lost]),
            "\n".join([f"| {_REDONE_HEADING} | n |", "|---|---:|---:|", *redone]),
            f"Trials: {trials}. Attempts: {attempts}; {self.live_taken} of a live worker taken "
            f"for stalled. Trained again undisturbed and compared bit by bit: {self.n_retrained} "
            f"complete trials. Half-written files left (removed after a day): {self.half_written}; "
            f"pictures that belong to no trial: {self.stray_pictures}.",
        ]
        return "\n\n".join(parts) + "\n"


def write(report: ChaosReport, folder: Path) -> None:
    """Write faults.json and faults.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    text = f"# A chaos test over one study\n\n    {_COMMAND}\n\n{report.as_markdown()}"
    (folder / "faults.md").write_text(text)


_REDONE_HEADING = "an attempt that went on after | epochs trained again"
_COMMAND = "python -m tests.acceptance.chaos --write bench/storage/results"


def _redone(
    attempts: Sequence[Any], pids: Mapping[Any, int], killed: set[int]
) -> dict[str, list[int]]:
    """Return how many epochs each attempt trained again, by how the one before it ended."""
    found: dict[str, list[int]] = {}
    reached: dict[int, int] = {}
    before: dict[int, Any] = {}
    for attempt in attempts:
        trial_id, earlier = attempt.trial_id, before.get(attempt.trial_id)
        if earlier is not None and attempt.last_epoch is not None:
            cause = earlier.ended
            if cause == "stalled":
                cause = "kill -9" if pids[earlier.worker_id] in killed else "taken for stalled"
            again = reached.get(trial_id, 0) - (attempt.first_epoch - 1)
            found.setdefault(cause, []).append(max(0, again))
        if attempt.last_epoch is not None:
            reached[trial_id] = max(reached.get(trial_id, 0), attempt.last_epoch)
        before[trial_id] = attempt
    return found


def _redone_problems(redone: Mapping[str, Sequence[int]]) -> list[str]:
    return [f"{n} after {cause}" for cause, epochs in redone.items() for n in epochs if n > 1]


def _trial_problems(trials: Sequence[Any], budget: int) -> list[str]:
    problems = []
    if [trial.number for trial in trials] != list(range(budget)):
        problems.append(f"numbers {[trial.number for trial in trials]} for a budget of {budget}")
    for trial in trials:
        if trial.state not in ENDINGS:
            problems.append(f"trial {trial.number} is {trial.state}")
        if trial.state == "FAIL" and not trial.reason:
            problems.append(f"trial {trial.number} failed without a reason")
        if trial.state == "COMPLETE" and trial.value is None:
            problems.append(f"trial {trial.number} is complete without a value")
    return problems


def _attempt_problems(trials: Sequence[Any], attempts: Sequence[Any]) -> list[str]:
    problems = []
    for trial in trials:
        of_trial = [a for a in attempts if a.trial_id == trial.trial_id]
        if [a.attempt for a in of_trial] != list(range(1, len(of_trial) + 1)):
            problems.append(f"trial {trial.number} has a gap in its attempts")
        if any(a.ended is None for a in of_trial):
            problems.append(f"trial {trial.number} is still held")
        last = [a.ended for a in of_trial if a.ended in ENDINGS.values()]
        if trial.state != "FAIL" and last != [ENDINGS[trial.state]]:
            problems.append(f"trial {trial.number} is {trial.state}, its attempts ended {last}")
    return problems


def _curve_problems(trials: Sequence[Any], curves: Mapping[int, Any], epochs: int) -> list[str]:
    problems = []
    for trial in trials:
        steps = [step for step, _ in curves.get(trial.number, [])]
        expected = epochs if trial.state == "COMPLETE" else len(steps)
        if steps != list(range(1, expected + 1)):
            problems.append(f"trial {trial.number} ({trial.state}) has epochs {steps}")
    return problems


def _sample(trials: Sequence[Any], attempts: Sequence[Any], seed: int) -> list[Any]:
    """Choose complete trials, those first that took several attempts."""
    n_attempts = Counter(attempt.trial_id for attempt in attempts)
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    random.Random(seed).shuffle(complete)
    complete.sort(key=lambda trial: -n_attempts[trial.trial_id])
    return complete[:N_RETRAINED]


def _unequal(url: str, trials: Sequence[Any], curves: Mapping[int, Any]) -> list[str]:
    from tlsearch.store.connect import open_storage
    from tlsearch.store.studies import find_study
    from tlsearch.store.trials import trial_records

    storage, retraining = open_storage(url), Retraining(url)
    records = trial_records(storage, find_study(storage, "tiny").study_id)
    problems = []
    for trial in trials:
        curve = retraining.curve(records[trial.number].params)
        if curve != curves[trial.number] or curve[-1][1] != trial.value:
            problems.append(f"trial {trial.number}: {trial.value} instead of {curve[-1][1]}")
    return problems


def _file_problems(artifacts: Path, attempts: Sequence[Any]) -> list[str]:
    kept = {str(attempt.token) for attempt in attempts if attempt.has_model}
    found = set(files_in(artifacts))
    problems = [f"{token} belongs to no kept model" for token in sorted(found - kept)]
    return problems + [f"the model {token} is gone" for token in sorted(kept - found)]

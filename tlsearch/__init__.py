"""Finds the best way to fine-tune a pretrained image classifier on a small labelled data set.

    import tlsearch
    study, created = tlsearch.create_study("studies/quickstart.toml")
    tlsearch.run_worker(study.name)
    tlsearch.best_trials(study.name, top=3)

Heavy libraries are imported by the functions that need them. Taking a name from here also limits
how long torch's idle threads spin (`tlsearch.threads`), unless torch is loaded already.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tlsearch import threads

if TYPE_CHECKING:
    from tlsearch.export import export_study
    from tlsearch.notebook import Study
    from tlsearch.predict import load
    from tlsearch.records import Answer, Hyperparameters, TrialRecord
    from tlsearch.records.tested import TestResult
    from tlsearch.spec import StudySpec, load_spec
    from tlsearch.studies.backbone_choice import choose_backbone
    from tlsearch.studies.create import create_study
    from tlsearch.studies.edit_prior import edit_prior
    from tlsearch.studies.finalists import run_finalists
    from tlsearch.studies.finals import read_finals
    from tlsearch.studies.knobs import read_knobs
    from tlsearch.studies.queue_knobs import run_knobs
    from tlsearch.studies.read import best_trials, recommended_answer
    from tlsearch.studies.report import write_report
    from tlsearch.studies.steer import (
        delete_study,
        enqueue_trial,
        pause_study,
        resume_study,
        set_budget,
        stop_study,
    )
    from tlsearch.studies.test_study import test_study
    from tlsearch.studies.tested import read_tests
    from tlsearch.worker import measure_study, run_worker

__version__ = "0.2.0"

_HOMES = {
    "Answer": "tlsearch.records",
    "Hyperparameters": "tlsearch.records",
    "Study": "tlsearch.notebook",
    "StudySpec": "tlsearch.spec",
    "TestResult": "tlsearch.records.tested",
    "TrialRecord": "tlsearch.records",
    "best_trials": "tlsearch.studies.read",
    "choose_backbone": "tlsearch.studies.backbone_choice",
    "create_study": "tlsearch.studies.create",
    "delete_study": "tlsearch.studies.steer",
    "edit_prior": "tlsearch.studies.edit_prior",
    "read_finals": "tlsearch.studies.finals",
    "read_knobs": "tlsearch.studies.knobs",
    "run_finalists": "tlsearch.studies.finalists",
    "run_knobs": "tlsearch.studies.queue_knobs",
    "enqueue_trial": "tlsearch.studies.steer",
    "export_study": "tlsearch.export",
    "load": "tlsearch.predict",
    "load_spec": "tlsearch.spec",
    "measure_study": "tlsearch.worker",
    "pause_study": "tlsearch.studies.steer",
    "read_tests": "tlsearch.studies.tested",
    "recommended_answer": "tlsearch.studies.read",
    "resume_study": "tlsearch.studies.steer",
    "run_worker": "tlsearch.worker",
    "set_budget": "tlsearch.studies.steer",
    "stop_study": "tlsearch.studies.steer",
    "test_study": "tlsearch.studies.test_study",
    "write_report": "tlsearch.studies.report",
}

__all__ = [
    "Answer",
    "Hyperparameters",
    "Study",
    "StudySpec",
    "TestResult",
    "TrialRecord",
    "__version__",
    "best_trials",
    "choose_backbone",
    "create_study",
    "delete_study",
    "edit_prior",
    "enqueue_trial",
    "export_study",
    "load",
    "load_spec",
    "measure_study",
    "pause_study",
    "read_finals",
    "read_knobs",
    "read_tests",
    "recommended_answer",
    "resume_study",
    "run_finalists",
    "run_knobs",
    "run_worker",
    "set_budget",
    "stop_study",
    "test_study",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    threads.spin_shortly()
    return getattr(import_module(_HOMES[name]), name)

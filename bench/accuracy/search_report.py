"""Reads a finished study, or deletes it with its measures; runs with the source tree that made it.

python search_report.py report|delete STUDY
"""

import json
import sys

import sqlalchemy as sa

import tlsearch
from tlsearch.store.connect import open_storage

_MODELS = """
    SELECT trials.number, trial_values.value AS val, attempts.token
    FROM tlsearch.attempts JOIN trials USING (trial_id) JOIN trial_values USING (trial_id)
    WHERE attempts.study_id = :study AND attempts.has_model
    ORDER BY trial_values.value DESC, trials.number
"""


def main() -> None:
    """Print one line of JSON, or delete."""
    action, name = sys.argv[1:]
    storage = open_storage(None)
    if action == "delete":
        for each in storage.get_all_studies():
            if each.study_name in (name, f"{name}/measures"):
                storage.delete_study(each._study_id)
        return
    study = storage.get_study_id_from_name(name)
    trials = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "val": trial.value,
            "origin": trial.user_attrs.get("origin"),
            "duplicate_of": trial.user_attrs.get("duplicate_of"),
            "seconds": trial.user_attrs.get("seconds", 0.0),
        }
        for trial in storage.get_all_trials(study, deepcopy=False)
    ]
    with storage.engine.connect() as connection:
        rows = connection.execute(sa.text(_MODELS), {"study": study}).all()
    origins = {trial["number"]: trial["origin"] for trial in trials}
    models = [
        {
            "number": row.number,
            "val": row.val,
            "origin": origins[row.number],
            "file": f"{row.token}.safetensors",
        }
        for row in rows
    ]
    seconds = sum(trial["seconds"] for trial in trials) + _measuring(storage, study)
    found = {"trials": trials, "models": models, "seconds": round(seconds, 2)}
    print(json.dumps({**found, "answer": _answer(name)}))


def _answer(name: str) -> list[int] | None:
    """Return the trials of which the recommended answer is the mean; None where there is none."""
    recommend = getattr(tlsearch, "recommended_answer", None)  # the earlier tree has none
    answer = recommend(name) if recommend else None
    return list(answer.trials) if answer else None


def _measuring(storage: object, study: int) -> float:
    """Return the seconds that measuring took, as the study's measures have them."""
    attrs = storage.get_study_system_attrs(study)  # type: ignore[attr-defined]
    attrs = attrs | storage.get_study_user_attrs(study)  # type: ignore[attr-defined]
    found = next((value for name, value in attrs.items() if name.endswith("measures")), None)
    measures = json.loads(found) if isinstance(found, str) else found or {}
    return sum(float(value) for name, value in measures.items() if name.endswith("_seconds"))


if __name__ == "__main__":
    main()

"""The files of a study's trained models."""

import sqlalchemy as sa

from tlsearch.artifacts import attempt_file

_MODELS = sa.text(
    "SELECT number, token FROM tlsearch.attempts AS kept JOIN trials USING (trial_id)"
    " WHERE kept.study_id = :study_id AND has_model"
)


def model_files(engine: sa.Engine, study_id: int) -> dict[int, str]:
    """Return the names of the model files that are kept, by trial number."""
    with engine.connect() as connection:
        rows = connection.execute(_MODELS, {"study_id": study_id}).all()
    return {number: attempt_file(str(token)) for number, token in rows}

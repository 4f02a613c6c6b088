"""The files of a study's trained models."""

import sqlalchemy as sa

# The view, because who may only read does not see the tokens that name the files of others.
_MODELS = sa.text(
    "SELECT trial, file FROM tlsearch.kept_models JOIN studies ON study_name = study"
    " WHERE study_id = :study_id"
)


def model_files(engine: sa.Engine, study_id: int) -> dict[int, str]:
    """Return the names of the model files that are kept, by trial number."""
    with engine.connect() as connection:
        rows = connection.execute(_MODELS, {"study_id": study_id}).all()
    return {trial: file for trial, file in rows}

"""The SQL of `tlsearch.store.claims`: calls of functions of `db/functions/trials.sql`."""

import sqlalchemy as sa

_CURVE = "CAST(:epochs AS integer[]), CAST(:accuracies AS double precision[])"
_HELD = "CAST(:trial_id AS integer), CAST(:token AS uuid)"

CLAIM = sa.text(
    "SELECT * FROM tlsearch.claim_trial(:study_id, CAST(:worker_id AS uuid), CAST(:token AS uuid),"
    " :keep, CAST(:stalled AS double precision), :max_attempts)"
)
REFUSAL = sa.text("SELECT * FROM tlsearch.refusal(:study_id, :keep)")
REPORT = sa.text(
    f"SELECT * FROM tlsearch.report_trial({_HELD}, {_CURVE}, CAST(:checkpoint_epoch AS integer))"
)
WRITE = sa.text(
    f"SELECT tlsearch.write_trial({_HELD}, CAST(:params AS jsonb), CAST(:user AS jsonb),"
    " CAST(:system AS jsonb), CAST(:first_epoch AS integer)) AS done"
)
END = sa.text(
    f"SELECT tlsearch.end_trial({_HELD}, :ended, CAST(:value AS double precision), :failure_kind,"
    f" :reason, :has_model, {_CURVE}, CAST(:user AS jsonb), CAST(:system AS jsonb)) AS done"
)
RELEASE = sa.text(
    f"SELECT tlsearch.release_trial({_HELD}, :ended, :failure_kind, :reason, :max_attempts,"
    f" {_CURVE}, CAST(:checkpoint_epoch AS integer)) AS done"
)
IS_OVER = sa.text(
    "SELECT NOT EXISTS (SELECT FROM trials"
    " WHERE trial_id = :trial_id AND state IN ('WAITING', 'RUNNING')) AS done"
)
SURPLUS = sa.text("SELECT tlsearch.surplus_models(:study_id, :keep)")
UNNEEDED = sa.text(
    "SELECT token FROM tlsearch.attempts AS a WHERE study_id = :study_id AND NOT has_model"
    " AND token = ANY(CAST(:tokens AS uuid[])) AND NOT EXISTS (SELECT FROM trials AS t"
    " WHERE t.trial_id = a.trial_id AND t.state IN ('WAITING', 'RUNNING'))"
)

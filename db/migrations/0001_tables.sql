-- What tlsearch keeps beside Optuna's tables: who worked on which trial, and what steers a study.
-- Applied by `tlsearch create` and `tlsearch db migrate`; every statement may be run again.
-- Optuna's own tables are neither altered nor referenced: rows of deleted studies are swept.

DO $$ BEGIN  -- IF NOT EXISTS wants CREATE on the database even where the schema is there
    IF to_regnamespace('tlsearch') IS NULL THEN
        CREATE SCHEMA tlsearch;
    END IF;
END $$;
COMMENT ON SCHEMA tlsearch IS
    'tlsearch: views to ask (best_trials, trials_flat, ...) and the tables its workers keep';

CREATE TABLE IF NOT EXISTS tlsearch.installed (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    sql_sha256 text NOT NULL,
    optuna_schema text NOT NULL,
    objects text[] NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tlsearch.installed IS 'Version of this schema; one row';
COMMENT ON COLUMN tlsearch.installed.sql_sha256 IS 'Of the SQL texts it was installed from';
COMMENT ON COLUMN tlsearch.installed.optuna_schema IS 'Where the Optuna tables are it belongs to';
COMMENT ON COLUMN tlsearch.installed.objects IS
    'Its views and functions, which an upgrade replaces; what else is here is a user''s';

CREATE TABLE IF NOT EXISTS tlsearch.worker_sessions (
    worker_id uuid PRIMARY KEY,
    name text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    device text NOT NULL,
    device_name text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stalled_after_seconds double precision NOT NULL,
    left_at timestamptz,
    left_because text
);
COMMENT ON TABLE tlsearch.worker_sessions IS
    'One row a worker process; times are the server''s alone';

CREATE TABLE IF NOT EXISTS tlsearch.attempts (
    trial_id integer NOT NULL,
    attempt integer NOT NULL,
    study_id integer NOT NULL,
    worker_id uuid NOT NULL,
    token uuid NOT NULL UNIQUE,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    ended text CHECK (ended IN ('complete', 'pruned', 'fail', 'preempted', 'paused', 'stopped',
                                'budget', 'stalled', 'out_of_memory', 'nan', 'error')),
    reason text,
    first_epoch integer NOT NULL DEFAULT 1,
    last_epoch integer,
    checkpoint_epoch integer,
    has_model boolean NOT NULL DEFAULT false,
    PRIMARY KEY (trial_id, attempt)
);
COMMENT ON TABLE tlsearch.attempts IS 'One row for each time that a worker held a trial';
COMMENT ON COLUMN tlsearch.attempts.token IS
    'What a worker proves with that the trial is still its own; names its checkpoint file';
COMMENT ON COLUMN tlsearch.attempts.first_epoch IS
    'Where it went on: 1, or the epoch behind the checkpoint it resumed from';
COMMENT ON COLUMN tlsearch.attempts.ended IS
    'How it ended; NULL while the trial is held. complete, pruned and fail end the trial too';
CREATE INDEX IF NOT EXISTS attempts_of_study ON tlsearch.attempts (study_id);
CREATE INDEX IF NOT EXISTS attempts_held ON tlsearch.attempts (study_id) WHERE ended_at IS NULL;

CREATE TABLE IF NOT EXISTS tlsearch.controls (
    study_id integer PRIMARY KEY,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'stopped')),
    trials integer NOT NULL CHECK (trials > 0),
    gpu_hours double precision CHECK (gpu_hours > 0),
    until timestamptz,
    target_accuracy double precision CHECK (target_accuracy BETWEEN 0 AND 1),
    patience_trials integer CHECK (patience_trials > 0),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE tlsearch.controls IS
    'What steers a study: paused or stopped, and its budget as it stands now; NULL = no such limit';

-- Studies that were created before there were controls; others' studies may have a `spec` as well.
INSERT INTO tlsearch.controls (study_id, trials)
SELECT study_id, coalesce((spec.value_json::json #>> '{budget,trials}')::integer, 40)
FROM study_user_attributes AS spec JOIN study_user_attributes AS hash USING (study_id)
WHERE spec.key = 'spec' AND hash.key = 'spec_hash' AND hash.value_json ~ '^"[0-9a-f]{64}"$'
ON CONFLICT DO NOTHING;

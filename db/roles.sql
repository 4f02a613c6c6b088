-- A role that may read studies and nothing else: for colleagues, notebooks and dashboards.
--
-- Apply it as the owner of the database, once there is a study (or after `tlsearch db migrate`):
--
--     tlsearch db psql -f db/roles.sql
--
-- then make a login for each person who is to read:
--
--     CREATE ROLE anna LOGIN PASSWORD '...' IN ROLE tlsearch_reader;
--
-- It sees all views, and what `tlsearch status`, `best`, `measures` and `prior` need, so these work
-- with TLSEARCH_STORAGE=postgresql://anna:...@host/database. It does not see the tokens with which
-- workers prove that a trial is theirs. It may be run again at any time; upgrades keep the grants.

\set ON_ERROR_STOP on
\set QUIET on
BEGIN;

DO $$ BEGIN
    IF to_regclass('tlsearch.installed') IS NULL THEN
        RAISE EXCEPTION 'this database holds no schema tlsearch: run `tlsearch db migrate` first';
    END IF;
    IF to_regrole('tlsearch_reader') IS NULL THEN
        CREATE ROLE tlsearch_reader NOLOGIN;
    END IF;
END $$;
COMMENT ON ROLE tlsearch_reader IS 'May read the studies of tlsearch';

GRANT USAGE ON SCHEMA tlsearch TO tlsearch_reader;
GRANT SELECT ON tlsearch.installed, tlsearch.migrations, tlsearch.controls,
                tlsearch.worker_sessions, tlsearch.expected_accuracies,
                tlsearch.test_results
TO tlsearch_reader;

-- All views, and all columns of attempts but its tokens. Default privileges would do for views to
-- come, but also for tables: db/views/grants.sql grants those instead, whenever views are installed.
-- Optuna's tables are where they were found when the schema was installed.
DO $$
DECLARE
    place text := (SELECT optuna_schema FROM tlsearch.installed);
    what text;
BEGIN
    EXECUTE format(
        'GRANT SELECT (%s) ON tlsearch.attempts TO tlsearch_reader',
        (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
         WHERE attrelid = 'tlsearch.attempts'::regclass AND attnum > 0 AND NOT attisdropped
           AND attname <> 'token'));
    FOR what IN SELECT format('tlsearch.%I', viewname) FROM pg_views WHERE schemaname = 'tlsearch'
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO tlsearch_reader', what);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO tlsearch_reader', place);
    FOREACH what IN ARRAY ARRAY[
        'alembic_version', 'studies', 'study_directions', 'study_system_attributes',
        'study_user_attributes', 'trial_heartbeats', 'trial_intermediate_values', 'trial_params',
        'trial_system_attributes', 'trial_user_attributes', 'trial_values', 'trials',
        'version_info']
    LOOP
        EXECUTE format('GRANT SELECT ON %s.%I TO tlsearch_reader', place, what);
    END LOOP;
END $$;

COMMIT;

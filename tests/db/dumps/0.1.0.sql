SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA tlsearch;
CREATE TYPE public.studydirection AS ENUM (
    'NOT_SET',
    'MINIMIZE',
    'MAXIMIZE'
);
CREATE TYPE public.trialintermediatevaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG',
    'NAN'
);
CREATE TYPE public.trialstate AS ENUM (
    'RUNNING',
    'COMPLETE',
    'PRUNED',
    'FAIL',
    'WAITING'
);
CREATE TYPE public.trialvaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG'
);
CREATE FUNCTION tlsearch.claim_trial(p_study integer, p_worker uuid, p_token uuid, p_keep integer, p_stalled_seconds double precision, p_max_attempts integer, OUT verdict text, OUT why text, OUT claimed_id integer, OUT claimed_attempt integer, OUT earlier_tokens uuid[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM set_config('lock_timeout', '60s', true);
    PERFORM pg_advisory_xact_lock(1953264485, p_study);  -- 'tlse', as in tlsearch.store.locks
    UPDATE tlsearch.worker_sessions SET last_seen_at = clock_timestamp() WHERE worker_id = p_worker;
    SELECT held.trial_id, held.attempt INTO claimed_id, claimed_attempt
    FROM tlsearch.attempts AS held WHERE held.token = p_token AND held.ended_at IS NULL;
    IF FOUND THEN  -- the answer to an earlier call was lost
        verdict := 'claimed';
    ELSE
        IF EXISTS (SELECT FROM tlsearch.attempts WHERE token = p_token) THEN  -- lost for too long
            verdict := 'wait'; why := 'the trial claimed was taken over meanwhile'; RETURN;
        END IF;
        -- Trials are locked before their study, as a deletion does: else each could wait for the
        -- other.
        PERFORM tlsearch.rescue_stalled(p_study, p_stalled_seconds, p_max_attempts);
        PERFORM FROM studies WHERE study_id = p_study FOR UPDATE;
        IF NOT FOUND THEN
            verdict := 'deleted'; why := 'the study was deleted'; RETURN;
        END IF;
        SELECT r.verdict, r.why INTO verdict, why FROM tlsearch.refusal(p_study, p_keep) AS r;
        IF verdict IS NOT NULL THEN
            RETURN;
        END IF;
        claimed_id := tlsearch.next_in_queue(p_study, p_worker, p_keep);
        IF claimed_id IS NOT NULL THEN
            UPDATE trials SET state = 'RUNNING', datetime_start = tlsearch.utc_now()
            WHERE trial_id = claimed_id;
        ELSE
            INSERT INTO trials (number, study_id, state, datetime_start)
            SELECT coalesce(max(last.number) + 1, 0), p_study, 'RUNNING', tlsearch.utc_now()
            FROM (SELECT number FROM trials WHERE study_id = p_study
                  ORDER BY trial_id DESC LIMIT 1) AS last
            RETURNING trials.trial_id INTO claimed_id;
        END IF;
        SELECT coalesce(max(attempt), 0) + 1 INTO claimed_attempt
        FROM tlsearch.attempts WHERE trial_id = claimed_id;
        INSERT INTO tlsearch.attempts (trial_id, attempt, study_id, worker_id, token)
        VALUES (claimed_id, claimed_attempt, p_study, p_worker, p_token);
        PERFORM tlsearch.put_attr(claimed_id, 'attempt', claimed_attempt::text);
        PERFORM tlsearch.put_attr(claimed_id, 'worker', to_json(session.name)::text)
        FROM tlsearch.worker_sessions AS session WHERE session.worker_id = p_worker;
        verdict := 'claimed';
    END IF;
    SELECT coalesce(array_agg(earlier.token ORDER BY earlier.attempt DESC), '{}')
    INTO earlier_tokens FROM tlsearch.attempts AS earlier
    WHERE earlier.trial_id = claimed_id AND earlier.attempt < claimed_attempt;
END $$;
CREATE FUNCTION tlsearch.delete_study(p_study integer) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM set_config('lock_timeout', '60s', true);
    PERFORM pg_advisory_xact_lock(1953264485, p_study);
    PERFORM FROM trials WHERE study_id = p_study ORDER BY trial_id FOR UPDATE;
    PERFORM FROM studies WHERE study_id = p_study FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM trial_heartbeats USING trials AS t WHERE t.trial_id = trial_heartbeats.trial_id
        AND study_id = p_study;
    DELETE FROM trial_intermediate_values USING trials AS t
        WHERE t.trial_id = trial_intermediate_values.trial_id AND study_id = p_study;
    DELETE FROM trial_params USING trials AS t WHERE t.trial_id = trial_params.trial_id
        AND study_id = p_study;
    DELETE FROM trial_system_attributes USING trials AS t
        WHERE t.trial_id = trial_system_attributes.trial_id AND study_id = p_study;
    DELETE FROM trial_user_attributes USING trials AS t
        WHERE t.trial_id = trial_user_attributes.trial_id AND study_id = p_study;
    DELETE FROM trial_values USING trials AS t WHERE t.trial_id = trial_values.trial_id
        AND study_id = p_study;
    DELETE FROM trials WHERE study_id = p_study;
    DELETE FROM study_directions WHERE study_id = p_study;
    DELETE FROM study_system_attributes WHERE study_id = p_study;
    DELETE FROM study_user_attributes WHERE study_id = p_study;
    DELETE FROM studies WHERE study_id = p_study;
    RETURN true;
END $$;
CREATE FUNCTION tlsearch.end_trial(p_trial integer, p_token uuid, p_ended text, p_value double precision, p_reason text, p_has_model boolean, p_steps integer[], p_values double precision[], p_user jsonb, p_system jsonb) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM tlsearch.attempts WHERE token = p_token AND ended = p_ended) THEN
        RETURN true;  -- the answer to an earlier call was lost
    END IF;
    IF NOT tlsearch.write_trial(p_trial, p_token, '[]', p_user, p_system) THEN
        RETURN false;
    END IF;
    PERFORM tlsearch.put_curve(p_trial, p_steps, p_values);
    UPDATE tlsearch.attempts
    SET ended_at = clock_timestamp(), ended = p_ended, reason = p_reason, has_model = p_has_model,
        last_epoch = (SELECT max(step) FROM trial_intermediate_values WHERE trial_id = p_trial)
    WHERE token = p_token;
    IF p_reason IS NOT NULL THEN
        PERFORM tlsearch.put_attr(p_trial, 'reason', to_json(p_reason)::text);
    ELSE  -- what an earlier attempt ended with is in tlsearch.attempts
        DELETE FROM trial_user_attributes WHERE trial_id = p_trial AND key = 'reason';
    END IF;
    IF p_value IS NOT NULL THEN
        INSERT INTO trial_values (trial_id, objective, value, value_type)
        VALUES (p_trial, 0, p_value, 'FINITE')
        ON CONFLICT (trial_id, objective) DO UPDATE SET value = excluded.value;
    END IF;
    UPDATE trials SET datetime_complete = tlsearch.utc_now(),
        state = (CASE p_ended WHEN 'complete' THEN 'COMPLETE' WHEN 'pruned' THEN 'PRUNED'
                 ELSE 'FAIL' END)::trialstate
    WHERE trial_id = p_trial;
    RETURN true;
END $$;
CREATE FUNCTION tlsearch.gpu_hours_used(p_study integer) RETURNS double precision
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(sum(extract(epoch FROM coalesce(ended_at, last_seen_at) - started_at)), 0)
           / 3600.0
    FROM tlsearch.attempts WHERE study_id = p_study
$$;
CREATE FUNCTION tlsearch.hand_back(p_trial integer, p_token uuid, p_ended text, p_reason text, p_max_attempts integer, p_steps integer[], p_values double precision[], p_checkpoint_epoch integer) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM tlsearch.attempts WHERE token = p_token AND ended = p_ended) THEN
        RETURN true;  -- the answer to an earlier call was lost
    END IF;
    IF NOT tlsearch.still_holds(p_trial, p_token) THEN
        RETURN false;
    END IF;
    UPDATE tlsearch.attempts
    SET checkpoint_epoch = coalesce(p_checkpoint_epoch, checkpoint_epoch),
        last_epoch = greatest(last_epoch, (SELECT max(s) FROM unnest(p_steps) AS s))
    WHERE token = p_token;
    PERFORM tlsearch.put_curve(p_trial, p_steps, p_values);
    PERFORM tlsearch.let_go(p_trial, p_ended, p_reason, p_max_attempts);
    RETURN true;
END $$;
CREATE FUNCTION tlsearch.let_go(p_trial integer, p_ended text, p_reason text, p_max_attempts integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    faults integer;
    final text;
BEGIN
    UPDATE tlsearch.attempts
    SET ended_at = CASE p_ended WHEN 'stalled' THEN last_seen_at ELSE clock_timestamp() END,
        ended = p_ended, reason = p_reason
    WHERE trial_id = p_trial AND ended_at IS NULL;
    PERFORM FROM trials WHERE trial_id = p_trial AND state = 'RUNNING' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;  -- somebody else ended or deleted it
    END IF;
    SELECT count(*) INTO faults FROM tlsearch.attempts
    WHERE trial_id = p_trial AND ended IN ('stalled', 'out_of_memory', 'error');
    IF faults >= p_max_attempts THEN
        final := CASE p_ended
            WHEN 'stalled' THEN format('stalled: its worker fell silent in attempt %s of %s',
                                       faults, p_max_attempts)
            ELSE format('%s: %s', p_ended, p_reason) END;
        PERFORM tlsearch.put_attr(p_trial, 'reason', to_json(final)::text);
        UPDATE trials SET state = 'FAIL', datetime_complete = tlsearch.utc_now()
        WHERE trial_id = p_trial;
    ELSE
        PERFORM tlsearch.put_attr(p_trial, 'reason', to_json(p_ended || ': ' || p_reason)::text);
        UPDATE trials SET state = 'WAITING' WHERE trial_id = p_trial;
    END IF;
END $$;
CREATE FUNCTION tlsearch.next_in_queue(p_study integer, p_worker uuid, p_keep integer) RETURNS integer
    LANGUAGE sql
    AS $$
    SELECT trial_id FROM trials CROSS JOIN LATERAL
        (SELECT EXISTS (SELECT FROM tlsearch.attempts AS mine
                        WHERE mine.trial_id = trials.trial_id AND mine.worker_id = p_worker
                          AND mine.ended IN ('out_of_memory', 'error')) AS here) AS failed
    WHERE study_id = p_study AND state = 'WAITING'
      AND NOT (here AND (SELECT count(*) FROM trials WHERE study_id = p_study) + p_keep
                        < (SELECT trials FROM tlsearch.controls WHERE study_id = p_study))
    ORDER BY here, trial_id LIMIT 1 FOR NO KEY UPDATE OF trials SKIP LOCKED
$$;
CREATE FUNCTION tlsearch.put_attr(p_trial integer, p_key text, p_value text) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (p_trial, p_key, p_value)
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
$$;
CREATE FUNCTION tlsearch.put_curve(p_trial integer, p_steps integer[], p_values double precision[]) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO trial_intermediate_values
        (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT DISTINCT ON (step) p_trial, step, value, 'FINITE'
    FROM unnest(p_steps, p_values) WITH ORDINALITY AS given (step, value, place)
    ORDER BY step, place DESC  -- training that began again reports an epoch twice
    ON CONFLICT (trial_id, step) DO UPDATE
    SET intermediate_value = excluded.intermediate_value,
        intermediate_value_type = excluded.intermediate_value_type
$$;
CREATE FUNCTION tlsearch.read_json(p_json text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    AS $$
BEGIN
    RETURN p_json::jsonb;
EXCEPTION WHEN others THEN
    RETURN NULL;
END $$;
CREATE FUNCTION tlsearch.read_number(p_json text) RETURNS double precision
    LANGUAGE sql IMMUTABLE
    AS $_$
    SELECT CASE WHEN p_json ~ '^-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?$'
                THEN p_json::double precision END
$_$;
CREATE FUNCTION tlsearch.read_text(p_json text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $_$
    SELECT CASE
        WHEN p_json ~ '^"[^"\\]*"$' THEN substr(p_json, 2, length(p_json) - 2)
        WHEN p_json LIKE '"%' THEN coalesce(tlsearch.read_json(p_json) #>> '{}', p_json)
        WHEN p_json <> 'null' THEN p_json
    END
$_$;
CREATE FUNCTION tlsearch.refusal(p_study integer, p_keep integer, OUT verdict text, OUT why text) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    budget integer;
    begun integer;
    n_running integer;
    n_waiting integer;
BEGIN
    SELECT v.verdict, v.why INTO verdict, why FROM tlsearch.verdict(p_study) AS v;
    IF verdict IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT trials INTO budget FROM tlsearch.controls WHERE study_id = p_study;
    IF NOT FOUND AND EXISTS (SELECT FROM studies WHERE study_id = p_study) THEN
        verdict := 'done'; why := 'it has no budget yet; tlsearch db migrate gives it one'; RETURN;
    END IF;
    SELECT count(*) FILTER (WHERE state <> 'WAITING'), count(*) FILTER (WHERE state = 'RUNNING'),
           count(*) FILTER (WHERE state = 'WAITING')
    INTO begun, n_running, n_waiting FROM trials WHERE study_id = p_study;
    IF begun >= budget THEN
        verdict := CASE WHEN n_running > 0 THEN 'wait' ELSE 'done' END;
        why := CASE WHEN n_running > 0
            THEN format('all trials are claimed; waiting for %s running elsewhere', n_running)
            ELSE format('its budget of %s trials is spent', budget) END;
    ELSIF n_waiting = 0 AND begun + p_keep >= budget THEN
        verdict := 'wait'; why := 'waiting for the measures, which are taken elsewhere';
    END IF;
END $$;
CREATE FUNCTION tlsearch.report_trial(p_trial integer, p_token uuid, p_steps integer[], p_values double precision[], p_checkpoint_epoch integer, OUT verdict text, OUT why text) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    held tlsearch.attempts%ROWTYPE;
BEGIN
    IF NOT tlsearch.still_holds(p_trial, p_token) THEN
        verdict := 'lost'; why := 'the trial is no longer this worker''s'; RETURN;
    END IF;
    UPDATE tlsearch.attempts
    SET last_seen_at = clock_timestamp(),
        last_epoch = greatest(last_epoch, (SELECT max(s) FROM unnest(p_steps) AS s)),
        checkpoint_epoch = coalesce(p_checkpoint_epoch, checkpoint_epoch)
    WHERE token = p_token RETURNING * INTO held;
    UPDATE tlsearch.worker_sessions SET last_seen_at = clock_timestamp()
    WHERE worker_id = held.worker_id;
    PERFORM tlsearch.put_curve(p_trial, p_steps, p_values);
    SELECT v.verdict, v.why INTO verdict, why FROM tlsearch.verdict(held.study_id) AS v;
END $$;
CREATE FUNCTION tlsearch.rescue_stalled(p_study integer, p_stalled_seconds double precision, p_max_attempts integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    stale record;
    silent_since timestamptz := clock_timestamp() - make_interval(secs => p_stalled_seconds);
BEGIN
    IF pg_postmaster_start_time() > silent_since THEN
        RETURN;  -- the server was away: everybody was silent, and has the time to be heard again
    END IF;
    FOR stale IN
        SELECT held.trial_id, session.name FROM tlsearch.attempts AS held
        LEFT JOIN tlsearch.worker_sessions AS session USING (worker_id)
        WHERE held.study_id = p_study AND held.ended_at IS NULL
          AND held.last_seen_at < silent_since
        ORDER BY held.trial_id FOR UPDATE OF held
    LOOP
        PERFORM tlsearch.let_go(
            stale.trial_id, 'stalled', format('%s fell silent', coalesce(stale.name, 'its worker')),
            p_max_attempts);
    END LOOP;
    -- Trials that run without a worker of ours: begun by other programs, or by an older tlsearch.
    UPDATE trials SET state = 'WAITING'
    WHERE study_id = p_study AND state = 'RUNNING'
      AND datetime_start < silent_since AT TIME ZONE 'UTC'
      AND NOT EXISTS (SELECT FROM tlsearch.attempts AS held
                      WHERE held.trial_id = trials.trial_id AND held.ended_at IS NULL);
END $$;
CREATE FUNCTION tlsearch.still_holds(p_trial integer, p_token uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM tlsearch.attempts
    WHERE trial_id = p_trial AND token = p_token AND ended_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM FROM trials WHERE trial_id = p_trial AND state = 'RUNNING' FOR KEY SHARE;
    RETURN FOUND;
END $$;
CREATE FUNCTION tlsearch.surplus_models(p_study integer, p_keep integer) RETURNS SETOF uuid
    LANGUAGE sql
    AS $$
    WITH ranked AS (
        SELECT token, row_number() OVER (ORDER BY value DESC, trial_id) AS rank
        FROM tlsearch.attempts AS kept JOIN trial_values USING (trial_id)
        WHERE kept.study_id = p_study AND kept.has_model
    )
    UPDATE tlsearch.attempts AS kept SET has_model = false FROM ranked
    WHERE kept.token = ranked.token AND ranked.rank > p_keep
    RETURNING kept.token
$$;
CREATE FUNCTION tlsearch.trials_without_gain(p_study integer) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
    WITH best AS (
        SELECT datetime_complete AS at, trial_id
        FROM trials JOIN trial_values USING (trial_id)
        WHERE study_id = p_study AND state = 'COMPLETE'
        ORDER BY value DESC, datetime_complete, trial_id LIMIT 1
    )
    SELECT count(*)::integer FROM trials, best
    WHERE study_id = p_study AND state IN ('COMPLETE', 'PRUNED', 'FAIL')
      AND (trials.datetime_complete, trials.trial_id) > (best.at, best.trial_id)
$$;
CREATE FUNCTION tlsearch.utc_now() RETURNS timestamp without time zone
    LANGUAGE sql
    AS $$ SELECT clock_timestamp() AT TIME ZONE 'UTC' $$;
CREATE FUNCTION tlsearch.verdict(p_study integer, OUT verdict text, OUT why text) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    c tlsearch.controls%ROWTYPE;
    best double precision;
BEGIN
    SELECT * INTO c FROM tlsearch.controls WHERE study_id = p_study;
    IF c.state = 'paused' THEN
        verdict := 'paused'; why := 'the study is paused';
    ELSIF c.state = 'stopped' THEN
        verdict := 'stopped'; why := 'the study was stopped';
    ELSIF c.until <= clock_timestamp() THEN
        verdict := 'budget';
        why := format('its time was up at %s UTC',
                      to_char(c.until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'));
    ELSIF c.gpu_hours IS NOT NULL AND c.gpu_hours <= tlsearch.gpu_hours_used(p_study) THEN
        verdict := 'budget'; why := format('its %s GPU-hours are used up', c.gpu_hours);
    ELSIF c.patience_trials IS NOT NULL
      AND c.patience_trials <= tlsearch.trials_without_gain(p_study) THEN
        verdict := 'budget';
        why := format('%s trials in a row brought no better accuracy', c.patience_trials);
    ELSIF c.target_accuracy IS NOT NULL THEN
        SELECT max(value) INTO best FROM trials JOIN trial_values USING (trial_id)
        WHERE study_id = p_study AND state = 'COMPLETE';
        IF best >= c.target_accuracy THEN
            verdict := 'budget';
            why := format('its target accuracy %s is reached', c.target_accuracy);
        END IF;
    END IF;
END $$;
CREATE FUNCTION tlsearch.write_trial(p_trial integer, p_token uuid, p_params jsonb, p_user jsonb, p_system jsonb, p_first_epoch integer DEFAULT NULL::integer) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT tlsearch.still_holds(p_trial, p_token) THEN
        RETURN false;
    END IF;
    UPDATE tlsearch.attempts
    SET last_seen_at = clock_timestamp(), first_epoch = coalesce(p_first_epoch, first_epoch)
    WHERE token = p_token;
    INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT p_trial, param ->> 0, (param ->> 1)::double precision, param ->> 2
    FROM jsonb_array_elements(p_params) AS param
    ON CONFLICT (trial_id, param_name) DO UPDATE
    SET param_value = excluded.param_value, distribution_json = excluded.distribution_json;
    PERFORM tlsearch.put_attr(p_trial, key, value) FROM jsonb_each_text(p_user);
    INSERT INTO trial_system_attributes (trial_id, key, value_json)
    SELECT p_trial, key, value FROM jsonb_each_text(p_system)
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json;
    RETURN true;
END $$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.studies (
    study_id integer NOT NULL,
    study_name character varying(512) NOT NULL
);
CREATE SEQUENCE public.studies_study_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.studies_study_id_seq OWNED BY public.studies.study_id;
CREATE TABLE public.study_directions (
    study_direction_id integer NOT NULL,
    direction public.studydirection NOT NULL,
    study_id integer NOT NULL,
    objective integer NOT NULL
);
CREATE SEQUENCE public.study_directions_study_direction_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_directions_study_direction_id_seq OWNED BY public.study_directions.study_direction_id;
CREATE TABLE public.study_system_attributes (
    study_system_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_system_attributes_study_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_system_attributes_study_system_attribute_id_seq OWNED BY public.study_system_attributes.study_system_attribute_id;
CREATE TABLE public.study_user_attributes (
    study_user_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_user_attributes_study_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_user_attributes_study_user_attribute_id_seq OWNED BY public.study_user_attributes.study_user_attribute_id;
CREATE TABLE public.trial_heartbeats (
    trial_heartbeat_id integer NOT NULL,
    trial_id integer NOT NULL,
    heartbeat timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq OWNED BY public.trial_heartbeats.trial_heartbeat_id;
CREATE TABLE public.trial_intermediate_values (
    trial_intermediate_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    step integer NOT NULL,
    intermediate_value double precision,
    intermediate_value_type public.trialintermediatevaluetype NOT NULL
);
CREATE SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq OWNED BY public.trial_intermediate_values.trial_intermediate_value_id;
CREATE TABLE public.trial_params (
    param_id integer NOT NULL,
    trial_id integer,
    param_name character varying(512),
    param_value double precision,
    distribution_json text
);
CREATE SEQUENCE public.trial_params_param_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_params_param_id_seq OWNED BY public.trial_params.param_id;
CREATE TABLE public.trial_system_attributes (
    trial_system_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq OWNED BY public.trial_system_attributes.trial_system_attribute_id;
CREATE TABLE public.trial_user_attributes (
    trial_user_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq OWNED BY public.trial_user_attributes.trial_user_attribute_id;
CREATE TABLE public.trial_values (
    trial_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    objective integer NOT NULL,
    value double precision,
    value_type public.trialvaluetype NOT NULL
);
CREATE SEQUENCE public.trial_values_trial_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_values_trial_value_id_seq OWNED BY public.trial_values.trial_value_id;
CREATE TABLE public.trials (
    trial_id integer NOT NULL,
    number integer,
    study_id integer,
    state public.trialstate NOT NULL,
    datetime_start timestamp without time zone,
    datetime_complete timestamp without time zone
);
CREATE SEQUENCE public.trials_trial_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trials_trial_id_seq OWNED BY public.trials.trial_id;
CREATE TABLE public.version_info (
    version_info_id integer NOT NULL,
    schema_version integer,
    library_version character varying(256),
    CONSTRAINT version_info_version_info_id_check CHECK ((version_info_id = 1))
);
CREATE TABLE tlsearch.attempts (
    trial_id integer NOT NULL,
    attempt integer NOT NULL,
    study_id integer NOT NULL,
    worker_id uuid NOT NULL,
    token uuid NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone,
    ended text,
    reason text,
    first_epoch integer DEFAULT 1 NOT NULL,
    last_epoch integer,
    checkpoint_epoch integer,
    has_model boolean DEFAULT false NOT NULL,
    CONSTRAINT attempts_ended_check CHECK ((ended = ANY (ARRAY['complete'::text, 'pruned'::text, 'fail'::text, 'preempted'::text, 'paused'::text, 'stopped'::text, 'budget'::text, 'stalled'::text, 'out_of_memory'::text, 'nan'::text, 'error'::text])))
);
CREATE VIEW tlsearch.study_names AS
 SELECT study_id,
    study_name AS study
   FROM public.studies
  WHERE ((study_name)::text !~~ 'tlsearch-being-created-%'::text);
CREATE VIEW tlsearch.best_trials AS
 SELECT ranked.study,
    ranked.rank,
    ranked.trial,
    ranked.val_accuracy,
    drawn.reinit_layers,
    drawn.high_lr,
    drawn.low_lr_ratio,
    drawn.low_layers,
    drawn.alpha,
    drawn.beta,
    drawn.l2sp_layers,
    tlsearch.read_text(origin.value_json) AS origin,
    COALESCE(held.last_epoch, ( SELECT max(curve.step) AS max
           FROM public.trial_intermediate_values curve
          WHERE (curve.trial_id = ranked.trial_id))) AS epochs,
    COALESCE(held.seconds, ( SELECT tlsearch.read_number(attr.value_json) AS read_number
           FROM public.trial_user_attributes attr
          WHERE ((attr.trial_id = ranked.trial_id) AND ((attr.key)::text = 'seconds'::text)))) AS seconds
   FROM (((( SELECT names.study,
            row_number() OVER best_first AS rank,
            trials.number AS trial,
            trials.trial_id,
                CASE trial_values.value_type
                    WHEN 'FINITE'::public.trialvaluetype THEN trial_values.value
                    WHEN 'INF_POS'::public.trialvaluetype THEN 'Infinity'::double precision
                    ELSE '-Infinity'::double precision
                END AS val_accuracy
           FROM (((tlsearch.study_names names
             JOIN public.study_directions aim ON (((aim.study_id = names.study_id) AND (aim.objective = 0))))
             JOIN public.trials ON ((trials.study_id = names.study_id)))
             JOIN public.trial_values USING (trial_id))
          WHERE ((trials.state = 'COMPLETE'::public.trialstate) AND (trial_values.objective = 0) AND (NOT (EXISTS ( SELECT
                   FROM public.study_directions second
                  WHERE ((second.study_id = names.study_id) AND (second.objective = 1))))))
          WINDOW best_first AS (PARTITION BY names.study ORDER BY (
                CASE trial_values.value_type
                    WHEN 'FINITE'::public.trialvaluetype THEN trial_values.value
                    WHEN 'INF_POS'::public.trialvaluetype THEN 'Infinity'::double precision
                    ELSE '-Infinity'::double precision
                END * (
                CASE aim.direction
                    WHEN 'MINIMIZE'::public.studydirection THEN 1
                    ELSE '-1'::integer
                END)::double precision), trials.number)
          ORDER BY names.study, (row_number() OVER best_first)) ranked
     LEFT JOIN LATERAL ( SELECT max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'reinit_layers'::text)) AS reinit_layers,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'high_lr'::text)) AS high_lr,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'low_lr_ratio'::text)) AS low_lr_ratio,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'low_layers'::text)) AS low_layers,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'alpha'::text)) AS alpha,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'beta'::text)) AS beta,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'l2sp_layers'::text)) AS l2sp_layers
           FROM public.trial_params
          WHERE ((trial_params.trial_id = ranked.trial_id) AND (trial_params.distribution_json !~~ '{"name": "Categorical%'::text))) drawn ON (true))
     LEFT JOIN LATERAL ( SELECT max(attempts.last_epoch) AS last_epoch,
            date_part('epoch'::text, sum((COALESCE(attempts.ended_at, attempts.last_seen_at) - attempts.started_at))) AS seconds
           FROM tlsearch.attempts
          WHERE (attempts.trial_id = ranked.trial_id)) held ON (true))
     LEFT JOIN public.trial_user_attributes origin ON (((origin.trial_id = ranked.trial_id) AND ((origin.key)::text = 'origin'::text))));
CREATE TABLE tlsearch.controls (
    study_id integer NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    trials integer NOT NULL,
    gpu_hours double precision,
    until timestamp with time zone,
    target_accuracy double precision,
    patience_trials integer,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT controls_gpu_hours_check CHECK ((gpu_hours > (0)::double precision)),
    CONSTRAINT controls_patience_trials_check CHECK ((patience_trials > 0)),
    CONSTRAINT controls_state_check CHECK ((state = ANY (ARRAY['running'::text, 'paused'::text, 'stopped'::text]))),
    CONSTRAINT controls_target_accuracy_check CHECK (((target_accuracy >= (0)::double precision) AND (target_accuracy <= (1)::double precision))),
    CONSTRAINT controls_trials_check CHECK ((trials > 0))
);
CREATE TABLE tlsearch.worker_sessions (
    worker_id uuid NOT NULL,
    name text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    device text NOT NULL,
    device_name text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    stalled_after_seconds double precision NOT NULL,
    left_at timestamp with time zone,
    left_because text
);
CREATE VIEW tlsearch.trial_attempts AS
 SELECT study,
    trial,
    attempt,
    worker,
    device_name,
    started_at,
    ended_at,
    ended,
    reason,
    first_epoch,
    last_epoch,
    checkpoint_epoch,
    seconds,
        CASE
            WHEN in_vain THEN seconds
            WHEN ((ended IS NULL) OR (ended = ANY (ARRAY['complete'::text, 'pruned'::text]))) THEN (0)::double precision
            WHEN (epochs > 0) THEN ((seconds * (GREATEST((0)::bigint, LEAST(epochs, ((last_epoch + (1)::bigint) - kept_until))))::double precision) / (epochs)::double precision)
            WHEN (checkpoint_epoch IS NULL) THEN seconds
            ELSE (0)::double precision
        END AS lost_seconds
   FROM ( SELECT names.study,
            trials.number AS trial,
            held.attempt,
            session.name AS worker,
            session.device_name,
            held.started_at,
            held.ended_at,
            held.ended,
            held.reason,
            held.first_epoch,
            held.last_epoch,
            held.checkpoint_epoch,
            date_part('epoch'::text, (COALESCE(held.ended_at, held.last_seen_at) - held.started_at)) AS seconds,
            (trials.state = 'FAIL'::public.trialstate) AS in_vain,
            GREATEST((0)::bigint, ((held.last_epoch + (1)::bigint) - held.first_epoch)) AS epochs,
            COALESCE((min(held.first_epoch) OVER (PARTITION BY names.study, trials.number, trials.trial_id ORDER BY held.attempt DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))::bigint, (held.checkpoint_epoch + (1)::bigint), (held.first_epoch)::bigint) AS kept_until
           FROM (((tlsearch.study_names names
             JOIN public.trials USING (study_id))
             JOIN tlsearch.attempts held USING (trial_id))
             LEFT JOIN tlsearch.worker_sessions session USING (worker_id))) found;
CREATE VIEW tlsearch.gpu_hours AS
 SELECT study,
    device_name,
    COALESCE(ended, 'held'::text) AS ended,
    count(*) AS attempts,
    (sum(seconds) / (3600)::double precision) AS hours,
    (sum((seconds - lost_seconds)) / (3600)::double precision) AS useful_hours,
    (sum(lost_seconds) / (3600)::double precision) AS lost_hours
   FROM tlsearch.trial_attempts
  GROUP BY study, device_name, COALESCE(ended, 'held'::text);
CREATE TABLE tlsearch.installed (
    one boolean DEFAULT true NOT NULL,
    version integer NOT NULL,
    sql_sha256 text NOT NULL,
    optuna_schema text NOT NULL,
    objects text[] NOT NULL,
    installed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT installed_one_check CHECK (one)
);
CREATE VIEW tlsearch.learning_curves AS
 SELECT names.study,
    trials.number AS trial,
    curve.step AS epoch,
        CASE curve.intermediate_value_type
            WHEN 'FINITE'::public.trialintermediatevaluetype THEN curve.intermediate_value
            WHEN 'NAN'::public.trialintermediatevaluetype THEN 'NaN'::double precision
            WHEN 'INF_POS'::public.trialintermediatevaluetype THEN 'Infinity'::double precision
            ELSE '-Infinity'::double precision
        END AS val_accuracy
   FROM ((tlsearch.study_names names
     JOIN public.trials USING (study_id))
     JOIN public.trial_intermediate_values curve USING (trial_id));
CREATE VIEW tlsearch.measures AS
 SELECT names.study,
    tlsearch.read_number((found.found ->> 'fixed_features'::text)) AS fixed_features,
    tlsearch.read_number((found.found ->> 'random_init'::text)) AS random_init,
    (tlsearch.read_number((found.found ->> 'random_init'::text)) - tlsearch.read_number((found.found ->> 'fixed_features'::text))) AS fit,
    tlsearch.read_number((found.found ->> 'n_val'::text)) AS n_val,
    tlsearch.read_number((found.found ->> 'fisher'::text)) AS fisher,
    tlsearch.read_number((found.found ->> 'fisher_floor'::text)) AS fisher_floor,
    tlsearch.read_number((found.found ->> 'fisher_floor_spread'::text)) AS fisher_floor_spread,
    tlsearch.read_number((found.found ->> 'emd'::text)) AS emd,
    tlsearch.read_number((found.found ->> 'emd_similarity'::text)) AS emd_similarity,
    (found.found ->> 'emd_source'::text) AS emd_source,
    tlsearch.read_number((found.found ->> 'lr_range'::text)) AS lr_range,
    tlsearch.read_number((found.found ->> 'fixed_features_strength'::text)) AS fixed_features_strength,
    tlsearch.read_number((found.found ->> 'random_init_epochs'::text)) AS random_init_epochs,
    tlsearch.read_number((found.found ->> 'feature_seconds'::text)) AS feature_seconds,
    tlsearch.read_number((found.found ->> 'lr_range_seconds'::text)) AS lr_range_seconds,
    tlsearch.read_number((found.found ->> 'random_init_seconds'::text)) AS random_init_seconds
   FROM ((tlsearch.study_names names
     JOIN public.study_user_attributes attr USING (study_id))
     CROSS JOIN LATERAL tlsearch.read_json(attr.value_json) found(found))
  WHERE (((attr.key)::text = 'measures'::text) AND (jsonb_typeof(found.found) = 'object'::text));
CREATE VIEW tlsearch.study_overview AS
 SELECT names.study,
        CASE
            WHEN (controls.state = ANY (ARRAY['paused'::text, 'stopped'::text])) THEN controls.state
            WHEN ((controls.until <= clock_timestamp()) OR (controls.gpu_hours <= COALESCE(held.gpu_hours, (0)::double precision)) OR (controls.target_accuracy <= best.val_accuracy) OR (controls.patience_trials <= counted.since_best) OR ((controls.trials <= counted.begun) AND (counted.running = 0))) THEN 'done'::text
            ELSE controls.state
        END AS state,
    counted.waiting,
    counted.running,
    counted.complete,
    counted.pruned,
    counted.fail,
    counted.begun AS trials_begun,
    controls.trials AS budget_trials,
    COALESCE(held.gpu_hours, (0)::double precision) AS gpu_hours_used,
    controls.gpu_hours AS budget_gpu_hours,
    controls.until AS budget_until,
    controls.target_accuracy AS budget_target_accuracy,
    counted.since_best AS trials_since_best,
    controls.patience_trials AS budget_patience_trials,
    best.trial AS best_trial,
    best.val_accuracy AS best_val_accuracy,
    ( SELECT max(trial_values.value) AS max
           FROM ((public.trials
             JOIN public.trial_values USING (trial_id))
             JOIN public.trial_user_attributes attr USING (trial_id))
          WHERE ((trials.study_id = names.study_id) AND (trials.state = 'COMPLETE'::public.trialstate) AND (trial_values.objective = 0) AND ((attr.key)::text = 'origin'::text) AND (attr.value_json = '"default"'::text))) AS default_val_accuracy,
    ( SELECT tlsearch.read_text(attr.value_json) AS read_text
           FROM public.study_user_attributes attr
          WHERE ((attr.study_id = names.study_id) AND ((attr.key)::text = 'spec_hash'::text))) AS spec_hash
   FROM ((((tlsearch.study_names names
     LEFT JOIN tlsearch.controls USING (study_id))
     LEFT JOIN ( SELECT best_trials.study,
            best_trials.trial,
            best_trials.val_accuracy
           FROM tlsearch.best_trials
          WHERE (best_trials.rank = 1)) best USING (study))
     LEFT JOIN ( SELECT attempts.study_id,
            (date_part('epoch'::text, sum((COALESCE(attempts.ended_at, attempts.last_seen_at) - attempts.started_at))) / (3600)::double precision) AS gpu_hours
           FROM tlsearch.attempts
          GROUP BY attempts.study_id) held USING (study_id))
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (trials.state = 'WAITING'::public.trialstate)) AS waiting,
            count(*) FILTER (WHERE (trials.state = 'RUNNING'::public.trialstate)) AS running,
            count(*) FILTER (WHERE (trials.state = 'COMPLETE'::public.trialstate)) AS complete,
            count(*) FILTER (WHERE (trials.state = 'PRUNED'::public.trialstate)) AS pruned,
            count(*) FILTER (WHERE (trials.state = 'FAIL'::public.trialstate)) AS fail,
            count(*) FILTER (WHERE (trials.state <> 'WAITING'::public.trialstate)) AS begun,
            count(*) FILTER (WHERE ((trials.state = ANY (ARRAY['COMPLETE'::public.trialstate, 'PRUNED'::public.trialstate, 'FAIL'::public.trialstate])) AND ((trials.datetime_complete, trials.trial_id) > ( SELECT first.datetime_complete,
                    first.trial_id
                   FROM (public.trials first
                     JOIN public.trial_values USING (trial_id))
                  WHERE ((first.study_id = names.study_id) AND (first.state = 'COMPLETE'::public.trialstate) AND (trial_values.objective = 0) AND (trial_values.value = best.val_accuracy))
                  ORDER BY first.datetime_complete, first.trial_id
                 LIMIT 1)))) AS since_best
           FROM public.trials
          WHERE (trials.study_id = names.study_id)) counted);
CREATE VIEW tlsearch.trials_flat AS
 SELECT names.study,
    trials.number AS trial,
    lower((trials.state)::text) AS state,
    COALESCE(
        CASE
            WHEN (trials.state = 'COMPLETE'::public.trialstate) THEN ( SELECT
                    CASE result.value_type
                        WHEN 'FINITE'::public.trialvaluetype THEN result.value
                        WHEN 'INF_POS'::public.trialvaluetype THEN 'Infinity'::double precision
                        ELSE '-Infinity'::double precision
                    END AS "case"
               FROM public.trial_values result
              WHERE ((result.trial_id = trials.trial_id) AND (result.objective = 0)))
            ELSE NULL::double precision
        END, ( SELECT
                CASE curve.intermediate_value_type
                    WHEN 'FINITE'::public.trialintermediatevaluetype THEN curve.intermediate_value
                    WHEN 'NAN'::public.trialintermediatevaluetype THEN 'NaN'::double precision
                    WHEN 'INF_POS'::public.trialintermediatevaluetype THEN 'Infinity'::double precision
                    ELSE '-Infinity'::double precision
                END AS "case"
           FROM public.trial_intermediate_values curve
          WHERE (curve.trial_id = trials.trial_id)
          ORDER BY curve.step DESC
         LIMIT 1)) AS val_accuracy,
    ( SELECT max(curve.step) AS max
           FROM public.trial_intermediate_values curve
          WHERE (curve.trial_id = trials.trial_id)) AS epochs,
    tlsearch.read_text(attrs.origin) AS origin,
    drawn.reinit_layers,
    drawn.high_lr,
    drawn.low_lr_ratio,
    drawn.low_layers,
    drawn.alpha,
    drawn.beta,
    drawn.l2sp_layers,
    tlsearch.read_json(attrs.canonical) AS canonical,
    tlsearch.read_number(attrs.duplicate_of) AS duplicate_of,
    COALESCE(held.seconds, tlsearch.read_number(attrs.seconds)) AS seconds,
    tlsearch.read_number(attrs.seconds) AS train_seconds,
    COALESCE((held.attempts)::double precision, tlsearch.read_number(attrs.attempt)) AS attempts,
    held.resumed_epochs,
    tlsearch.read_text(attrs.worker) AS worker,
    tlsearch.read_text(attrs.reason) AS reason,
    COALESCE(held.started_at, (trials.datetime_start AT TIME ZONE 'UTC'::text)) AS started_at,
    (trials.datetime_complete AT TIME ZONE 'UTC'::text) AS ended_at
   FROM ((((tlsearch.study_names names
     JOIN public.trials USING (study_id))
     LEFT JOIN LATERAL ( SELECT max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'reinit_layers'::text)) AS reinit_layers,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'high_lr'::text)) AS high_lr,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'low_lr_ratio'::text)) AS low_lr_ratio,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'low_layers'::text)) AS low_layers,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'alpha'::text)) AS alpha,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'beta'::text)) AS beta,
            max(trial_params.param_value) FILTER (WHERE ((trial_params.param_name)::text = 'l2sp_layers'::text)) AS l2sp_layers
           FROM public.trial_params
          WHERE ((trial_params.trial_id = trials.trial_id) AND (trial_params.distribution_json !~~ '{"name": "Categorical%'::text))) drawn ON (true))
     LEFT JOIN LATERAL ( SELECT max(attr.value_json) FILTER (WHERE ((attr.key)::text = 'origin'::text)) AS origin,
            max(attr.value_json) FILTER (WHERE ((attr.key)::text = 'canonical'::text)) AS canonical,
            max(attr.value_json) FILTER (WHERE ((attr.key)::text = 'duplicate_of'::text)) AS duplicate_of,
            max(attr.value_json) FILTER (WHERE ((attr.key)::text = 'seconds'::text)) AS seconds,
            max(attr.value_json) FILTER (WHERE ((attr.key)::text = 'attempt'::text)) AS attempt,
            max(attr.value_json) FILTER (WHERE ((attr.key)::text = 'worker'::text)) AS worker,
            max(attr.value_json) FILTER (WHERE ((attr.key)::text = 'reason'::text)) AS reason
           FROM public.trial_user_attributes attr
          WHERE (attr.trial_id = trials.trial_id)) attrs ON (true))
     LEFT JOIN LATERAL ( SELECT max(attempts.attempt) AS attempts,
            min(attempts.started_at) AS started_at,
            sum((attempts.first_epoch - 1)) AS resumed_epochs,
            date_part('epoch'::text, sum((COALESCE(attempts.ended_at, attempts.last_seen_at) - attempts.started_at))) AS seconds
           FROM tlsearch.attempts
          WHERE (attempts.trial_id = trials.trial_id)) held ON (true));
CREATE VIEW tlsearch.workers AS
 SELECT session.name AS worker,
    session.host,
    session.pid,
    session.device,
    session.device_name,
    session.started_at,
    session.last_seen_at,
        CASE
            WHEN (session.left_at IS NULL) THEN date_part('epoch'::text, (clock_timestamp() - session.last_seen_at))
            ELSE NULL::double precision
        END AS seconds_silent,
        CASE
            WHEN (session.left_at IS NOT NULL) THEN 'left'::text
            WHEN (date_part('epoch'::text, (clock_timestamp() - session.last_seen_at)) > session.stalled_after_seconds) THEN 'silent'::text
            WHEN (held.trial_id IS NOT NULL) THEN 'working'::text
            ELSE 'idle'::text
        END AS state,
    names.study,
    trials.number AS trial,
    held.attempt,
    COALESCE(done.trials_ended, (0)::bigint) AS trials_ended,
    session.left_at,
    session.left_because
   FROM ((((tlsearch.worker_sessions session
     LEFT JOIN tlsearch.attempts held ON (((held.worker_id = session.worker_id) AND (held.ended_at IS NULL))))
     LEFT JOIN public.trials ON ((trials.trial_id = held.trial_id)))
     LEFT JOIN tlsearch.study_names names ON ((names.study_id = trials.study_id)))
     LEFT JOIN ( SELECT attempts.worker_id,
            count(*) AS trials_ended
           FROM tlsearch.attempts
          WHERE (attempts.ended = ANY (ARRAY['complete'::text, 'pruned'::text, 'fail'::text]))
          GROUP BY attempts.worker_id) done ON ((done.worker_id = session.worker_id)));
ALTER TABLE ONLY public.studies ALTER COLUMN study_id SET DEFAULT nextval('public.studies_study_id_seq'::regclass);
ALTER TABLE ONLY public.study_directions ALTER COLUMN study_direction_id SET DEFAULT nextval('public.study_directions_study_direction_id_seq'::regclass);
ALTER TABLE ONLY public.study_system_attributes ALTER COLUMN study_system_attribute_id SET DEFAULT nextval('public.study_system_attributes_study_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.study_user_attributes ALTER COLUMN study_user_attribute_id SET DEFAULT nextval('public.study_user_attributes_study_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_heartbeats ALTER COLUMN trial_heartbeat_id SET DEFAULT nextval('public.trial_heartbeats_trial_heartbeat_id_seq'::regclass);
ALTER TABLE ONLY public.trial_intermediate_values ALTER COLUMN trial_intermediate_value_id SET DEFAULT nextval('public.trial_intermediate_values_trial_intermediate_value_id_seq'::regclass);
ALTER TABLE ONLY public.trial_params ALTER COLUMN param_id SET DEFAULT nextval('public.trial_params_param_id_seq'::regclass);
ALTER TABLE ONLY public.trial_system_attributes ALTER COLUMN trial_system_attribute_id SET DEFAULT nextval('public.trial_system_attributes_trial_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_user_attributes ALTER COLUMN trial_user_attribute_id SET DEFAULT nextval('public.trial_user_attributes_trial_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_values ALTER COLUMN trial_value_id SET DEFAULT nextval('public.trial_values_trial_value_id_seq'::regclass);
ALTER TABLE ONLY public.trials ALTER COLUMN trial_id SET DEFAULT nextval('public.trials_trial_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES
	('v3.2.0.a');
INSERT INTO public.studies VALUES
	(1, 'done'),
	(2, 'done/measures'),
	(3, 'half');
INSERT INTO public.study_directions VALUES
	(1, 'MAXIMIZE', 1, 0),
	(2, 'MAXIMIZE', 2, 0),
	(3, 'MAXIMIZE', 3, 0);
INSERT INTO public.study_system_attributes VALUES
	(1, 1, 'study:metric_names', '["val_accuracy"]'),
	(2, 1, 'dashboard:note_str:0', '"### What is searched\n\nFine-tunes **test\\_efficientnet** (weights `/tmp/tlsearch-dump-weights.safetensors`) on `builtin:fashion-mnist-30`: 10 classes, 80 images to train and 50 to validate on; 2 epochs a trial at 32 pixels. Budget: 7 trials. The value of a trial is its `val_accuracy`, a fraction, after the last epoch.\n\n### Best trials\n\n0 of 7 trials are done: 0 complete, 0 pruned, 0 failed. The plain fine-tuning default is to come.\n\n### How well the pretrained weights fit\n\nNot measured yet: the first worker does it before its first trial.\n\n### Go on\n\nWith `TLSEARCH_STORAGE` set to this database, or on this machine without it:\n\n```sh\ntlsearch worker done                      # run trials, from any number of processes and machines\ntlsearch best done --top 5                # the best trials\ntlsearch pause done                       # let running trials go; tlsearch resume goes on\ntlsearch budget done --trials 14          # give it another budget\ntlsearch enqueue done --set high_lr=0.02  # queue a trial of your own\ntlsearch prior done                       # the prior in full\ntlsearch db psql                          # ask by SQL\n```\n\n*tlsearch keeps this note up to date until you edit it; then it leaves it alone.*\n"'),
	(3, 1, 'dashboard:note_ver', '1'),
	(4, 1, 'tlsearch:note', '"050fc0d78feb6f6cb0e84956cd2daf5fa99a193e61658b8dc137099b41b2ee28"'),
	(5, 3, 'study:metric_names', '["val_accuracy"]'),
	(6, 3, 'dashboard:note_str:0', '"### What is searched\n\nFine-tunes **test\\_efficientnet** (weights `/tmp/tlsearch-dump-weights.safetensors`) on `builtin:fashion-mnist-30`: 10 classes, 80 images to train and 50 to validate on; 20 epochs a trial at 32 pixels. Budget: 14 trials. The value of a trial is its `val_accuracy`, a fraction, after the last epoch.\n\n### Best trials\n\n0 of 14 trials are done: 0 complete, 0 pruned, 0 failed. The plain fine-tuning default is to come.\n\n### How well the pretrained weights fit\n\nNot measured, as the spec says `measures.when = \"off\"`.\n\n### Go on\n\nWith `TLSEARCH_STORAGE` set to this database, or on this machine without it:\n\n```sh\ntlsearch worker half                      # run trials, from any number of processes and machines\ntlsearch best half --top 5                # the best trials\ntlsearch pause half                       # let running trials go; tlsearch resume goes on\ntlsearch budget half --trials 28          # give it another budget\ntlsearch enqueue half --set high_lr=0.02  # queue a trial of your own\ntlsearch prior half                       # the prior in full\ntlsearch db psql                          # ask by SQL\n```\n\n*tlsearch keeps this note up to date until you edit it; then it leaves it alone.*\n"'),
	(7, 3, 'dashboard:note_ver', '1'),
	(8, 3, 'tlsearch:note', '"cd3eb23f198d09f055592d140ee52c48dc374752b812654a73eb0e979d57d9ce"');
INSERT INTO public.study_user_attributes VALUES
	(1, 1, 'space', '{"n_body_layers": 6, "ranges": {"reinit_layers": [1, 2], "high_lr": [0.001, 10.0], "low_lr_ratio": [0.03, 1.0], "low_layers": [0, 6], "alpha": [0.0001, 0.1], "beta": [1e-06, 10.0], "l2sp_layers": [0, 6]}}'),
	(2, 1, 'data', '{"class_names": ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"], "fingerprint": "96f0112d608d518698d8f74c2765d1d6ddfe5932ec12b80b73b7c8edf312b725", "n_train": 80, "n_val": 50, "n_test": 1000}'),
	(3, 1, 'backbone', '{"layers": ["conv_stem + bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4 + conv_head + bn2", "classifier"], "weights_sha256": "1fd7114693a31da1837d258dc38d12c15330a5b99f07edfa14b75820b5e5d836"}'),
	(4, 1, 'provenance', '{"versions": {"tlsearch": "0.1.0", "torch": "2.14.1", "timm": "1.0.31", "optuna": "5.0.0", "sqlalchemy": "2.1.9", "numpy": "2.4.6", "pillow": "13.0.0"}, "git_commit": "9e800cf42b1c29da7e13a60d6140de0145cbdc84"}'),
	(5, 1, 'spec', '{"name": "done", "data": {"path": "builtin:fashion-mnist-30", "format": "auto", "val_fraction": 0.2, "test_fraction": 0.2, "train_per_class": 8, "val_per_class": 5, "test_per_class": 0, "split_seed": 0}, "backbone": {"model": "test_efficientnet", "weights": "/tmp/tlsearch-dump-weights.safetensors"}, "recipe": {"image_size": 32, "epochs": 2, "batch_size": 32, "momentum": 0.9, "schedule": "cosine", "warmup_epochs": 0, "step_epochs": 10, "step_factor": 0.1, "label_smoothing": 0.1, "crop_scale": [0.35, 1.0], "crop_ratio": [0.75, 1.3333333333333333], "horizontal_flip": true, "eval_crop": 1.0, "decay_norm": false, "seed": 0}, "space": {"high_lr": [0.001, 10.0], "beta": [1e-06, 10.0]}, "measures": {"when": "worker", "random_init_share": 0.05, "random_init_lr": 0.03}, "prior": {"use": true, "draws": 2, "emd_weight": 0.0, "mode": {}, "spread": {}}, "sampler": {"name": "tpe", "startup_trials": 4, "uniform_share": 0.05, "seed": 0, "options": {}}, "pruner": {"name": "median", "percentile": 25.0, "startup_trials": 2, "warmup_fraction": 0.25, "reduction_factor": 3, "patience_epochs": 5, "p_threshold": 0.1}, "budget": {"trials": 7}, "workers": {"heartbeat_seconds": 1, "stalled_after_seconds": 3, "max_attempts": 3, "outage_limit_seconds": 900}, "checkpoints": {"every_epochs": 1, "keep_best": 3}}'),
	(6, 1, 'spec_hash', '"215d6fa93124a5173826dbd5805c22f1b8d652ec646e23888507a7d057e21963"'),
	(7, 2, 'space', '{"n_body_layers": 6, "ranges": {"reinit_layers": [7, 7], "high_lr": [0.03, 0.03], "low_lr_ratio": [1.0, 1.0], "low_layers": [0, 0], "alpha": [0.0, 0.0], "beta": [0.0001, 0.0001], "l2sp_layers": [0, 0]}}'),
	(8, 2, 'data', '{"class_names": ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"], "fingerprint": "96f0112d608d518698d8f74c2765d1d6ddfe5932ec12b80b73b7c8edf312b725", "n_train": 80, "n_val": 50, "n_test": 1000}'),
	(9, 2, 'backbone', '{"layers": ["conv_stem + bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4 + conv_head + bn2", "classifier"], "weights_sha256": "1fd7114693a31da1837d258dc38d12c15330a5b99f07edfa14b75820b5e5d836"}'),
	(10, 2, 'provenance', '{"versions": {"tlsearch": "0.1.0", "torch": "2.14.1", "timm": "1.0.31", "optuna": "5.0.0", "sqlalchemy": "2.1.9", "numpy": "2.4.6", "pillow": "13.0.0"}, "git_commit": "9e800cf42b1c29da7e13a60d6140de0145cbdc84"}'),
	(11, 2, 'spec', '{"name": "done/measures", "data": {"path": "builtin:fashion-mnist-30", "format": "auto", "val_fraction": 0.2, "test_fraction": 0.2, "train_per_class": 8, "val_per_class": 5, "test_per_class": 0, "split_seed": 0}, "backbone": {"model": "test_efficientnet", "weights": "/tmp/tlsearch-dump-weights.safetensors"}, "recipe": {"image_size": 32, "epochs": 2, "batch_size": 32, "momentum": 0.9, "schedule": "cosine", "warmup_epochs": 0, "step_epochs": 10, "step_factor": 0.1, "label_smoothing": 0.1, "crop_scale": [0.35, 1.0], "crop_ratio": [0.75, 1.3333333333333333], "horizontal_flip": true, "eval_crop": 1.0, "decay_norm": false, "seed": 0}, "space": {"reinit_layers": 7, "high_lr": 0.03, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0, "beta": 0.0001, "l2sp_layers": 0}, "measures": {"when": "off", "random_init_share": 0.05, "random_init_lr": 0.03}, "prior": {"use": true, "draws": 2, "emd_weight": 0.0, "mode": {}, "spread": {}}, "sampler": {"name": "random", "startup_trials": 5, "uniform_share": 0.05, "seed": 0, "options": {}}, "pruner": {"name": "none", "percentile": 25.0, "startup_trials": 4, "warmup_fraction": 0.7, "reduction_factor": 3, "patience_epochs": 5, "p_threshold": 0.1}, "budget": {"trials": 1}, "workers": {"heartbeat_seconds": 1, "stalled_after_seconds": 3, "max_attempts": 3, "outage_limit_seconds": 900}, "checkpoints": {"every_epochs": 1, "keep_best": 0}}'),
	(12, 2, 'spec_hash', '"24dadb3cb43c37644697b950d247e122fa800ba7a95deecfd9c1476a28cb9ceb"'),
	(13, 1, 'prior', '{"unfit": 8.685747010517275e-09, "disagreement": 0.23563045646145253, "lr_scale": 0.06020894493336132, "lr_scale_from": "the rate at the lowest loss of a range test with this network and recipe", "beliefs": {"reinit_layers": {"mode": 1, "spread": 0.6739802497107269, "opposite": 1, "rule": "more layers where the weights fit, the classifier alone where not (the paper contradicts itself: Table 6 has 1 for Caltech and 3 for Aircraft, so this stays wide)", "moved_by": "random init - fixed features"}, "high_lr": {"mode": 0.06020894493336132, "spread": 0.4324706597615084, "opposite": 0.06020894493336132, "rule": "a tenth of the highest rate of use where the weights fit, that rate where not (Table 2); nearer to it the shorter the training", "moved_by": "random init - fixed features"}, "low_lr_ratio": {"mode": 0.9999999930643642, "spread": 0.37068913908958906, "opposite": 0.45, "rule": "lower rates for low layers where the weights do not fit", "moved_by": "random init - fixed features"}, "low_layers": {"mode": 0, "spread": 1.853445706245623, "opposite": 2, "rule": "low layers at the low rate where the weights do not fit (Table 4)", "moved_by": "random init - fixed features"}, "alpha": {"mode": 0.0031622775653016096, "spread": 0.8649413367714739, "opposite": 0.0001, "rule": "L2-SP where the weights fit (Table 5)", "moved_by": "random init - fixed features"}, "beta": {"mode": 0.0031622776095727675, "spread": 0.8649413244292447, "opposite": 0.0005011872336272725, "rule": "less L2 where more layers are under it (Table 5, remark 2)", "moved_by": "random init - fixed features"}, "l2sp_layers": {"mode": 5, "spread": 2.2241348934754277, "opposite": 0, "rule": "some or all layers under L2-SP where the weights fit (Table 5)", "moved_by": "random init - fixed features"}}}'),
	(14, 1, 'measures', '{"fixed_features": 0.64, "fixed_features_strength": 0.01, "random_init": 0.1, "random_init_epochs": 2, "fisher": 7.94893045025526, "fisher_floor": 1.2891668353562997, "fisher_floor_spread": 0.1300895423665231, "emd": 0.07050442253296892, "emd_similarity": 0.999295204259949, "emd_source": "proxy: rows of the pretrained classifier", "lr_range": 0.06020894493336132, "n_val": 50, "feature_seconds": 0.497, "lr_range_seconds": 2.254, "random_init_seconds": 0.286}'),
	(15, 3, 'space', '{"n_body_layers": 6, "ranges": {"reinit_layers": [1, 2], "high_lr": [0.001, 10.0], "low_lr_ratio": [0.03, 1.0], "low_layers": [0, 6], "alpha": [0.0001, 0.1], "beta": [1e-06, 10.0], "l2sp_layers": [0, 6]}}'),
	(16, 3, 'data', '{"class_names": ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"], "fingerprint": "96f0112d608d518698d8f74c2765d1d6ddfe5932ec12b80b73b7c8edf312b725", "n_train": 80, "n_val": 50, "n_test": 1000}'),
	(17, 3, 'backbone', '{"layers": ["conv_stem + bn1", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4 + conv_head + bn2", "classifier"], "weights_sha256": "1fd7114693a31da1837d258dc38d12c15330a5b99f07edfa14b75820b5e5d836"}'),
	(18, 3, 'provenance', '{"versions": {"tlsearch": "0.1.0", "torch": "2.14.1", "timm": "1.0.31", "optuna": "5.0.0", "sqlalchemy": "2.1.9", "numpy": "2.4.6", "pillow": "13.0.0"}, "git_commit": "9e800cf42b1c29da7e13a60d6140de0145cbdc84"}'),
	(19, 3, 'spec', '{"name": "half", "data": {"path": "builtin:fashion-mnist-30", "format": "auto", "val_fraction": 0.2, "test_fraction": 0.2, "train_per_class": 8, "val_per_class": 5, "test_per_class": 0, "split_seed": 0}, "backbone": {"model": "test_efficientnet", "weights": "/tmp/tlsearch-dump-weights.safetensors"}, "recipe": {"image_size": 32, "epochs": 20, "batch_size": 32, "momentum": 0.9, "schedule": "cosine", "warmup_epochs": 0, "step_epochs": 10, "step_factor": 0.1, "label_smoothing": 0.1, "crop_scale": [0.35, 1.0], "crop_ratio": [0.75, 1.3333333333333333], "horizontal_flip": true, "eval_crop": 1.0, "decay_norm": false, "seed": 0}, "space": {"high_lr": [0.001, 10.0], "beta": [1e-06, 10.0]}, "measures": {"when": "off", "random_init_share": 0.05, "random_init_lr": 0.03}, "prior": {"use": true, "draws": 2, "emd_weight": 0.0, "mode": {}, "spread": {}}, "sampler": {"name": "tpe", "startup_trials": 4, "uniform_share": 0.05, "seed": 0, "options": {}}, "pruner": {"name": "median", "percentile": 25.0, "startup_trials": 2, "warmup_fraction": 0.25, "reduction_factor": 3, "patience_epochs": 5, "p_threshold": 0.1}, "budget": {"trials": 14}, "workers": {"heartbeat_seconds": 1, "stalled_after_seconds": 3, "max_attempts": 3, "outage_limit_seconds": 900}, "checkpoints": {"every_epochs": 1, "keep_best": 3}}'),
	(20, 3, 'spec_hash', '"7b881a339026fdf3613193c988203933d7395b031cf868367eb60a8777daa437"');
INSERT INTO public.trial_intermediate_values VALUES
	(1, 2, 1, 0.1, 'FINITE'),
	(2, 2, 2, 0.1, 'FINITE'),
	(3, 1, 1, 0.1, 'FINITE'),
	(4, 1, 2, 0.1, 'FINITE'),
	(5, 3, 1, 0.1, 'FINITE'),
	(6, 3, 2, 0.14, 'FINITE'),
	(7, 4, 1, 0.1, 'FINITE'),
	(8, 4, 2, 0.1, 'FINITE'),
	(9, 5, 1, 0.1, 'FINITE'),
	(10, 5, 2, 0.1, 'FINITE'),
	(11, 6, 1, 0.1, 'FINITE'),
	(12, 6, 2, 0.1, 'FINITE'),
	(13, 7, 1, 0.1, 'FINITE'),
	(14, 7, 2, 0.1, 'FINITE'),
	(15, 8, 1, 0.1, 'FINITE'),
	(16, 8, 2, 0.1, 'FINITE'),
	(17, 9, 1, 0.1, 'FINITE'),
	(18, 9, 2, 0.1, 'FINITE'),
	(19, 9, 3, 0.1, 'FINITE'),
	(20, 9, 4, 0.08, 'FINITE'),
	(21, 9, 5, 0.08, 'FINITE'),
	(22, 9, 6, 0.14, 'FINITE'),
	(23, 9, 7, 0.14, 'FINITE'),
	(24, 9, 8, 0.2, 'FINITE'),
	(25, 9, 9, 0.32, 'FINITE'),
	(26, 9, 10, 0.4, 'FINITE'),
	(27, 9, 11, 0.46, 'FINITE'),
	(28, 9, 12, 0.4, 'FINITE'),
	(29, 9, 13, 0.4, 'FINITE'),
	(30, 9, 14, 0.44, 'FINITE'),
	(31, 9, 15, 0.48, 'FINITE'),
	(32, 9, 16, 0.5, 'FINITE'),
	(33, 9, 17, 0.54, 'FINITE'),
	(34, 9, 18, 0.52, 'FINITE'),
	(35, 9, 19, 0.54, 'FINITE'),
	(36, 9, 20, 0.54, 'FINITE'),
	(37, 10, 1, 0.1, 'FINITE'),
	(38, 10, 2, 0.1, 'FINITE'),
	(39, 10, 3, 0.1, 'FINITE'),
	(40, 10, 4, 0.1, 'FINITE'),
	(41, 10, 5, 0.18, 'FINITE'),
	(42, 10, 6, 0.14, 'FINITE'),
	(43, 10, 7, 0.14, 'FINITE'),
	(44, 10, 8, 0.1, 'FINITE'),
	(45, 10, 9, 0.14, 'FINITE'),
	(46, 10, 10, 0.2, 'FINITE'),
	(47, 10, 11, 0.18, 'FINITE'),
	(48, 10, 12, 0.1, 'FINITE'),
	(49, 10, 13, 0.08, 'FINITE'),
	(50, 10, 14, 0.08, 'FINITE'),
	(51, 10, 15, 0.1, 'FINITE'),
	(52, 10, 16, 0.14, 'FINITE'),
	(53, 10, 17, 0.2, 'FINITE'),
	(54, 10, 18, 0.26, 'FINITE'),
	(55, 10, 19, 0.34, 'FINITE'),
	(56, 10, 20, 0.38, 'FINITE'),
	(57, 11, 1, 0.1, 'FINITE'),
	(58, 11, 2, 0.1, 'FINITE'),
	(59, 11, 3, 0.1, 'FINITE'),
	(60, 11, 4, 0.1, 'FINITE'),
	(61, 11, 5, 0.1, 'FINITE'),
	(62, 12, 1, 0.1, 'FINITE'),
	(63, 12, 2, 0.1, 'FINITE'),
	(64, 13, 1, 0.02, 'FINITE'),
	(65, 13, 2, 0.1, 'FINITE'),
	(66, 13, 3, 0.1, 'FINITE'),
	(70, 13, 4, 0.12, 'FINITE'),
	(71, 13, 5, 0.1, 'FINITE'),
	(72, 14, 1, 0.06, 'FINITE'),
	(73, 14, 2, 0.1, 'FINITE'),
	(74, 14, 3, 0.1, 'FINITE');
INSERT INTO public.trial_params VALUES
	(1, 2, 'reinit_layers', 7, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 7, "high": 7}}'),
	(2, 2, 'high_lr', 0.03, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.03, "log": true}}'),
	(3, 2, 'low_lr_ratio', 1, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1.0, "high": 1.0, "log": true}}'),
	(4, 2, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 0}}'),
	(5, 2, 'alpha', 0, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.0, "log": false}}'),
	(6, 2, 'beta', 0.0001, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.0001, "log": true}}'),
	(7, 2, 'l2sp_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 0}}'),
	(8, 1, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(9, 1, 'high_lr', 0.01, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(10, 1, 'low_lr_ratio', 1, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(11, 1, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(12, 1, 'alpha', 0.0001, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(13, 1, 'beta', 0.0001, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(14, 1, 'l2sp_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(15, 3, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(16, 3, 'high_lr', 0.06020894493336132, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(17, 3, 'low_lr_ratio', 0.9999999930643642, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(18, 3, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(19, 3, 'alpha', 0.0031622775653016096, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(20, 3, 'beta', 0.0031622776095727675, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(21, 3, 'l2sp_layers', 5, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(22, 4, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(23, 4, 'high_lr', 0.037872488889628735, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(24, 4, 'low_lr_ratio', 0.6101339964862611, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(25, 4, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(26, 4, 'alpha', 0.008138187587318655, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(27, 4, 'beta', 0.003249021196916989, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(28, 4, 'l2sp_layers', 4, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(29, 5, 'reinit_layers', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(30, 5, 'high_lr', 0.011081258714740444, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(31, 5, 'low_lr_ratio', 0.5227313555251398, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(32, 5, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(33, 5, 'alpha', 0.009517394585423783, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(34, 5, 'beta', 0.0010529445809363562, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(35, 5, 'l2sp_layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(36, 6, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(37, 6, 'high_lr', 0.06020894493336132, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(38, 6, 'low_lr_ratio', 0.45, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(39, 6, 'low_layers', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(40, 6, 'alpha', 0.0001, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(41, 6, 'beta', 0.0005011872336272725, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(42, 6, 'l2sp_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(43, 7, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(44, 7, 'high_lr', 0.10958645585850453, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(45, 7, 'low_lr_ratio', 0.10970932465715534, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(46, 7, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(47, 7, 'alpha', 0.008012407489280773, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(48, 7, 'beta', 2.8319165972683704, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(49, 7, 'l2sp_layers', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(50, 8, 'reinit_layers', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(51, 8, 'high_lr', 0.004426164118850545, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(52, 8, 'low_lr_ratio', 0.9102624507433406, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(53, 8, 'low_layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(54, 8, 'alpha', 0.0017804337549163602, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(55, 8, 'beta', 3.4931849081653214e-05, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(56, 8, 'l2sp_layers', 5, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(57, 9, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(58, 9, 'high_lr', 0.01, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(59, 9, 'low_lr_ratio', 1, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(60, 9, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(61, 9, 'alpha', 0.0001, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(62, 9, 'beta', 0.0001, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(63, 9, 'l2sp_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(64, 10, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(65, 10, 'high_lr', 0.7608481233714796, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(66, 10, 'low_lr_ratio', 0.030012034270652986, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(67, 10, 'low_layers', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(68, 10, 'alpha', 0.0002755926764027377, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(69, 10, 'beta', 4.429657657076254e-06, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(70, 10, 'l2sp_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(71, 11, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(72, 11, 'high_lr', 0.0012697111322756427, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(73, 11, 'low_lr_ratio', 0.20615342730837857, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(74, 11, 'low_layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(75, 11, 'alpha', 0.0018243300267253295, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(76, 11, 'beta', 0.00020527863302764707, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(77, 11, 'l2sp_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(78, 12, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(79, 12, 'high_lr', 10, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(80, 12, 'low_lr_ratio', 1, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(81, 12, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(82, 12, 'alpha', 0.0001, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(83, 12, 'beta', 10, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(84, 12, 'l2sp_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(85, 13, 'reinit_layers', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(86, 13, 'high_lr', 0.15450018247892783, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(87, 13, 'low_lr_ratio', 0.9086603806308039, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(88, 13, 'low_layers', 5, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(89, 13, 'alpha', 0.01239328605026128, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(90, 13, 'beta', 3.255565736510823e-05, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(91, 13, 'l2sp_layers', 6, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(92, 14, 'reinit_layers', 1, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 2}}'),
	(93, 14, 'high_lr', 1.5562890890078518, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 10.0, "log": true}}'),
	(94, 14, 'low_lr_ratio', 0.3467403877807203, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 1.0, "log": true}}'),
	(95, 14, 'low_layers', 0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}'),
	(96, 14, 'alpha', 0.00011451704101839563, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
	(97, 14, 'beta', 0.23804644212906767, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 10.0, "log": true}}'),
	(98, 14, 'l2sp_layers', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 6}}');
INSERT INTO public.trial_system_attributes VALUES
	(1, 1, 'fixed_params', '{"reinit_layers": 1, "high_lr": 0.01, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0001, "beta": 0.0001, "l2sp_layers": 0}'),
	(2, 2, 'fixed_params', '{"reinit_layers": 7, "high_lr": 0.03, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0, "beta": 0.0001, "l2sp_layers": 0}'),
	(3, 3, 'fixed_params', '{"reinit_layers": 1, "high_lr": 0.06020894493336132, "low_lr_ratio": 0.9999999930643642, "low_layers": 0, "alpha": 0.0031622775653016096, "beta": 0.0031622776095727675, "l2sp_layers": 5}'),
	(4, 3, 'earned_prior:component', '"prior"'),
	(5, 3, 'tlsearch:seed', '0'),
	(6, 4, 'fixed_params', '{"reinit_layers": 1, "high_lr": 0.037872488889628735, "low_lr_ratio": 0.6101339964862611, "low_layers": 0, "alpha": 0.008138187587318655, "beta": 0.003249021196916989, "l2sp_layers": 4}'),
	(7, 4, 'earned_prior:component', '"prior"'),
	(8, 4, 'tlsearch:seed', '1'),
	(9, 5, 'fixed_params', '{"reinit_layers": 2, "high_lr": 0.011081258714740444, "low_lr_ratio": 0.5227313555251398, "low_layers": 0, "alpha": 0.009517394585423783, "beta": 0.0010529445809363562, "l2sp_layers": 3}'),
	(10, 5, 'earned_prior:component', '"prior"'),
	(11, 5, 'tlsearch:seed', '2'),
	(12, 6, 'fixed_params', '{"reinit_layers": 1, "high_lr": 0.06020894493336132, "low_lr_ratio": 0.45, "low_layers": 2, "alpha": 0.0001, "beta": 0.0005011872336272725, "l2sp_layers": 0}'),
	(13, 6, 'tlsearch:seed', '3'),
	(14, 1, 'artifacts:8d6ca480-6516-4971-af86-ed974a4d0774', '"{\"artifact_id\": \"8d6ca480-6516-4971-af86-ed974a4d0774\", \"filename\": \"confusion_matrix.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(15, 1, 'artifacts:abcead56-2fed-48f0-bdfe-6a9e6b77caf8', '"{\"artifact_id\": \"abcead56-2fed-48f0-bdfe-6a9e6b77caf8\", \"filename\": \"learning_curve.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(16, 3, 'artifacts:00a9cc16-be65-4b7b-8799-de932a1e62bf', '"{\"artifact_id\": \"00a9cc16-be65-4b7b-8799-de932a1e62bf\", \"filename\": \"confusion_matrix.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(17, 3, 'artifacts:8b63761b-a069-40c0-b53f-3482728abe88', '"{\"artifact_id\": \"8b63761b-a069-40c0-b53f-3482728abe88\", \"filename\": \"learning_curve.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(18, 4, 'artifacts:3ee16d68-d066-4b32-86e0-d048e0af42b3', '"{\"artifact_id\": \"3ee16d68-d066-4b32-86e0-d048e0af42b3\", \"filename\": \"confusion_matrix.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(19, 4, 'artifacts:fca466ce-b61b-4248-a8a1-2fe236681f76', '"{\"artifact_id\": \"fca466ce-b61b-4248-a8a1-2fe236681f76\", \"filename\": \"learning_curve.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(20, 7, 'tpe:relative_params:0', '"{\"alpha\": 0.008012407489280773, \"beta\": 2.8319165972683704, \"high_lr\": 0.10958645585850453, \"l2sp_layers\": 2, \"low_layers\": 0, \"low_lr_ratio\": 0.10970932465715534, \"reinit_layers\": 1}"'),
	(21, 8, 'tpe:relative_params:0', '"{\"alpha\": 0.0017804337549163602, \"beta\": 3.4931849081653214e-05, \"high_lr\": 0.004426164118850545, \"l2sp_layers\": 5, \"low_layers\": 3, \"low_lr_ratio\": 0.9102624507433406, \"reinit_layers\": 2}"'),
	(22, 9, 'fixed_params', '{"reinit_layers": 1, "high_lr": 0.01, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0001, "beta": 0.0001, "l2sp_layers": 0}'),
	(23, 9, 'artifacts:a37dbe91-9126-4590-b9cc-0152e68d6840', '"{\"artifact_id\": \"a37dbe91-9126-4590-b9cc-0152e68d6840\", \"filename\": \"learning_curve.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(24, 9, 'artifacts:cd495699-16ce-4714-9a64-47534146f0f8', '"{\"artifact_id\": \"cd495699-16ce-4714-9a64-47534146f0f8\", \"filename\": \"confusion_matrix.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(25, 10, 'artifacts:7d34a06d-b80a-4729-9406-15c19a2aaa2d', '"{\"artifact_id\": \"7d34a06d-b80a-4729-9406-15c19a2aaa2d\", \"filename\": \"learning_curve.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(26, 10, 'artifacts:c3128593-7908-4231-9802-c78c28c455b8', '"{\"artifact_id\": \"c3128593-7908-4231-9802-c78c28c455b8\", \"filename\": \"confusion_matrix.png\", \"mimetype\": \"image/png\", \"encoding\": null}"'),
	(27, 12, 'fixed_params', '{"reinit_layers": 1, "high_lr": 10.0, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0001, "beta": 10.0, "l2sp_layers": 0}'),
	(28, 14, 'tpe:relative_params:0', '"{\"alpha\": 0.00011451704101839563, \"beta\": 0.23804644212906767, \"high_lr\": 1.5562890890078518, \"l2sp_layers\": 2, \"low_layers\": 0, \"low_lr_ratio\": 0.3467403877807203, \"reinit_layers\": 1}"'),
	(29, 15, 'fixed_params', '{"reinit_layers": 1, "high_lr": 0.5, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0001, "beta": 0.0001, "l2sp_layers": 0}');
INSERT INTO public.trial_user_attributes VALUES
	(1, 1, 'origin', '"default"'),
	(2, 2, 'origin', '"random_init"'),
	(3, 2, 'attempt', '1'),
	(5, 2, 'low_lr', '0.03'),
	(6, 2, 'canonical', '{"reinit_layers": 7, "high_lr": 0.03, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0, "beta": 0.0001, "l2sp_layers": 0}'),
	(7, 2, 'seconds', '0.286'),
	(8, 3, 'origin', '"prior"'),
	(9, 4, 'origin', '"draw"'),
	(10, 5, 'origin', '"draw"'),
	(11, 6, 'origin', '"opposite"'),
	(12, 1, 'attempt', '1'),
	(14, 1, 'low_lr', '0.01'),
	(15, 1, 'canonical', '{"reinit_layers": 1, "high_lr": 0.01, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0, "beta": 0.0001, "l2sp_layers": 0}'),
	(16, 1, 'seconds', '0.337'),
	(17, 3, 'attempt', '1'),
	(19, 3, 'low_lr', '0.060208944515774'),
	(20, 3, 'canonical', '{"reinit_layers": 1, "high_lr": 0.06020894493336132, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0031622775653016096, "beta": 0.0031622776095727675, "l2sp_layers": 5}'),
	(21, 3, 'seconds', '0.315'),
	(22, 4, 'attempt', '1'),
	(24, 4, 'low_lr', '0.0231072930031107'),
	(25, 4, 'canonical', '{"reinit_layers": 1, "high_lr": 0.037872488889628735, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.008138187587318655, "beta": 0.003249021196916989, "l2sp_layers": 4}'),
	(26, 4, 'seconds', '0.307'),
	(27, 5, 'attempt', '1'),
	(29, 5, 'low_lr', '0.005792521388881041'),
	(30, 5, 'canonical', '{"reinit_layers": 2, "high_lr": 0.011081258714740444, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.009517394585423783, "beta": 0.0010529445809363562, "l2sp_layers": 3}'),
	(31, 5, 'seconds', '0.308'),
	(32, 6, 'attempt', '1'),
	(34, 6, 'low_lr', '0.027094025220012596'),
	(35, 6, 'canonical', '{"reinit_layers": 1, "high_lr": 0.06020894493336132, "low_lr_ratio": 0.45, "low_layers": 2, "alpha": 0.0, "beta": 0.0005011872336272725, "l2sp_layers": 0}'),
	(36, 6, 'seconds', '0.317'),
	(37, 7, 'attempt', '1'),
	(39, 7, 'low_lr', '0.012022656063807697'),
	(40, 7, 'origin', '"tpe"'),
	(41, 7, 'canonical', '{"reinit_layers": 1, "high_lr": 0.10958645585850453, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.008012407489280773, "beta": 2.8319165972683704, "l2sp_layers": 2}'),
	(42, 7, 'seconds', '0.214'),
	(43, 8, 'attempt', '1'),
	(45, 8, 'low_lr', '0.0040289709982171355'),
	(46, 8, 'origin', '"tpe"'),
	(47, 8, 'canonical', '{"reinit_layers": 2, "high_lr": 0.004426164118850545, "low_lr_ratio": 0.9102624507433406, "low_layers": 3, "alpha": 0.0017804337549163602, "beta": 3.4931849081653214e-05, "l2sp_layers": 5}'),
	(48, 8, 'seconds', '0.291'),
	(49, 9, 'origin', '"default"'),
	(50, 9, 'attempt', '1'),
	(52, 9, 'low_lr', '0.01'),
	(53, 9, 'canonical', '{"reinit_layers": 1, "high_lr": 0.01, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0, "beta": 0.0001, "l2sp_layers": 0}'),
	(54, 9, 'seconds', '3.099'),
	(55, 10, 'attempt', '1'),
	(57, 10, 'low_lr', '0.022834599953386856'),
	(58, 10, 'origin', '"uniform"'),
	(59, 10, 'canonical', '{"reinit_layers": 1, "high_lr": 0.7608481233714796, "low_lr_ratio": 0.030012034270652986, "low_layers": 2, "alpha": 0.0002755926764027377, "beta": 4.429657657076254e-06, "l2sp_layers": 1}'),
	(60, 10, 'seconds', '2.581'),
	(61, 11, 'attempt', '1'),
	(63, 11, 'low_lr', '0.00026175530161022574'),
	(64, 11, 'origin', '"uniform"'),
	(65, 11, 'canonical', '{"reinit_layers": 1, "high_lr": 0.0012697111322756427, "low_lr_ratio": 0.20615342730837857, "low_layers": 3, "alpha": 0.0018243300267253295, "beta": 0.00020527863302764707, "l2sp_layers": 1}'),
	(66, 11, 'seconds', '1.037'),
	(67, 12, 'origin', '"user"'),
	(68, 12, 'attempt', '1'),
	(70, 12, 'low_lr', '10.0'),
	(71, 12, 'canonical', '{"reinit_layers": 1, "high_lr": 10.0, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.0, "beta": 10.0, "l2sp_layers": 0}'),
	(76, 13, 'origin', '"uniform"'),
	(73, 13, 'attempt', '2'),
	(75, 13, 'low_lr', '0.14038819461883123'),
	(77, 13, 'canonical', '{"reinit_layers": 2, "high_lr": 0.15450018247892783, "low_lr_ratio": 0.9086603806308039, "low_layers": 5, "alpha": 0.01239328605026128, "beta": 3.255565736510823e-05, "l2sp_layers": 5}'),
	(83, 13, 'seconds', '2.012'),
	(86, 14, 'low_lr', '0.5396282822214865'),
	(87, 14, 'origin', '"tpe"'),
	(88, 14, 'canonical', '{"reinit_layers": 1, "high_lr": 1.5562890890078518, "low_lr_ratio": 1.0, "low_layers": 0, "alpha": 0.00011451704101839563, "beta": 0.23804644212906767, "l2sp_layers": 2}'),
	(90, 15, 'origin', '"user"'),
	(84, 14, 'attempt', '2'),
	(93, 15, 'attempt', '1'),
	(4, 2, 'worker', '"gpu-1:13308:cpu"'),
	(13, 1, 'worker', '"gpu-1:13308:cpu"'),
	(18, 3, 'worker', '"gpu-1:13308:cpu"'),
	(23, 4, 'worker', '"gpu-1:13308:cpu"'),
	(28, 5, 'worker', '"gpu-1:13308:cpu"'),
	(33, 6, 'worker', '"gpu-1:13308:cpu"'),
	(38, 7, 'worker', '"gpu-1:13308:cpu"'),
	(44, 8, 'worker', '"gpu-1:13308:cpu"'),
	(51, 9, 'worker', '"gpu-1:14473:cpu"'),
	(56, 10, 'worker', '"gpu-1:15095:cpu"'),
	(62, 11, 'worker', '"gpu-1:15982:cpu"'),
	(69, 12, 'worker', '"gpu-1:17760:cpu"'),
	(72, 12, 'reason', '"nan: the loss is not finite in epoch 3"'),
	(74, 13, 'worker', '"gpu-1:20257:cpu"'),
	(85, 14, 'worker', '"gpu-1:13308:cpu"'),
	(94, 15, 'worker', '"gpu-1:13308:cpu"'),
	(95, 15, 'reason', '"error: ValueError: no such thing: x"'),
	(89, 14, 'reason', '"preempted: SIGTERM on gpu-1:13308:cpu"');
INSERT INTO public.trial_values VALUES
	(1, 2, 0, 0.1, 'FINITE'),
	(2, 1, 0, 0.1, 'FINITE'),
	(3, 3, 0, 0.14, 'FINITE'),
	(4, 4, 0, 0.1, 'FINITE'),
	(5, 5, 0, 0.1, 'FINITE'),
	(6, 6, 0, 0.1, 'FINITE'),
	(7, 7, 0, 0.1, 'FINITE'),
	(8, 8, 0, 0.1, 'FINITE'),
	(9, 9, 0, 0.54, 'FINITE'),
	(10, 10, 0, 0.38, 'FINITE'),
	(11, 11, 0, 0.1, 'FINITE'),
	(12, 13, 0, 0.1, 'FINITE');
INSERT INTO public.trials VALUES
	(2, 0, 2, 'COMPLETE', '2026-11-25 16:37:37.821384', '2026-11-25 16:37:38.186458'),
	(1, 0, 1, 'COMPLETE', '2026-11-25 16:37:41.405698', '2026-11-25 16:37:43.486577'),
	(3, 1, 1, 'COMPLETE', '2026-11-25 16:37:43.570787', '2026-11-25 16:37:44.830387'),
	(4, 2, 1, 'COMPLETE', '2026-11-25 16:37:44.924979', '2026-11-25 16:37:46.31074'),
	(5, 3, 1, 'COMPLETE', '2026-11-25 16:37:46.366921', '2026-11-25 16:37:46.729099'),
	(6, 4, 1, 'COMPLETE', '2026-11-25 16:37:46.818776', '2026-11-25 16:37:47.19344'),
	(7, 5, 1, 'COMPLETE', '2026-11-25 16:37:47.269764', '2026-11-25 16:37:47.525195'),
	(8, 6, 1, 'COMPLETE', '2026-11-25 16:37:47.61428', '2026-11-25 16:37:47.957064'),
	(9, 0, 3, 'COMPLETE', '2026-11-25 16:38:44.660541', '2026-11-25 16:38:49.835572'),
	(10, 1, 3, 'COMPLETE', '2026-11-25 16:39:22.672839', '2026-11-25 16:39:26.855194'),
	(11, 2, 3, 'PRUNED', '2026-11-25 16:40:16.783151', '2026-11-25 16:40:17.90654'),
	(12, 3, 3, 'FAIL', '2026-11-25 16:41:57.909145', '2026-11-25 16:42:03.809074'),
	(13, 4, 3, 'PRUNED', '2026-11-25 16:43:53.07956', '2026-11-25 16:43:54.382015'),
	(15, 6, 3, 'WAITING', '2026-11-25 16:45:27.818026', NULL),
	(14, 5, 3, 'WAITING', '2026-11-25 16:45:27.816761', NULL);
INSERT INTO public.version_info VALUES
	(1, 12, '5.0.0');
INSERT INTO tlsearch.attempts VALUES
	(14, 2, 3, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', 'e1d230d4-e1b2-4068-896b-dc619a37b6d2', '2026-11-25 16:45:27.816938+00', '2026-11-25 16:45:27.816938+00', '2026-11-25 16:45:27.832174+00', 'preempted', 'SIGTERM on gpu-1:13308:cpu', 1, NULL, NULL, false),
	(2, 1, 2, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', '75b8a3d6-c7c9-4b5f-aa7c-97e0cd78d202', '2026-11-25 16:37:37.82157+00', '2026-11-25 16:37:38.185115+00', '2026-11-25 16:37:38.186015+00', 'complete', NULL, 1, 2, NULL, false),
	(1, 1, 1, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', 'faf56654-8b0b-4ca3-bd75-6750564f44a8', '2026-11-25 16:37:41.405839+00', '2026-11-25 16:37:43.485723+00', '2026-11-25 16:37:43.486406+00', 'complete', NULL, 1, 2, NULL, true),
	(10, 1, 3, '11c639b2-3774-4bd0-9de1-ce06e3f26177', 'cb940649-d8ba-4c7a-9948-3b253a7c5668', '2026-11-25 16:39:22.673131+00', '2026-11-25 16:39:26.853737+00', '2026-11-25 16:39:26.854812+00', 'complete', NULL, 1, 20, 18, true),
	(3, 1, 1, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', '57f32f6f-3459-472b-b3fa-4ff391e0aecf', '2026-11-25 16:37:43.570859+00', '2026-11-25 16:37:44.829372+00', '2026-11-25 16:37:44.829949+00', 'complete', NULL, 1, 2, NULL, true),
	(4, 1, 1, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', '2034b256-ac76-43af-ba97-8e8425849e02', '2026-11-25 16:37:44.92505+00', '2026-11-25 16:37:46.309666+00', '2026-11-25 16:37:46.310376+00', 'complete', NULL, 1, 2, NULL, true),
	(11, 1, 3, '73cb86a9-e1c6-4da0-8e66-8cf9884fd519', 'eac47b19-6e3d-45c9-a1b2-f0d286b162fb', '2026-11-25 16:40:16.783462+00', '2026-11-25 16:40:17.904977+00', '2026-11-25 16:40:17.906044+00', 'pruned', NULL, 1, 5, 2, false),
	(5, 1, 1, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', '75250563-a878-4069-b8e4-f5948781da67', '2026-11-25 16:37:46.367021+00', '2026-11-25 16:37:46.728487+00', '2026-11-25 16:37:46.728958+00', 'complete', NULL, 1, 2, NULL, false),
	(6, 1, 1, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', 'dcea4ece-ef0f-46d4-ba11-2ecd29fac7cc', '2026-11-25 16:37:46.818841+00', '2026-11-25 16:37:47.192851+00', '2026-11-25 16:37:47.193304+00', 'complete', NULL, 1, 2, NULL, false),
	(12, 1, 3, '8aba5ff7-cba5-45c7-bb75-b71273a6221f', '2b7d012a-daac-451d-a599-0a98e646241e', '2026-11-25 16:41:57.909301+00', '2026-11-25 16:42:03.808287+00', '2026-11-25 16:42:03.808711+00', 'fail', 'nan: the loss is not finite in epoch 3', 1, 2, NULL, false),
	(7, 1, 1, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', '18c5752f-c2bd-470b-80f5-d962d9f31af9', '2026-11-25 16:37:47.269952+00', '2026-11-25 16:37:47.524598+00', '2026-11-25 16:37:47.525059+00', 'complete', NULL, 1, 2, NULL, false),
	(13, 1, 3, '9030f3e3-0066-45ae-ae13-07e99bfc5cfa', '64995a1d-bdc9-4b53-af5a-852f3bd67a10', '2026-11-25 16:43:11.049858+00', '2026-11-25 16:43:12.252053+00', '2026-11-25 16:43:12.252053+00', 'stalled', 'gpu-1:19485:cpu fell silent', 1, 3, 2, false),
	(8, 1, 1, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', '1882b93b-6037-457f-9b2b-e4b7559db6ec', '2026-11-25 16:37:47.614383+00', '2026-11-25 16:37:47.956532+00', '2026-11-25 16:37:47.956919+00', 'complete', NULL, 1, 2, NULL, false),
	(13, 2, 3, '82476339-f488-4b42-89be-10e24c04936c', 'c85ce48e-f6ba-4074-a64c-d06a9ed96cfa', '2026-11-25 16:43:53.092275+00', '2026-11-25 16:43:54.381032+00', '2026-11-25 16:43:54.381588+00', 'pruned', NULL, 4, 5, NULL, false),
	(14, 1, 3, '1428d587-8a9b-42ea-8def-d06b00c487f7', '1c9f4bf8-4d05-4d94-9d58-3ae58c7553b9', '2026-11-25 16:44:40.199624+00', '2026-11-25 16:44:41.032781+00', '2026-11-25 16:44:41.073657+00', 'preempted', 'SIGTERM on gpu-1:21179:cpu', 1, 3, 3, false),
	(9, 1, 3, '694844fa-7b97-4e3f-b3c5-2eb9d08289ba', 'cba7ca76-dcbf-4021-9201-95254ba49d0d', '2026-11-25 16:38:44.660747+00', '2026-11-25 16:38:49.834088+00', '2026-11-25 16:38:49.835149+00', 'complete', NULL, 1, 20, 18, true),
	(15, 1, 3, 'ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', 'b4a3fb75-63da-4db1-be4e-7a793ddba465', '2026-11-25 16:45:27.818079+00', '2026-11-25 16:45:27.818079+00', '2026-11-25 16:45:27.819058+00', 'error', 'ValueError: no such thing: x', 1, NULL, NULL, false);
INSERT INTO tlsearch.controls VALUES
	(1, 'running', 7, NULL, NULL, NULL, NULL, '2026-11-25 16:37:20.231742+00'),
	(2, 'running', 1, NULL, NULL, NULL, NULL, '2026-11-25 16:37:20.236692+00'),
	(3, 'running', 14, NULL, NULL, NULL, NULL, '2026-11-25 16:38:13.678989+00');
INSERT INTO tlsearch.installed VALUES
	(true, 1, 'ec4116152a03bde4a7bb9a59a096b32bd6f0d3846f3d49580880ced6d487080b', 'public', '{tlsearch.best_trials,"tlsearch.claim_trial(p_study integer, p_worker uuid, p_token uuid, p_keep integer, p_stalled_seconds double precision, p_max_attempts integer, OUT verdict text, OUT why text, OUT claimed_id integer, OUT claimed_attempt integer, OUT earlier_tokens uuid[])","tlsearch.delete_study(p_study integer)","tlsearch.end_trial(p_trial integer, p_token uuid, p_ended text, p_value double precision, p_reason text, p_has_model boolean, p_steps integer[], p_values double precision[], p_user jsonb, p_system jsonb)",tlsearch.gpu_hours,"tlsearch.gpu_hours_used(p_study integer)","tlsearch.hand_back(p_trial integer, p_token uuid, p_ended text, p_reason text, p_max_attempts integer, p_steps integer[], p_values double precision[], p_checkpoint_epoch integer)",tlsearch.learning_curves,"tlsearch.let_go(p_trial integer, p_ended text, p_reason text, p_max_attempts integer)",tlsearch.measures,"tlsearch.next_in_queue(p_study integer, p_worker uuid, p_keep integer)","tlsearch.put_attr(p_trial integer, p_key text, p_value text)","tlsearch.put_curve(p_trial integer, p_steps integer[], p_values double precision[])","tlsearch.read_json(p_json text)","tlsearch.read_number(p_json text)","tlsearch.read_text(p_json text)","tlsearch.refusal(p_study integer, p_keep integer, OUT verdict text, OUT why text)","tlsearch.report_trial(p_trial integer, p_token uuid, p_steps integer[], p_values double precision[], p_checkpoint_epoch integer, OUT verdict text, OUT why text)","tlsearch.rescue_stalled(p_study integer, p_stalled_seconds double precision, p_max_attempts integer)","tlsearch.still_holds(p_trial integer, p_token uuid)",tlsearch.study_names,tlsearch.study_overview,"tlsearch.surplus_models(p_study integer, p_keep integer)",tlsearch.trial_attempts,tlsearch.trials_flat,"tlsearch.trials_without_gain(p_study integer)",tlsearch.utc_now(),"tlsearch.verdict(p_study integer, OUT verdict text, OUT why text)",tlsearch.workers,"tlsearch.write_trial(p_trial integer, p_token uuid, p_params jsonb, p_user jsonb, p_system jsonb, p_first_epoch integer)"}', '2026-11-25 16:37:19.241847+00');
INSERT INTO tlsearch.worker_sessions VALUES
	('73cb86a9-e1c6-4da0-8e66-8cf9884fd519', 'gpu-1:15982:cpu', 'gpu-1', 15982, 'cpu', 'x86_64', '2026-11-25 16:40:16.626344+00', '2026-11-25 16:40:18.050889+00', 3, '2026-11-25 16:40:18.050889+00', 'its work was done'),
	('8aba5ff7-cba5-45c7-bb75-b71273a6221f', 'gpu-1:17760:cpu', 'gpu-1', 17760, 'cpu', 'x86_64', '2026-11-25 16:41:56.630178+00', '2026-11-25 16:42:04.197612+00', 3, '2026-11-25 16:42:04.197612+00', 'its work was done'),
	('9030f3e3-0066-45ae-ae13-07e99bfc5cfa', 'gpu-1:19485:cpu', 'gpu-1', 19485, 'cpu', 'x86_64', '2026-11-25 16:43:10.804827+00', '2026-11-25 16:43:12.252127+00', 3, NULL, NULL),
	('82476339-f488-4b42-89be-10e24c04936c', 'gpu-1:20257:cpu', 'gpu-1', 20257, 'cpu', 'x86_64', '2026-11-25 16:43:52.910979+00', '2026-11-25 16:43:54.606078+00', 3, '2026-11-25 16:43:54.606078+00', 'its work was done'),
	('1428d587-8a9b-42ea-8def-d06b00c487f7', 'gpu-1:21179:cpu', 'gpu-1', 21179, 'cpu', 'x86_64', '2026-11-25 16:44:39.962893+00', '2026-11-25 16:44:41.088549+00', 3, '2026-11-25 16:44:41.088549+00', 'SystemExit: 143'),
	('ec9cbe37-3bd1-46ee-83ba-1a8868fe19ec', 'gpu-1:13308:cpu', 'gpu-1', 13308, 'cpu', 'x86_64', '2026-11-25 16:37:37.698096+00', '2026-11-25 16:45:27.817442+00', 3, '2026-11-25 16:37:48.024447+00', 'its work was done'),
	('694844fa-7b97-4e3f-b3c5-2eb9d08289ba', 'gpu-1:14473:cpu', 'gpu-1', 14473, 'cpu', 'x86_64', '2026-11-25 16:38:44.440455+00', '2026-11-25 16:38:49.936524+00', 3, '2026-11-25 16:38:49.936524+00', 'its work was done'),
	('11c639b2-3774-4bd0-9de1-ce06e3f26177', 'gpu-1:15095:cpu', 'gpu-1', 15095, 'cpu', 'x86_64', '2026-11-25 16:39:22.491703+00', '2026-11-25 16:39:26.929221+00', 3, '2026-11-25 16:39:26.929221+00', 'its work was done');
SELECT pg_catalog.setval('public.studies_study_id_seq', 3, true);
SELECT pg_catalog.setval('public.study_directions_study_direction_id_seq', 3, true);
SELECT pg_catalog.setval('public.study_system_attributes_study_system_attribute_id_seq', 8, true);
SELECT pg_catalog.setval('public.study_user_attributes_study_user_attribute_id_seq', 20, true);
SELECT pg_catalog.setval('public.trial_heartbeats_trial_heartbeat_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_intermediate_values_trial_intermediate_value_id_seq', 74, true);
SELECT pg_catalog.setval('public.trial_params_param_id_seq', 98, true);
SELECT pg_catalog.setval('public.trial_system_attributes_trial_system_attribute_id_seq', 29, true);
SELECT pg_catalog.setval('public.trial_user_attributes_trial_user_attribute_id_seq', 96, true);
SELECT pg_catalog.setval('public.trial_values_trial_value_id_seq', 12, true);
SELECT pg_catalog.setval('public.trials_trial_id_seq', 15, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_pkey PRIMARY KEY (study_direction_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_pkey PRIMARY KEY (study_system_attribute_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_pkey PRIMARY KEY (study_user_attribute_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_pkey PRIMARY KEY (trial_heartbeat_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_pkey PRIMARY KEY (trial_intermediate_value_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_pkey PRIMARY KEY (param_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_pkey PRIMARY KEY (trial_system_attribute_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_pkey PRIMARY KEY (trial_user_attribute_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_pkey PRIMARY KEY (trial_value_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, objective);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY public.version_info
    ADD CONSTRAINT version_info_pkey PRIMARY KEY (version_info_id);
ALTER TABLE ONLY tlsearch.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (trial_id, attempt);
ALTER TABLE ONLY tlsearch.attempts
    ADD CONSTRAINT attempts_token_key UNIQUE (token);
ALTER TABLE ONLY tlsearch.controls
    ADD CONSTRAINT controls_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY tlsearch.installed
    ADD CONSTRAINT installed_pkey PRIMARY KEY (one);
ALTER TABLE ONLY tlsearch.worker_sessions
    ADD CONSTRAINT worker_sessions_pkey PRIMARY KEY (worker_id);
CREATE UNIQUE INDEX ix_studies_study_name ON public.studies USING btree (study_name);
CREATE INDEX ix_trials_study_id ON public.trials USING btree (study_id);
CREATE INDEX attempts_held ON tlsearch.attempts USING btree (study_id) WHERE (ended_at IS NULL);
CREATE INDEX attempts_of_study ON tlsearch.attempts USING btree (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);

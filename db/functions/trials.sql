-- What workers do with trials, each in one transaction on the server: tlsearch/store/claims.py.
--
-- claim_trial decides under the study's advisory lock (tlsearch/store/locks.py fills in its {lock_key}),
-- so budgets are exact and no trial is held twice. The other functions act for the holder of a
-- token alone. All may be repeated after a lost answer: the second call finds what
-- the first one did. Times are the server's alone.

CREATE OR REPLACE FUNCTION tlsearch.utc_now() RETURNS timestamp
LANGUAGE sql VOLATILE AS $$ SELECT clock_timestamp() AT TIME ZONE 'UTC' $$;
COMMENT ON FUNCTION tlsearch.utc_now() IS 'The time as Optuna''s tables write it';

CREATE OR REPLACE FUNCTION tlsearch.put_attr(p_trial integer, p_key text, p_value text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (p_trial, p_key, p_value)
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
$$;

CREATE OR REPLACE FUNCTION tlsearch.put_curve(
    p_trial integer, p_steps integer[], p_values double precision[]
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO trial_intermediate_values
        (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT DISTINCT ON (step) p_trial, step, value, 'FINITE'
    FROM unnest(p_steps, p_values) WITH ORDINALITY AS given (step, value, place)
    ORDER BY step, place DESC  -- training that began again reports an epoch twice
    ON CONFLICT (trial_id, step) DO UPDATE
    SET intermediate_value = excluded.intermediate_value,
        intermediate_value_type = excluded.intermediate_value_type
$$;

-- Whether the holder of a token still has its trial and that runs. If so, neither changes before the
-- transaction ends: a deletion under way is waited for, one that comes later waits.
CREATE OR REPLACE FUNCTION tlsearch.still_holds(p_trial integer, p_token uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM tlsearch.attempts
    WHERE trial_id = p_trial AND token = p_token AND ended_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM FROM trials WHERE trial_id = p_trial AND state = 'RUNNING' FOR KEY SHARE;
    RETURN FOUND;
END $$;

-- Why a trial failed or is back in the queue: a word and a sentence, or neither. Why an attempt ended
-- is in tlsearch.attempts, also after the trial itself has no reason any more.
CREATE OR REPLACE FUNCTION tlsearch.put_reason(p_trial integer, p_kind text, p_reason text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_kind IS NULL THEN
        DELETE FROM trial_user_attributes
        WHERE trial_id = p_trial AND key IN ('reason_kind', 'reason');
    ELSE
        PERFORM tlsearch.put_attr(p_trial, 'reason_kind', to_json(p_kind)::text);
        PERFORM tlsearch.put_attr(p_trial, 'reason', to_json(p_reason)::text);
    END IF;
END $$;

-- Ends the attempt that holds a trial and puts the trial back into the queue as itself. After too
-- many attempts that ended in a fault the trial fails instead. p_failure_kind: NULL = no fault.
CREATE OR REPLACE FUNCTION tlsearch.end_attempt(
    p_trial integer, p_ended text, p_failure_kind text, p_reason text, p_max_attempts integer
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    faults integer;
BEGIN
    UPDATE tlsearch.attempts
    SET ended_at = CASE p_ended WHEN 'stalled' THEN last_seen_at ELSE clock_timestamp() END,
        ended = p_ended, failure_kind = p_failure_kind, reason = p_reason
    WHERE trial_id = p_trial AND ended_at IS NULL;
    PERFORM FROM trials WHERE trial_id = p_trial AND state = 'RUNNING' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;  -- another program ended or deleted it
    END IF;
    SELECT count(*) INTO faults FROM tlsearch.attempts
    WHERE trial_id = p_trial AND ended IN ('stalled', 'out_of_memory', 'error');
    IF faults < p_max_attempts THEN
        PERFORM tlsearch.put_reason(p_trial, coalesce(p_failure_kind, p_ended), p_reason);
        UPDATE trials SET state = 'WAITING' WHERE trial_id = p_trial;
    ELSE
        PERFORM tlsearch.put_reason(p_trial, p_failure_kind, CASE p_ended WHEN 'stalled'
            THEN format('its worker fell silent in attempt %s of %s', faults, p_max_attempts)
            ELSE p_reason END);
        UPDATE trials SET state = 'FAIL', datetime_complete = tlsearch.utc_now()
        WHERE trial_id = p_trial;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION tlsearch.rescue_stalled(
    p_study integer, p_stalled_seconds double precision, p_max_attempts integer
) RETURNS void LANGUAGE plpgsql AS $$
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
        PERFORM tlsearch.end_attempt(
            stale.trial_id, 'stalled', 'stalled',
            format('%s fell silent', coalesce(stale.name, 'its worker')), p_max_attempts);
    END LOOP;
    -- Trials that run without a worker of ours: begun by other programs, or by an older tlsearch.
    UPDATE trials SET state = 'WAITING'
    WHERE study_id = p_study AND state = 'RUNNING'
      AND datetime_start < silent_since AT TIME ZONE 'UTC'
      AND NOT EXISTS (SELECT FROM tlsearch.attempts AS held
                      WHERE held.trial_id = trials.trial_id AND held.ended_at IS NULL);
END $$;

-- A worker takes a trial that it failed on itself only where there is nothing else to do: others
-- may have more luck. The budget keeps a place for that trial.
CREATE OR REPLACE FUNCTION tlsearch.next_in_queue(p_study integer, p_worker uuid, p_keep integer)
RETURNS integer LANGUAGE sql AS $$
    SELECT trial_id FROM trials CROSS JOIN LATERAL
        (SELECT EXISTS (SELECT FROM tlsearch.attempts AS mine
                        WHERE mine.trial_id = trials.trial_id AND mine.worker_id = p_worker
                          AND mine.ended IN ('out_of_memory', 'error')) AS here) AS failed
    WHERE study_id = p_study AND state = 'WAITING'
      AND NOT (here AND (SELECT count(*) FROM trials WHERE study_id = p_study) + p_keep
                        < (SELECT trials FROM tlsearch.controls WHERE study_id = p_study))
    ORDER BY here, trial_id LIMIT 1 FOR NO KEY UPDATE OF trials SKIP LOCKED
$$;

CREATE OR REPLACE FUNCTION tlsearch.claim_trial(
    p_study integer, p_worker uuid, p_token uuid, p_keep integer,
    p_stalled_seconds double precision, p_max_attempts integer,
    OUT verdict text, OUT why text, OUT claimed_id integer, OUT claimed_attempt integer,
    OUT earlier_tokens uuid[]
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', '60s', true);
    PERFORM pg_advisory_xact_lock({lock_key}, p_study);
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
COMMENT ON FUNCTION tlsearch.claim_trial IS
    'Give a worker the next trial: a queued one, else a new one while the budget lasts';

-- A heartbeat with what there is to report; says 'lost' where the trial is another worker's by now.
CREATE OR REPLACE FUNCTION tlsearch.report_trial(
    p_trial integer, p_token uuid, p_steps integer[], p_values double precision[],
    p_checkpoint_epoch integer, OUT verdict text, OUT why text
) LANGUAGE plpgsql AS $$
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
COMMENT ON FUNCTION tlsearch.report_trial IS
    'Record epochs of a held trial, with a heartbeat; returns what the study wants';

-- What was drawn for a held trial, all of it or nothing: [[name, value, distribution], ...] and
-- attributes as JSON texts by key.
CREATE OR REPLACE FUNCTION tlsearch.write_trial(
    p_trial integer, p_token uuid, p_params jsonb, p_user jsonb, p_system jsonb,
    p_first_epoch integer DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION tlsearch.end_trial(
    p_trial integer, p_token uuid, p_ended text, p_value double precision, p_failure_kind text,
    p_reason text, p_has_model boolean, p_steps integer[], p_values double precision[],
    p_user jsonb, p_system jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM tlsearch.attempts WHERE token = p_token AND ended = p_ended) THEN
        RETURN true;  -- the answer to an earlier call was lost
    END IF;
    IF NOT tlsearch.write_trial(p_trial, p_token, '[]', p_user, p_system) THEN
        RETURN false;
    END IF;
    PERFORM tlsearch.put_curve(p_trial, p_steps, p_values);
    UPDATE tlsearch.attempts
    SET ended_at = clock_timestamp(), ended = p_ended, failure_kind = p_failure_kind,
        reason = p_reason, has_model = p_has_model,
        last_epoch = (SELECT max(step) FROM trial_intermediate_values WHERE trial_id = p_trial)
    WHERE token = p_token;
    PERFORM tlsearch.put_reason(p_trial, p_failure_kind, p_reason);
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
COMMENT ON FUNCTION tlsearch.end_trial IS 'Record how a held trial ended: complete, pruned or fail';

CREATE OR REPLACE FUNCTION tlsearch.release_trial(
    p_trial integer, p_token uuid, p_ended text, p_failure_kind text, p_reason text,
    p_max_attempts integer, p_steps integer[], p_values double precision[],
    p_checkpoint_epoch integer
) RETURNS boolean LANGUAGE plpgsql AS $$
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
    PERFORM tlsearch.end_attempt(p_trial, p_ended, p_failure_kind, p_reason, p_max_attempts);
    RETURN true;
END $$;
COMMENT ON FUNCTION tlsearch.release_trial IS
    'Put a held trial back into the queue with its curve, number and hyperparameters';

CREATE OR REPLACE FUNCTION tlsearch.surplus_models(p_study integer, p_keep integer)
RETURNS SETOF uuid LANGUAGE sql AS $$
    WITH ranked AS (
        SELECT token, row_number() OVER (ORDER BY value DESC, trial_id) AS rank
        FROM tlsearch.attempts AS kept JOIN trial_values USING (trial_id)
        WHERE kept.study_id = p_study AND kept.has_model
          AND NOT EXISTS (SELECT FROM trial_user_attributes AS attr
                          WHERE attr.trial_id = kept.trial_id AND attr.key = 'origin'
                            AND attr.value_json = '"fixed_features"')  -- whose model is kept
    )
    UPDATE tlsearch.attempts AS kept SET has_model = false FROM ranked
    WHERE kept.token = ranked.token AND ranked.rank > p_keep
    RETURNING kept.token
$$;
COMMENT ON FUNCTION tlsearch.surplus_models(integer, integer) IS
    'Discard the trained models of all but a study''s best trials; returns the names of their files.'
    ' The model on fixed features stays';

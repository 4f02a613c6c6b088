-- What a study's budget and state say: whether trials may run, and why not.

CREATE OR REPLACE FUNCTION tlsearch.gpu_hours_used(p_study integer) RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(extract(epoch FROM coalesce(ended_at, last_seen_at) - started_at)), 0)
           / 3600.0
    FROM tlsearch.attempts WHERE study_id = p_study
$$;
COMMENT ON FUNCTION tlsearch.gpu_hours_used(integer) IS
    'Hours that workers held trials of a study, up to the last heartbeat; one device each';

CREATE OR REPLACE FUNCTION tlsearch.trials_without_gain(p_study integer) RETURNS integer
LANGUAGE sql STABLE AS $$
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
COMMENT ON FUNCTION tlsearch.trials_without_gain(integer) IS
    'Trials that ended since the best one, which none of them surpassed';

CREATE OR REPLACE FUNCTION tlsearch.verdict(p_study integer, OUT verdict text, OUT why text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c tlsearch.controls%ROWTYPE;
    best double precision;
    aim text;
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
        SELECT tlsearch.read_json(value_json) ->> 'objective' INTO aim
        FROM study_user_attributes WHERE study_id = p_study AND key = 'spec';
        why := format('%s trials in a row brought no better %s', c.patience_trials,
                      replace(coalesce(aim, 'accuracy'), '_', ' '));
    ELSIF c.target_accuracy IS NOT NULL THEN
        SELECT max(CASE WHEN own.value_json IS NULL THEN value
                        ELSE tlsearch.read_number(accuracy.value_json) END) INTO best
        FROM trials JOIN trial_values USING (trial_id)
        LEFT JOIN trial_user_attributes AS own
            ON own.trial_id = trials.trial_id AND own.key = 'objective'
        LEFT JOIN trial_user_attributes AS accuracy
            ON accuracy.trial_id = trials.trial_id AND accuracy.key = 'val_accuracy'
        WHERE study_id = p_study AND state = 'COMPLETE';
        IF best >= c.target_accuracy THEN
            verdict := 'budget';
            why := format('its target accuracy %s is reached', c.target_accuracy);
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION tlsearch.verdict(integer) IS
    'Why a study''s workers should release their trials; NULL where they should go on';

-- p_keep: trials of the budget to leave for what will be queued.
CREATE OR REPLACE FUNCTION tlsearch.refusal(
    p_study integer, p_keep integer, OUT verdict text, OUT why text
) LANGUAGE plpgsql STABLE AS $$
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
COMMENT ON FUNCTION tlsearch.refusal(integer, integer) IS
    'Why a study has no trial to run now; NULL where it has one';

-- Optuna's own deletion reads a study first and then deletes what it read: where a worker reports
-- in between it deletes nothing, without an error. Here workers that report wait for the end and find that
-- their trials are gone. What tlsearch keeps is left, to tell whose files lie where.
CREATE OR REPLACE FUNCTION tlsearch.delete_study(p_study integer) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', '60s', true);
    PERFORM pg_advisory_xact_lock({lock_key}, p_study);
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
COMMENT ON FUNCTION tlsearch.delete_study(integer) IS
    'Delete a study with its trials, whatever its workers do meanwhile; false where there is none';

-- Version 3. What accuracy to expect of each complete trial, beside the one it showed.

CREATE TABLE IF NOT EXISTS tlsearch.expected_accuracies (
    trial_id integer PRIMARY KEY,
    study_id integer NOT NULL,
    expected_accuracy double precision NOT NULL,
    sd double precision NOT NULL,
    n_trials integer NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE tlsearch.expected_accuracies IS
    'What the hyperparameters of complete trials should reach on new images; workers renew all rows'
    ' of a study together';
COMMENT ON COLUMN tlsearch.expected_accuracies.expected_accuracy IS 'A fraction';
COMMENT ON COLUMN tlsearch.expected_accuracies.sd IS 'Its standard deviation';
COMMENT ON COLUMN tlsearch.expected_accuracies.n_trials IS
    'Complete trials that there were when it was computed';
CREATE INDEX IF NOT EXISTS expected_accuracies_of_study ON tlsearch.expected_accuracies (study_id);

-- Who may work on trials may write these as well.
DO $$
DECLARE
    may record;
BEGIN
    FOR may IN
        SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS who,
               string_agg(privilege_type, ', ' ORDER BY privilege_type) AS what
        FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'tlsearch.attempts'::regclass AND grantee <> relowner
          AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        GROUP BY grantee
    LOOP
        EXECUTE format('GRANT %s ON tlsearch.expected_accuracies TO %s', may.what, may.who);
    END LOOP;
END $$;

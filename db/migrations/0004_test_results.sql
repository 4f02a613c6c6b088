-- Version 4. What models reached on the test images: one row for each time that somebody looked.

CREATE TABLE IF NOT EXISTS tlsearch.test_results (
    study_id integer NOT NULL,
    look integer NOT NULL CHECK (look > 0),
    at timestamptz NOT NULL,
    result jsonb NOT NULL,
    PRIMARY KEY (study_id, look)
);
COMMENT ON TABLE tlsearch.test_results IS
    'Each look at the test images of a study; only the first one is honest';
COMMENT ON COLUMN tlsearch.test_results.look IS 'From 1';
COMMENT ON COLUMN tlsearch.test_results.result IS 'All figures, as `tlsearch test --json` shows them';

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
        EXECUTE format('GRANT %s ON tlsearch.test_results TO %s', may.what, may.who);
    END LOOP;
END $$;

-- Where db/roles.sql was applied its role sees the views there are now.
DO $$
DECLARE
    what text;
BEGIN
    IF to_regrole('tlsearch_reader') IS NULL
       OR NOT has_schema_privilege('tlsearch_reader', 'tlsearch', 'USAGE') THEN
        RETURN;
    END IF;
    FOR what IN SELECT format('tlsearch.%I', viewname) FROM pg_views WHERE schemaname = 'tlsearch'
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO tlsearch_reader', what);
    END LOOP;
    -- Tables that are newer than the role may be.
    GRANT SELECT ON tlsearch.expected_accuracies, tlsearch.test_results TO tlsearch_reader;
END $$;

-- What Optuna writes as texts, read. Views call these functions with the rights and the search_path
-- of the user who asks, so they touch no table. Whatever the texts are, no function fails.

CREATE OR REPLACE FUNCTION tlsearch.read_json(p_json text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN p_json::jsonb;
EXCEPTION WHEN others THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION tlsearch.read_json(text) IS 'JSON, or NULL where it is none';

CREATE OR REPLACE FUNCTION tlsearch.read_text(p_json text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_json ~ '^"[^"\\]*"$' THEN substr(p_json, 2, length(p_json) - 2)
        WHEN p_json LIKE '"%' THEN coalesce(tlsearch.read_json(p_json) #>> '{}', p_json)
        WHEN p_json <> 'null' THEN p_json
    END
$$;
COMMENT ON FUNCTION tlsearch.read_text(text) IS
    'A string that is written as JSON; what is no string as it is';

-- The digits are bounded so that no number is out of range.
CREATE OR REPLACE FUNCTION tlsearch.read_number(p_json text) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_json ~ '^-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?$'
                THEN p_json::double precision END
$$;
COMMENT ON FUNCTION tlsearch.read_number(text) IS 'A number that is written as JSON, or NULL';

-- Inside, larger is better: the value of a trial whose objective is log loss is its negative
-- (tlsearch/records/objective.py says the same). The function is its own inverse.
CREATE OR REPLACE FUNCTION tlsearch.figure_of(p_objective text, p_value double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_objective = 'log_loss' THEN -p_value ELSE p_value END
$$;
COMMENT ON FUNCTION tlsearch.figure_of(text, double precision) IS
    'The figure of an objective, in its own unit, from the value of a trial';

-- One expression on its arguments, so that PostgreSQL puts it into the query that calls it.
CREATE OR REPLACE FUNCTION tlsearch.read_value(p_value double precision, p_type text)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(p_value, CASE p_type WHEN 'NAN' THEN double precision 'NaN'
                                         WHEN 'INF_POS' THEN 'Infinity'
                                         WHEN 'INF_NEG' THEN '-Infinity' END)
$$;
COMMENT ON FUNCTION tlsearch.read_value(double precision, text) IS
    'A value of a trial or an epoch as Optuna writes it: a finite number, or else its type';

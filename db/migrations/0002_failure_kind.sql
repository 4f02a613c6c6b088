-- Version 2. What failed and the sentence on it are two columns and two attributes; before they were
-- one text, `nan: the loss is not finite`. It is also recorded which migrations were applied.

CREATE TABLE IF NOT EXISTS tlsearch.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL
);
COMMENT ON TABLE tlsearch.migrations IS 'The files of db/migrations that made these tables';
COMMENT ON COLUMN tlsearch.migrations.applied_by IS 'The version of tlsearch that did so';
INSERT INTO tlsearch.migrations (version, name, applied_at, applied_by)
SELECT 1, '0001_tables', installed_at, '0.1.0' FROM tlsearch.installed
ON CONFLICT DO NOTHING;

ALTER TABLE tlsearch.attempts ADD COLUMN IF NOT EXISTS failure_kind text;
COMMENT ON COLUMN tlsearch.attempts.failure_kind IS
    'What failed: nan, out_of_memory, stalled, or the type of an exception; NULL: nothing did';
COMMENT ON COLUMN tlsearch.attempts.reason IS 'Why it ended so, in a sentence';

UPDATE tlsearch.attempts AS held
SET failure_kind = found.kind, reason = coalesce(found.words, reason)
FROM (
    SELECT token, CASE WHEN ended IN ('fail', 'error') THEN coalesce(parts[1], ended)
                       ELSE ended END AS kind,
           parts[2] AS words
    FROM tlsearch.attempts
    LEFT JOIN LATERAL regexp_match(
        reason, CASE ended WHEN 'fail' THEN '^(?:error: )?([A-Za-z_][A-Za-z0-9_.]*):(?: (.*))?$'
                           WHEN 'error' THEN '^([A-Za-z_][A-Za-z0-9_.]*):(?: (.*))?$' END
    ) AS parts ON true
    WHERE failure_kind IS NULL AND ended IN ('fail', 'error', 'out_of_memory', 'nan', 'stalled')
) AS found
WHERE held.token = found.token;

-- Attributes are JSON texts. They are split as texts: the kind needs no quoting, and the rest of a
-- text is quoted already. Other programs' studies are left alone.
WITH split AS (
    SELECT trial_id, regexp_match(
        value_json,
        '^"(?:error: )?([A-Za-z_][A-Za-z0-9_.]*):(?: (.*))?"$') AS parts
    FROM trial_user_attributes AS attr JOIN trials USING (trial_id)
    WHERE key = 'reason'
      AND EXISTS (SELECT FROM study_user_attributes AS hash
                  WHERE hash.study_id = trials.study_id AND hash.key = 'spec_hash'
                    AND hash.value_json ~ '^"[0-9a-f]{64}"$')
      AND NOT EXISTS (SELECT FROM trial_user_attributes AS known
                      WHERE known.trial_id = attr.trial_id AND known.key = 'reason_kind')
), kinds AS (
    INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT trial_id, 'reason_kind', format('"%s"', parts[1]) FROM split WHERE parts IS NOT NULL
    ON CONFLICT (trial_id, key) DO NOTHING
)
UPDATE trial_user_attributes AS attr SET value_json = format('"%s"', coalesce(parts[2], ''))
FROM split WHERE attr.trial_id = split.trial_id AND attr.key = 'reason' AND parts IS NOT NULL;

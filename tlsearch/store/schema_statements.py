"""The SQL of `tlsearch.store.schema`: what is installed, and what is to be replaced."""

import sqlalchemy as sa

_TABLES_IN = (
    "coalesce((SELECT relnamespace::regnamespace::text FROM pg_class"
    " WHERE oid = to_regclass('trials')), current_schema()::text)"
)
READ = sa.text(
    f"SELECT version, sql_sha256, optuna_schema, {_TABLES_IN}, objects,"
    " to_regclass('tlsearch.best_trials') IS NOT NULL FROM tlsearch.installed"
)
WRITE = sa.text(
    "INSERT INTO tlsearch.installed (version, sql_sha256, optuna_schema, objects)"
    f" VALUES (:version, :sql_sha256, {_TABLES_IN}, :objects)"
    " ON CONFLICT (one) DO UPDATE SET version = excluded.version,"
    " sql_sha256 = excluded.sql_sha256, optuna_schema = excluded.optuna_schema,"
    " objects = excluded.objects, installed_at = now()"
)
RECORD = sa.text(
    "INSERT INTO tlsearch.migrations (version, name, applied_by) VALUES (:version, :name, :by)"
    " ON CONFLICT DO NOTHING"
)
_VIEWS = (
    "SELECT oid, format('tlsearch.%I', relname) AS name, 'VIEW' AS kind FROM pg_class"
    " WHERE relnamespace = to_regnamespace('tlsearch') AND relkind = 'v'"
)
_FUNCTIONS = (
    "SELECT oid, format('tlsearch.%I(%s)', proname, pg_get_function_identity_arguments(oid)),"
    " 'FUNCTION' FROM pg_proc WHERE pronamespace = to_regnamespace('tlsearch') AND prokind = 'f'"
)
OBJECTS = sa.text(f"SELECT name FROM ({_VIEWS} UNION ALL {_FUNCTIONS}) AS there")
# One statement for all views, as they use one another, those first that stand on others, in which
# order queries lock them too; then one for all functions.
DROPS = sa.text(
    f"SELECT format('DROP %s %s', kind, string_agg(name, ', ' ORDER BY oid DESC)) FROM"
    f" ({_VIEWS} UNION ALL {_FUNCTIONS}) AS there"
    " WHERE CAST(:ours AS text[]) IS NULL OR name = ANY(CAST(:ours AS text[]))"
    " GROUP BY kind ORDER BY kind DESC"
)
# What was granted on views by hand is granted again, where the view and the role are still there.
GRANTS = sa.text(
    "SELECT format('DO $tl$ BEGIN GRANT %s ON %s TO %s;"
    " EXCEPTION WHEN undefined_table THEN NULL; END $tl$', privilege_type,"
    " format('tlsearch.%I', relname),"
    " CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)"
    " FROM pg_class AS view CROSS JOIN LATERAL aclexplode(relacl)"
    " WHERE relnamespace = to_regnamespace('tlsearch') AND relkind = 'v' AND grantee <> relowner"
)

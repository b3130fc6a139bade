"""What a later step would find other than under psql, because its session is another one, stops the file."""

from __future__ import annotations

from mosaic_deploy.errors import MigrationInvalid

REAL = """
CREATE TABLE t (i int, x text); INSERT INTO t VALUES (1, 'kept');
CREATE TABLE v (i int); CREATE INDEX ix ON v (i); CREATE SEQUENCE a_id_seq; CREATE TYPE pair AS ENUM ('a', 'b');
CREATE SCHEMA s; CREATE TABLE s.t (i int, x text); INSERT INTO s.t VALUES (1, 'kept');
CREATE FUNCTION makes_t() RETURNS void LANGUAGE sql AS 'CREATE TEMP TABLE t (i int, x text) ON COMMIT DROP';
"""
LATER = "VACUUM v; UPDATE t SET x = 'changed' WHERE i = 1;"

HIDING = {
    "a rolled back drop": "BEGIN; CREATE TEMP TABLE t (i int, x text); SAVEPOINT a; DROP TABLE t; ROLLBACK TO a; COMMIT;",
    "a new name": "CREATE TEMP TABLE a (i int, x text); ALTER TABLE a RENAME TO t;",
    "a block": "DO $$ BEGIN CREATE TEMPORARY /* c */ TABLE t (i int, x text); END $$;",
    "composed SQL": "DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE ' || 't (i int, x text)'; END $$;",
    "a function": "SELECT makes_t();",
    "the search_path": "SET search_path = pg_temp, public; CREATE TABLE t (i int, x text);",
    "the search_path, computed": "SELECT set_config('search_path', 'pg_temp, public', false); CREATE TABLE t (i int, x text);",
    "a view": "CREATE TEMP TABLE a (i int, x text); CREATE VIEW t AS SELECT * FROM a;",
}
OTHER_KINDS = {
    "an index": "CREATE TEMP TABLE a (i int); CREATE INDEX ix ON a (i); VACUUM v; DROP INDEX ix;",
    "a sequence": "CREATE TEMP TABLE a (id serial); VACUUM v; SELECT setval('a_id_seq', 500);",
    "a comment": "CREATE TEMP TABLE t (i int); VACUUM v; COMMENT ON TABLE t IS 'x';",
    "a type": "CREATE TYPE pg_temp.pair AS ENUM ('c'); VACUUM v; CREATE TABLE made (p pair);",
}
DEFAULTS = {
    "of the role": "ALTER ROLE CURRENT_USER SET search_path = s;",
    "of the role by its name": "DO $$ BEGIN EXECUTE format('ALTER ROLE %I SET search_path = s', current_user); END $$;",
    "of the database": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database()); END $$;",
}


def test_a_later_step_never_reaches_another_object(site) -> None:
    site.deploy_sql(REAL)
    before = _schema(site)
    files = {name: f"{text} {LATER}" for name, text in {**HIDING, **DEFAULTS}.items()} | OTHER_KINDS
    for name, text in files.items():
        site.write("sql/2_later.sql", text)
        message = _refusal(site)
        assert "session" in message or "for new connections" in message, f"{name}: {message}"
        assert _schema(site) == before, name


def _refusal(site) -> str:
    """Of `plan`, or of the step before the one that would do harm."""
    try:
        return str(site.fails().error.message)
    except MigrationInvalid as error:
        return " ".join(str(one.message) for one in error.problems)


def _schema(site) -> list[dict[str, object]]:
    """The rows and what the files are after."""
    return list(
        site.sql(
            "SELECT (SELECT string_agg(x, ',') FROM (TABLE t UNION ALL TABLE s.t) AS t) AS rows,"
            " to_regclass('ix')::text AS ix, (SELECT last_value FROM a_id_seq) AS last,"
            " obj_description('t'::regclass, 'pg_class') AS comment, to_regclass('made')::text AS made,"
            " (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase <> 0 OR setrole = current_user::regrole)::int AS defaults"
        )
    )


def test_temporary_objects_that_hide_nothing_stay_allowed(site) -> None:
    site.deploy_sql(REAL)
    site.write(
        "sql/2_later.sql",
        "CREATE TEMP TABLE a2 (id serial, t text); SELECT makes_t(); DROP TABLE pg_temp.t; CREATE TEMP TABLE v2 (i int);"
        " BEGIN; CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS i; COMMIT; VACUUM v; UPDATE t SET x = x;",
    )
    site.apply()

"""What a project's role must not be able to do, through /sql and with the database_url."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from started_platform import create_project

DENIED = "42501"

FORBIDDEN = {
    # Files and programs of the server
    "COPY pg_class TO '/tmp/x'": DENIED,
    "COPY pg_class FROM '/etc/passwd'": DENIED,
    "COPY pg_class TO PROGRAM 'id'": DENIED,
    "CREATE TEMP TABLE stolen (line text); COPY stolen FROM PROGRAM 'id'": DENIED,
    "SELECT pg_read_file('/etc/passwd')": DENIED,
    "SELECT pg_read_binary_file('/etc/passwd')": DENIED,
    "SELECT pg_ls_dir('.')": DENIED,
    "SELECT pg_stat_file('/etc/passwd')": DENIED,
    "SELECT pg_ls_waldir()": DENIED,
    "SELECT lo_import('/etc/passwd')": DENIED,
    "SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/x')": DENIED,
    "SELECT * FROM pg_hba_file_rules": DENIED,
    "SELECT * FROM pg_file_settings": DENIED,
    "SHOW data_directory": DENIED,
    "CREATE TABLESPACE t LOCATION '/tmp'": DENIED,
    "LOAD '/tmp/evil.so'": DENIED,
    "CREATE FUNCTION evil() RETURNS int LANGUAGE c AS '/tmp/evil.so', 'evil'": DENIED,
    "CREATE FUNCTION evil() RETURNS int LANGUAGE internal AS 'pg_read_file_all'": DENIED,
    # Other databases and servers
    "CREATE EXTENSION dblink": DENIED,
    "CREATE EXTENSION postgres_fdw": DENIED,
    "CREATE EXTENSION file_fdw": DENIED,
    "CREATE EXTENSION adminpack": None,
    "CREATE FOREIGN DATA WRAPPER w": DENIED,
    "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 dbname=mosaic_control' PUBLICATION p": DENIED,
    "SELECT pg_create_logical_replication_slot('s', 'pgoutput')": None,
    # More rights
    "ALTER ROLE CURRENT_USER SUPERUSER": DENIED,
    "ALTER ROLE CURRENT_USER CREATEDB": DENIED,
    "ALTER ROLE CURRENT_USER CREATEROLE": DENIED,
    "ALTER ROLE CURRENT_USER REPLICATION": DENIED,
    "ALTER ROLE CURRENT_USER BYPASSRLS": DENIED,
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1": DENIED,
    "ALTER ROLE mosaic PASSWORD 'x'": DENIED,
    "CREATE ROLE x": DENIED,
    "CREATE DATABASE x": DENIED,
    "SET ROLE mosaic": DENIED,
    "SET SESSION AUTHORIZATION mosaic": DENIED,
    "SET ROLE {other}": DENIED,
    "SET ROLE pg_read_server_files": DENIED,
    "GRANT pg_execute_server_program TO CURRENT_USER": DENIED,
    "GRANT {other} TO CURRENT_USER": DENIED,
    "ALTER DATABASE {other} OWNER TO CURRENT_USER": DENIED,
    "DROP DATABASE {other}": DENIED,
    "DROP ROLE {other}": DENIED,
    "ALTER ROLE {other} PASSWORD 'x'": DENIED,
    "SELECT rolpassword FROM pg_authid": DENIED,
    "SELECT passwd FROM pg_shadow": DENIED,
    "SELECT * FROM pg_user_mapping": DENIED,
    "UPDATE pg_database SET datdba = 10": DENIED,
    "CREATE EVENT TRIGGER e ON login EXECUTE FUNCTION now()": DENIED,
    "ALTER FUNCTION crypt(text, text) OWNER TO CURRENT_USER": DENIED,
    "CREATE OR REPLACE FUNCTION crypt(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1'": DENIED,
    "GRANT {own} TO {other}": DENIED,
    "REVOKE {own} FROM mosaic": DENIED,
    "REASSIGN OWNED BY mosaic TO CURRENT_USER": DENIED,
    "DROP OWNED BY {other}": DENIED,
    "COMMENT ON ROLE {other} IS 'x'": DENIED,
    "COMMENT ON DATABASE {other} IS 'x'": DENIED,
    "SELECT pg_database_size('{other}')": DENIED,
    "ALTER ROLE mosaic SET search_path = 'x'": DENIED,
    "ALTER ROLE ALL SET work_mem = '1MB'": DENIED,
    "ALTER ROLE ALL IN DATABASE mosaic_control SET search_path = 'x'": DENIED,
    "INSERT INTO pg_db_role_setting VALUES (0, 10, '{{a=b}}')": DENIED,
    "SET allow_system_table_mods = on": DENIED,
    "CREATE FUNCTION pg_catalog.f() RETURNS int RETURN 1": DENIED,
    "CREATE CAST (name AS text) WITH INOUT AS IMPLICIT": DENIED,
    "ALTER EXTENSION pgcrypto ADD FUNCTION now()": DENIED,
    "CREATE PUBLICATION p FOR ALL TABLES": DENIED,
    "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION now()": DENIED,
    # The server as a whole
    "SELECT pg_create_restore_point('x')": DENIED,
    "SELECT pg_backup_start('x')": DENIED,
    "SELECT pg_stat_reset_shared('bgwriter')": DENIED,
    "SELECT pg_create_physical_replication_slot('x')": DENIED,
    "ALTER ROLE CURRENT_USER SET session_replication_role = 'replica'": DENIED,
    "ALTER ROLE CURRENT_USER SET dynamic_library_path = '/tmp'": DENIED,
    "ALTER ROLE CURRENT_USER SET log_statement = 'all'": DENIED,
    "ALTER DATABASE {own} SET post_auth_delay = 100": None,
    "ALTER SYSTEM SET port = 1": DENIED,
    "SELECT pg_reload_conf()": DENIED,
    "SELECT pg_rotate_logfile()": DENIED,
    "SELECT pg_switch_wal()": DENIED,
    "SELECT pg_promote()": DENIED,
    "CHECKPOINT": DENIED,
    "SET temp_file_limit = -1": DENIED,
    "ALTER ROLE CURRENT_USER SET temp_file_limit = -1": DENIED,
    "ALTER ROLE CURRENT_USER SET log_min_messages = 'debug5'": DENIED,
    "SET log_min_messages = 'debug5'": DENIED,
    "SET session_preload_libraries = '/tmp/evil.so'": None,
    "ALTER DATABASE {own} SET session_preload_libraries = '/tmp/evil.so'": DENIED,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mosaic'": DENIED,
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'mosaic'": DENIED,
    "SELECT pg_log_backend_memory_contexts(1)": DENIED,
}
"""Statement → SQLSTATE; None if any error will do."""


@pytest.fixture(scope="module")
def attacked(platform, api) -> tuple[str, dict[str, Any], dict[str, Any]]:
    ids = [create_project(platform.url, platform.api_key, "Attacked") for _ in range(2)]
    own, other = (api.get(f"/{project_id}/credentials").json() for project_id in ids)
    return ids[0], own, other


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_forbidden_statements_fail(api, attacked, statement) -> None:
    project_id, own, other = attacked
    text = statement.format(own=own["user"], other=other["user"])
    error = api.sql_error(project_id, text)
    with (
        psycopg.connect(own["database_url"], autocommit=True) as connection,
        pytest.raises(psycopg.Error) as caught,
    ):
        connection.execute(text)
    assert error["sqlstate"] == caught.value.sqlstate
    assert FORBIDDEN[statement] in (None, error["sqlstate"]), error


def test_a_role_cannot_connect_to_other_databases(attacked) -> None:
    _, own, other = attacked
    for database in (
        other["database"],
        "mosaic_control",
        "mosaic_template",
        "postgres",
        "template1",
        "template0",
    ):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(own["database_url"].rpartition("/")[0] + "/" + database)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(own["database_url"].replace(own["password"], other["password"]))


def test_public_cannot_connect_to_any_database(api, attacked) -> None:
    query = "SELECT datname FROM pg_database WHERE datallowconn AND has_database_privilege('public', oid, 'CONNECT')"
    assert api.sql(attacked[0], query) == []


def test_granting_access_to_other_roles_has_no_effect(api, attacked) -> None:
    project_id, own, other = attacked
    api.sql(project_id, f"GRANT ALL ON DATABASE {own['database']} TO {other['user']}, PUBLIC")
    try:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(other["database_url"].rpartition("/")[0] + "/" + own["database"])
    finally:
        api.sql(project_id, f"REVOKE ALL ON DATABASE {own['database']} FROM {other['user']}, PUBLIC")


def test_statements_of_other_projects_are_hidden(api, attacked) -> None:
    project_id, _, other = attacked
    with psycopg.connect(other["database_url"]) as connection:
        connection.execute("SELECT 'my secret'")
        query = "SELECT query FROM pg_stat_activity WHERE pid = $1"
        (row,) = api.sql(project_id, query, params=[connection.info.backend_pid])
    assert row == {"query": "<insufficient privilege>"}


def test_rights_and_limits_of_the_role(api, attacked) -> None:
    project_id, _, _ = attacked
    rights = (
        "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls AS any, rolconnlimit AS n,"
        " (SELECT count(*) FROM pg_auth_members WHERE member = pg_roles.oid) AS memberships"
        " FROM pg_roles WHERE rolname = current_user"
    )
    assert api.sql(project_id, rights) == [{"any": False, "n": 40, "memberships": 0}]
    with psycopg.connect(attacked[1]["database_url"]) as connection:
        for name, value in (
            ("statement_timeout", "15min"),
            ("idle_in_transaction_session_timeout", "10min"),
            ("idle_session_timeout", "4h"),
            ("temp_file_limit", "4GB"),
        ):
            assert connection.execute(f"SHOW {name}").fetchone() == (value,)


def test_the_role_owns_its_schema(api, attacked) -> None:
    project_id, _, _ = attacked
    api.sql(
        project_id,
        "CREATE SCHEMA mine; CREATE TABLE mine.t (a int); CREATE FUNCTION f() RETURNS int RETURN 1",
    )
    assert api.sql(project_id, "DROP SCHEMA mine CASCADE; SELECT f() AS f") == [{"f": 1}]


def test_extensions_can_be_recreated_after_the_public_schema(api, project) -> None:
    """Several tools reset a database by dropping the public schema."""
    project_id = project()
    api.sql(project_id, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for name in ("vector", '"uuid-ossp"', "pgcrypto"):
        api.sql(project_id, f"CREATE EXTENSION IF NOT EXISTS {name}")
    (row,) = api.sql(
        project_id, "SELECT '[1]'::vector AS v, uuid_nil() AS u, encode(digest('a', 'md5'), 'hex') AS d"
    )
    assert row["v"] == "[1]"


def test_credentials_match_the_database_url(attacked) -> None:
    _, own, _ = attacked
    parts = {name: own[name] for name in ("host", "port", "user", "password")}
    with psycopg.connect(dbname=own["database"], **parts) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (own["user"],)

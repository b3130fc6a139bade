"""Scripts for psql and dumps, applied to the embedded platform: the result is what psql leaves."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg
import pytest

from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.errors import MigrationFailed
from mosaic_deploy.live.api.operations import read_credentials
from mosaic_deploy.model.event import ApplyDone
from tests.deploy.conftest import OPTIONS, Site
from tests.deploy.histories import known


@pytest.fixture(scope="session")
def postgres(platform) -> Path:
    """The folder of psql and pg_dump."""
    state = json.loads((platform.home / "state.json").read_text())
    return next(Path(state["postgres_folder"]).glob("installation-*/**/bin/pg_dump")).parent


def database_url(site: Site, project: str = "") -> str:
    return str(read_credentials(site.api, project or site.project_id)["database_url"])


def run(*arguments: object) -> str:
    ended = subprocess.run([str(one) for one in arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


ROWS = r"""
CREATE TYPE mood AS ENUM ('ok', 'sad');
CREATE DOMAIN short AS varchar(5) CHECK (value <> 'bad');
CREATE TABLE kinds (
  id bigint GENERATED ALWAYS AS IDENTITY, n numeric(5,2), t text DEFAULT 'none', b bytea, j jsonb, a text[], m mood,
  d short, v vector(2), w int GENERATED ALWAYS AS (id * 2) STORED, s serial, at timestamptz, "Odd ""name" char(3)
);
CREATE TABLE seen (t text, how text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (NEW.t, TG_OP); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON kinds FOR EACH ROW EXECUTE FUNCTION note();
\set ON_ERROR_STOP on
COPY kinds (id, n, t, b, j, a, m, d, v, at, "Odd ""name") FROM stdin;
7	1.005	it's\ta\\b\nc	\\x00ff	{"a": "\\n"}	{"x y",NULL,"\\""}	ok	abc	[1,2]	2026-01-01 00:00:00+02	x
8	\N	\\N	\N	\N	{}	sad	\N	\N	\N	\N
\.
COPY kinds (t, j) FROM stdin WITH (FORMAT csv, HEADER, NULL '-');
t,j
"a ""b""
c",-
,"[1]"
\.
CREATE TABLE plain (a int, g int GENERATED ALWAYS AS (a + 1) STORED, b text);
COPY plain FROM stdin;
1	x
\.
CREATE TABLE nothing ();
COPY nothing FROM stdin;


\.
CREATE TABLE made (id int GENERATED ALWAYS AS (7) STORED);
COPY made FROM stdin;

\.
CREATE TABLE one (a text);
COPY one FROM stdin;


\.
SELECT setval('kinds_id_seq', 50);
"""
STATES = ("SELECT * FROM kinds ORDER BY t, id", "SELECT * FROM seen ORDER BY t", "SELECT * FROM plain",
          "SELECT count(*) FROM nothing", "SELECT * FROM made", "SELECT count(*) FROM one WHERE a = ''",
          "SELECT nextval('kinds_id_seq')")  # fmt: skip


@pytest.mark.parametrize("database", [{}, {"statement_timeout": "20s"}], ids=["batch", "plain"])
def test_copy_leaves_what_psql_leaves(site, project, postgres, tmp_path, database):
    script = tmp_path / "rows.sql"
    script.write_text(ROWS)
    other = database_url(site, project("psql"))
    run(postgres / "psql", "-X", "-q", "-f", script, other)
    site.write("sql/1_rows.sql", ROWS)
    site.manifest(database={"migrations": "sql", **database})
    site.apply()
    ours = database_url(site)
    for query in STATES:
        found = [run(postgres / "psql", "-XAtc", query, url) for url in (ours, other)]
        assert found[0] == found[1]


@pytest.mark.parametrize("columns", ["", "(a, b)"])
def test_an_error_in_a_row_points_at_the_row(site, columns):
    rows = "".join(f"{n}\t{n}\n" for n in range(50)) + "50\tfifty\n51\t51\n"
    site.write("sql/1_a.sql", f"CREATE TABLE t (a int, b int);\nCOPY t {columns} FROM stdin;\n{rows}\\.\n")
    site.manifest(database={"migrations": "sql"})
    error = site.fails().error
    assert isinstance(error, MigrationFailed)
    assert (error.location.line, error.location.text) == (53, "50\tfifty")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1", 'missing data for column "b"'),
        ("1\t2\t3", "extra data after last expected column"),
        ("", "missing data"),
    ],
)
def test_rows_of_another_width_than_the_table(site, row, message):
    site.write(
        "sql/1_a.sql",
        "create table t (a int, g int generated always as (a + 1) stored, b int);\n"
        f"copy t from stdin;\n{row}\n\\.\n",
    )
    site.manifest(database={"migrations": "sql"})
    error = site.fails().error
    assert message in error.message
    assert (error.location.line, error.location.text) == (3, row)


def test_a_dump_of_a_deployed_project_applies_to_another(site, postgres, tmp_path):
    site.write("sql/1_rows.sql", ROWS)
    site.write("sql/2_b.sql", "CREATE EXTENSION IF NOT EXISTS pgcrypto; COMMENT ON EXTENSION pgcrypto IS 'mine';"
               "CREATE POLICY p ON plain USING (true); GRANT SELECT ON plain TO PUBLIC;")  # fmt: skip
    site.manifest(database={"migrations": "sql"})
    site.apply()
    source = database_url(site)
    dump = run(postgres / "pg_dump", source)
    assert "\\restrict" in dump and "OWNER TO tenant_" in dump and "COPY mosaic_deploy.migrations" in dump
    other = Site(tmp_path / "other", site.api, f"{site.name} restored")
    other.write("sql/1_dump.sql", dump)
    other.manifest(database={"migrations": "sql"})
    other.apply()
    assert comparable(postgres, database_url(other)) == comparable(postgres, source)


def comparable(postgres: Path, url: str) -> list[str]:
    text = run(postgres / "pg_dump", "--exclude-schema=mosaic_deploy", url).replace(
        url.rpartition("/")[2], "o"
    )
    return [line for line in text.splitlines() if line and not line.startswith(("--", "\\"))]


def test_a_goose_file_is_applied_and_rolled_back(site):
    text = "-- +goose Up\nCREATE TABLE a (i int);\n-- +goose Down\n-- +goose StatementBegin\nDROP TABLE a;\n-- +goose StatementEnd\n"
    site.write("sql/1_a.sql", text)
    site.manifest(database={"migrations": "sql"})
    site.apply()
    assert site.sql("SELECT to_regclass('a') IS NOT NULL AS made") == [{"made": True}]
    planned = plan_rollback(site.api, known(site))
    assert planned.plan.changes[0].reason == "undone by its section -- +goose Down (1 statement)"
    assert isinstance(list(roll_back(site.api, planned, OPTIONS))[-1], ApplyDone)
    assert site.sql("SELECT to_regclass('a') IS NOT NULL AS made") == [{"made": False}]


EXTENSIONS = """CREATE EXTENSION pgcrypto;
COMMENT ON EXTENSION pgcrypto IS 'mine';
COMMENT ON EXTENSION plpgsql IS 'not mine';
CREATE SCHEMA extensions;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA extensions;
CREATE TABLE t (id uuid DEFAULT extensions.uuid_generate_v4(), v vector(2));
INSERT INTO t DEFAULT VALUES;
CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA extensions;
DROP EXTENSION pgcrypto;
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA extensions;
SELECT extensions.gen_random_bytes(8);
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;
"""


def extensions(site: Site) -> dict[str, tuple[str, str]]:
    query = (
        "SELECT extname, extnamespace::regnamespace::text AS schema, (extowner = current_user::regrole)::text AS own "
        "FROM pg_extension ORDER BY 1"
    )
    return {str(row["extname"]): (str(row["schema"]), str(row["own"])) for row in site.sql(query)}


def test_pre_installed_extensions_are_the_projects_own(site):
    site.write("sql/1_a.sql", EXTENSIONS)
    site.manifest(database={"migrations": "sql"})
    site.apply()
    assert extensions(site) == {
        "pgcrypto": ("extensions", "true"),
        "plpgsql": ("pg_catalog", "false"),
        "uuid-ossp": ("extensions", "true"),
        # It is used, so it stays.
        "vector": ("public", "true"),
    }


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE EXTENSION vector SCHEMA other", 'can\'t be moved to "other": the database uses it'),
        ("CREATE EXTENSION pgcrypto SCHEMA other", 'can\'t be moved to "other": the database uses it'),
        ("CREATE EXTENSION missing", 'extension "missing" is not available'),
        ("CREATE EXTENSION pgcrypto SCHEMA nowhere", 'schema "nowhere" does not exist'),
    ],
)
def test_extensions_in_use_are_not_moved(site, statement, message):
    uses = """CREATE TABLE t (v vector(2)); CREATE SCHEMA other;
CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN public.crypt('a', 'b'); END $$;"""
    if "nowhere" in statement:
        uses = "SELECT 1;"
    site.write("sql/1_a.sql", f"{uses}\n{statement};")
    site.manifest(database={"migrations": "sql"})
    error = site.fails().error
    assert message in error.message


def test_an_extension_that_a_migration_created_is_created_once(site):
    site.write("sql/1_a.sql", "DROP EXTENSION vector; CREATE EXTENSION vector;")
    site.write("sql/2_b.sql", "CREATE EXTENSION vector;")
    site.manifest(database={"migrations": "sql"})
    assert "already exists" in site.fails().error.message


def test_moving_an_extension(site):
    site.write(
        "sql/1_a.sql", "CREATE SCHEMA e; ALTER EXTENSION pgcrypto SET SCHEMA e; SELECT e.gen_random_bytes(1);"
    )
    site.manifest(database={"migrations": "sql"})
    site.apply()
    assert extensions(site)["pgcrypto"] == ("e", "true")


def test_what_a_platform_owns_is_kept(site, platform):
    """A hosted platform may own the extensions: the comment is left out, and the extension stays where it is."""
    site.write("sql/1_a.sql", "SELECT 1;")
    site.manifest(database={"migrations": "sql"})
    site.apply()
    state = json.loads((platform.home / "state.json").read_text())
    url = f"postgresql://mosaic:{state['postgres_password']}@127.0.0.1:{state['postgres_port']}"
    with psycopg.connect(f"{url}/{database_url(site).rpartition('/')[2]}", autocommit=True) as connection:
        connection.execute("UPDATE pg_extension SET extowner = 10")
    site.write("sql/2_b.sql", "CREATE EXTENSION vector; COMMENT ON EXTENSION vector IS 'x'; CREATE SCHEMA e;"
               "CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA e; SELECT gen_random_bytes(1);")  # fmt: skip
    site.apply()
    assert extensions(site)["pgcrypto"] == ("public", "false")
    site.write("sql/3_c.sql", "CREATE EXTENSION pgcrypto SCHEMA e;")
    assert "the platform owns it" in site.fails().error.message


@pytest.fixture
def large_file(site, monkeypatch):
    """A migration whose COPY rows stay in its file, one of them invalid."""
    monkeypatch.setattr("mosaic_deploy.source.migrations.script_text.LARGE_FILE", 1000)
    rows = "".join(f"{n}\tx\n" for n in range(20_000)).replace("\n19000\tx", "\nmany\tx")
    path = site.write(
        "sql/1_a.sql", f"CREATE TABLE t (a int, b text);\nCOPY t (a, b) FROM stdin;\n{rows}\\.\n"
    )
    site.manifest(database={"migrations": "sql"})
    return path


def test_an_error_in_a_row_of_a_large_file_points_at_the_row(site, large_file):
    error = site.fails().error
    assert isinstance(error, MigrationFailed)
    assert (error.location.line, error.location.text) == (19_003, "many\tx")


def test_a_large_file_that_changes_after_the_plan_is_not_applied(site, large_file):
    planned = site.plan()
    large_file.write_text(large_file.read_text().replace("many", "9999"))
    error = site.run(planned)[-1].error
    # The project was created.
    assert (error.code, error.mutation_state) == ("source_changed", "partial")
    assert site.sql("SELECT to_regclass('t') AS t") == [{"t": None}]
    site.apply()
    assert site.sql("SELECT count(*) AS n, count(DISTINCT a) AS d FROM t") == [{"n": 20_000, "d": 19_999}]

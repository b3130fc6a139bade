"""The prompt of `sql` in a terminal, PostgreSQL's text of values, and `psql`."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.cli.pseudo_terminal import Terminal

HERE = ("--local",)
VALUES = r"""select array[1,null] as a, '{"n": 1.10}'::jsonb as j, '\xdead'::bytea as b, true as t, null as n, '' as e,
  timestamptz '2026-01-02 03:04:05+00' at time zone 'utc' as at, E'two\nlines' as l"""

SLEEPING = (
    "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
)


def test_values_are_postgresqls_own_and_lossless_in_a_pipe(run, deployed: Path) -> None:
    for mode in ((), ("--read-only",)):
        shown = run("sql", *HERE, *mode, VALUES).stdout.splitlines()
        assert [cell.strip() for cell in shown[2].split("│")] == [
            "{1,NULL}", '{"n": 1.10}', r"\xdead", "t", "NULL", "", "2026-01-02 03:04:05", "two↵",
        ]  # fmt: skip
        assert run("sql", *HERE, *mode, "--csv", "select * from t where false").stdout == "id\n"
    listed = run("sql", *HERE, "-x", "-", input="-- a\nselect 1 as one, 1 as one").stdout.splitlines()
    assert listed[1:] == ["one │ 1", "one │ 1", "(1 row)"]
    assert run("sql", *HERE, input="select 5 as result").stdout.splitlines()[2:] == ["     5", "(1 row)"]
    assert run("sql", *HERE, "-- c\ninsert into t values (41)").stdout == "INSERT 0 1\n"
    tag = run("sql", *HERE, "--csv", "delete from t where id = 0 and false")
    assert tag.stdout == ""
    wrong = run("sql", *HERE, "select 1;\n select 'é', odd(1)")
    assert "error[sql_failed]: query:2:14: " in wrong.stderr


def test_the_prompt_obeys_the_rules_of_sql(run, environment, deployed: Path) -> None:
    run("sql", *HERE, "insert into t values (1), (2)")
    state = deployed / "state"
    settings = {**environment, "PROMPT_TOOLKIT_NO_CPR": "1", "XDG_STATE_HOME": str(state), "TERM": "xterm"}
    terminal = Terminal(settings, deployed, "sql", *HERE)
    try:
        terminal.until("=>")
        terminal.type("select id\r")
        terminal.until("->")
        terminal.type("from t order by id;\r")
        terminal.until("(2 rows)")
        terminal.until("=>")
        terminal.type("delete from t;\r")
        assert "deletes 2 rows" in terminal.until("[y/N]")
        terminal.type("n\r")
        terminal.until("error[declined]")
        terminal.until("=>")
        terminal.type("select count(t.i")
        terminal.until("(t.i")
        terminal.type("\t")
        terminal.until("d")  # completed
        terminal.type(") from t;\r")
        terminal.until("(1 row)")
        terminal.until("=>")
        terminal.type("half a statement\x03")
        terminal.until("=>")
        terminal.type("select pg_sleep(60);\r")
        while run("sql", *HERE, SLEEPING).stdout.splitlines()[2].strip() != "1":
            pass
        terminal._process.send_signal(signal.SIGINT)
        terminal.until("Stopped waiting")
        terminal.until("=>")
        terminal.type("\\d t\r")
        assert "integer" in terminal.until("(1 row)")
        terminal.until("=>")
        terminal.type("\\q\r")
        assert terminal.end() == 0
    finally:
        terminal.close()
    kept = state / "mosaic-deploy" / "sql_history"
    assert "+delete from t;" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_psql_gets_the_password_in_its_environment(run, deployed: Path, environment) -> None:
    fake = deployed / "bin" / "psql"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$PGPASSWORD" "$@"\n')
    fake.chmod(0o755)
    path = f"{fake.parent}:{environment['PATH']}"
    url = run("credentials", *HERE, "--url").stdout.strip()
    password, *arguments = run("psql", *HERE, "--", "-c", "x", env={"PATH": path}).stdout.split()
    assert arguments == [f"--dbname={url}".replace(f":{password}@", "@"), "-c", "x"]
    assert password not in arguments[0]
    assert run("psql", *HERE, "app", env={"PATH": path}).returncode == 2
    own = run("psql", *HERE, "--", "-Atc", "select 6 * 7", env={"PATH": "/nowhere"})
    assert (own.stdout, own.stderr) == ("42\n", "")
    missing = run("psql", *HERE, env={"PATH": "/nowhere", "MOSAIC_HOME": str(deployed / "none")})
    assert "error[program_missing]: psql isn't installed" in missing.stderr

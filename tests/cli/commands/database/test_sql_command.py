"""`sql`, as users run it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import read_json
from tests.sampling import sampled

HERE = ("--local",)


def test_sql_prints_rows_in_every_format(run, deployed: Path) -> None:
    run("sql", *HERE, "insert into t values (1), (2)")
    text = run("sql", *HERE, "select id, null as nothing from t order by id")
    assert text.stdout.splitlines() == ["id │ nothing", "───┼────────", " 1 │ NULL", " 2 │ NULL", "(2 rows)"]
    assert read_json(run("sql", *HERE, "-o", "json", "select id from t order by 1"))["rows"] == [
        {"id": 1},
        {"id": 2},
    ]
    rows = list(csv.reader(io.StringIO(run("sql", *HERE, "--csv", "select id, 'a,\"b' as x from t").stdout)))
    assert rows == [["id", "x"], ["1", 'a,"b'], ["2", 'a,"b']]


def test_sql_from_a_file_and_from_stdin(run, deployed: Path) -> None:
    (deployed / "q.sql").write_text("select 1 as a;\nselect 2 as b;\n")
    assert read_json(run("sql", *HERE, "-f", "q.sql", "-o", "json"))["rows"] == [{"b": 2}]
    assert read_json(run("sql", *HERE, "-f", "-", "-o", "json", input="select 3 as c"))["rows"] == [{"c": 3}]
    assert run("sql", *HERE).returncode == 2
    missing = run("sql", *HERE, "-f", "no.sql")
    assert missing.returncode == 1
    assert "error[source_unreadable]: can't read no.sql: No such file" in missing.stderr


def test_sql_read_only_writes_nothing_and_shows_the_location(run, deployed: Path) -> None:
    refused = run("sql", *HERE, "--read-only", "select 1;\ndrop table t")
    assert refused.returncode == 1
    assert "error[sql_not_read_only]: query:2:1: only one query is allowed" in refused.stderr
    assert read_json(run("sql", *HERE, "--read-only", "-o", "json", "table t"))["rows"] == []


def test_sql_errors_have_the_details_of_postgresql(run, deployed: Path) -> None:
    failed = run("sql", *HERE, "-o", "json", "select * from nothing")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["error"]["sqlstate"] == "42P01"


@pytest.mark.parametrize("mode", [(), ("--read-only",)])
@pytest.mark.parametrize(
    ("query", "line", "column"),
    [
        ("select id\nfrom nothing", 2, 6),
        ("select 'é', odd(id) from t", 1, 13),
        ("  select id::nokind from t", 1, 14),
        ("select\n  1 / 0", None, None),
    ],
)
def test_sql_errors_have_a_location(run, deployed: Path, mode, query: str, line, column) -> None:
    (deployed / "q.sql").write_text(query)
    failed = run("sql", *HERE, *mode, "-f", "q.sql")
    error = json.loads(run("sql", *HERE, *mode, "-f", "q.sql", "-o", "json").stdout)["error"]
    assert error["code"] == "sql_failed"
    if line:
        assert error["location"] == {"file": "q.sql", "line": line, "column": column}
        assert f"error[sql_failed]: q.sql:{line}:{column}: " in failed.stderr
        assert f"    {line} | {query.splitlines()[line - 1]}\n" in failed.stderr
        assert f"      | {' ' * (column - 1)}^\n" in failed.stderr


def test_sql_shows_what_postgresql_reports(run, deployed: Path) -> None:
    query = "do $$ begin raise notice 'one'; raise warning 'two' using hint = 'do'; end $$; select 1 as a"
    ended = run("sql", *HERE, "--csv", query)
    assert (ended.stdout, ended.stderr) == ("a\n1\n", "NOTICE: one\nWARNING: two\n  hint: do\n")
    notices = read_json(run("sql", *HERE, "-o", "json", query))["notices"]
    assert [(one["severity"], one["message"], one["hint"]) for one in notices] == [
        ("NOTICE", "one", None),
        ("WARNING", "two", "do"),
    ]


def test_sql_errors_in_a_body_have_its_line(run, deployed: Path) -> None:
    body = "do $$\nbegin\n  perform 1;\n  insert into nothing\n    values (1);\nend $$;"
    (deployed / "q.sql").write_text(body)
    failed = run("sql", *HERE, "-f", "q.sql")
    assert "error[sql_failed]: q.sql:4:15: " in failed.stderr
    assert "  in: PL/pgSQL function inline_code_block line 4 at SQL statement\n" in failed.stderr
    error = json.loads(run("sql", *HERE, "-f", "q.sql", "-o", "json").stdout)["error"]
    assert error["calls"] == ["PL/pgSQL function inline_code_block line 4 at SQL statement"]


def test_sql_refuses_a_transaction_that_is_not_ended(run, deployed: Path) -> None:
    failed = run("sql", *HERE, "begin;\ncreate table z (i int)")
    assert failed.returncode == 1
    assert "error[sql_invalid]: query:1:1: this transaction is never committed" in failed.stderr
    assert read_json(run("sql", *HERE, "-o", "json", "select to_regclass('z') as z"))["rows"] == [{"z": None}]
    assert run("sql", *HERE, "begin; create table z (i int); commit").returncode == 0


def test_sql_says_that_session_state_does_not_last(run, deployed: Path) -> None:
    ended = run("sql", *HERE, "set work_mem = '64MB'")
    assert (ended.returncode, "note: this has no lasting effect" in ended.stderr) == (0, True)


def test_sql_syntax_errors_have_a_location(run, deployed: Path) -> None:
    for rewrite in (
        "alter table t add u uuid default gen_random_uuid()",
        "alter table t alter id type bigint",
    ):
        assert run("sql", *HERE, rewrite).returncode == 0, rewrite
    failed = run("sql", *HERE, "select 1;\nselec 2")
    assert "error[sql_invalid]: query:2:1: " in failed.stderr
    sent = run("sql", *HERE, "--allow", "destructive", "select 1;\nselec 2")
    assert "error[sql_failed]: query:2:1: " in sent.stderr


@pytest.mark.parametrize("mode", [[], ["--read-only"]])
def test_a_query_has_no_file_location(run, deployed: Path, mode: list[str]) -> None:
    error = json.loads(run("sql", *HERE, *mode, "selec 2", "-o", "json").stdout)["error"]
    assert error["location"] is None
    assert error["message"].startswith("query:1:1: ")


def test_psql_meta_commands_are_refused(run, folder: Path) -> None:
    refused = run("sql", "\\d t", *HERE)
    assert refused.returncode == 1
    assert "error[sql_invalid]: query:1:1: \\d is a psql meta-command, not SQL" in refused.stderr
    assert "mosaic-deploy psql" in refused.stderr


DESTRUCTIVE = [
    "drop table t",
    "truncate t",
    "delete from t",
    "select 1; drop table t",
    "begin; drop table t; commit",
    "do $$ begin execute 'select 1'; drop table t; end $$",
    "update mosaic_deploy.ledger set serial = serial",
    "insert into mosaic_deploy.objects select * from mosaic_deploy.objects where false",
]


@pytest.mark.parametrize("query", sampled(DESTRUCTIVE, 3))
def test_sql_that_destroys_data_needs_approval(run, deployed: Path, query: str) -> None:
    run("sql", *HERE, "insert into t values (1)")
    refused = run("sql", *HERE, query)
    assert refused.returncode != 0
    assert "error[destructive_unconfirmed]" in refused.stderr
    assert "--allow destructive" in refused.stderr
    assert "--yes" not in refused.stderr
    places = [line for line in refused.stderr.splitlines() if line.startswith("query:1:")]
    assert len(set(places)) == len(places) > 0
    assert read_json(run("sql", *HERE, "-o", "json", "select count(*) as n from t"))["rows"] == [{"n": 1}]
    assert run("sql", *HERE, "--allow", "destructive", query).returncode == 0


@pytest.mark.parametrize(
    ("policy", "queries"),
    [("{destructive: deny}", DESTRUCTIVE), ("{protected_tables: [t]}", ["drop table t"])],
)
def test_no_option_lets_sql_through_that_the_policy_denies(
    run, deployed: Path, policy: str, queries: list[str]
) -> None:
    run("sql", *HERE, "insert into t values (1)")
    manifest = deployed / "mosaic.yaml"
    manifest.write_text(f"{manifest.read_text()}policy: {policy}\n")
    for query in queries:
        refused = run("sql", *HERE, "--allow", "destructive", query)
        assert refused.returncode != 0, query
        assert "error[policy_denied]: the manifest's policy forbids" in refused.stderr, query
    assert read_json(run("sql", *HERE, "-o", "json", "select count(*) as n from t"))["rows"] == [{"n": 1}]


@pytest.mark.parametrize("policy", ["{destructive: deny}", "{protected_tables: [t]}"])
def test_a_policy_lets_no_sql_through_that_cannot_be_checked(run, deployed: Path, policy: str) -> None:
    manifest = deployed / "mosaic.yaml"
    manifest.write_text(f"{manifest.read_text()}policy: {policy}\n")
    refused = run("sql", *HERE, "--allow", "destructive", "selec 2")
    assert refused.returncode != 0
    assert 'error[sql_invalid]: query:1:1: syntax error at or near "selec"' in refused.stderr
    assert "The manifest's policy forbids SQL that can't be checked" in refused.stderr


def test_a_policy_that_allows_destruction_allows_it_in_sql_once_it_is_deployed(run, deployed: Path) -> None:
    manifest = deployed / "mosaic.yaml"
    manifest.write_text(f"{manifest.read_text()}policy: {{destructive: allow}}\n")
    run("sql", *HERE, "insert into t values (1)")
    assert "destructive_unconfirmed" in run("sql", *HERE, "drop table t").stderr
    refused = run("apply", "--local", "--yes", "--allow", "destructive")
    assert "error[policy_unconfirmed]" in refused.stderr
    assert run("apply", "--local", "--yes", "--allow", "policy").returncode == 0
    assert run("sql", *HERE, "drop table t").returncode == 0


UNSEEN = (
    "create trigger u after insert on v execute function wiping(); insert into v values (1)",
    "select wipe(), 1 as one",
    "do $$ begin execute 'dele' || 'te from t'; end $$",
    "delete from t where id is not null returning id",
    "select 1; update t set id = 9",
    "insert into w values (1)",
    "do $$ begin set constraints all immediate; end $$; delete from t",
    "begin; insert into v values (1); delete from t; commit",
    "drop view seen",
)


@pytest.mark.parametrize("query", sampled(UNSEEN, 2))
def test_sql_is_measured_and_asks_with_the_real_numbers(run, deployed: Path, query: str) -> None:
    setup = """insert into t select generate_series(1, 3); create table v (id int); create view seen as select 1 as one;
        create function wiping() returns trigger language plpgsql as $$ begin delete from t; return null; end $$;
        create table w (id int);
        create constraint trigger d after insert on w deferrable initially deferred for each row execute function wiping();
        create function wipe() returns int language plpgsql as $$ begin delete from t; return 1; end $$;"""
    assert run("sql", *HERE, setup).returncode == 0
    refused = run("sql", *HERE, query)
    assert refused.returncode != 0
    assert "error[destructive_unconfirmed]" in refused.stderr
    assert (
        "3 rows" in refused.stderr
        or "drops view seen" in refused.stderr
        or "can't be measured" in refused.stderr
    )
    assert read_json(run("sql", *HERE, "-o", "json", "select count(*) as n from t where id < 4"))["rows"] == [
        {"n": 3}
    ]
    assert run("sql", *HERE, "--allow", "destructive", query).returncode == 0


def test_a_comment_says_what_a_counting_trigger_updates(run, deployed: Path) -> None:
    setup = """create table "Counts" (n int); insert into "Counts" values (0); create table c (id int);
        create function counting() returns trigger language plpgsql as $$ begin update "Counts" set n = n + 1; return null; end $$;
        create trigger counted after insert on c for each row execute function counting();"""
    assert run("sql", *HERE, setup).returncode == 0
    refused = run("sql", *HERE, "insert into c values (1)")
    assert "by a trigger, rule, function, block or foreign key" in refused.stderr
    assert refused.stderr.count("Counts: updates 1 row") == 1
    assert 'end the SQL with a line: -- mosaic-updates: "Counts"' in " ".join(refused.stderr.split())
    said = run("sql", *HERE, 'insert into c values (1)\n-- mosaic-updates: "Counts"')
    assert said.returncode == 0, said.stderr


def test_a_measured_query_keeps_its_rows_session_and_error_places(run, deployed: Path) -> None:
    run("sql", *HERE, "insert into t values (7)")
    rows = read_json(
        run(
            "sql",
            *HERE,
            "-o",
            "json",
            "update t set id = 8 where id = 7 returning id, current_setting('search_path') as path",
        )
    )
    assert rows["rows"] == [{"id": 8, "path": '"$user", public'}]
    failed = run("sql", *HERE, "select 1;\nselect nothing from t")
    assert "query:2:8" in failed.stderr
    assert run("sql", *HERE, "select * from t; vacuum t").returncode != 0
    assert run("sql", *HERE, "vacuum t").returncode == 0


HOSTILE = r"""do $$ begin raise notice E'x\n::set-output name=a::b\x1b]52;c;eA==\x07'; end $$"""


def test_texts_of_the_database_control_nothing(run, deployed: Path) -> None:
    noticed = run("sql", *HERE, HOSTILE)
    assert noticed.stderr == "NOTICE: x\n  \\::set-output name=a::b\\x1b]52;c;eA==\\x07\n"
    query = r"select E'::stop-commands::x\x1b[2J' as a"
    assert r"\::stop-commands::x\x1b[2J" in run("sql", *HERE, query).stdout
    assert run("sql", *HERE, "--csv", query).stdout == "a\n::stop-commands::x\x1b[2J\n"
    in_log = run("sql", *HERE, "--csv", query, env={"CI": "true"})
    assert in_log.stdout == "a\n\\::stop-commands::x\\x1b[2J\n"
    failed = run("sql", *HERE, r"do $$ begin raise exception E'a\n##[error]\x1b[2J'; end $$")
    assert "\x1b" not in failed.stderr
    assert "##\\[error]\\x1b[2J" in failed.stderr


ATTACK = "select 'a\\', ' ; drop table t; --'"
"""With standard_conforming_strings off, its second statement drops the table."""


def test_sql_isnt_sent_if_its_strings_would_be_read_otherwise(run, deployed: Path) -> None:
    turned_off = run(
        "sql", *HERE, "--allow", "destructive",
        "do $$ begin execute format('alter database %I set standard_conforming' || '_strings = off', "
        "current_database()); end $$",
    )  # fmt: skip
    assert turned_off.returncode == 0, turned_off.stderr
    # The default is that of new sessions.
    run(
        "sql",
        *HERE,
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()",
    )
    for query in (ATTACK, "select read_escapes()", "table t"):
        refused = run("sql", *HERE, "-o", "json", query)
        assert refused.returncode == 1
        error = json.loads(refused.stdout)["error"]
        assert "standard_conforming_strings is off in this database" in error["message"]
    remedy = re.match(r"run (ALTER ROLE .* = on) with `mosaic-deploy sql", error["hint"])
    assert remedy
    assert run("sql", *HERE, remedy.group(1)).returncode == 0
    # The first call may still get the old session, and ends it.
    run("sql", *HERE, "--read-only", "select pg_terminate_backend(pg_backend_pid())")
    assert run("sql", *HERE, ATTACK).returncode == 0
    assert run("sql", *HERE, "table t").returncode == 0


@pytest.mark.parametrize(
    "turn_off",
    [
        "update pg_settings set setting = 'off' where name = 'standard_conforming_strings'",
        "select set_config('standard_conforming' || '_strings', 'off', false)",
        "with a as materialized (select set_config(concat('standard', '_x'), 'off', false)) select * from a",
        "do $$ declare r record; begin for r in select name from pg_settings where name ~ '^standard_c' "
        "loop perform set_config(r.name, 'off', false); end loop; end $$",
        'set U&"standard\\005fconforming_strings" = off',
        "set session standard_conforming_strings to default",
    ],
)
def test_sql_that_changes_how_strings_are_read_needs_approval(run, deployed: Path, turn_off: str) -> None:
    refused = run("sql", *HERE, f"{turn_off}; do $$ begin perform 'a\\', ' ; drop table t; --'; end $$")
    assert refused.returncode != 0
    assert run("sql", *HERE, "table t").returncode == 0

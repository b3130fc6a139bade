"""Migrations on the real platform run exactly once."""

from __future__ import annotations

import pytest

from mosaic_deploy.errors import MigrationDiverged, MigrationFailed, MigrationInvalid
from mosaic_deploy.model.event import ApplyDone, ChangeDone
from tests.deploy.faults import LosingAnswers, is_sql


def history(site, **files: str) -> None:
    for name, text in files.items():
        site.write(f"sql/{name.lstrip('m')}.sql", text)
    site.manifest(database={"migrations": "sql"})


def tables(site) -> set[str]:
    rows = site.sql("select tablename from pg_tables where schemaname = 'public'")
    return {str(row["tablename"]) for row in rows}


def test_many_migrations_in_one_request(site):
    history(site, **{f"m{n}_t{n}": f"create table t{n} (id int);" for n in range(1, 31)})
    before = site.api.traffic.requests
    events = site.run()
    done = [e.change.version for e in events if isinstance(e, ChangeDone) and e.change.kind == "migration"]
    assert done == [str(n) for n in range(1, 31)]
    assert len(tables(site)) == 30
    calls = site.api.traffic.requests - before
    assert calls < 20, calls


def test_a_failed_migration_keeps_earlier_ones_and_is_undone(site):
    history(
        site,
        m1_a="create table a (id int);",
        m2_b="create table b (id int);\n\ninsert into b values (1);\ncreate table c (id no_such_type);",
        m3_d="create table d (id int);",
    )
    failed = site.fails()
    error = failed.error
    assert isinstance(error, MigrationFailed)
    assert (str(error.location), error.sqlstate) == ("sql/2_b.sql:4:20", "42704")
    assert error.location.text == "create table c (id no_such_type);"
    assert "no_such_type" in error.message
    assert failed.failed == "migration:2_b.sql"
    assert failed.remaining == ("migration:3_d.sql",)
    assert tables(site) == {"a"}
    site.write("sql/2_b.sql", "create table b (id int);")
    site.apply()
    assert tables(site) == {"a", "b", "d"}


def test_a_lost_response_applies_nothing_twice(site, api_over):
    history(
        site,
        m1_a="create table a (n int);",
        m2_b="insert into a values (1);",
        m3_c="insert into a values (2);",
    )
    losing = LosingAnswers(lambda request: is_sql(request, "mosaic_batch"))
    last = site.run(api=api_over(losing))[-1]
    assert isinstance(last, ApplyDone)
    assert losing.lost == 1
    assert site.sql("select n from a order by n") == [{"n": 1}, {"n": 2}]


def test_session_settings_do_not_leak(site):
    history(
        site,
        m1_s="create schema elsewhere; set search_path = elsewhere; create table hidden (id int);",
        m2_p="create table shown (id int);",
        m3_r="set client_min_messages = 'error'; set statement_timeout = 1;",
        m4_q="create table late (id int);",
    )
    site.apply()
    assert tables(site) == {"shown", "late"}


@pytest.mark.parametrize(
    ("name", "text", "steps"),
    [
        ("concurrently", "create table t (id int); create index concurrently i on t (id); insert into t values (1);", 3),
        ("own_transactions", "begin; create table t (id int); commit; begin; insert into t values (1); commit;", 2),
        ("select_into", "create table s (id int); insert into s values (1); select id into t from s;", 1),
        ("savepoint", "create table t (id int); savepoint a; insert into t values (1); release a;", 1),
        ("lock", "create table t (id int); lock table t in exclusive mode; insert into t values (1);", 1),
        ("vacuum", "create table t (id int); insert into t values (1); vacuum t;", 2),
        ("do_commit", "create table t (id int); do $$ begin insert into t values (1); commit; end $$;", 2),
        ("dollars", "create table t (id int); do $mosaic_sql$ begin insert into t values (1); end $mosaic_sql$;", 1),
        ("atomic", "create function f() returns int language sql begin atomic select 1; select 1; end;"
         " create table t as select f() as id;", 1),
        ("comment_end", "create table t (id int); -- one\ninsert into t values (1) -- two", 1),
        ("isolation", "set transaction isolation level serializable; create table t (id int);"
         " insert into t values (1);", 1),
        ("read_only", "begin; create table t (id int); insert into t values (1); commit;"
         " begin isolation level serializable, read only deferrable; savepoint s; select 1; rollback to s; commit;"
         " begin; select 1; set transaction read only; select 1; commit;"
         " begin; set local transaction_read_only = on; select 1; commit", 4),
        ("crlf_bom", "\ufeffcreate table t (\r\n  id int);\r\ninsert into t\r\nvalues (1);\r\n", 1),
    ],
)  # fmt: skip
def test_kinds_of_files(site, name, text, steps):
    history(site, **{f"m1_{name}": text, "m2_after": "create table after (id int);"})
    planned = site.plan()
    assert [c.steps for c in planned.plan.changes if c.kind == "migration"] == [steps, 1]
    notes = [n.code for n in planned.plan.notes]
    assert notes == (["migration_not_atomic"] if steps > 1 else [])
    site.apply()
    assert site.sql("select id from t") == [{"id": 1}]
    assert "after" in tables(site)


def test_files_without_statements_are_recorded(site):
    history(site, m1_empty="", m2_comment="-- nothing yet\n/* really */", m3_t="create table t (id int);")
    site.apply()
    rows = site.sql("select version::int as v, steps_done from mosaic_deploy.migrations order by version")
    assert rows == [{"v": 1, "steps_done": 1}, {"v": 2, "steps_done": 1}, {"v": 3, "steps_done": 1}]


def test_a_file_resumes_at_the_failed_step(site):
    text = "create table t (id int); create index concurrently i on t (lower(id)); create table u (id int);"
    history(site, m1_parts=text)
    failed = site.fails()
    assert failed.error.mutation_state == "partial"
    assert str(failed.error.location) == "sql/1_parts.sql:1:60"
    site.write("sql/1_parts.sql", text.replace("lower(id)", "id"))
    planned = site.plan()
    assert [c.reason for c in planned.plan.changes] == ["resumes after step 1 of 3"]
    site.apply()
    assert tables(site) == {"t", "u"}


def test_a_partly_applied_migration_is_seen_although_its_file_is_gone(site):
    """The files that are left equal the migrations that are completely applied."""
    history(
        site,
        m1_a="create table t (id int); insert into t values (1), (1);",
        m2_b="create table u (id int); create unique index concurrently i on t (id);",
    )
    assert site.fails().error.sqlstate == "23505"
    (site.root / "sql/2_b.sql").unlink()
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    assert [problem.location.file for problem in caught.value.problems] == ["sql/2_b.sql"]


def test_statement_timeout_is_enforced_and_lock_timeout_set(site):
    site.write("sql/1_slow.sql", "create table t (id int); select pg_sleep(30);")
    site.manifest(database={"migrations": "sql", "statement_timeout": "300ms", "lock_timeout": "1s"})
    error = site.fails().error
    assert error.sqlstate == "57014"
    site.write("sql/1_slow.sql", "create table t as select current_setting('lock_timeout') as v;")
    site.apply()
    assert site.sql("select v from t") == [{"v": "1s"}]


def test_a_diverged_history_stops_the_plan(site):
    history(site, m1_a="create table a (id int);", m3_c="create table c (id int);")
    site.apply()
    site.write("sql/1_a.sql", "create table a (id bigint);")
    site.write("sql/2_b.sql", "create table b (id int);")
    (site.root / "sql/3_c.sql").unlink()
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    assert [p.location.file for p in caught.value.problems] == ["sql/1_a.sql", "sql/2_b.sql", "sql/3_c.sql"]
    assert [p.diff is not None for p in caught.value.problems] == [True, False, False]


def test_a_cosmetic_edit_is_only_noted(site):
    history(site, m1_a="create table a (id int);")
    site.apply()
    site.write("sql/1_a.sql", "-- the first table\nCREATE TABLE a (\n  id INT\n);\n")
    plan = site.plan().plan
    assert plan.changes == ()
    assert [n.code for n in plan.notes] == ["migration_edited_cosmetic"]


def test_syntax_errors_are_found_before_sending(site):
    history(site, m1_a="create table a (id int);\n\ncreate tabel b (id int);")
    before = site.api.traffic.requests
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    assert [str(p.location) for p in caught.value.problems] == ["sql/1_a.sql:3:8"]
    assert site.api.traffic.requests - before == 1


def test_the_applied_file_is_stored(site):
    import base64
    import zlib

    text = "create table a (id int); -- ünïcode"
    history(site, m1_a=text)
    site.apply()
    row = site.sql("select encode(source, 'base64') as s from mosaic_deploy.migrations")[0]
    assert zlib.decompress(base64.b64decode(str(row["s"]))).decode() == text

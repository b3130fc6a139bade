"""Folders in the layouts of other tools on the real platform: applied, extended, rolled back and restored as they are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mosaic_deploy.deploy.history.adopt import plan_baseline
from mosaic_deploy.deploy.history.restore import plan_restore
from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.diff.gate import Consent
from mosaic_deploy.errors import MigrationDiverged, MigrationInvalid, UsageInvalid
from mosaic_deploy.source.migrations.rearrange import rearrange
from tests.deploy.conftest import OPTIONS
from tests.deploy.histories import known, pending, repair, states

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def write(site, **files: str) -> None:
    for name, text in files.items():
        site.write(f"sql/{name}", text)
    site.manifest(database={"migrations": "sql"})


def applied(site) -> list[str]:
    rows = site.sql("select version, file from mosaic_deploy.migrations order by applied_at")
    return [f"{row['version']} {row['file']}" for row in rows]


def test_prisma_folders_are_rolled_back_and_restored(site):
    write(
        site,
        **{
            "migration_lock.toml": 'provider = "postgresql"',
            "20240101000000_a/migration.sql": "create table a (id int);",
            "20240102000000_b/migration.sql": "create table b (id int);",
            "20240102000000_b/down.sql": "drop table b;",
        },
    )
    site.apply()
    assert applied(site) == [
        "20240101000000 20240101000000_a/migration.sql",
        "20240102000000 20240102000000_b/migration.sql",
    ]
    assert not site.plan().has_work
    planned = plan_rollback(site.api, known(site), to="20240101000000_a")
    assert [change.address for change in planned.plan.changes] == ["rollback:20240102000000_b/migration.sql"]
    list(roll_back(site.api, planned, OPTIONS))
    assert pending(site) == ["migration:20240102000000_b/migration.sql"]
    site.apply()
    (site.root / "sql/20240102000000_b/migration.sql").unlink()
    changes = plan_restore(site.api, known(site), ["20240102000000_b"], NOW)
    rearrange(site.root, "sql", changes)
    assert not site.plan().has_work
    (site.root / "sql/20240102000000_b").rename(site.root / "sql/20240102000000_tags")
    assert [note.code for note in site.plan().plan.notes] == ["migration_renamed"]


def test_equal_numbers_are_told_apart_also_when_they_become_equal_later(site):
    write(site, **{"1_a.sql": "create table a (id int);", "2_b.sql": "create table b (id int);"})
    site.apply()
    write(site, **{"2_c.sql": "create table c (id int);"})
    assert pending(site) == ["migration:2_c.sql"]
    site.apply()
    assert applied(site) == ["1 1_a.sql", "2 2_b.sql", "2/2_c 2_c.sql"]
    assert not site.plan().has_work
    assert states(site) == {"1": "applied", "2": "applied", "2/2_c": "applied"}
    write(site, **{"2_aa.sql": "create table aa (id int);"})
    with pytest.raises(MigrationDiverged, match="disagree") as caught:
        site.plan()
    assert [problem.message for problem in caught.value.problems] == [
        "is pending, but version 2/2_c is already applied"
    ]
    (site.root / "sql/2_aa.sql").unlink()
    (site.root / "sql/2_b.sql").unlink()
    assert states(site) == {"1": "applied", "2": "missing", "2/2_c": "applied"}
    repair(site, forget=("2_b.sql",))
    assert not site.plan().has_work
    with pytest.raises(UsageInvalid, match="several migrations have the number"):
        write(site, **{"3_x.sql": "select 1;", "3_y.sql": "select 1;"})
        known(site).find_version("3")


def test_a_partly_applied_file_resumes_beside_one_of_its_number(site):
    write(site, **{"1_a.sql": "create table a (id int); commit; select 1 / 0;"})
    site.fails()
    write(site, **{"1_a.sql": "create table a (id int); commit; select 1;", "1_b.sql": "select 2;"})
    assert pending(site) == ["migration:1_a.sql", "migration:1_b.sql"]
    site.apply()
    assert applied(site) == ["1 1_a.sql", "1/1_b 1_b.sql"]
    assert not site.plan().has_work


def test_the_journal_decides_what_is_out_of_order(site):
    journal = '{{"entries": [{{"tag": "0000_z"}}, {{"tag": "0000_a"}}{}]}}'
    write(
        site,
        **{
            "meta/_journal.json": journal.format(""),
            "0000_z.sql": "create table z (id int);--> statement-breakpoint\ncreate table y (id int);",
            "0000_a.sql": "alter table z add column n int;",
        },
    )
    site.apply()
    assert applied(site) == ["0/0000_z 0000_z.sql", "0/0000_a 0000_a.sql"]
    write(site, **{"meta/_journal.json": journal.format(', {"tag": "0000_b"}'), "0000_b.sql": "select 1;"})
    assert pending(site) == ["migration:0000_b.sql"]
    planned = plan_rollback_refused(site)
    assert planned == ["0000_a.sql"]


def plan_rollback_refused(site) -> list[str]:
    """The files that a rollback of the newest one would be about."""
    from mosaic_deploy.errors import RollbackRefused

    with pytest.raises(RollbackRefused) as caught:
        plan_rollback(site.api, known(site), steps=1)
    return [problem.location.file.removeprefix("sql/") for problem in caught.value.problems]


def test_a_baseline_takes_all_files_of_a_version(site):
    write(
        site,
        **{"v1.0/b.sql": "select 1;", "v1.0/a.sql": "create table a (id int);", "v1.1/c.sql": "select 1;"},
    )
    site.manifest(database={"extensions": ["vector"]})
    site.apply()
    site.sql("create table a (id int)")
    site.manifest(database={"migrations": "sql"})
    planned = plan_baseline(site.api, known(site), "v1.0")
    assert [change.address for change in planned.plan.changes] == ["history:v1.0/a.sql", "history:v1.0/b.sql"]


FLYWAY = {
    "V1__t.sql": "create table t (n int);",
    "R__a_totals.sql": "create or replace view totals as select sum(n) from evens;",
    "R__evens.sql": "create or replace view evens as select n from t where n % 2 = 0;",
    "R__f.sql": "create or replace function f() returns bigint language sql as 'select sum from totals';",
}


def test_repeatable_files_run_again_when_their_meaning_changes(site):
    write(site, **FLYWAY)
    views = [f"repeatable:sql/R__{name}.sql" for name in ("evens", "a_totals", "f")]
    assert pending(site)[1:] == ["migration:V1__t.sql", *views]
    site.apply()
    assert not site.plan().has_work
    write(site, **{"R__evens.sql": "-- even numbers\n" + FLYWAY["R__evens.sql"]})
    assert not site.plan().plan.changes, "a comment doesn't count"
    write(
        site,
        **{"R__evens.sql": FLYWAY["R__evens.sql"].replace("% 2", "% 4"), "V2__u.sql": "create table u ();"},
    )
    plan = site.plan().plan
    assert [f"{each.action} {each.address}: {each.reason}" for each in plan.changes] == [
        "add migration:V2__u.sql: creates table u",
        f"change {views[0]}: changed; runs again",
    ]
    site.apply()
    site.sql("insert into t values (2), (4)")
    assert site.sql("select f() as f") == [{"f": 4}]
    assert not site.plan().has_work
    write(site, **{"R__evens.sql": "create or replace view evens as select 'a' as n;"})
    assert site.run()[-1].error.message.endswith("(this file was rolled back)")


def test_what_a_repeatable_file_drops_with_cascade_is_made_again(site):
    dropping = "drop view if exists evens cascade; create view evens as select n from t where n % {} = 0;"
    write(site, **{**FLYWAY, "R__evens.sql": dropping.format(2)})
    site.apply()
    write(site, **{"R__evens.sql": dropping.format(4)})
    assert pending(site) == [f"repeatable:sql/R__{name}.sql" for name in ("evens", "a_totals")]
    site.apply(consent=Consent("yes", frozenset({"destructive"})))
    assert site.sql("select count(*)::int as n from totals") == [{"n": 1}]
    assert not site.plan().has_work


def test_repeatable_files_of_a_folder_and_mistakes_in_them(site):
    site.write("sql/1_t.sql", "create table t (n int);")
    site.write("views/b/v.sql", "create or replace view v as select 1 as n;")
    site.manifest(database={"migrations": "sql", "repeatable": "views/"})
    assert pending(site)[1:] == ["migration:1_t.sql", "repeatable:views/b/v.sql"]
    site.write("views/b/v.sql", "create or replace view v as select ${n};")
    with pytest.raises(MigrationInvalid, match="SQL syntax error in 1 repeatable file") as caught:
        site.plan()
    assert str(caught.value.problems[0]) == (
        "views/b/v.sql:1:36 the placeholder ${n} isn't replaced; write its value here: only Flyway itself knows it"
    )
    site.write("views/b/v.sql", "create index concurrently i on t (n);")
    with pytest.raises(MigrationInvalid, match="a repeatable file must run as one transaction"):
        site.plan()


def test_placeholders_in_strings_are_said(site):
    write(site, **{"V1__t.sql": "-- ${not} this\nselect 1;\nselect '${schema}';"})
    notes = [str(note.message) for note in site.plan().plan.notes if note.code == "migration_placeholder"]
    assert notes == [
        "V1__t.sql:3: the placeholder ${schema} isn't replaced; write its value if Flyway replaces it"
    ]


@pytest.mark.parametrize("text", ["-- no-transaction\n{}", "--! Previous: -\n--! no-transaction\n\n{}"])
def test_files_without_a_transaction(site, text):
    """What sqlx and graphile-migrate read: each statement commits on its own."""
    write(site, **{"1_a.sql": text.format("create table a (n int);\ninsert into a values (1 / 0);")})
    site.fails()
    assert site.sql("select count(*)::int as n from a") == [{"n": 0}]


def test_a_failure_names_the_programs_that_did_not_run(site):
    write(
        site,
        **{
            "1_a.sql": "create table a (id int);",
            "2_b.go": "",
            "3_c.sql": "do $$ begin insert into b values (1); end $$;",
        },
    )
    error = site.fails().error
    assert error.hint.endswith("sql/2_b.go isn't SQL, so it isn't run; write it out as SQL")
    site.write(
        "sql/3_c.sql",
        "create table c (id int primary key, a int references c);\nalter table c disable trigger all;",
    )
    assert "write TRIGGER USER in sql/3_c.sql" in site.fails().error.hint

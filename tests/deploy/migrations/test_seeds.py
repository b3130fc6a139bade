"""Seeds on the real platform run once per content, in a transaction, after the migrations."""

from __future__ import annotations

import pytest

from mosaic_deploy.errors import ManifestInvalid, MigrationFailed, MigrationInvalid
from mosaic_deploy.model.event import ApplyDone
from tests.deploy.faults import Dying, LosingAnswers, is_sql, is_write
from tests.deploy.histories import pending
from tests.deploy.recovery.test_crashes import free_lease


def seeded(site, *named: str, database: dict | None = None, **files: str) -> None:
    site.write("sql/1_t.sql", "create table t (n int);")
    for name, text in files.items():
        site.write(f"seeds/{name}.sql", text)
    site.manifest(database={"migrations": "sql", "seeds": list(named or ["seeds"]), **(database or {})})


def numbers(site) -> list[object]:
    return [row["n"] for row in site.sql("select n from t order by n")]


@pytest.mark.parametrize("database", [{}, {"statement_timeout": "20s"}], ids=["batch", "plain"])
def test_once_per_content_after_the_migrations_by_name(site, database):
    seeded(
        site,
        database=database,
        b="insert into t select 1 from t;",
        a="insert into t values (1); insert into t values (2);",
    )
    assert pending(site)[1:] == ["migration:1_t.sql", "seed:seeds/a.sql", "seed:seeds/b.sql"]
    site.apply()
    assert numbers(site) == [1, 1, 1, 2]
    site.write("seeds/a.sql", "insert into t values (3);")
    plan = site.plan().plan
    assert [f"{c.action} {c.address}: {c.reason}" for c in plan.changes] == [
        "change seed:seeds/a.sql: content changed; runs again, on top of what it did before"
    ]
    site.apply()
    assert numbers(site) == [1, 1, 1, 2, 3]


def test_a_plan_without_changes_costs_no_more(site):
    seeded(site, **{f"s{n:03}": f"insert into t values ({n});" for n in range(50)})
    site.apply()
    before = site.api.traffic.requests
    assert site.plan().plan.empty
    assert site.api.traffic.requests - before <= 4


def test_seeds_run_in_the_manifests_order(site):
    site.write("demo/x.sql", "insert into t select max(n) + 1 from t;")
    seeded(site, "seeds/b.sql", "demo", "seeds", a="insert into t values (9);", b="insert into t values (1);")
    assert pending(site)[2:] == ["seed:seeds/b.sql", "seed:demo/x.sql", "seed:seeds/a.sql"]
    site.apply()
    assert numbers(site) == [1, 2, 9]


def test_each_environment_has_its_own(site):
    from mosaic_deploy.source.manifest.read import read_manifest

    seeded(site, a="select 1;")
    site.manifest(database={"migrations": "sql"}, environments={"demo": {"database": {"seeds": ["seeds"]}}})
    assert read_manifest(site.root, environ={}).database.seeds == ()
    assert read_manifest(site.root, environment="demo", environ={}).database.seeds == ("seeds",)
    assert pending(site)[1:] == ["migration:1_t.sql"]


def test_a_failed_seed_is_undone_and_located(site):
    seeded(site, a="insert into t values (1);\ninsert into t values ('x');", b="insert into t values (2);")
    failed = site.fails()
    assert isinstance(failed.error, MigrationFailed)
    assert (str(failed.error.location), failed.error.sqlstate) == ("seeds/a.sql:2:23", "22P02")
    assert (failed.failed, failed.remaining) == ("seed:seeds/a.sql", ("seed:seeds/b.sql",))
    assert numbers(site) == []
    site.write("seeds/a.sql", "insert into t values (1);")
    site.apply()
    assert numbers(site) == [1, 2]


def test_a_lost_response_seeds_nothing_twice(site, api_over):
    seeded(site, a="insert into t values (1);")
    losing = LosingAnswers(lambda request: is_sql(request, "insert into t values (1)"))
    assert isinstance(site.run(api=api_over(losing))[-1], ApplyDone)
    assert losing.lost == 1
    assert numbers(site) == [1]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", range(3, 7))
def test_a_crash_at_any_write(site, api_over, point, after):
    seeded(site, a="insert into t values (1);", b="insert into t values (2);")
    site.run(api=api_over(Dying(point, is_write, after=after)))
    free_lease(site)
    site.apply()
    assert numbers(site) == [1, 2]


def test_a_renamed_seed_does_not_run_again(site):
    seeded(site, a="insert into t values (1);", b="insert into t values (2);", c="insert into t values (3);")
    site.apply()
    seeds = site.root / "seeds"
    (seeds / "a.sql").rename(seeds / "first.sql")
    (seeds / "b.sql").rename(seeds / "between.sql")
    (seeds / "c.sql").rename(seeds / "b.sql")
    (seeds / "between.sql").rename(seeds / "c.sql")
    planned = site.plan()
    assert planned.plan.changes == ()
    assert [note.message for note in planned.plan.notes] == [
        "seeds/b.sql was run as seeds/c.sql, so it doesn't run again",
        "seeds/c.sql was run as seeds/b.sql, so it doesn't run again",
        "seeds/first.sql was run as seeds/a.sql, so it doesn't run again",
    ]
    assert planned.has_work, "the new names are recorded"
    site.apply()
    assert site.plan().plan.notes == ()
    assert numbers(site) == [1, 2, 3]


def test_an_edited_seed_runs_again_also_back_to_an_old_content(site):
    seeded(site, a="insert into t values (1);")
    site.apply()
    (site.root / "seeds/a.sql").rename(site.root / "seeds/b.sql")
    site.apply()
    for number in (2, 1):
        site.write("seeds/b.sql", f"insert into t values ({number});")
        site.apply()
    site.write("seeds/copy.sql", "insert into t values (1);")
    assert pending(site) == ["seed:seeds/copy.sql"]
    assert numbers(site) == [1, 1, 2]


def test_line_endings_of_a_seed_do_not_count(site):
    seeded(site, a="insert into t\nvalues (1);\n")
    site.apply()
    site.write("seeds/a.sql", "insert into t\r\nvalues (1);\r\n")
    assert pending(site) == []


def test_an_empty_seed_and_a_deleted_one(site):
    seeded(site, a="insert into t values (1);", b="-- nothing yet")
    site.apply()
    (site.root / "seeds/a.sql").unlink()
    assert pending(site) == []


@pytest.mark.parametrize("text", ["vacuum t;", "begin; select 1; commit; select 2;", "selct 1;"])
def test_seeds_must_fit_in_one_transaction(site, text):
    seeded(site, a=text)
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    assert caught.value.problems[0].location.file == "seeds/a.sql"


def test_seeds_are_sql_inside_the_project(site):
    site.write("seeds/a.csv", "1")
    for wrong in ("seeds/a.csv", "nowhere", "../else"):
        seeded(site, wrong)
        with pytest.raises(ManifestInvalid) as caught:
            site.plan()
        assert caught.value.problems[0].field == "database.seeds[0]"


def test_a_seed_that_empties_a_table_is_a_hazard(site):
    seeded(site, a="insert into t values (1);")
    site.apply()
    site.write("seeds/a.sql", "truncate t; insert into t values (2);")
    plan = site.plan().plan
    assert [str(hazard.location) for hazard in plan.to_confirm] == ["seeds/a.sql:1:1"]

"""After a failed deploy the same command goes on: what the failed one made needs no approval."""

from __future__ import annotations

import pytest

from tests.deploy.faults import Dying, is_sql
from tests.deploy.histories import history
from tests.deploy.recovery.test_crashes import free_lease

OLD = "create table old (id int); insert into old values (1);"
FIXED = "create table new (id int);"
FAILING = "select 1/0;"
DROP = "drop table old;"


def to_confirm(site) -> list[str]:
    return [hazard.code for hazard in site.plan().plan.to_confirm]


@pytest.fixture
def failed(site):
    """0001 is applied, 0002 failed, 0003 drops what 0001 made."""
    history(site, m1_old=OLD, m2_new=FAILING, m3_drop=DROP)
    assert to_confirm(site) == []
    site.fails()
    return site


def test_the_corrected_command_needs_no_approval(failed):
    assert to_confirm(failed) == []
    failed.fails()
    failed.write("sql/2_new.sql", FIXED)
    assert to_confirm(failed) == []
    failed.apply()


@pytest.mark.parametrize("written", ["insert into old values (2)", "update old set id = 3"])
def test_rows_that_somebody_else_wrote_are_data(failed, written):
    failed.api.sql(failed.project_id, written)
    assert to_confirm(failed) == ["drop_table"]


def test_rows_of_the_failed_deploys_own_migrations_are_not(site):
    history(site, m1_old=OLD, m2_more="update old set id = id + 1;", m3_new=FAILING, m4_drop=DROP)
    site.fails()
    assert to_confirm(site) == []


def test_rows_that_might_be_somebody_elses_are_data(site):
    """Nothing tells who wrote the rows of an earlier step."""
    history(site, m1_old=f"begin; {OLD} commit; select 2;", m2_new=FAILING, m3_drop=DROP)
    site.fails()
    assert to_confirm(site) == ["drop_table"]


def test_after_a_successful_deploy_it_is_data(failed):
    (failed.root / "sql/3_drop.sql").unlink()
    failed.write("sql/2_new.sql", FIXED)
    failed.apply()
    failed.write("sql/3_drop.sql", DROP)
    assert to_confirm(failed) == ["drop_table"]
    failed.write("sql/3_drop.sql", f"create table later (id int);{DROP}")
    failed.write("sql/4_bad.sql", FAILING)
    assert to_confirm(failed) == ["drop_table"]


def test_a_table_from_before_the_failed_deploy_is_data(site):
    history(site, m1_old=OLD)
    site.apply()
    history(site, m2_made="create table made (id int);", m3_bad=FAILING, m4_drop=f"drop table made; {DROP}")
    site.fails()
    assert [hazard.table for hazard in site.plan().plan.to_confirm] == ["public.old"]


def test_after_an_interrupted_deploy(site, api_over):
    history(site, m1_old=OLD, m2_new="create index concurrently i on old (id);", m3_drop=DROP)
    site.run(api=api_over(Dying(0, lambda request: is_sql(request, '{"query":"create index concurrently'))))
    assert to_confirm(site) == ["drop_table"], "the other deploy may still run"
    free_lease(site)
    assert to_confirm(site) == []
    site.apply()


def test_a_changed_file_counts_as_before(failed):
    """What is in the folder may not be what was applied, so it says nothing about what the table is."""
    failed.write("sql/1_old.sql", f"-- a comment\n{OLD}")
    assert to_confirm(failed) == ["drop_table"]


@pytest.mark.parametrize("foreign", ["", "INSERT INTO kept VALUES (7);"])
def test_a_procedure_may_be_called_again_after_a_first_deploy_failed(site, foreign: str) -> None:
    """All rows are the failed deploy's own, so nothing is there that can't be measured, unless somebody added rows."""
    site.write("sql/1_t.sql", "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1);")
    site.write("sql/2_fails.sql", "SELECT 1 / 0;")
    site.write(
        "sql/3_call.sql", "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;\nCALL p();"
    )
    site.manifest(database={"migrations": "sql"})
    assert not site.plan().plan.to_confirm
    site.fails()
    site.write("sql/2_fails.sql", "SELECT 1;")
    if foreign:
        site.sql(foreign)
    assert bool(site.plan().plan.to_confirm) == bool(foreign)
    site.apply()
    site.write("sql/4_call.sql", "CALL p();")
    assert site.plan().plan.to_confirm

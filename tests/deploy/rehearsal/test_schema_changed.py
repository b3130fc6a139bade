"""A step of a rehearsed plan runs only if what it touches is as it was rehearsed."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace

import httpx
import psycopg
import pytest

from mosaic_deploy.deploy import PreparedPlan
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Waiting
from tests.deploy.conftest import Site
from tests.deploy.faults import LosingAnswers
from tests.deploy.rehearsal.conftest import Rehearser
from tests.sampling import sampled

SHOP = """
CREATE TYPE mood AS ENUM ('sad', 'good');
CREATE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';
CREATE FUNCTION fee(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10';
CREATE FUNCTION discount() RETURNS int LANGUAGE sql AS 'SELECT 5';
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', feels mood);
CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, total int CHECK (total > 0));
CREATE TABLE unrelated (id int);
CREATE INDEX orders_total ON orders (total);
CREATE TRIGGER upper BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION upper_name();
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders USING (fee(total) > 1);
CREATE VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY 1;
"""
PENDING = """
ALTER TABLE orders ADD channel text;
INSERT INTO customers (id, name) SELECT 900 + count(*), 'z' FROM totals;
SELECT discount();
CREATE TABLE IF NOT EXISTS fresh (id int);
"""
BY_HAND = {
    "ALTER TABLE orders ADD sneaky int": "column orders.sneaky was added",
    "ALTER TABLE orders RENAME total TO amount": "column orders.total was dropped",
    "DROP INDEX orders_total": "index orders_total on orders was dropped",
    "CREATE INDEX other ON orders (customer)": "index other on orders was added",
    "ALTER TABLE customers ALTER name SET DEFAULT 'y'": "column customers.name was changed",
    "ALTER TABLE customers ALTER name DROP NOT NULL": "column customers.name was changed",
    "ALTER TABLE customers ALTER id TYPE bigint": "column customers.id was changed",
    "ALTER TABLE orders DROP CONSTRAINT orders_total_check": "constraint orders_total_check on orders was dropped",
    "ALTER TABLE orders ADD CHECK (total < 9)": "constraint orders_total_check1 on orders was added",
    "DROP TRIGGER upper ON customers": "trigger upper on customers was dropped",
    "ALTER TABLE customers DISABLE TRIGGER upper": "trigger upper on customers was changed",
    "CREATE OR REPLACE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'": "function upper_name() was changed",
    "CREATE OR REPLACE FUNCTION fee(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0'": "function fee(integer) was changed",
    "CREATE OR REPLACE FUNCTION discount() RETURNS int LANGUAGE sql AS 'SELECT 6'": "function discount() was changed",
    "CREATE FUNCTION discount(int) RETURNS int LANGUAGE sql AS 'SELECT 0'": "function discount(integer) was added",
    "DROP POLICY mine ON orders": "policy mine on orders was dropped",
    "ALTER TABLE orders DISABLE ROW LEVEL SECURITY": "table orders was changed",
    "ALTER TYPE mood ADD VALUE 'bad'": "type mood was changed",
    "CREATE OR REPLACE VIEW totals AS SELECT customer, max(total)::bigint AS total FROM orders GROUP BY 1": "view totals was changed",
    "DROP VIEW totals": "view totals was dropped",
    "GRANT DELETE ON customers TO public": "grant to public on customers was added",
    "CREATE TABLE fresh (id text)": "table fresh was added",
}
NOT_TOUCHED = (
    "ALTER TABLE unrelated ADD n int",
    "CREATE TABLE another (id int)",
    "COMMENT ON TABLE orders IS 'all'",
)


def rehearsed(rehearser: Rehearser) -> PreparedPlan:
    planned = rehearser.plan()
    found = planned.plan.rehearsal
    assert found is not None
    assert not found.not_rehearsed, found
    assert found.steps
    return planned


def stopped(site: Site, planned: PreparedPlan) -> ApplyFailed:
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed), last
    assert last.error.code == "schema_changed", last.error
    assert [action.description for action in last.error.next_actions] == ["see the new plan, and apply it"]
    return last


def test_changes_by_hand_between_plan_and_apply(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.write("sql/2_all.sql", PENDING)
    rehearsal = rehearsed(rehearser).plan.rehearsal
    for change, expected in BY_HAND.items():
        site.sql(
            f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public; {SHOP}"
        )
        planned = site.plan()
        site.sql(change)
        last = stopped(site, replace(planned, plan=replace(planned.plan, rehearsal=rehearsal)))
        assert expected in last.error.message, change
        assert "nothing of sql/2_all.sql ran" in last.error.message
        assert last.error.mutation_state == "none"
        assert site.sql("SELECT count(*) AS n FROM pg_attribute WHERE attname = 'channel'") == [{"n": 0}]


def test_other_changes_stop_nothing(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.write("sql/2_all.sql", PENDING)
    planned = rehearsed(rehearser)
    for change in NOT_TOUCHED:
        site.sql(change)
    assert isinstance(site.run(planned)[-1], ApplyDone)


FOUR = {
    "2_a": "ALTER TABLE orders ADD a int;",
    "3_b": "CREATE INDEX CONCURRENTLY orders_a ON orders (a);",
    "4_c": "ALTER TABLE orders ADD c int;",
    "5_d": "ALTER TABLE orders ADD d int;",
}


def four(site: Site, **database: object) -> None:
    site.deploy_sql(SHOP)
    for name, text in FOUR.items():
        site.write(f"sql/{name}.sql", text)
    site.manifest(database={"migrations": "sql", **database})


def meddling(rehearser: Rehearser, planned: PreparedPlan, after: str, change: str) -> ApplyFailed:
    """Makes the change by hand as soon as the migration `after` is reported done."""
    site = rehearser.site
    last = None
    for event in site.events(planned):
        last = event
        if getattr(getattr(event, "change", None), "address", "") == after and event.type == "change_done":
            site.sql(change)
    assert isinstance(last, ApplyFailed), last
    return last


def test_a_change_between_two_steps(rehearser):
    four(rehearser.site)
    planned = rehearsed(rehearser)
    last = meddling(rehearser, planned, "migration:2_a.sql", "ALTER TABLE orders ADD sneaky int")
    assert last.error.code == "schema_changed", last.error
    assert "column orders.sneaky was added" in last.error.message
    assert last.failed == "migration:3_b.sql"
    assert last.error.mutation_state == "partial"


def test_what_stopped_an_apply_stays_drift(rehearser):
    site = rehearser.site
    four(site)
    meddling(rehearser, rehearsed(rehearser), "migration:2_a.sql", "CREATE INDEX sneaky ON orders (id)")
    drift = site.plan().plan.drift
    assert [change.summary for change in drift.changes] == ["index sneaky on orders USING btree (id)"]
    site.sql("DROP INDEX sneaky")
    assert not site.plan().plan.drift.changes
    site.apply()


def test_a_change_after_a_step_outside_transactions(rehearser):
    four(rehearser.site)
    planned = rehearsed(rehearser)
    last = meddling(rehearser, planned, "migration:3_b.sql", "DROP INDEX orders_a")
    assert "index orders_a on orders was dropped" in last.error.message
    assert last.failed == "migration:4_c.sql"
    site = rehearser.site
    site.sql("CREATE INDEX orders_a ON orders (a)")
    assert isinstance(site.run(rehearsed(rehearser))[-1], ApplyDone)


def test_a_run_that_continues_a_failed_one(rehearser):
    site = rehearser.site
    four(site)
    site.sql("INSERT INTO orders (total) VALUES (3)")
    site.write("sql/4_c.sql", "ALTER TABLE orders ADD c int; SELECT 1 / (SELECT count(*) - 1 FROM orders);")
    last = site.run(rehearsed(rehearser))[-1]
    assert isinstance(last, ApplyFailed)
    assert (last.error.code, last.failed) == ("migration_failed", "migration:4_c.sql")
    site.sql("DELETE FROM orders")
    assert isinstance(site.run(rehearsed(rehearser))[-1], ApplyDone)
    assert site.sql("SELECT count(*) AS n FROM mosaic_deploy.settings WHERE name = 'schema.left'") == [
        {"n": 0}
    ]


@pytest.mark.parametrize("number", sampled(range(1, 10), 3))
def test_lost_responses(rehearser, api_over, number):
    site = rehearser.site
    four(site)
    planned = rehearsed(rehearser)
    sent = itertools.count(1)
    steps = (b"mosaic_batch", b"mosaic_claim", b"mosaic_end", b"CONCURRENTLY")
    answers = LosingAnswers(lambda one: any(step in one.content for step in steps) and next(sent) == number)
    last = site.run(planned, api=api_over(answers))[-1]
    if isinstance(last, ApplyFailed):
        assert last.error.code != "schema_changed", last.error
        last = site.run(rehearsed(rehearser))[-1]
    assert isinstance(last, ApplyDone), last.error


@pytest.mark.parametrize("database", [{}, {"statement_timeout": "20s"}], ids=["batch", "plain"])
def test_one_transaction_for_all(rehearser, database):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.manifest(database={"migrations": "sql", "transaction": "all", **database})
    site.write("sql/2_a.sql", "CREATE TABLE a (n int); ALTER TABLE orders ADD a int;")
    site.write("sql/3_b.sql", "ALTER TABLE a ADD m int; ALTER TABLE customers ADD b int;")
    planned = rehearsed(rehearser)
    site.sql("CREATE INDEX by_hand ON customers (name)")
    last = stopped(site, planned)
    assert "index by_hand on customers was added" in last.error.message
    assert last.error.mutation_state == "none"
    site.sql("DROP INDEX by_hand")
    assert isinstance(site.run(rehearsed(rehearser))[-1], ApplyDone)


def test_plain_statements(rehearser):
    site = rehearser.site
    four(site, statement_timeout="20s")
    planned = rehearsed(rehearser)
    last = meddling(rehearser, planned, "migration:4_c.sql", "ALTER TABLE orders ALTER total SET NOT NULL")
    assert "column orders.total was changed" in last.error.message
    assert last.failed == "migration:5_d.sql"
    site.sql("ALTER TABLE orders ALTER total DROP NOT NULL")
    assert isinstance(site.run(rehearsed(rehearser))[-1], ApplyDone)


def test_steps_of_one_file(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.write(
        "sql/2_a.sql",
        "ALTER TABLE orders ADD a int;\nCOMMIT;\nALTER TABLE orders ADD b int;\nCOMMIT;\nDROP TABLE orders CASCADE;",
    )
    found = rehearsed(rehearser)
    assert found.plan.rehearsal is not None
    assert [(step.address, step.step) for step in found.plan.rehearsal.steps] == [
        ("migration:2_a.sql", number) for number in (1, 2, 3)
    ]
    assert isinstance(site.run(found)[-1], ApplyDone)


ROWS_DECIDE = """
DO $$ DECLARE t text; BEGIN
  FOR t IN SELECT name FROM registry LOOP EXECUTE format('ALTER TABLE %I ADD extra int', t); END LOOP;
  EXECUTE format('ALTER TABLE numbered ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START %s)', (SELECT max(id) + 1 FROM numbered));
END $$;
"""


def test_what_live_rows_decide_is_no_difference(rehearser):
    site = rehearser.site
    site.deploy_sql(
        "CREATE TABLE registry (name text); CREATE TABLE hidden (id int); CREATE TABLE numbered (id int NOT NULL DEFAULT 1);"
        "INSERT INTO numbered VALUES (0);"
    )
    site.sql("INSERT INTO registry VALUES ('hidden'); INSERT INTO numbered VALUES (41)")
    site.write(
        "sql/2_rows.sql",
        ROWS_DECIDE.replace("numbered ALTER id ADD", "numbered ALTER id DROP DEFAULT, ALTER id ADD"),
    )
    site.write("sql/3_next.sql", "ALTER TABLE hidden ADD later int; ALTER TABLE numbered ADD later int;")
    planned = rehearsed(rehearser)
    assert isinstance(site.run(planned)[-1], ApplyDone), site.plan()
    assert site.sql("SELECT count(*) AS n FROM pg_attribute WHERE attname IN ('extra', 'later')") == [
        {"n": 3}
    ]


def database_url(site: Site, platform) -> str:
    url = f"{platform.url}/v1/project/{site.project_id}/credentials"
    return str(httpx.get(url, headers={"X-API-Key": platform.api_key}).json()["database_url"])


CHECKED = "SELECT 1 FROM pg_locks WHERE mode = 'ShareUpdateExclusiveLock' AND relation = 'orders'::regclass"


def test_the_table_cannot_be_changed_after_the_check(rehearser, platform):
    """Another session that wants to change the table waits until the step is done; one that writes doesn't wait."""
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.write("sql/2_slow.sql", "SELECT pg_sleep(1); ALTER TABLE orders ADD a int;")
    planned = rehearsed(rehearser)
    done: list[str] = []

    def change() -> None:
        with psycopg.connect(database_url(site, platform), autocommit=True) as connection:
            deadline = time.monotonic() + 30
            while not connection.execute(CHECKED).fetchone() and time.monotonic() < deadline:
                time.sleep(0.01)
            connection.execute("INSERT INTO customers VALUES (5)")
            done.append("inserted")
            connection.execute("ALTER TABLE orders ADD by_hand int")
            done.append("changed")

    other = threading.Thread(target=change)
    other.start()
    last = site.run(planned)[-1]
    other.join()
    assert isinstance(last, ApplyDone), last.error
    columns = site.sql(
        "SELECT attname::text AS c FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 3 ORDER BY attnum"
    )
    assert [row["c"] for row in columns] == ["a", "by_hand"]
    assert done == ["inserted", "changed"]


def test_a_lock_that_is_not_free_is_waited_for(rehearser, platform, monkeypatch):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.manifest(database={"migrations": "sql", "lock_timeout": "100ms"})
    site.write("sql/2_a.sql", "ALTER TABLE orders ADD a int;")
    planned = rehearsed(rehearser)
    url = database_url(site, platform)
    waited = []
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE orders IN SHARE MODE")
        for event in site.events(planned):
            if isinstance(event, Waiting):
                waited.append(event.reason)
                connection.rollback()
    assert isinstance(event, ApplyDone), event
    assert waited == ["for a table lock that 2_a.sql needs"]

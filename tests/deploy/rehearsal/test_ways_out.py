"""What was changed by hand, or by an app, stops rehearsals and saved plans only as far as it must, and there is a way out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from importlib import import_module

import psycopg
import pytest

from mosaic_deploy.cli.render.json_documents import plan_document
from mosaic_deploy.deploy import PreparedPlan
from mosaic_deploy.deploy.history.amend import apply_history_changes
from mosaic_deploy.deploy.history.drift import accept_drift, plan_accept
from mosaic_deploy.deploy.history.repair import REPAIR, plan_repair
from mosaic_deploy.deploy.planning.saved_plan import changes_since_saved, plan_inputs
from mosaic_deploy.deploy.rehearsal import base as bases
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from mosaic_deploy.model.plan import Severity
from tests.deploy.conftest import OPTIONS, Site
from tests.deploy.histories import known
from tests.deploy.migrations.test_database_defaults import set_default
from tests.deploy.rehearsal.test_schema_changed import database_url, rehearsed, stopped

SHOP = """CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE unrelated (id int);
CREATE FUNCTION fee() RETURNS int LANGUAGE sql AS 'SELECT 1';"""
BY_HAND = "ALTER TABLE orders ADD sneaky int; CREATE INDEX orders_sneaky ON orders (sneaky)"


def repair(site: Site, **request: list) -> None:
    planned = plan_repair(site.api, known(site), RepairRequest(**request))
    last = list(apply_history_changes(site.api, planned, OPTIONS, REPAIR))[-1]
    assert isinstance(last, ApplyDone), last


def test_an_accepted_change_is_rehearsed_again_once_a_migration_makes_it(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.manifest(database={"migrations": "sql"}, policy={"rehearsed": "required"})
    site.apply()
    site.sql(BY_HAND)
    accepted = plan_accept(site.api, known(site))
    [note] = [note for note in accepted.plan.notes if note.code == "accepted_not_in_files"]
    assert note.severity is Severity.WARNING
    assert "can't be rehearsed and policy.rehearsed refuses them" in note.message
    assert "migrate repair --applied 2:1" in note.message
    assert isinstance(list(accept_drift(site.api, accepted, OPTIONS))[-1], ApplyDone)
    site.write("sql/3_next.sql", "ALTER TABLE orders ADD channel text;")
    denied = site.run(rehearser.plan())[-1]
    assert isinstance(denied, ApplyFailed)
    assert denied.error.code == "rehearsal_required"
    assert "migrate repair --applied 2:1" in str(denied.error.hint)
    # The first try forgets the index, which the plan says.
    site.write("sql/2_kept.sql", "ALTER TABLE orders ADD sneaky int;")
    repair(site, applied=[("2", 1)])
    [missing] = rehearser.rehearsal().differences
    assert str(missing.object) == "index orders_sneaky on orders"
    site.write("sql/2_kept.sql", f"{BY_HAND};")
    repair(site, accept=["2_kept.sql"])
    assert rehearser.changes() == [["add column orders.channel text"]]
    assert isinstance(site.run(rehearser.plan())[-1], ApplyDone)
    assert site.plan().plan.drift.changes == ()


def test_a_file_that_needed_live_rows_is_made_to_run_without_them(rehearser):
    site = rehearser.site
    site.deploy_sql(f"{SHOP} CREATE TABLE gifts (order_id int REFERENCES orders);")
    site.sql("INSERT INTO orders VALUES (1)")
    site.write("sql/2_gift.sql", "INSERT INTO gifts VALUES (1);")
    failed = rehearser.fails()
    assert "INSERT … SELECT … WHERE EXISTS (…)" in str(failed.hint)
    [without] = failed.next_actions
    assert "later plans can't be rehearsed" in without.description
    assert isinstance(site.run()[-1], ApplyDone)
    site.manifest(database={"migrations": "sql"}, policy={"rehearsed": "required"})
    site.write("sql/3_next.sql", "ALTER TABLE orders ADD channel text;")
    denied = site.run(rehearser.plan())[-1]
    assert isinstance(denied, ApplyFailed)
    assert denied.error.code == "rehearsal_required"
    assert "make 2_gift.sql run on a database without live rows" in str(denied.error.hint)
    assert "`mosaic-deploy migrate repair --accept 2_gift.sql`" in str(denied.error.hint)
    tolerant = "INSERT INTO gifts SELECT 1 WHERE EXISTS (SELECT FROM orders WHERE id = 1);"
    site.write("sql/2_gift.sql", tolerant)
    repair(site, accept=["2_gift.sql"])
    assert rehearser.changes() == [["add column orders.channel text"]]
    assert isinstance(site.run(rehearser.plan())[-1], ApplyDone)


def test_drift_that_a_recorded_file_makes_is_only_to_be_accepted(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.sql(BY_HAND)
    site.write("sql/2_kept.sql", f"{BY_HAND};")
    repair(site, applied=[("2", 1)])
    site.write("sql/3_next.sql", "ALTER TABLE orders ADD channel text;")
    texts = [note.message for note in rehearser.plan().plan.notes if note.code == "schema_drift_next"]
    assert texts == [
        "the recorded files already make what drifted; accept it: `mosaic-deploy migrate drift --accept`"
    ]
    [note] = [
        note for note in plan_accept(site.api, known(site)).plan.notes if note.code == "accepted_not_in_files"
    ]
    assert "2_kept.sql was recorded since then without running" in note.message


def test_a_table_of_another_tool_is_nothing_that_recorded_files_make(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.sql("CREATE TABLE schema_migrations (version text PRIMARY KEY)")
    site.write("sql/2_next.sql", "ALTER TABLE orders ADD channel text;")
    planned = rehearser.plan().plan
    assert not planned.rehearsal.not_rehearsed
    [text] = [note.message for note in planned.notes if note.code == "schema_drift_next"]
    assert "recorded files" not in text


APP_MADE = """CREATE TABLE cache_a (id serial PRIMARY KEY, at timestamptz DEFAULT now(), order_id int REFERENCES orders);
CREATE INDEX ON cache_a (at); COMMENT ON TABLE cache_a IS 'x'; GRANT SELECT ON cache_a TO public;
CREATE SCHEMA jobs; CREATE TYPE jobs.state AS ENUM ('new'); CREATE TABLE jobs.runs (id int, state jobs.state);
CREATE TABLE jobs.plain (id int, n text); CREATE FUNCTION cache_reset() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW jobs.all_runs AS SELECT * FROM jobs.runs"""
UNMANAGED = {"unmanaged": ["cache_*", "jobs.*"], "drift": "deny", "rehearsed": "required"}


def test_what_an_app_creates_is_no_drift_and_prevents_no_rehearsal(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.sql(APP_MADE)
    site.write("sql/2_next.sql", "ALTER TABLE orders ADD channel text;")
    assert rehearser.rehearsal().not_rehearsed
    assert len(site.plan().plan.drift.changes) > 4
    site.manifest(database={"migrations": "sql"}, policy=UNMANAGED)
    assert site.plan().plan.drift.changes == ()
    assert rehearser.changes() == [["add column orders.channel text"]]
    assert isinstance(site.run(rehearser.plan())[-1], ApplyDone)
    # What else is made by hand is still drift.
    site.sql("ALTER TABLE orders ADD sneaky int")
    assert [each.summary for each in site.plan().plan.drift.changes] == ["column orders.sneaky integer"]


def test_a_migration_may_use_and_drop_what_is_unmanaged(rehearser):
    """A rehearsal has copies; they aren't compared, because an app may change its own tables at any time."""
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.sql(APP_MADE)
    site.manifest(database={"migrations": "sql"}, policy={"unmanaged": ["cache_*", "jobs.*"]})
    site.write("sql/2_use.sql", "ALTER TABLE cache_a ADD n int; INSERT INTO cache_a (n) VALUES (1);")
    site.write("sql/3_drop.sql", "DROP TABLE jobs.plain; ALTER TABLE orders ADD channel text;")
    planned = rehearsed(rehearser)
    touched = {each.name for step in planned.plan.rehearsal.steps for each in step.touches}
    assert "orders" in touched
    assert not {"cache_a", "jobs.plain"} & touched
    site.sql("ALTER TABLE cache_a ADD by_the_app int; CREATE TABLE cache_b (id int REFERENCES orders)")
    assert isinstance(site.run(planned)[-1], ApplyDone)


NAMED_ALIKE = """CREATE COLLATION cache_de (locale = 'C'); CREATE TEXT SEARCH CONFIGURATION cache_en (COPY = simple);
CREATE TABLE "jobs.x" (n int);"""


def test_patterns_name_no_settings_or_objects_of_other_kinds(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP + NAMED_ALIKE)
    policy = {"unmanaged": ["cache_*", "jobs.*", "search_*"]}
    site.manifest(database={"migrations": "sql"}, policy=policy)
    site.write("sql/2_next.sql", "ALTER TABLE orders ADD channel text;")
    assert isinstance(site.run(rehearsed(rehearser))[-1], ApplyDone)
    site.write("sql/3_dotted.sql", """UPDATE "jobs.x" SET n = 1;""")
    planned = rehearsed(rehearser)
    site.sql("""ALTER TABLE "jobs.x" ADD sneaky int""")
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed) and last.error.code == "schema_changed"


def saved(planned: PreparedPlan) -> dict:
    document = {**plan_document(planned.plan), "saved": {"origin": plan_inputs(planned)}}
    return json.loads(json.dumps(document))


HARMLESS = (
    "ALTER TABLE unrelated ADD n int",
    "GRANT SELECT ON unrelated TO public",
    "COMMENT ON TABLE orders IS 'all'",
    "CREATE TABLE votes (id int)",
    "CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "CREATE SCHEMA other",
)
HARMFUL = {
    "ALTER TABLE orders ADD sneaky int": "+ column orders.sneaky integer",
    "GRANT SELECT ON orders TO public": "+ grant to public on orders SELECT",
    "CREATE TABLE fresh (n text)": "+ table fresh (n text)",
    "CREATE OR REPLACE FUNCTION fee() RETURNS int LANGUAGE sql AS 'SELECT 3'": "~ function fee()",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO public": "+ default privileges",
}
PENDING = "ALTER TABLE orders ADD channel text; CREATE TABLE fresh (id int DEFAULT fee());"


def test_a_saved_plan_is_stale_only_by_what_its_steps_touch(rehearser):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.write("sql/2_next.sql", PENDING)
    document = saved(rehearsed(rehearser))
    for change in HARMLESS:
        site.sql(change)
        assert changes_since_saved(document, site.plan()) == [], change
    prefix = "live: the database's schema was changed: "
    expected: list[str] = []
    for change, name in HARMFUL.items():
        site.sql(change)
        expected.append(name)
        schema = [one for one in changes_since_saved(document, site.plan()) if one.startswith("live")]
        [found] = (sorted(one.removeprefix(prefix).split("; ")) for one in schema)
        assert len(found) == len(expected) and all(map(str.startswith, found, sorted(expected))), change
    unrehearsed = saved(site.plan())
    site.sql("DROP TABLE votes; COMMENT ON TABLE orders IS NULL")
    assert changes_since_saved(unrehearsed, site.plan()) == [
        f"{prefix}table votes is as the last deploy left it again"
    ]


def test_a_saved_plan_without_sql_depends_on_no_schema(site):
    site.deploy_sql(SHOP)
    site.manifest(database={"migrations": "sql"}, static={"dir": "www"})
    site.write("www/index.html", "<p>")
    document = saved(site.plan())
    site.sql(BY_HAND)
    assert changes_since_saved(document, site.plan()) == []


ENDLESS = {
    "a wait": "SELECT pg_sleep(1e9);",
    "a loop": "DO $$ BEGIN LOOP END LOOP; END $$;",
    "a loop with commits": "DO $$ BEGIN LOOP COMMIT; END LOOP; END $$;",
}


@pytest.mark.parametrize("what", list(ENDLESS))
def test_a_rehearsal_has_a_time_limit(rehearser, monkeypatch, what):
    monkeypatch.setattr(import_module("mosaic_deploy.deploy.rehearsal.rehearse"), "MAX_SECONDS", 0.6)
    rehearser.site.deploy_sql(SHOP)
    rehearser.site.write("sql/2_endless.sql", ENDLESS[what])
    assert rehearser.rehearsal().not_rehearsed == (
        "it took longer than 0.01 minutes and was stopped; to plan without a rehearsal: --no-rehearse"
    )


def test_building_a_base_has_a_time_limit(rehearser, monkeypatch):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.sql("CREATE TABLE ready (id int)")
    site.write("sql/2_until.sql", "DO $$ BEGIN WHILE to_regclass('ready') IS NULL LOOP END LOOP; END $$;")
    assert isinstance(site.run()[-1], ApplyDone)
    site.write("sql/3_next.sql", PENDING)
    monkeypatch.setattr(bases, "MAX_SECONDS", 0.6)
    assert rehearser.rehearsal().not_rehearsed.startswith("running the recorded files took longer than")


def change_while_waiting(url: str, statement: str) -> Callable[[], None]:
    """Locks `orders`, and once the apply waits for it, runs the statement and commits. Returns what joins that."""
    locked = threading.Event()

    def change() -> None:
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            locked.set()
            waits = "SELECT 1 FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted"
            deadline = time.monotonic() + 30
            while not connection.execute(waits).fetchone() and time.monotonic() < deadline:
                time.sleep(0.01)
            connection.execute(statement)

    other = threading.Thread(target=change)
    other.start()
    assert locked.wait(30)
    return other.join


CARRIERS = {"batch": {}, "all": {"transaction": "all"}, "plain": {"statement_timeout": "20s"}}


@pytest.mark.parametrize("carrier", list(CARRIERS))
def test_what_changes_while_a_step_waits_is_seen_at_every_isolation_level(rehearser, platform, carrier):
    site = rehearser.site
    site.deploy_sql(SHOP)
    site.manifest(database={"migrations": "sql", **CARRIERS[carrier]})
    site.write("sql/2_next.sql", PENDING)
    set_default(site, "default_transaction_isolation", "repeatable read")
    planned = rehearsed(rehearser)
    join = change_while_waiting(database_url(site, platform), "ALTER TABLE orders ADD sneaky int")
    last = stopped(site, planned)
    join()
    assert "column orders.sneaky was added" in last.error.message
    # If nothing was changed meanwhile, the step runs.
    site.sql("ALTER TABLE orders DROP sneaky")
    join = change_while_waiting(database_url(site, platform), "SELECT 1")
    assert isinstance(site.run(rehearsed(rehearser))[-1], ApplyDone)
    join()

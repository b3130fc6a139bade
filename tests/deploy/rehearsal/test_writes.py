"""Rows that a file's triggers, views, rules and keys write: the plan lists what the rehearsal saw, and an apply may do that much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mosaic_deploy.diff.gate import Actor, Consent, needs_person
from mosaic_deploy.errors import EffectsExceedConsent, PolicyDenied
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from mosaic_deploy.model.plan import Plan
from tests.deploy.rehearsal.conftest import Rehearser
from tests.sampling import sampled

LIVE = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders ON UPDATE CASCADE);
CREATE TABLE parts (id int PRIMARY KEY, item_order int);
CREATE TABLE drafts (id int, note text);
CREATE TABLE stats (n int);
CREATE TABLE totals (n int);
CREATE TABLE audit (what text);
CREATE TABLE queue (id int);
CREATE TABLE seen (n int);
INSERT INTO seen VALUES (0);
CREATE VIEW open AS SELECT id, note FROM orders;
CREATE FUNCTION count_orders() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE stats SET n = n + 1; UPDATE seen SET n = n + 1; INSERT INTO audit VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER count_orders AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION count_orders();
CREATE FUNCTION empty_queue() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM queue; RETURN NULL; END $$;
CREATE TRIGGER empty_queue AFTER INSERT ON audit FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION empty_queue();
CREATE TABLE inbox (id int);
CREATE TRIGGER empty_queue AFTER INSERT ON inbox FOR EACH STATEMENT EXECUTE FUNCTION empty_queue();
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := now(); RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE RULE copied AS ON INSERT TO drafts DO ALSO UPDATE totals SET n = n + 1;
"""
ROWS = """
INSERT INTO stats VALUES (1); INSERT INTO totals VALUES (1); INSERT INTO audit VALUES ('a');
INSERT INTO drafts VALUES (7, 'x'); INSERT INTO inbox VALUES (1); INSERT INTO queue VALUES (1);
"""
CASES = {
    "a counter": (["INSERT INTO orders VALUES (2);"], {"stats": (False, False), "seen": (True, False)}),
    "a rule": (["INSERT INTO drafts VALUES (3);"], {"totals": (False, False)}),
    "a view of the same file": (
        ["CREATE VIEW v AS SELECT n FROM stats; UPDATE v SET n = 3;"],
        {"stats": (False, False)},
    ),
    "a view of an earlier file": (
        ["CREATE VIEW v AS SELECT n FROM stats;", "UPDATE v SET n = 3;"],
        {"stats": (False, False)},
    ),
    "a new trigger": (
        [
            "CREATE TRIGGER t AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION count_orders();"
            "DROP TRIGGER empty_queue ON inbox; INSERT INTO inbox VALUES (5);"
        ],
        {"stats": (False, False), "seen": (True, False)},
    ),
    "a renamed table": (
        ["ALTER TABLE stats RENAME TO s;", "DO $$ BEGIN EXECUTE 'UP' || 'DATE s SET n = 9'; END $$;"],
        {"stats": (False, False)},
    ),
    "own statements": (
        [
            "UPDATE stats SET n = 2 WHERE n = 1; INSERT INTO audit SELECT note FROM drafts; INSERT INTO audit VALUES ('b');"
            "INSERT INTO queue SELECT 1 FROM queue;"
        ],
        {},
    ),
    "a plain insert": (["INSERT INTO queue VALUES (3);\n" * 3], {}),
    "sent plainly": (
        ["SAVEPOINT a; INSERT INTO orders VALUES (2); RELEASE a;"],
        {"stats": (False, False), "seen": (True, False)},
    ),
}


def updated(plan: Plan) -> set[str]:
    """The tables of which the plan says, before any rehearsal, that it updates rows."""
    return {
        table.partition(" ")[0]
        for change in plan.changes
        if isinstance(change, ApplyMigration)
        for table in change.updates
    }


def with_live(rehearser: Rehearser) -> None:
    rehearser.site.deploy_sql(LIVE)
    rehearser.site.sql(ROWS)


@pytest.mark.parametrize("name", sampled(CASES, 3))
def test_what_the_plan_lists_is_agreed_to(rehearser: Rehearser, name: str) -> None:
    """Also if the policy denies what destroys, which no option overrides."""
    with_live(rehearser)
    texts, expected = CASES[name]
    for number, text in enumerate(texts, 2):
        rehearser.site.write(f"sql/{number}_x.sql", text)
    rehearser.site.manifest(database={"migrations": "sql"}, policy={"destructive": "deny"})
    planned = rehearser.plan()
    found = planned.plan.rehearsal
    assert found is not None
    assert not found.not_rehearsed
    assert {one.shown: (one.updates, one.deletes) for one in found.writes} == expected
    assert not planned.plan.denied
    assert isinstance(last := rehearser.site.run(planned)[-1], ApplyDone), getattr(last, "error", last)


def test_deletes_that_the_rehearsal_saw_need_approval_before_the_apply(rehearser: Rehearser) -> None:
    """The rehearsal has the rows that migrations inserted."""
    site = rehearser.site
    site.deploy_sql(LIVE + ROWS)
    site.write("sql/2_x.sql", "SELECT 1;\nINSERT INTO inbox VALUES (2);")
    planned = rehearser.plan()
    [hazard] = planned.plan.to_confirm
    assert (hazard.code, str(hazard.location), hazard.table) == (
        "unreported_rows", "sql/2_x.sql:2", "public.queue",
    )  # fmt: skip
    assert "deletes rows of queue" in hazard.message
    assert [one.allow for one in planned.plan.approvals] == ["destructive"]
    policy = planned.desired.manifest.policy
    assert [one.allow for one in needs_person(planned.plan, policy, Actor())] == ["destructive"]
    site.manifest(database={"migrations": "sql"}, policy={"destructive": "deny"})
    assert [problem.field for problem in rehearser.plan().plan.denied] == ["policy.destructive"]
    # A person has answered.
    assert isinstance(last := site.run(planned)[-1], ApplyDone), getattr(last, "error", last)
    assert site.sql("SELECT count(*) AS n FROM queue") == [{"n": 0}]


def test_a_lock_alone_agrees_to_no_delete(rehearser: Rehearser) -> None:
    with_live(rehearser)
    site = rehearser.site
    site.write("sql/2_x.sql", "INSERT INTO inbox VALUES (2);")
    planned = rehearser.plan()
    found = planned.plan.rehearsal
    assert found is not None
    assert [(one.shown, one.updates, one.deletes) for one in found.writes] == [("queue", False, False)]
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, EffectsExceedConsent)
    assert "queue: deletes 1 row" in last.error.message
    assert "mosaic-updates" not in str(last.error.hint)


def test_a_protected_table_is_only_changed_by_own_statements(rehearser: Rehearser) -> None:
    with_live(rehearser)
    site = rehearser.site
    site.manifest(database={"migrations": "sql"}, policy={"protected_tables": ["stats", "seen"]})
    site.write("sql/2_x.sql", "-- mosaic-updates: stats\nINSERT INTO orders VALUES (2);")
    planned = rehearser.plan()
    assert ["seen is protected" in problem.message for problem in planned.plan.denied] == [True]
    last = site.run(replace(planned, plan=replace(planned.plan, denied=())))[-1]
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, EffectsExceedConsent | PolicyDenied), last.error
    assert site.sql("SELECT n FROM stats") == [{"n": 1}]


def test_an_agent_needs_a_person_for_updates_by_triggers(rehearser: Rehearser) -> None:
    with_live(rehearser)
    rehearser.site.write("sql/2_x.sql", "INSERT INTO orders VALUES (2);")
    plan = rehearser.plan().plan
    assert needs_person(plan, None, Actor()) == ()
    [approval] = needs_person(plan, None, Actor(is_agent=True))
    assert approval.effect == "updates rows of public.stats, public.seen"
    [recorded] = Consent("agent", frozenset({"destructive"})).record(plan, None)["approved"]
    assert recorded["effect"] == approval.effect


def test_triggers_that_did_not_fire_are_named_and_a_comment_lists_what_they_update(
    rehearser: Rehearser,
) -> None:
    with_live(rehearser)
    site = rehearser.site
    site.manifest(database={"migrations": "sql"}, policy={"destructive": "deny"})
    site.write("sql/2_x.sql", "INSERT INTO orders SELECT id, note FROM drafts;")
    planned = rehearser.plan()
    assert planned.plan.rehearsal
    assert planned.plan.rehearsal.done[0].unfired == ("orders (count_orders)",)
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, EffectsExceedConsent), last.error
    assert last.error.hint
    assert last.error.hint.endswith("in a comment in it: -- mosaic-updates: seen, stats")
    site.write(
        "sql/2_x.sql", "-- mosaic-updates: seen, stats\nINSERT INTO orders SELECT id, note FROM drafts;"
    )
    planned = rehearser.plan()
    assert planned.plan.rehearsal
    assert planned.plan.rehearsal.done[0].unfired == ()
    assert updated(planned.plan) == {"public.seen", "public.stats"}
    assert [one.allow for one in needs_person(planned.plan, None, Actor(is_agent=True))] == ["destructive"]
    assert isinstance(last := site.run(planned)[-1], ApplyDone), getattr(last, "error", last)


def test_without_a_rehearsal_a_comment_is_a_way_out_that_no_policy_denies(rehearser: Rehearser) -> None:
    with_live(rehearser)
    site = rehearser.site
    site.manifest(database={"migrations": "sql"}, policy={"destructive": "deny"})
    site.write("sql/2_x.sql", "INSERT INTO orders VALUES (2);")
    last = site.fails()
    assert isinstance(last.error, EffectsExceedConsent)
    assert "make the plan with a rehearsal, or name what sql/2_x.sql updates" in str(last.error.hint)
    site.write("sql/2_x.sql", "INSERT INTO orders VALUES (2);\n-- mosaic-updates: public.stats,seen")
    assert isinstance(last := site.run()[-1], ApplyDone), last


def test_updates_of_keys_list_what_follows_them(rehearser: Rehearser) -> None:
    with_live(rehearser)
    site = rehearser.site
    site.sql("INSERT INTO orders VALUES (1, 'a'); INSERT INTO items VALUES (1, 1)")
    site.write("sql/2_x.sql", "UPDATE orders SET note = 'b' WHERE id = 1;")
    assert updated(site.plan().plan) == {"public.orders"}
    site.write("sql/2_x.sql", "UPDATE orders SET id = 5 WHERE id = 1;")
    assert updated(site.plan().plan) == {"public.orders", "public.items"}
    site.manifest(database={"migrations": "sql"}, policy={"protected_tables": ["items"]})
    assert isinstance(site.fails().error, EffectsExceedConsent)
    site.manifest(database={"migrations": "sql"})
    assert isinstance(site.run()[-1], ApplyDone)
    assert site.sql("SELECT order_id FROM items") == [{"order_id": 5}]


def test_one_transaction_for_all_files(rehearser: Rehearser) -> None:
    with_live(rehearser)
    site = rehearser.site
    site.manifest(database={"migrations": "sql", "transaction": "all"}, policy={"destructive": "deny"})
    site.write("sql/2_x.sql", "INSERT INTO orders VALUES (2);")
    site.write("sql/3_x.sql", "INSERT INTO orders VALUES (3);")
    planned = rehearser.plan()
    assert planned.plan.rehearsal
    assert {(one.address, one.shown) for one in planned.plan.rehearsal.writes} == {
        (f"migration:{number}_x.sql", table) for number in (2, 3) for table in ("stats", "seen")
    }
    assert isinstance(last := site.run(planned)[-1], ApplyDone), getattr(last, "error", last)

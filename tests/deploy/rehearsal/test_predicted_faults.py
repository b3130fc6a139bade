"""Mistakes that a plan once didn't see, by their numbers, with every lint rule off: the rehearsal or the guard sees each.

The numbers are those of a list of faults that earlier versions had.
"""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.planning import plan as planning
from mosaic_deploy.deploy.planning.hazards import Findings
from mosaic_deploy.errors import EffectsExceedConsent
from mosaic_deploy.model.catalog import SchemaState
from tests.deploy.conftest import Site
from tests.deploy.rehearsal.conftest import Rehearser

LIVE = """
CREATE EXTENSION citext;
CREATE TABLE orders (id bigint PRIMARY KEY, note text, total int CONSTRAINT a CHECK (total > 0));
CREATE VIEW notes AS SELECT note FROM orders;
CREATE MATERIALIZED VIEW sums AS SELECT 1 AS id WITH NO DATA;
CREATE UNIQUE INDEX ON sums (id);
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('sad');
CREATE TABLE s.people (m s.mood);
CREATE DOMAIN age AS int;
CREATE TABLE people (id int PRIMARY KEY, email citext, years age, name text);
CREATE TABLE inbox (id int);
CREATE TABLE events (at int) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (9);
CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.orders; RETURN 1; END';
CREATE FUNCTION wiping() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.orders; RETURN NEW; END';
"""
ROWS = """
INSERT INTO orders VALUES (1, 'first', 10), (2, NULL, 20);
INSERT INTO people VALUES (1, 'ada@example.com', 36, 'Ada');
"""

REPORTED = {
    "SQL1: settings lost between steps, a table": (
        """CREATE SCHEMA scratch; SET search_path = scratch; CREATE TABLE orders (id bigint); CREATE TABLE junk (id bigint);
        CREATE INDEX CONCURRENTLY junk_id ON scratch.junk (id); DROP TABLE orders;""",
        ["add schema scratch", "add table scratch.junk (id bigint)", "add index junk_id on scratch.junk USING btree (id)"],
    ),
    "SQL1: settings lost between steps, a type": (
        "SET search_path = s; ALTER TYPE mood ADD VALUE 'ok'; UPDATE people SET m = 'ok' WHERE m = 'sad';",
        ["change type s.mood ENUM ('sad') → ENUM ('sad', 'ok')"],
    ),
    "SQL2: the down section of another tool": (
        "-- +goose Up\nCREATE TABLE g (id int);\n-- +goose Down\nDROP TABLE g;",
        ["add table g (id integer)"],
    ),
    "SQL3: COMMIT without BEGIN": (
        "ALTER TYPE s.mood ADD VALUE 'ok'; COMMIT; INSERT INTO s.people VALUES ('ok');",
        ["change type s.mood ENUM ('sad') → ENUM ('sad', 'ok')"],
    ),
    "SQL4: an extension that was installed before": ("DROP EXTENSION pgcrypto;", ["drop extension pgcrypto"]),
    "SQL19: an index behind CREATE TABLE IF NOT EXISTS": (
        "CREATE TABLE IF NOT EXISTS orders (id bigint); CREATE INDEX totals ON orders (total);",
        ["add index totals on orders USING btree (total)"],
    ),
    "SQL19: a table changes its schema": (
        "ALTER TABLE inbox SET SCHEMA s;",
        ["change table inbox renamed to s.inbox"],
    ),
    "SQL19: a schema is renamed": (
        "ALTER SCHEMA s RENAME TO t;",
        [
            "change table s.people renamed to t.people", "drop schema s", "add schema t", "change type s.mood renamed to t.mood",
            "change column t.people.m s.mood → t.mood",
        ],
    ),
    "SQL19: a view is renamed": ("ALTER VIEW notes RENAME TO texts;", ["change view notes renamed to texts"]),
    "SQL19: row security without a policy": (
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;",
        ["change table orders nothing → ROW LEVEL SECURITY"],
    ),
    "SQL19: a policy without row security": (
        "CREATE POLICY own ON orders USING (true);",
        ["add policy own on orders PERMISSIVE FOR ALL TO public USING (true)"],
    ),
    "SQL20: columns go with their extension": (
        "DROP EXTENSION citext CASCADE;",
        ["drop extension citext", "drop column people.email"],
    ),
    "SQL20: columns go with their domain": ("DROP DOMAIN age CASCADE;", ["drop domain age", "drop column people.years"]),
    "SQL20: a type change that loses values": (
        "ALTER TABLE people ALTER name TYPE varchar(1) USING left(name, 1);",
        ["change column people.name text → character varying(1)"],
    ),
    "SQL20: views go with a column": (
        "ALTER TABLE orders DROP COLUMN note CASCADE;",
        ["drop column orders.note", "drop view notes"],
    ),
    "SQL21: a constraint that dynamic SQL renames": (
        "DO $$ BEGIN EXECUTE format('ALTER TABLE orders RENAME CONSTRAINT a TO %I', 'b'); END $$;",
        ["change constraint a on orders renamed to b"],
    ),
    "SQL21: a temporary table that is dropped first": ("DROP TABLE IF EXISTS _m; CREATE TEMP TABLE _m (id int);", []),
    "SQL21: a virtual column": (
        "ALTER TABLE orders ADD double int GENERATED ALWAYS AS (total * 2);",
        ["add column orders.double integer GENERATED ALWAYS AS ((total * 2))"],
    ),
    "SQL22: an index of a partitioned table, one partition at a time": (
        """CREATE INDEX by_at ON ONLY events (at); CREATE INDEX CONCURRENTLY by_at_1 ON events_1 (at);
        ALTER INDEX by_at ATTACH PARTITION by_at_1;""",
        ["add index by_at on events USING btree (at)", "add index by_at_1 on events_1 USING btree (at) PARTITION OF by_at"],
    ),
    "SQL23: a column with data": ("ALTER TABLE people DROP name;", ["drop column people.name"]),
}  # fmt: skip
FAILING = {
    "SQL6: an error in a body": (
        "DO $$\nBEGIN\n  PERFORM 1;\n  EXECUTE 'SELECT nonsense';\nEND $$;",
        ("sql/2_case.sql:4:3", 'column "nonsense" does not exist'),
    ),
    "SQL22: CONCURRENTLY for a partitioned table": (
        "CREATE INDEX CONCURRENTLY ON events (at);",
        ("sql/2_case.sql:1:30", 'cannot create index on partitioned table "events" concurrently'),
    ),
    "SQL22: CONCURRENTLY for a view without rows": (
        "REFRESH MATERIALIZED VIEW CONCURRENTLY sums;",
        ("sql/2_case.sql:1:1", "CONCURRENTLY cannot be used when the materialized view is not populated"),
    ),
    "SQL24: an unknown table": (
        "SELECT 1;\nALTER TABLE ordres ADD c int;",
        ("sql/2_case.sql:2:13", 'relation "ordres" does not exist'),
    ),
    "SQL24: an unknown table in dynamic SQL": (
        "DO $$ BEGIN EXECUTE 'UPDATE ordres SET total = 1'; END $$;",
        ("sql/2_case.sql:1:7", 'relation "ordres" does not exist'),
    ),
}
GUARDED = {
    "SQL20: an extension": "DROP EXTENSION citext CASCADE;",
    "SQL20: a domain": "DROP DOMAIN age CASCADE;",
    "SQL20: a lossy type": "ALTER TABLE people ALTER name TYPE varchar(1) USING left(name, 1);",
    "SQL20: an upsert": "INSERT INTO orders SELECT * FROM orders ON CONFLICT (id) DO UPDATE SET note = '';",
    "SQL20: a trigger of the same file": """CREATE TRIGGER t AFTER INSERT ON inbox EXECUTE FUNCTION wiping();
        INSERT INTO inbox VALUES (1);""",
    "SQL20: a view": "CREATE VIEW v AS SELECT wipe() AS x; SELECT x FROM v;",
    "SQL20: a default": "ALTER TABLE inbox ALTER id SET DEFAULT wipe(); INSERT INTO inbox DEFAULT VALUES;",
    "SQL20: a check": "INSERT INTO inbox VALUES (1); ALTER TABLE inbox ADD CHECK (wipe() > 0);",
    "SQL23: a column": "ALTER TABLE people DROP name;",
}


@pytest.fixture
def live(rehearser: Rehearser, monkeypatch: pytest.MonkeyPatch) -> Rehearser:
    """A deployed site whose plans no rule reads."""
    rehearser.site.deploy_sql(LIVE).sql(ROWS)
    monkeypatch.setattr(planning, "find_new_hazards", lambda *_: Findings())
    return rehearser


def write(site: Site, sql: str) -> None:
    site.write("sql/2_case.sql", sql)


def test_the_rehearsal_reports_what_happens(live):
    found = {}
    for name, (sql, _) in REPORTED.items():
        write(live.site, sql)
        [found[name]] = live.changes()
    assert found == {name: changes for name, (_, changes) in REPORTED.items()}


def test_the_rehearsal_fails_as_an_apply_would(live):
    found = {}
    for name, (sql, (_, message)) in FAILING.items():
        write(live.site, sql)
        error = live.fails()
        found[name] = (str(error.location), message if message in error.message else error.message)
    assert found == {name: expected for name, (_, expected) in FAILING.items()}


def test_the_guard_undoes_what_no_rule_has_seen(live):
    site = live.site
    kept = "SELECT (SELECT json_agg(o ORDER BY id) FROM orders o)::text AS o, (SELECT json_agg(p) FROM people p)::text AS p"
    before = site.sql(kept)
    found = {}
    for name, sql in GUARDED.items():
        write(site, sql)
        found[name] = (type(site.fails().error), site.sql(kept) == before)
    assert found == dict.fromkeys(GUARDED, (EffectsExceedConsent, True))


def test_sql19_a_constraint_that_live_rows_violate(live):
    write(live.site, "ALTER TABLE orders ADD CONSTRAINT n NOT NULL note;")
    [check] = live.rehearsal().row_checks
    assert (check.constraint, check.rows, check.keys) == ("SET NOT NULL on orders.note", 1, ("2",))


def test_dep6_a_table_that_was_dropped_by_hand(live):
    site = live.site
    site.sql("DROP TABLE inbox")
    write(site, "ALTER TABLE people ADD c int;")
    planned = live.plan()
    drift, rehearsal = planned.plan.drift, planned.plan.rehearsal
    assert (drift.state, [str(each.object) for each in drift.changes]) == (
        SchemaState.DRIFTED,
        ["table inbox"],
    )
    assert rehearsal.not_rehearsed == "the recorded files don't make the live schema"
    assert [f"{each.action} {each.object}" for each in rehearsal.differences] == ["drop table inbox"]

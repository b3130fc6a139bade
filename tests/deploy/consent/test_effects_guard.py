"""The guard alone, without any rule that reads SQL: nothing that was there is lost unless it was agreed to."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from mosaic_deploy.diff.gate import Consent
from mosaic_deploy.errors import EffectsExceedConsent
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone
from tests.sampling import sampled

LIVE = """
CREATE SCHEMA app;
CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL, total int NOT NULL, extra text);
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE notes (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE SET NULL);
CREATE TABLE inbox (id int);
CREATE TABLE app.events (id int, at int) PARTITION BY RANGE (at);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (100);
CREATE TABLE moving (k int) PARTITION BY RANGE (k);
CREATE TABLE moving_1 PARTITION OF moving FOR VALUES FROM (0) TO (10);
CREATE TABLE moving_2 PARTITION OF moving FOR VALUES FROM (10) TO (20);
INSERT INTO moving VALUES (1), (2);
CREATE TABLE parents (id int);
CREATE TABLE children (more int) INHERITS (parents);
INSERT INTO orders SELECT g, 'note', g, 'x' FROM generate_series(1, 5) g;
INSERT INTO items SELECT g, g FROM generate_series(1, 5) g;
INSERT INTO notes SELECT g, g FROM generate_series(1, 5) g;
INSERT INTO app.events SELECT g, g FROM generate_series(1, 5) g;
INSERT INTO children SELECT g, g FROM generate_series(1, 5) g;
CREATE TABLE prices (id int, price int, word text);
INSERT INTO prices SELECT g, g, 'word' FROM generate_series(1, 5) g;
CREATE VIEW big AS SELECT id, note FROM orders WHERE total > 2;
CREATE VIEW all_orders AS SELECT id, note, total FROM orders;
CREATE MATERIALIZED VIEW sums AS SELECT sum(total) AS total FROM orders;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE point2 AS (x int, y int);
CREATE TABLE shape (x int, y int);
CREATE TYPE point3 AS (x int, y int);
CREATE DOMAIN point4 AS point3;
CREATE TABLE keepsakes (s shape, p point4);
INSERT INTO keepsakes VALUES (ROW(1, 2), ROW(1, 2));
CREATE TABLE places (id int, at point2);
INSERT INTO places VALUES (1, ROW(1, 2));
CREATE FUNCTION deleting() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.items WHERE id > 2; RETURN 1; END $$;
CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.deleting(); RETURN 1; END $$;
CREATE FUNCTION wipe_step(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.items; RETURN 1; END $$;
CREATE AGGREGATE wipe_all(int) (SFUNC = wipe_step, STYPE = int, INITCOND = '0');
CREATE FUNCTION wiping() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM items; RETURN NULL; END $$;
CREATE FUNCTION touching() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE orders SET total = 0; RETURN NULL; END $$;
CREATE FUNCTION wipe_in_sql() RETURNS void LANGUAGE sql AS 'DELETE FROM public.items';
CREATE FUNCTION public.emptying(t text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'TRUNCATE ' || t || ' CASCADE'; RETURN 1; END $$;
CREATE POLICY own ON notes USING (true);
CREATE PROCEDURE clean() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM items; END $$;
SELECT lo_from_bytea(0, 'content');
CREATE OPERATOR === (FUNCTION = wipe_step, LEFTARG = int, RIGHTARG = int);
"""
KEPT = """SELECT (SELECT json_agg(o ORDER BY id) FROM orders o)::text AS orders, (SELECT json_agg(i ORDER BY id) FROM items i)::text AS items,
  (SELECT json_agg(n ORDER BY id) FROM notes n)::text AS notes, (SELECT json_agg(e ORDER BY id) FROM app.events e)::text AS events,
  (SELECT json_agg(c ORDER BY id) FROM children c)::text AS children, (SELECT json_agg(p) FROM places p)::text AS places,
  (SELECT json_agg(k) FROM keepsakes k)::text AS keepsakes,
  (SELECT json_agg(p ORDER BY id) FROM prices p)::text AS prices, to_regclass('big')::text AS big, to_regclass('sums')::text AS sums, to_regtype('mood')::text AS mood, to_regtype('positive')::text AS positive,
  to_regprocedure('wipe()')::text AS wipe, (SELECT count(*) FROM pg_policy)::text AS policies,
  (SELECT json_agg(lo_get(oid)::text) FROM pg_largeobject_metadata)::text AS large"""

WAYS = {
    "delete with a condition": "DELETE FROM orders WHERE id > 0;",
    "delete in a CTE": "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone;",
    "delete using": "DELETE FROM items USING orders WHERE orders.id = items.order_id;",
    "merge": "MERGE INTO orders o USING items i ON i.id = o.id WHEN MATCHED AND o.id > 3 THEN DELETE;",
    "cascade": "DELETE FROM orders WHERE id = 5;",
    "set null": "DELETE FROM orders WHERE id = 4;",
    "key update that cascades": "DELETE FROM notes; UPDATE orders SET id = id + 100 WHERE id = 5;",
    "truncate": "TRUNCATE items;",
    "truncate cascade": "TRUNCATE orders CASCADE;",
    "truncate in a function": "SELECT emptying('orders');",
    "truncate and fill again": "DO $$ BEGIN EXECUTE 'TRUNCATE items'; INSERT INTO items SELECT g, g FROM generate_series(1, 5) g; END $$;",
    "dynamic": "DO $$ BEGIN EXECUTE 'dele' || 'te from items'; END $$;",
    "dynamic drop": "DO $$ BEGIN EXECUTE 'drop ta' || 'ble items'; END $$;",
    "function in a select": "SELECT wipe();",
    "function in SQL": "SELECT wipe_in_sql();",
    "function in a default": "ALTER TABLE inbox ADD COLUMN x int DEFAULT wipe();",
    "function in a default of an insert": "ALTER TABLE inbox ALTER COLUMN id SET DEFAULT wipe(); INSERT INTO inbox DEFAULT VALUES;",
    "function in a condition": "SELECT 1 FROM notes WHERE wipe() > 0;",
    "function in a check": "INSERT INTO inbox VALUES (1); ALTER TABLE inbox ADD CHECK (wipe() > 0);",
    "function in an index": "INSERT INTO inbox VALUES (1); CREATE INDEX ON inbox ((wipe() + id));",
    "function in a generated column": "INSERT INTO inbox VALUES (1); ALTER TABLE inbox ADD COLUMN g int GENERATED ALWAYS AS (wipe() + id) STORED;",
    "function in USING": "INSERT INTO inbox VALUES (1); ALTER TABLE inbox ALTER COLUMN id TYPE bigint USING wipe() + id;",
    "function in a view": "CREATE VIEW v AS SELECT wipe() AS x; SELECT x FROM v;",
    "function in a materialized view": "CREATE MATERIALIZED VIEW v AS SELECT wipe_in_sql() IS NULL AS x FROM generate_series(1, 1);",
    "function in a domain": "CREATE DOMAIN odd AS int CHECK (wipe() > 0); SELECT 1::odd;",
    "function in create table as": "CREATE TABLE t AS SELECT wipe() AS x;",
    "function in returning": "INSERT INTO inbox VALUES (1) RETURNING wipe();",
    "function in a prepared statement": "PREPARE p AS SELECT wipe(); EXECUTE p;",
    "function in a cursor": "DO $$ DECLARE c CURSOR FOR SELECT wipe(); x int; BEGIN OPEN c; FETCH c INTO x; END $$;",
    "function by explain analyze": "EXPLAIN (ANALYZE) SELECT wipe();",
    "aggregate": "SELECT wipe_all(id) FROM notes;",
    "operator": "SELECT 1 === 2;",
    "procedure": "DO $$ BEGIN CALL clean(); END $$;",
    "swallowed": "DO $$ BEGIN DELETE FROM items WHERE id = 1; BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END; END $$;",
    "new trigger": "CREATE TRIGGER t AFTER INSERT ON inbox EXECUTE FUNCTION wiping(); INSERT INTO inbox VALUES (1);",
    "new trigger, deferred": """CREATE CONSTRAINT TRIGGER t AFTER INSERT ON inbox INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wiping(); INSERT INTO inbox VALUES (1);""",
    "trigger that updates": "CREATE TRIGGER t AFTER INSERT ON inbox EXECUTE FUNCTION touching(); INSERT INTO inbox VALUES (1);",
    "rule": "CREATE RULE r AS ON INSERT TO inbox DO ALSO DELETE FROM items; INSERT INTO inbox VALUES (1);",
    "delete through a view": "DELETE FROM all_orders WHERE id = 1;",
    "update through a view": "DO $$ BEGIN EXECUTE 'update all_orders set total = 0'; END $$;",
    "renamed and deleted": "ALTER TABLE items RENAME TO things; DELETE FROM things;",
    "moved and deleted": "ALTER TABLE items SET SCHEMA app; DELETE FROM app.items;",
    "partition": "DELETE FROM app.events WHERE at < 3;",
    "partition dropped": "DROP TABLE app.events_1;",
    "partition detached and dropped": "ALTER TABLE app.events DETACH PARTITION app.events_1; DROP TABLE app.events_1;",
    "child rows": "DELETE FROM parents;",
    "schema": "DROP SCHEMA app CASCADE;",
    "table": "DROP TABLE items;",
    "column": "ALTER TABLE orders DROP COLUMN extra;",
    "column of a type": "ALTER TYPE point2 DROP ATTRIBUTE y;",
    "type": "ALTER TABLE prices ALTER COLUMN word TYPE varchar(2) USING left(word, 2);",
    "type, dynamically": "DO $$ BEGIN EXECUTE 'alter table prices alter price type text using ''0'''; END $$;",
    "rewritten, then truncated": """ALTER TABLE items ADD COLUMN u uuid DEFAULT gen_random_uuid();
        DO $$ BEGIN EXECUTE 'truncate items'; END $$;""",
    "rewritten, then truncated and filled": """ALTER TABLE items ADD COLUMN u uuid DEFAULT gen_random_uuid();
        DO $$ BEGIN EXECUTE 'truncate items'; INSERT INTO items (id, order_id) SELECT g, g FROM generate_series(1, 5) g; END $$;""",
    "truncated, then rewritten": """DO $$ BEGIN EXECUTE 'truncate items'; END $$;
        ALTER TABLE items ADD COLUMN u uuid DEFAULT gen_random_uuid();""",
    "swapped": "CREATE TABLE new_items (LIKE items); DROP TABLE items; ALTER TABLE new_items RENAME TO items;",
    "view": "DO $$ BEGIN EXECUTE 'drop view big'; END $$;",
    "materialized view": "DO $$ BEGIN EXECUTE 'drop materialized view sums'; END $$;",
    "enum": "DO $$ BEGIN EXECUTE 'drop type mood'; END $$;",
    "domain": "DO $$ BEGIN EXECUTE 'drop domain positive'; END $$;",
    "function": "DO $$ BEGIN EXECUTE 'drop function wipe()'; END $$;",
    "policy": "DO $$ BEGIN EXECUTE 'drop policy own on notes'; END $$;",
    "other search_path": "SET search_path = app; DELETE FROM public.items;",
    "hostile operators": """CREATE SCHEMA evil; CREATE FUNCTION evil.no(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR evil.<> (FUNCTION = evil.no, LEFTARG = text, RIGHTARG = text);
        SET search_path = evil, public, pg_catalog; DELETE FROM public.items;""",
    "large objects": "SELECT lo_unlink(oid) FROM pg_largeobject_metadata;",
    "data of large objects": "SELECT lo_put(oid, 0, 'x') FROM pg_largeobject_metadata;",
    "column of a row type": "DO $$ BEGIN EXECUTE 'alter table shape drop column y'; END $$;",
    "attribute below a domain": "DO $$ BEGIN EXECUTE 'alter type point3 drop attribute y'; END $$;",
    "settings reset": "RESET ALL; DELETE FROM items;",
    "sent plainly": "SAVEPOINT one; DELETE FROM items; RELEASE one;",
    "sent plainly, truncated": "SAVEPOINT one; TRUNCATE items; RELEASE one;",
    "sent plainly, rewritten and truncated": """SAVEPOINT one; ALTER TABLE items ADD COLUMN u uuid DEFAULT gen_random_uuid();
        SELECT emptying('items'); RELEASE one;""",
    "sent plainly, settings reset": "SAVEPOINT one; RESET ALL; DELETE FROM items; RELEASE one;",
    "sent plainly, select into": "SELECT wipe() AS x INTO kept;",
}  # fmt: skip


def without_rules(site):
    """The plan as if no rule had found anything."""
    planned = site.plan()
    return replace(planned, plan=replace(planned.plan, hazards=(), to_confirm=(), denied=()), writes={})


@pytest.mark.parametrize("sql", sampled(WAYS.values(), 3, ids=WAYS))
def test_nothing_is_lost_without_consent(site, sql):
    site.deploy_sql(LIVE)
    before = site.sql(KEPT)
    site.write("sql/2_more.sql", sql)
    last = site.run(without_rules(site))[-1]
    assert isinstance(last, ApplyFailed), last
    assert isinstance(last.error, EffectsExceedConsent), last.error
    assert "does more than the plan says: " in last.error.message
    assert site.sql(KEPT) == before


MEANT = {
    "insert": "INSERT INTO inbox VALUES (1);",
    "update": "UPDATE orders SET total = 0 WHERE id = 1;",
    "update in a block": "DO $$ BEGIN UPDATE orders SET total = 0 WHERE id = 1; END $$;",
    "update of a partition": "UPDATE app.events SET id = 9 WHERE at = 1;",
    "update of children": "UPDATE parents SET id = 9 WHERE id = 1;",
    "upsert": "INSERT INTO orders VALUES (1, 'n', 1) ON CONFLICT (id) DO UPDATE SET total = 7;",
    "update through a view": "UPDATE all_orders SET total = 0 WHERE id = 1;",
    "a column": "ALTER TABLE orders ADD COLUMN u uuid DEFAULT gen_random_uuid();",
    "a wider type": "ALTER TABLE prices ALTER COLUMN price TYPE bigint;",
    "a text type": "ALTER TABLE prices ALTER COLUMN word TYPE varchar;",
    "a rewrite of partitions": "ALTER TABLE app.events ADD COLUMN u uuid DEFAULT gen_random_uuid(); UPDATE app.events SET id = 1 WHERE at = 1;",
    "a rewrite, then rows": "ALTER TABLE items ADD COLUMN u uuid DEFAULT gen_random_uuid(); INSERT INTO items VALUES (77, 1);",
    "cluster": "CLUSTER orders USING orders_pkey;",
    "own table": "CREATE TABLE t AS SELECT 1 AS x; UPDATE t SET x = 2; DELETE FROM t; DROP TABLE t;",
    "own objects": "CREATE VIEW v AS SELECT 1; DROP VIEW v; CREATE TYPE q AS ENUM ('a'); DROP TYPE q;",
    "a view anew": "DROP VIEW big; CREATE VIEW big AS SELECT 1 AS one;",
    "a function anew": "DROP FUNCTION wipe(); CREATE FUNCTION wipe() RETURNS text LANGUAGE sql AS 'SELECT 1::text';",
    "a policy anew": "DROP POLICY own ON notes; CREATE POLICY own ON notes USING (false);",
    "a rename": "ALTER TABLE items RENAME TO things; ALTER VIEW big RENAME TO bigger; ALTER TYPE mood RENAME TO feeling;",
    "an empty table": "DELETE FROM inbox; TRUNCATE inbox; DROP TABLE inbox;",
    "sent plainly": "SAVEPOINT one; UPDATE orders SET total = 0 WHERE id = 1; ALTER TABLE items ADD COLUMN u uuid DEFAULT gen_random_uuid(); RELEASE one;",
    "sent plainly, with a reset": "SAVEPOINT one; RESET ALL; UPDATE orders SET total = 0 WHERE id = 1; RELEASE one;",
    "a rewrite in a block": """DO $$ BEGIN IF true THEN ALTER TABLE prices ADD COLUMN u uuid DEFAULT gen_random_uuid(); END IF;
        ALTER TABLE prices ALTER COLUMN price TYPE bigint; END $$;""",
    "another enum": "ALTER TYPE mood RENAME TO mood_old; CREATE TYPE mood AS ENUM ('good'); DROP TYPE mood_old;",
    "a row that moves": "UPDATE moving SET k = 11 WHERE k = 1;",
    "an index": "CREATE INDEX ON orders (total); REINDEX TABLE orders; ANALYZE orders;",
}  # fmt: skip


@pytest.mark.parametrize("sql", sampled(MEANT.values(), 3, ids=MEANT))
def test_what_the_plan_lists_needs_no_more(site, sql):
    site.deploy_sql(LIVE)
    site.write("sql/2_more.sql", sql)
    planned = site.plan()
    assert not planned.plan.to_confirm
    assert isinstance(last := site.run(planned)[-1], ApplyDone), last


REPLACED = {
    "rewritten": (
        "'alter ' || 'table items add u uuid default gen_random_uuid()'",
        "items: rewrites the table",
    ),
    "rewritten, new rows": (
        "'alter table items add u uuid default gen_random_uuid(); insert into items values (7, 1)'",
        "items: rewrites the table, inserts 1 row",
    ),
    "clustered": ("'clus' || 'ter items using items_pkey'", "items: rewrites the table"),
    "other values": ("'alter table prices alter word type text using null'", "prices: rewrites the table"),
    "emptied": ("'trun' || 'cate items'", "items: empties it or replaces all its rows"),
    "other rows": (
        "'insert into items values (7, 1); truncate items; insert into items select g, g from generate_series(1, 3) g'",
        "items: empties it or replaces all its rows, inserts 3 rows",
    ),
    "emptied, then rewritten": (
        "'truncate items; insert into items values (7, 1); alter table items add u uuid default gen_random_uuid()'",
        "items: empties it or replaces all its rows, inserts 1 row",
    ),
    "rewritten, then emptied": (
        "'alter table items add u uuid default gen_random_uuid(); truncate items'",
        "items: empties it or replaces all its rows",
    ),
}


@pytest.mark.parametrize(("name", "plainly"), sampled(product(REPLACED, [False, True]), 5))
def test_a_rewrite_is_not_called_emptying(site, name, plainly):
    site.deploy_sql(LIVE)
    composed, said = REPLACED[name]
    block = f"DO $$ BEGIN EXECUTE {composed}; END $$;"
    site.write("sql/2_more.sql", f"SAVEPOINT a; {block} RELEASE a;" if plainly else block)
    error = site.run(without_rules(site))[-1].error
    assert f"does more than the plan says: {said} (" in error.message


APPROVED = (
    "DELETE FROM orders WHERE id > 3;", "TRUNCATE items;", "DROP TABLE notes;", "ALTER TABLE orders DROP COLUMN total CASCADE;",
    "DROP VIEW big;", "DROP FUNCTION deleting();", "DROP SCHEMA app CASCADE;", "DROP TYPE mood;",
    "ALTER TYPE point2 DROP ATTRIBUTE y;", "ALTER TABLE prices ALTER word TYPE varchar(2) USING left(word, 2);",
    "DO $$ BEGIN EXECUTE 'delete from items'; END $$;",
)  # fmt: skip


@pytest.mark.parametrize("sql", sampled(APPROVED, 3))
def test_what_the_plan_lists_as_destructive_is_done_once_approved(site, sql):
    site.deploy_sql(LIVE)
    site.write("sql/2_more.sql", sql)
    planned = site.plan()
    assert planned.plan.to_confirm
    assert isinstance(last := site.run(planned)[-1], ApplyDone), last


def test_a_table_may_lose_its_only_column(site):
    site.deploy_sql("CREATE TABLE bare (x int); INSERT INTO bare VALUES (1);")
    for number, sql in (
        (2, "ALTER TABLE bare DROP x;"),
        (3, "ALTER TABLE bare ADD y int; UPDATE bare SET y = 1;"),
    ):
        site.write(f"sql/{number}_more.sql", sql)
        assert isinstance(last := site.run(site.plan())[-1], ApplyDone), last


@pytest.mark.parametrize(
    "sql", ["DO $$ BEGIN EXECUTE 'delete from items'; END $$;", "SAVEPOINT a; DELETE FROM items; RELEASE a;"]
)
def test_the_option_approves_everything_but_protected_tables(site, sql):
    site.deploy_sql(LIVE)
    site.write("sql/2_more.sql", sql)
    consent = Consent("yes", frozenset({"destructive"}))
    site.manifest(database={"migrations": "sql"}, policy={"protected_tables": ["items"]})
    last = site.run(without_rules(site), consent=consent)[-1]
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, EffectsExceedConsent)
    site.manifest(database={"migrations": "sql"}, policy={"protected_tables": ["orders"]})
    assert isinstance(last := site.run(without_rules(site), consent=consent)[-1], ApplyDone), last
    assert site.sql("SELECT count(*) AS n FROM items") == [{"n": 0}]


UNPROTECTED = {
    "renamed": "EXECUTE format('ALTER TABLE %I RENAME TO x', 'items');",
    "moved": "EXECUTE format('ALTER TABLE items SET SCHEMA %I', 'app');",
    "schema renamed": "EXECUTE format('ALTER SCHEMA %I RENAME TO other', 'app');",
    "detached": "EXECUTE format('ALTER TABLE moving DETACH PARTITION %I', 'moving_1');",
    "no longer a child": "EXECUTE format('ALTER TABLE children NO INHERIT %I', 'parents');",
    "swapped": "EXECUTE format('ALTER TABLE %I RENAME TO x', 'items'); CREATE TABLE items (id int);",
}


@pytest.mark.parametrize("block", sampled(UNPROTECTED.values(), 3, ids=UNPROTECTED))
def test_a_protected_table_keeps_a_protected_name(site, block):
    """Otherwise the next migration could drop it under the other one."""
    site.deploy_sql(LIVE)
    site.write("sql/2_more.sql", f"DO $$ BEGIN {block} END $$;")
    protected = ["items", "app.events", "moving", "parents"]
    site.manifest(
        database={"migrations": "sql"}, policy={"destructive": "allow", "protected_tables": protected}
    )
    last = site.run()[-1]
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, EffectsExceedConsent), last.error
    assert "policy.protected_tables no longer protects it" in last.error.message
    assert "policy.protected_tables forbids it" in str(last.error.hint)
    [again] = last.error.next_actions
    assert again.description == "run it again, once that is corrected"
    other = ["app.items", "x", "other.events", "moving_1", "children"]
    site.manifest(
        database={"migrations": "sql"},
        policy={"destructive": "allow", "protected_tables": [*protected, *other]},
    )
    last = site.run()[-1]
    assert isinstance(last, ApplyDone), last


def test_rows_of_each_table_are_reported(site):
    site.deploy_sql(LIVE)
    site.write(
        "sql/2_more.sql", "UPDATE orders SET total = 0 WHERE id < 3; INSERT INTO orders VALUES (9, 'n', 1);"
    )
    [done] = [event for event in site.run() if isinstance(event, ChangeDone)]
    [report] = done.steps
    assert [(one.table, one.updated, one.inserted) for one in report.tables] == [("public.orders", 2, 1)]


@pytest.mark.parametrize(
    "between",
    [
        "",
        "INSERT INTO made VALUES (99);",
        "CREATE VIEW mine AS SELECT 1;",
        "UPDATE made SET id = 9 WHERE id = 1;",
    ],
)
def test_a_failed_run_is_continued_without_more_consent(site, between):
    site.write(
        "sql/1_live.sql",
        "CREATE TABLE made (id int); INSERT INTO made SELECT generate_series(1, 3); CREATE VIEW v AS SELECT 1;",
    )
    site.write("sql/2_more.sql", "SELECT 1 / 0;")
    site.manifest(database={"migrations": "sql"})
    site.fails()
    if between:
        site.sql(between)
    site.write("sql/2_more.sql", "DELETE FROM made; DROP VIEW v; DROP VIEW IF EXISTS mine;")
    last = site.run(without_rules(site))[-1]
    assert isinstance(last, ApplyFailed if between else ApplyDone), last


def test_a_view_that_a_later_file_makes_again_may_be_dropped(site):
    site.deploy_sql(LIVE)
    site.write("sql/2_drop.sql", "DROP VIEW big, all_orders; DROP MATERIALIZED VIEW sums;")
    site.write("sql/3_alter.sql", "ALTER TABLE orders ALTER COLUMN total TYPE bigint;")
    site.write(
        "sql/4_again.sql",
        """CREATE VIEW big AS SELECT 1 AS one; CREATE VIEW all_orders AS SELECT 1 AS one;
        CREATE MATERIALIZED VIEW sums AS SELECT 1 AS one;""",
    )
    planned = site.plan()
    assert not planned.plan.to_confirm
    assert isinstance(last := site.run(planned)[-1], ApplyDone), last


def test_a_cursor_that_would_run_its_query_at_commit_is_closed(site):
    site.deploy_sql(LIVE)
    before = site.sql(KEPT)
    site.write(
        "sql/2_more.sql",
        "DO $$ BEGIN EXECUTE 'declare c cursor with hold for select public.wipe_in_sql()'; END $$;",
    )
    site.run(without_rules(site))
    assert site.sql(KEPT) == before


COUNTING = """CREATE TABLE kept (id int); INSERT INTO kept VALUES (1); CREATE TABLE inbox (id int);
CREATE FUNCTION wiping() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM kept; RETURN NULL; END $$;
CREATE TRIGGER t AFTER INSERT ON inbox EXECUTE FUNCTION wiping();"""


def test_a_deploy_whose_checks_fail_is_not_continued_by_the_next(site):
    """All of its SQL is done, so its rows are rows from before."""
    site.write("sql/1_live.sql", COUNTING)
    site.manifest(database={"migrations": "sql"}, verify={"sql": [{"query": "SELECT 1", "rows": 7}]})
    assert site.fails().error.code == "verify_failed"
    site.write("sql/2_more.sql", "INSERT INTO inbox VALUES (1);")
    assert site.fails().error.code == "effects_exceed_consent"
    assert site.sql("SELECT count(*) AS n FROM kept") == [{"n": 1}]


def test_drift_is_still_compared_after_a_step_was_refused(site):
    site.deploy_sql(COUNTING)
    site.write("sql/2_more.sql", "INSERT INTO inbox VALUES (1);")
    assert site.fails().error.code == "effects_exceed_consent"
    site.sql("ALTER TABLE kept ADD by_hand int")
    drift = site.plan().plan.drift
    assert drift is not None
    assert [str(change.object.name) for change in drift.changes] == ["by_hand"]


IN_SEVERAL_FILES = {
    "a view anew, then dropped": ("DROP VIEW big; CREATE VIEW big AS SELECT 1 AS x;", "DROP VIEW big;"),
    "a type anew, then dropped": ("DROP TYPE mood; CREATE TYPE mood AS ENUM ('x');", "DROP TYPE mood;"),
    "a function anew, then dropped": (
        "DROP FUNCTION wipe(); CREATE FUNCTION wipe() RETURNS text LANGUAGE sql AS 'SELECT 1::text';",
        "DROP FUNCTION wipe();",
    ),
    "a policy anew, then dropped": (
        "DROP POLICY own ON notes; CREATE POLICY own ON notes USING (false);", "DROP POLICY own ON notes;",
    ),
    "a renamed view": ("ALTER VIEW big RENAME TO v;", "DROP VIEW v;"),
    "a moved view": ("ALTER VIEW big SET SCHEMA app;", "DROP VIEW app.big;"),
    "a renamed materialized view": ("ALTER MATERIALIZED VIEW sums RENAME TO v;", "DROP MATERIALIZED VIEW IF EXISTS v;"),
    "a renamed type": ("ALTER TYPE mood RENAME TO feeling;", "DROP TYPE feeling;"),
    "a moved type": ("ALTER TYPE mood SET SCHEMA app;", "DROP TYPE app.mood;"),
    "a renamed domain": ("ALTER DOMAIN positive RENAME TO plus;", "DROP DOMAIN IF EXISTS plus;"),
    "a renamed function": ("ALTER FUNCTION wipe() RENAME TO w;", "DROP FUNCTION w;"),
    "a moved function": ("ALTER FUNCTION wipe() SET SCHEMA app;", "DROP FUNCTION app.wipe();"),
    "a renamed procedure": ("ALTER PROCEDURE clean() RENAME TO c;", "DROP PROCEDURE c;"),
    "a renamed aggregate": ("ALTER AGGREGATE wipe_all(int) RENAME TO c;", "DROP AGGREGATE c(int);"),
    "a renamed policy": ("ALTER POLICY own ON notes RENAME TO mine;", "DROP POLICY mine ON notes;"),
    "a policy of a renamed table": ("ALTER TABLE notes RENAME TO n;", "DROP POLICY own ON n;"),
    "a renamed table": ("ALTER TABLE items RENAME TO things;", "DROP TABLE things;"),
    "a renamed schema": ("ALTER SCHEMA app RENAME TO web;", "DROP SCHEMA web CASCADE;"),
    "a renamed column": ("ALTER TABLE orders RENAME extra TO more;", "ALTER TABLE orders DROP more;"),
    "a function, then a step sent plainly": ("DROP FUNCTION deleting();", "SAVEPOINT a; DROP FUNCTION wipe(); RELEASE a;"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "together"), sampled(product(IN_SEVERAL_FILES, [False, True]), 4))
def test_what_several_statements_drop_in_the_end_is_listed(site, name, together):
    texts = IN_SEVERAL_FILES[name]
    site.deploy_sql(LIVE)
    for number, text in enumerate(["\n".join(texts)] if together else texts, 2):
        site.write(f"sql/{number}_more.sql", text)
    planned = site.plan()
    assert planned.plan.to_confirm
    assert isinstance(last := site.run(planned)[-1], ApplyDone), last


@pytest.mark.parametrize("between", ["", "SAVEPOINT a; SELECT 1; RELEASE a;"])
def test_columns_that_the_run_adds_are_not_from_before(site, between):
    site.deploy_sql(LIVE)
    site.write("sql/2_add.sql", "ALTER TABLE orders ADD more int; UPDATE orders SET more = total;")
    site.write("sql/3_more.sql", f"{between} ALTER TABLE orders ALTER more TYPE smallint;")
    site.write("sql/4_drop.sql", "ALTER TABLE orders DROP more; DROP FUNCTION IF EXISTS nothing();")
    planned = site.plan()
    assert not planned.plan.to_confirm
    assert isinstance(last := site.run(planned)[-1], ApplyDone), last


def test_a_column_that_a_failed_run_added_is_from_before(site):
    site.deploy_sql(LIVE)
    site.write("sql/2_add.sql", "ALTER TABLE orders ADD more int DEFAULT 1;")
    site.write("sql/3_fail.sql", "SELECT 1 / 0;")
    site.fails()
    site.sql("UPDATE orders SET more = 7 WHERE id = 1")
    site.write("sql/3_fail.sql", "ALTER TABLE orders DROP more;")
    assert site.plan().plan.to_confirm
    last = site.run(without_rules(site))[-1]
    assert isinstance(last, ApplyFailed), last
    assert last.error.code == "effects_exceed_consent"


def test_more_rows_make_no_other_plan(site):
    """PostgreSQL counts rows with a delay, and other clients write."""
    site.deploy_sql("CREATE TABLE t (id int); INSERT INTO t VALUES (1);")
    site.write("sql/2_more.sql", "UPDATE t SET id = 2;")
    before = site.plan().plan
    site.sql("INSERT INTO t SELECT generate_series(1, 5000); ANALYZE t")
    now = site.plan().plan
    assert before.changes != now.changes
    assert (before.fingerprint, before.approval_digest) == (now.fingerprint, now.approval_digest)

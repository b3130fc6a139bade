"""Rows that an update moves to another partition need no consent, and hide no rows that are deleted."""

from __future__ import annotations

from itertools import product

import pytest

from mosaic_deploy.errors import EffectsExceedConsent
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.sampling import sampled

LIVE = """
CREATE TABLE pt (id int, k int, v text, UNIQUE (id, k)) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF pt FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF pt FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 PARTITION OF pt FOR VALUES FROM (20) TO (30) PARTITION BY RANGE (id);
CREATE TABLE p3_low PARTITION OF p3 FOR VALUES FROM (0) TO (100);
CREATE TABLE p3_high PARTITION OF p3 FOR VALUES FROM (100) TO (200);
INSERT INTO pt SELECT g, 1, 'x' FROM generate_series(1, 10) g;
INSERT INTO pt VALUES (50, 21, 'x'), (51, 21, 'x');
CREATE TABLE words (word text) PARTITION BY LIST (left(word, 1));
CREATE TABLE words_a PARTITION OF words FOR VALUES IN ('a');
CREATE TABLE words_b PARTITION OF words FOR VALUES IN ('b');
INSERT INTO words VALUES ('aa'), ('ab');
CREATE TABLE logged (k int) PARTITION BY RANGE (k);
CREATE TABLE logged_1 PARTITION OF logged FOR VALUES FROM (0) TO (10);
CREATE TABLE logged_2 PARTITION OF logged FOR VALUES FROM (10) TO (20);
INSERT INTO logged VALUES (1), (2), (3);
CREATE TABLE inbox (id int NOT NULL, k int NOT NULL, v text);
CREATE TABLE plain (id int, k int, v text);
INSERT INTO plain VALUES (1, 1, 'x');
CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DELETE FROM ' || 'public.pt WHERE id BETWEEN 3 AND 20'; RETURN 1; END $$;
CREATE FUNCTION eleven() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 11; END $$;
CREATE FUNCTION purging() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.logged WHERE k = 3; RETURN NULL; END $$;
CREATE TRIGGER t AFTER INSERT ON logged EXECUTE FUNCTION purging();
"""
KEPT = """SELECT (SELECT json_agg(t ORDER BY t.id, t.k) FROM pt t)::text AS pt, (SELECT json_agg(w ORDER BY word) FROM words w)::text AS words,
  (SELECT json_agg(l ORDER BY k) FROM logged l)::text AS logged"""
MERGE = "MERGE INTO pt USING (VALUES (1), (99)) s(id) ON pt.id = s.id WHEN MATCHED THEN UPDATE SET k = 11"
MANY = "INSERT INTO pt SELECT g, 5, 'new' FROM generate_series(60, 80) g;"
WIDE = "CREATE TABLE more (LIKE pt); INSERT INTO more SELECT g, 31, 'new' FROM generate_series(60, 80) g;"

MOVES = {
    "to an empty partition": "UPDATE pt SET k = 11 WHERE id = 1;",
    "every row of a partition": "UPDATE pt SET k = k + 10 WHERE k = 1;",
    "to a partition of a partition": "UPDATE pt SET k = 21 WHERE id = 1;",
    "by the key of a table below": "UPDATE pt SET id = id + 100 WHERE id >= 50;",
    "below a partition": "UPDATE p3 SET id = id + 100 WHERE id = 50;",
    "by several columns": "UPDATE pt SET (v, k) = (SELECT 'y', 11) WHERE id = 1;",
    "in a block": "DO $$ BEGIN UPDATE pt SET k = 11 WHERE id = 1; END $$;",
    "by MERGE": f"{MERGE};",
    "by MERGE that inserts": f"{MERGE} WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1, 'new');",
    "there and back": "UPDATE pt SET k = 11 WHERE id = 1; UPDATE pt SET k = 1 WHERE id = 1;",
    "with new rows": f"{MANY} UPDATE pt SET k = 11 WHERE id = 1 OR id > 60;",
    "beside a new partition": "CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50); UPDATE pt SET k = 11 WHERE id = 1;",
    "by an expression": "UPDATE words SET word = 'bb' WHERE word = 'aa';",
    "of a renamed column": "ALTER TABLE pt RENAME k TO place; UPDATE pt SET place = 11 WHERE id = 1;",
    "of a renamed table": "ALTER TABLE pt RENAME TO parts; UPDATE parts SET k = 11 WHERE id = 1;",
    "with functions of PostgreSQL": "UPDATE pt SET k = greatest(abs(k), 11) + (random() * 2)::int, v = upper(v || now()) WHERE id = 1;",
    "from a query": "UPDATE pt SET k = s.k FROM (SELECT max(id) AS id, 11 AS k FROM pt) s WHERE s.id = pt.id;",
    "from a table with a trigger": "UPDATE pt SET k = 11 FROM logged WHERE logged.k = pt.id;",
    "with a block's variables": "DO $$ DECLARE to_k int := 11; r record; BEGIN FOR r IN SELECT id FROM pt LOOP UPDATE pt SET k = to_k WHERE id = r.id AND r.id < 20; END LOOP; END $$;",
    "none, by ON CONFLICT": "INSERT INTO pt VALUES (1, 1, 'new') ON CONFLICT (id, k) DO UPDATE SET k = 2, v = 'new';",
}  # fmt: skip


def sent(sql: str, *, plainly: bool) -> str:
    """The SQL, as a step that is sent statement by statement if `plainly`."""
    return f"SAVEPOINT a; {sql} RELEASE a;" if plainly else sql


@pytest.mark.parametrize(("name", "plainly"), sampled(product(MOVES, [False, True]), 4))
def test_rows_that_move_need_no_more_consent(site, name, plainly):
    site.deploy_sql(LIVE)
    site.write("sql/2_more.sql", sent(MOVES[name], plainly=plainly))
    planned = site.plan()
    assert not planned.plan.to_confirm
    assert isinstance(last := site.run(planned)[-1], ApplyDone), last


HIDDEN = {
    "update of another column": "UPDATE pt SET v = 'y' WHERE id = 1; SELECT purge();",
    "update of the key": "UPDATE pt SET k = 11 WHERE id = 1; SELECT purge();",
    "update of the key of a table below": "UPDATE p3 SET id = 150 WHERE id = 50; SELECT purge();",
    "update of an expression": "UPDATE words SET word = 'bb' WHERE word = 'aa'; DO $$ BEGIN EXECUTE 'dele' || 'te from words_a'; END $$;",
    "update of a new column": "ALTER TABLE pt ADD more int; UPDATE pt SET more = 1 WHERE id = 1; SELECT purge();",
    "moved, then deleted": "UPDATE pt SET k = 11 WHERE id = 1; DO $$ BEGIN EXECUTE 'dele' || 'te from p2'; END $$;",
    "moved, then its partition is dropped": "UPDATE pt SET k = 11 WHERE id = 1; DO $$ BEGIN EXECUTE 'dr' || 'op table p2'; END $$;",
    "moved, then truncated": "UPDATE pt SET k = 11 WHERE id = 1; DO $$ BEGIN EXECUTE 'trun' || 'cate p3_low'; END $$;",
    "MERGE": f"{MERGE}; SELECT purge();",
    "MERGE of another column": "MERGE INTO pt USING (VALUES (99)) s(id) ON pt.id = s.id WHEN MATCHED THEN UPDATE SET v = 'y' WHEN NOT MATCHED THEN INSERT (id, k) VALUES (s.id, 1); SELECT purge();",
    "new rows": f"{MANY} UPDATE pt SET k = 11 WHERE id = 1; SELECT purge();",
    "new rows by MERGE": f"{MERGE} WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1, 'new'); SELECT purge();",
    "new rows by COPY": "COPY pt FROM stdin;\n60\t1\tnew\n61\t1\tnew\n\\.\nUPDATE pt SET k = 11 WHERE id = 1; SELECT purge();",
    "new rows, composed SQL": f"{MANY} UPDATE pt SET k = 11 WHERE id = 1; DO $$ BEGIN EXECUTE 'select pur' || 'ge()'; END $$;",
    "new rows, a trigger": "INSERT INTO logged VALUES (4); UPDATE logged SET k = 11 WHERE k = 1;",
    "new rows in a table that is attached": f"{WIDE} ALTER TABLE pt ATTACH PARTITION more FOR VALUES FROM (31) TO (32); UPDATE pt SET k = 11 WHERE id = 1; SELECT purge();",
    "ON CONFLICT": "INSERT INTO pt VALUES (1, 1, 'new') ON CONFLICT (id, k) DO UPDATE SET k = 2; SELECT purge();",
}  # fmt: skip

UNKNOWN = {
    "a function that deletes nothing": "UPDATE pt SET k = eleven() WHERE id = 1;",
    "a trigger": "UPDATE logged SET k = 11 WHERE k = 1;",
    "a new partition": "CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50); UPDATE pt SET k = 41 WHERE id = 1;",
    "a new partition, then dropped": "CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50); INSERT INTO pt VALUES (60, 1, 'new'); UPDATE pt SET k = 41 WHERE id = 1; DROP TABLE p4;",
    "a new partition, then detached": "CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50); INSERT INTO pt VALUES (60, 1, 'new'); UPDATE pt SET k = 41 WHERE id = 1; ALTER TABLE pt DETACH PARTITION p4;",
    "a new partition, then emptied": "CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50); INSERT INTO pt VALUES (60, 1, 'new'); UPDATE pt SET k = 41 WHERE id = 1; TRUNCATE p4;",
    "a new partition, then its rows deleted": "CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50); INSERT INTO pt VALUES (60, 1, 'new'); UPDATE pt SET k = 41 WHERE id = 1; DELETE FROM p4;",
    "an empty partition, then its rows deleted": "INSERT INTO pt VALUES (60, 1, 'new'); UPDATE pt SET k = 11 WHERE id = 1; DELETE FROM p2;",
    "an attached empty table": "ALTER TABLE pt ATTACH PARTITION inbox FOR VALUES FROM (40) TO (50); UPDATE pt SET k = 41 WHERE id = 1;",
}  # fmt: skip
"""Moves that need approval, because the guard can't tell what else happens, or what may happen to the moved rows."""


@pytest.mark.parametrize(("name", "plainly"), sampled(product(UNKNOWN, [False, True]), 3))
def test_a_move_that_may_lose_rows_needs_approval(site, name, plainly):
    site.deploy_sql(LIVE)
    before = site.sql(KEPT)
    site.write("sql/2_more.sql", sent(UNKNOWN[name], plainly=plainly))
    planned = site.plan()
    if not planned.plan.to_confirm:
        assert_stopped(site, before)


SWAPPING = """
CREATE FUNCTION swap() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE 'DELETE FROM ' || 'public.pt WHERE id BETWEEN 3 AND 5';
  INSERT INTO public.pt SELECT g, 5, 'new' FROM generate_series(60, 62) g; RETURN 1; END $$;
CREATE FUNCTION swap_quietly(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.swap(); RETURN 11; END $$;
"""
TRIGGER = "CREATE FUNCTION swapping() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.swap(); RETURN NULL; END $$;"
MOVE = "UPDATE pt SET k = 11 WHERE id = 1;"
HOOKS = {
    "composed SQL": ("", f"{MOVE} DO $$ BEGIN EXECUTE 'sel' || 'ect swap()'; END $$;"),
    "a constant in EXECUTE": ("", f"{MOVE} DO $$ BEGIN EXECUTE 'select swap()'; END $$;"),
    "a call": ("", f"{MOVE} SELECT swap();"),
    "a call in a block": ("", f"DO $$ DECLARE n int := swap(); BEGIN {MOVE} END $$;"),
    "the new value": ("", "UPDATE pt SET k = swap_quietly(1) WHERE id = 1;"),
    "an attribute": ("CREATE FUNCTION swapped(pt) RETURNS int LANGUAGE sql AS 'SELECT public.swap()';", "UPDATE pt SET k = 10 + pt.swapped WHERE id = 1;"),
    "an overloaded function": ("CREATE FUNCTION abs(pt) RETURNS int LANGUAGE sql AS 'SELECT public.swap()';", "UPDATE pt SET k = 10 + abs(pt) WHERE id = 1;"),
    "an aggregate": ("CREATE FUNCTION swap_step(int, int) RETURNS int LANGUAGE sql AS 'SELECT public.swap()'; CREATE AGGREGATE last(int) (SFUNC = swap_step, STYPE = int, INITCOND = '0');",
        "UPDATE pt SET k = 10 + (SELECT last(1)) WHERE id = 1;"),
    "a view": ("CREATE VIEW to_k AS SELECT swap_quietly(1) AS k;", "UPDATE pt SET k = to_k.k FROM to_k WHERE id = 1;"),
    "a view of a view": ("CREATE VIEW inner_k AS SELECT swap_quietly(1) AS k; CREATE VIEW to_k AS SELECT k FROM inner_k;", "UPDATE pt SET k = to_k.k FROM to_k WHERE id = 1;"),
    "a view that runs SQL": ("CREATE VIEW to_k AS SELECT length(query_to_xml('SELECT public.swap()', true, true, '')::text) AS k;", "UPDATE pt SET k = 11 FROM to_k WHERE id = 1 AND to_k.k > 0;"),
    "a view of an earlier file": (None, "CREATE VIEW to_k AS SELECT swap_quietly(1) AS k;", "UPDATE pt SET k = to_k.k FROM to_k WHERE id = 1;"),
    "SQL in a function of PostgreSQL": ("", f"{MOVE} SELECT query_to_xml('SELECT public.swap()', true, true, '');"),
    "an operator": ("CREATE OPERATOR === (FUNCTION = swap_quietly, RIGHTARG = int);", "UPDATE pt SET k = === 1 WHERE id = 1;"),
    "an operator in a block": ("CREATE OPERATOR === (FUNCTION = swap_quietly, RIGHTARG = int);", f"DO $$ DECLARE n int; BEGIN n := ===1; {MOVE} END $$;"),
    "a cast": ("CREATE TYPE place AS (k int); CREATE FUNCTION to_int(place) RETURNS int LANGUAGE sql AS 'SELECT public.swap()'; CREATE CAST (place AS int) WITH FUNCTION to_int(place) AS ASSIGNMENT;",
        "UPDATE pt SET k = 10 + ROW(1)::place::int WHERE id = 1;"),
    "a domain": ("CREATE DOMAIN place AS int CHECK (swap_quietly(VALUE) > 0);", "UPDATE pt SET k = 11::place WHERE id = 1;"),
    "a default": ("CREATE TABLE inbox2 (id int DEFAULT swap());", f"{MOVE} INSERT INTO inbox2 DEFAULT VALUES;"),
    "a default that an update sets": ("ALTER TABLE pt ALTER v SET DEFAULT swap();", "UPDATE pt SET k = 11, v = DEFAULT WHERE id = 1;"),
    "a generated column": ("CREATE TABLE inbox2 (id int, g int GENERATED ALWAYS AS (swap_quietly(id)) STORED);", f"{MOVE} INSERT INTO inbox2 VALUES (1);"),
    "an index": ("CREATE TABLE inbox2 (id int); CREATE INDEX ON inbox2 (swap_quietly(id));", f"{MOVE} INSERT INTO inbox2 VALUES (1);"),
    "a check": ("CREATE TABLE inbox2 (id int CHECK (swap_quietly(id) > 0));", f"{MOVE} INSERT INTO inbox2 VALUES (1);"),
    "a rule": ("CREATE TABLE inbox2 (id int); CREATE RULE r AS ON INSERT TO inbox2 DO ALSO SELECT swap();", f"{MOVE} INSERT INTO inbox2 VALUES (1);"),
    "a policy": ("CREATE TABLE locked (id int); INSERT INTO locked VALUES (1); ALTER TABLE locked ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON locked USING (swap() > 0);",
        "UPDATE pt SET k = 11 FROM locked WHERE pt.id = 1;"),
    "a trigger": (f"{TRIGGER} CREATE TRIGGER t AFTER UPDATE ON pt EXECUTE FUNCTION swapping();", MOVE),
    "a trigger of a partition": (f"{TRIGGER} CREATE TRIGGER t AFTER INSERT ON p2 FOR EACH ROW EXECUTE FUNCTION swapping();", MOVE),
    "a trigger of an earlier file": (None, f"{TRIGGER} CREATE TRIGGER t AFTER UPDATE ON pt EXECUTE FUNCTION swapping();", MOVE),
    "a trigger of the file": ("", f"{TRIGGER} CREATE TRIGGER t AFTER UPDATE ON pt EXECUTE FUNCTION swapping(); {MOVE} DROP TRIGGER t ON pt;"),
    "a trigger behind a foreign key": (f"{TRIGGER} CREATE TABLE refs (id int, k int, FOREIGN KEY (id, k) REFERENCES pt (id, k) ON UPDATE CASCADE); INSERT INTO refs VALUES (1, 1); CREATE TRIGGER t AFTER UPDATE ON refs EXECUTE FUNCTION swapping();", MOVE),
    "a trigger of a renamed view": (f"{TRIGGER.replace('NULL', 'NEW')} CREATE VIEW pv AS SELECT 1 AS id; CREATE TRIGGER t INSTEAD OF UPDATE ON pv FOR EACH ROW EXECUTE FUNCTION swapping();",
        f"{MOVE} ALTER VIEW pv RENAME TO pw; UPDATE pw SET id = 1 WHERE id = 1; ALTER VIEW pw RENAME TO pv;"),
    "a deferred trigger of an earlier file": (f"{TRIGGER} CREATE TABLE inbox2 (id int); CREATE CONSTRAINT TRIGGER t AFTER INSERT ON inbox2 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION swapping();",
        "INSERT INTO inbox2 VALUES (1);", MOVE),
    "a partition key": ("CREATE TABLE odd (k int) PARTITION BY RANGE (swap_quietly(k)); CREATE TABLE odd_1 PARTITION OF odd FOR VALUES FROM (0) TO (20);", f"{MOVE} INSERT INTO odd VALUES (1);"),
    "an escaped name": ("", f"{MOVE} SELECT U&\"\\0073wap\"();"),
    "a prepared statement": ("", f"{MOVE} PREPARE s AS SELECT swap(); EXECUTE s;"),
    "a cursor": ("", f"{MOVE} DECLARE c CURSOR FOR SELECT swap(); FETCH c;"),
    "EXPLAIN": ("", f"{MOVE} EXPLAIN ANALYZE SELECT swap();"),
    "a function of the file": ("", "CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT public.swap()'; UPDATE pt SET k = 10 + other() WHERE id = 1; DROP FUNCTION other();"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "together", "plainly"), sampled(product(HOOKS, [False, True], [False, True]), 7)
)
def test_code_that_is_not_read_hides_no_deletes(site, name, together, plainly):
    live, *files = HOOKS[name]
    site.deploy_sql(f"{LIVE}{SWAPPING}{live or ''}")
    before = site.sql(KEPT)
    for number, text in enumerate(files, 2):
        site.write(f"sql/{number}_more.sql", sent(text, plainly=plainly))
    database = {"migrations": "sql", **({"transaction": "all"} if together else {})}
    site.manifest(database=database)
    assert_stopped(site, before)


CARRIED = {
    "to a new partition": ("CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50);", "UPDATE pt SET k = 41 WHERE id = 1;", "DROP TABLE p4;"),
    "to a new partition, with new rows": ("CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50);", "INSERT INTO pt VALUES (60, 1, 'new'); UPDATE pt SET k = 41 WHERE id = 1;", "TRUNCATE p4;"),
    "to a new table that is attached": ("CREATE TABLE p4 (LIKE pt);", "ALTER TABLE pt ATTACH PARTITION p4 FOR VALUES FROM (40) TO (50); UPDATE pt SET k = 41 WHERE id = 1;", "DELETE FROM p4;"),
    "to an empty table that is attached": ("ALTER TABLE pt ATTACH PARTITION inbox FOR VALUES FROM (40) TO (50);", "UPDATE pt SET k = 41 WHERE id = 1;", "DROP TABLE inbox;"),
    "to a partition that is detached": ("UPDATE pt SET k = 11 WHERE id = 1;", "ALTER TABLE pt DETACH PARTITION p2;", "DO $$ BEGIN EXECUTE 'dr' || 'op table p2'; END $$;"),
    "in a detached partition": ("ALTER TABLE pt DETACH PARTITION p1;", "ALTER TABLE p1 RENAME TO old;", "DO $$ BEGIN EXECUTE 'trun' || 'cate old'; END $$;"),
    "in a partition of a new table": ("CREATE TABLE pt2 (LIKE words) PARTITION BY LIST (word);", "ALTER TABLE words DETACH PARTITION words_a; ALTER TABLE pt2 ATTACH PARTITION words_a FOR VALUES IN ('aa', 'ab');", "DO $$ BEGIN EXECUTE 'dr' || 'op table pt2'; END $$;"),
    "under another name": ("ALTER TABLE words RENAME TO old; CREATE TABLE words (word text);", "ALTER TABLE old RENAME TO older;", "DO $$ BEGIN EXECUTE 'dele' || 'te from older'; END $$;"),
    "in another schema": ("CREATE SCHEMA attic;", "ALTER TABLE words SET SCHEMA attic; ALTER TABLE words_a SET SCHEMA attic;", "DO $$ BEGIN EXECUTE 'dr' || 'op schema attic cascade'; END $$;"),
    "in a child of a new table": ("CREATE TABLE parent (id int, k int, v text);", "ALTER TABLE plain INHERIT parent;", "DO $$ BEGIN EXECUTE 'dele' || 'te from parent'; END $$;"),
    "in a table that is no longer a child": ("CREATE TABLE parent (id int, k int, v text); ALTER TABLE plain INHERIT parent;", "ALTER TABLE plain NO INHERIT parent;", "DO $$ BEGIN EXECUTE 'dr' || 'op table plain'; END $$;"),
    "in a rewritten table": ("ALTER TABLE plain ADD u uuid DEFAULT gen_random_uuid();", "ALTER TABLE plain RENAME TO other;", "DO $$ BEGIN EXECUTE 'dr' || 'op table other'; END $$;"),
    "in a partition that a block moves them to": ("DO $$ BEGIN UPDATE pt SET k = 11 WHERE id = 1; END $$;", "ALTER TABLE p2 RENAME TO old;", "DO $$ BEGIN EXECUTE 'dele' || 'te from old'; END $$;"),
}  # fmt: skip
"""Rows from before the run, in tables that it may otherwise do anything to; and what then destroys them."""
ALL_ROWS = """SELECT (SELECT count(*) FROM pt WHERE id <= 51) AS pt, (SELECT count(*) FROM words) AS words, (SELECT count(*) FROM plain) AS plain"""


@pytest.mark.parametrize(("name", "together"), sampled(product(CARRIED, [False, True]), 5))
def test_rows_from_before_the_run_stay_protected_where_they_go(site, name, together):
    site.deploy_sql(LIVE)
    before = site.sql(ALL_ROWS)
    for number, text in enumerate(CARRIED[name], 2):
        site.write(f"sql/{number}_more.sql", text)
    site.manifest(database={"migrations": "sql", **({"transaction": "all"} if together else {})})
    planned = site.plan()
    assert not planned.plan.to_confirm
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed), last
    assert isinstance(last.error, EffectsExceedConsent), last.error
    if together:
        assert site.sql(ALL_ROWS) == before


def assert_stopped(site, before):
    planned = site.plan()
    assert not planned.plan.to_confirm
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed), last
    assert isinstance(last.error, EffectsExceedConsent), last.error
    assert site.sql(KEPT) == before


@pytest.mark.parametrize(("name", "plainly"), sampled(product(HIDDEN, [False, True]), 5))
def test_a_move_hides_no_deletes(site, name, plainly):
    site.deploy_sql(LIVE)
    before = site.sql(KEPT)
    site.write("sql/2_more.sql", sent(HIDDEN[name], plainly=plainly))
    assert_stopped(site, before)


@pytest.mark.parametrize("later", ["dele' || 'te from p2", "dr' || 'op table p2"])
def test_a_later_step_deletes_no_moved_rows(site, later):
    site.deploy_sql(LIVE)
    site.write("sql/2_move.sql", "UPDATE pt SET k = 11 WHERE id = 1;")
    site.write("sql/3_later.sql", f"DO $$ BEGIN EXECUTE '{later}'; END $$;")
    planned = site.plan()
    assert not planned.plan.to_confirm
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed), last
    assert isinstance(last.error, EffectsExceedConsent), last.error
    assert site.sql("SELECT k FROM pt WHERE id = 1") == [{"k": 11}]


def test_on_conflict_moves_no_row(site):
    site.deploy_sql(LIVE)
    site.write("sql/2_more.sql", "INSERT INTO pt VALUES (1, 1) ON CONFLICT (id, k) DO UPDATE SET k = 11;")
    assert "invalid ON UPDATE specification" in site.fails().error.message


def test_many_plain_inserts_hide_no_deletes(site):
    """In a large file they aren't parsed."""
    site.deploy_sql(LIVE)
    before = site.sql(KEPT)
    rows = "".join(f"INSERT INTO pt VALUES ({number}, 5, '{'x' * 1000}');\n" for number in range(60, 1200))
    site.write("sql/2_more.sql", f"{rows}UPDATE pt SET k = 11 WHERE id = 1; SELECT purge();")
    assert_stopped(site, before)


@pytest.mark.parametrize("plainly", [False, True])
def test_rows_of_an_earlier_step_hide_no_deletes(site, plainly):
    """PostgreSQL's counters add up over the steps of one request."""
    site.deploy_sql(LIVE)
    site.write("sql/2_rows.sql", MANY)
    site.write(
        "sql/3_attached.sql", f"{WIDE} ALTER TABLE pt ATTACH PARTITION more FOR VALUES FROM (31) TO (32);"
    )
    site.write("sql/4_move.sql", sent("UPDATE pt SET k = 11 WHERE id = 1; SELECT purge();", plainly=plainly))
    last = site.run()[-1]
    assert isinstance(last, ApplyFailed), last
    assert isinstance(last.error, EffectsExceedConsent), last.error
    assert site.sql("SELECT count(*) AS n FROM pt WHERE id <= 10") == [{"n": 10}]


@pytest.mark.parametrize("plainly", [False, True])
def test_moved_rows_are_not_said_to_be_deleted(site, plainly):
    site.deploy_sql(LIVE)
    site.write("sql/2_move.sql", sent("UPDATE pt SET k = 11 WHERE id <= 3;", plainly=plainly))
    events = site.run(site.plan())
    assert isinstance(last := events[-1], ApplyDone), last
    texts = [table.text for event in events for step in getattr(event, "steps", ()) for table in step.tables]
    assert texts == ["p1: moves 3 rows to another partition", "p2: inserts 3 rows"]

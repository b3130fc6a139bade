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
    "to a new partition": "CREATE TABLE p4 PARTITION OF pt FOR VALUES FROM (40) TO (50); UPDATE pt SET k = 41 WHERE id = 1;",
    "by an expression": "UPDATE words SET word = 'bb' WHERE word = 'aa';",
    "of a renamed column": "ALTER TABLE pt RENAME k TO place; UPDATE pt SET place = 11 WHERE id = 1;",
    "of a renamed table": "ALTER TABLE pt RENAME TO parts; UPDATE parts SET k = 11 WHERE id = 1;",
    "with a function that deletes nothing": "UPDATE pt SET k = eleven() WHERE id = 1;",
    "of a table with a trigger": "UPDATE logged SET k = 11 WHERE k = 1;",
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

"""A step runs only if names mean what they meant in the rehearsal, and if what it does reaches nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from mosaic_deploy.model.plan import Counts
from tests.deploy.rehearsal.conftest import Rehearser
from tests.sampling import sampled

NAMED = """
CREATE SCHEMA app;
CREATE TABLE app.known (id int);
CREATE TABLE other (id int, note varchar DEFAULT 'A');
CREATE INDEX used ON app.known (id);
CREATE FUNCTION fee(bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE mood AS ENUM ('sad', 'good');
CREATE FUNCTION later() RETURNS void LANGUAGE plpgsql AS 'BEGIN UPDATE unseen SET id = 1; END';
"""
NAMES = """
SET search_path = soon, app, public;
ALTER TABLE other ADD a int;
SELECT fee(1), 'good'::mood, lower(note) FROM other;
SELECT "Quoted Name" FROM (SELECT 1 AS "Quoted Name") AS one;
DROP TABLE IF EXISTS ghost;
DROP TABLE IF EXISTS elsewhere.gone;
DROP INDEX IF EXISTS old_index;
CREATE TABLE IF NOT EXISTS fresh (id int);
DO $$ BEGIN
  IF to_regclass('maybe') IS NOT NULL THEN ALTER TABLE maybe ADD b int; END IF;
  IF current_setting('app.never', true) = 'x' THEN PERFORM later(); END IF;
END $$;
"""
OTHER_MEANING = {
    "CREATE TABLE app.other (id int)": "table app.other was added",
    "CREATE VIEW app.other AS SELECT 1 AS id": "view app.other was added",
    "CREATE MATERIALIZED VIEW app.other AS SELECT 1 AS id": "materialized view app.other was added",
    "CREATE SEQUENCE app.other": "sequence app.other was added",
    "CREATE FUNCTION app.fee(int) RETURNS int LANGUAGE sql AS 'SELECT 0'": "function app.fee(integer) was added",
    "CREATE FUNCTION fee(int) RETURNS int LANGUAGE sql AS 'SELECT 0'": "function fee(integer) was added",
    "CREATE FUNCTION lower(varchar) RETURNS text LANGUAGE sql AS 'SELECT $1'": "function lower(character varying) was added",
    "CREATE AGGREGATE app.fee(int) (SFUNC = int4pl, STYPE = int)": "aggregate app.fee(integer) was added",
    "CREATE TYPE app.mood AS (good int)": "type app.mood was added",
    "CREATE DOMAIN app.mood AS text": "domain app.mood was added",
    "CREATE TABLE app.mood (id int)": "table app.mood was added",
    "CREATE TABLE ghost (id int)": "table ghost was added",
    'CREATE TABLE app."GHOST" (id int)': 'table app."GHOST" was added',
    'CREATE VIEW app."Quoted Name" AS SELECT 1': 'view app."Quoted Name" was added',
    "CREATE TABLE maybe (id int)": "table maybe was added",
    "CREATE TABLE app.fresh (id int)": "table app.fresh was added",
    "CREATE TABLE unseen (id int)": "table unseen was added",
    "CREATE INDEX old_index ON app.known (id)": "index old_index on app.known was added",
    "ALTER TABLE app.known ADD CONSTRAINT old_index UNIQUE (id)": "constraint old_index on app.known was added",
    "CREATE SCHEMA soon": "schema soon was added",
    "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.gone (id int)": "table elsewhere.gone was added",
    "CREATE SCHEMA AUTHORIZATION CURRENT_USER": " was added",
    "ALTER ROLE CURRENT_USER SET search_path = app, public": "setting search_path was changed",
    "REVOKE USAGE ON SCHEMA app FROM CURRENT_USER": " on schema app was added",
}
SAME_MEANING = (
    "CREATE SCHEMA tenant_9; CREATE TABLE tenant_9.other (id int); CREATE TABLE tenant_9.ghost (id int)",
    "CREATE TABLE app.unknown (id int); CREATE FUNCTION app.unknown() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE INDEX another ON app.known (id)",
    "DROP INDEX app.used",
)

REACHED = """
CREATE TABLE parents (id int PRIMARY KEY, kind int);
CREATE TABLE kids (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE);
CREATE TABLE apart (id int PRIMARY KEY, parent int, kid int);
CREATE TABLE measured (day date) PARTITION BY RANGE (day);
CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE hidden (id int);
CREATE VIEW inner_view AS SELECT id FROM hidden WHERE id > 1;
CREATE VIEW outer_view AS SELECT id FROM inner_view;
CREATE FUNCTION never() RETURNS void LANGUAGE plpgsql AS 'BEGIN DELETE FROM outer_view; END';
CREATE DOMAIN small AS int CHECK (VALUE < 9);
CREATE TABLE sizes (size small);
CREATE TYPE point2 AS (x int, y int);
CREATE FUNCTION add(point2, point2) RETURNS point2 LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION as_text(point2) RETURNS text LANGUAGE sql AS $$SELECT 'p'$$;
CREATE OPERATOR + (LEFTARG = point2, RIGHTARG = point2, FUNCTION = add);
CREATE CAST (point2 AS text) WITH FUNCTION as_text(point2) AS IMPLICIT;
CREATE FUNCTION discount() RETURNS int LANGUAGE sql AS 'SELECT 5';
CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
"""
ACTS = """
DELETE FROM parents WHERE kind = 3;
ALTER TABLE measured ADD n int;
SELECT length((a.p + a.p)::text) FROM (SELECT (1, 2)::point2 AS p) AS a;
INSERT INTO sizes VALUES (1);
DO $$ BEGIN
  IF current_setting('app.never', true) = 'x' THEN PERFORM never(); END IF;
  EXECUTE format('SELECT dis%s()', 'count');
END $$;
"""
REACHES_MORE = {
    "ALTER TABLE apart ADD FOREIGN KEY (parent) REFERENCES parents ON DELETE CASCADE": "constraint apart_parent_fkey on apart was added",
    "ALTER TABLE apart ADD FOREIGN KEY (parent) REFERENCES parents ON DELETE SET NULL": "constraint apart_parent_fkey on apart was added",
    "CREATE TABLE more (parent int REFERENCES parents)": "constraint more_parent_fkey on more was added",
    "ALTER TABLE apart ADD FOREIGN KEY (kid) REFERENCES kids ON DELETE CASCADE": "constraint apart_kid_fkey on apart was added",
    "CREATE TRIGGER t AFTER DELETE ON kids FOR EACH ROW EXECUTE FUNCTION act()": "trigger t on kids was added",
    "ALTER TABLE kids DROP CONSTRAINT kids_parent_fkey": "constraint kids_parent_fkey on kids was dropped",
    "CREATE TRIGGER t AFTER DELETE ON parents FOR EACH ROW EXECUTE FUNCTION act()": "trigger t on parents was added",
    "CREATE RULE r AS ON DELETE TO parents DO ALSO DELETE FROM apart": "rule r on parents was added",
    "CREATE POLICY p ON parents USING (true)": "policy p on parents was added",
    "CREATE TABLE heirs () INHERITS (parents)": "table heirs was added",
    "CREATE TABLE measured_2 PARTITION OF measured FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')": "table measured_2 was added",
    "CREATE TRIGGER t AFTER INSERT ON hidden FOR EACH ROW EXECUTE FUNCTION act()": "trigger t on hidden was added",
    "CREATE OR REPLACE VIEW inner_view AS SELECT id FROM hidden": "view inner_view was changed",
    "ALTER DOMAIN small ADD CHECK (VALUE > 2)": "domain small was changed",
    "CREATE OR REPLACE FUNCTION add(point2, point2) RETURNS point2 LANGUAGE sql AS 'SELECT $2'": "function add(point2, point2) was changed",
    "DROP OPERATOR + (point2, point2); CREATE OPERATOR + (LEFTARG = point2, RIGHTARG = point2, FUNCTION = add, COMMUTATOR = +)": "operator +(public.point2,public.point2) was changed",
    "CREATE OR REPLACE FUNCTION as_text(point2) RETURNS text LANGUAGE sql AS $$SELECT 'q'$$": "function as_text(point2) was changed",
    "DROP CAST (point2 AS text)": "cast (public.point2 AS pg_catalog.text) was dropped",
    "CREATE CAST (point2 AS json) WITH INOUT AS IMPLICIT": "cast (public.point2 AS json) was added",
    "CREATE COLLATION german (LOCALE = 'C')": "collation german was added",
    "CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)": "text search configuration mine was added",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public": " for public was added",
    "CREATE OR REPLACE FUNCTION discount() RETURNS int LANGUAGE sql AS 'SELECT 6'": "function discount() was changed",
}
REACHES_THE_SAME = (
    "CREATE TABLE more (parent int REFERENCES apart ON DELETE CASCADE)",
    "CREATE TRIGGER t AFTER DELETE ON apart FOR EACH ROW EXECUTE FUNCTION act()",
    "CREATE TABLE heirs () INHERITS (apart)",
    "CREATE STATISTICS more ON id, kind FROM parents",
)
_PARTS = 4
RESET = "DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS app, soon, elsewhere, tenant_9 CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public;"


def outcomes(
    rehearser: Rehearser, schema: str, pending: str, changes: Iterable[str]
) -> Iterator[tuple[str, ApplyDone | ApplyFailed]]:
    """How the rehearsed plan ends after each change by hand."""
    site = rehearser.site
    site.deploy_sql(schema)
    site.write("sql/2_pending.sql", pending)
    rehearsal = rehearser.plan().plan.rehearsal
    assert rehearsal is not None
    assert not rehearsal.not_rehearsed, rehearsal
    user = site.sql("SELECT current_user AS name")[0]["name"]
    for change in changes:
        site.sql(
            f"ALTER ROLE CURRENT_USER RESET search_path; {RESET} DROP SCHEMA IF EXISTS {user}; ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM public; {schema}"
        )
        planned = site.plan()
        site.sql(change)
        last = site.run(replace(planned, plan=replace(planned.plan, rehearsal=rehearsal)))[-1]
        assert isinstance(last, ApplyDone | ApplyFailed)
        yield change, last


@pytest.mark.parametrize("part", sampled(range(_PARTS), _PARTS))
@pytest.mark.parametrize(
    ("schema", "pending", "changes"),
    [(NAMED, NAMES, OTHER_MEANING), (REACHED, ACTS, REACHES_MORE)],
    ids=["names", "effects"],
)
def test_what_a_step_would_do_otherwise_stops_it(rehearser, schema, pending, changes, part):
    for change, last in outcomes(rehearser, schema, pending, list(changes)[part::_PARTS]):
        assert isinstance(last, ApplyFailed), change
        assert last.error.code == "schema_changed", (change, last.error)
        assert changes[change] in " ".join(
            [last.error.message, *(one.message for one in last.error.problems)]
        ), (
            change,
            last.error,
        )
        assert last.error.mutation_state == "none"


@pytest.mark.parametrize(
    ("schema", "pending", "changes"),
    [(NAMED, NAMES, SAME_MEANING), (REACHED, ACTS, REACHES_THE_SAME)],
    ids=["names", "effects"],
)
def test_what_a_step_does_all_the_same_stops_nothing(rehearser, schema, pending, changes):
    site = rehearser.site
    site.deploy_sql(schema)
    site.write("sql/2_pending.sql", pending)
    planned = rehearser.plan()
    for change in changes:
        site.sql(change)
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyDone), last.error


def test_what_a_plan_creates_and_then_renames_is_renamed(rehearser: Rehearser) -> None:
    site = rehearser.site
    site.write("sql/1_a.sql", "CREATE TABLE accounts (id int, mail text);")
    site.write("sql/2_b.sql", "ALTER TABLE accounts RENAME COLUMN mail TO email;")
    site.write("sql/3_c.sql", "ALTER TABLE accounts RENAME TO users;")
    site.manifest(database={"migrations": "sql"})
    planned = rehearser.plan()
    assert rehearser.changes()[1:] == [
        ["change column accounts.mail renamed to email"],
        ["change table accounts renamed to users"],
    ]
    assert planned.plan.counts == Counts(add=2), "the project and a table"

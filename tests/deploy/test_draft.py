"""Drafts on a clone of a real database."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.draft import HOLDER, DraftResult, run_draft
from mosaic_deploy.errors import DraftBlocked, DraftFailed, LockHeld, MigrationInvalid
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.database.clones import DraftClone, conflict_as_draft_blocked
from mosaic_deploy.model.event import ApplyFailed
from mosaic_deploy.source.migrations.draft import parse_draft, read_draft
from tests.deploy.conftest import Site

BEFORE = """
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL DEFAULT 'x', price positive);
CREATE INDEX items_name ON items (name);
CREATE TABLE gone (id int PRIMARY KEY, item bigint REFERENCES items);
CREATE VIEW cheap AS SELECT id FROM items WHERE price < 3;
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();
CREATE SEQUENCE numbers;
"""
DRAFT = """
ALTER TYPE mood ADD VALUE 'good';
ALTER DOMAIN positive SET NOT NULL;
CREATE SCHEMA "Odd one";
CREATE TABLE "Odd one"."a ""b"" c" ("x y" text COLLATE "C", total int GENERATED ALWAYS AS (1 + 1) STORED);
ALTER TABLE items ALTER COLUMN name DROP DEFAULT, ADD COLUMN tags text[], ENABLE ROW LEVEL SECURITY;
ALTER TABLE items ADD CONSTRAINT short CHECK (length(name) < 100);
CREATE POLICY seen ON items FOR SELECT USING (id > 0);
CREATE UNIQUE INDEX ON items (tags) INCLUDE (id) WHERE name <> '';
DROP INDEX items_name;
DROP TABLE gone;
CREATE OR REPLACE VIEW cheap AS SELECT id FROM items WHERE price < 5;
CREATE OR REPLACE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n + n';
CREATE FUNCTION twice(n text) RETURNS text LANGUAGE sql AS 'SELECT n || n';
ALTER TABLE items DISABLE TRIGGER touched;
CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
CREATE TYPE pair AS (a int, b text);
CREATE TABLE parts (day date) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE EXTENSION citext;
"""
EXPECTED = """\
add schema "Odd one"
add extension citext
change type mood: ENUM ('sad', 'fine') → ENUM ('sad', 'fine', 'good')
add type pair: (a integer, b text)
change domain positive: integer CONSTRAINT positive_check CHECK ((VALUE > 0)) → integer NOT NULL CONSTRAINT positive_check CHECK ((VALUE > 0))
add table "Odd one"."a ""b"" c": ("x y" text COLLATE "C", total integer GENERATED ALWAYS AS ((1 + 1)) STORED)
drop table gone
change table items:  → ROW LEVEL SECURITY
change column items.name: text NOT NULL DEFAULT 'x'::text → text NOT NULL
add column items.tags: text[]
add constraint short on items: CHECK ((length(name) < 100))
drop index items_name on items
add index items_tags_id_idx on items: USING btree (tags) INCLUDE (id) WHERE (name <> ''::text) UNIQUE
change trigger touched on items: BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch() → BEFORE UPDATE ON \
items FOR EACH ROW EXECUTE FUNCTION touch() DISABLED
add policy seen on items: PERMISSIVE FOR SELECT TO public USING ((id > 0))
add table parts: (day date) PARTITION BY RANGE (day)
add table parts_1: (day date) PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
change view cheap
add materialized view kept:  SELECT 1 AS one;
change function twice(n integer)
add function twice(n text)""".splitlines()


class Drafter:
    """A site with migrations and a draft."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.manifest(database={"migrations": "sql"})
        site.write("sql/1_before.sql", BEFORE)
        site.apply()
        self.planned = site.plan()
        self.project = self.planned.plan.project.id
        self.clones = DraftClone(site.api, self.project, "tests")

    def draft(self, text: str) -> DraftResult:
        self.site.write("sql/draft.sql", text)
        file = read_draft(self.site.root, "sql")
        assert file is not None
        parsed = parse_draft(file)
        assert parsed is not None
        self.clones.create()
        return run_draft(self.site.api, self.clones.clone_api, self.planned, self.project, parsed)

    def serve(self) -> None:
        assert self.clones.serve().served

    def seen(self, query: str) -> list[dict[str, object]]:
        return self.site.api.for_database("").sql(self.project, query)


@pytest.fixture
def drafter(site: Site):
    made = Drafter(site)
    yield made
    made.clones.drop()


def test_every_kind_of_schema_change_is_reported(drafter: Drafter) -> None:
    before = read_catalog(drafter.site.api, drafter.project)
    changes = [_change_text(change) for change in drafter.draft(DRAFT).changes]
    assert changes == EXPECTED
    assert read_catalog(drafter.site.api, drafter.project) == before


def _change_text(change) -> str:
    said = f"{change.action} {change.object}"
    if change.object.kind in ("function", "view", "extension"):
        return said
    if change.action == "change":
        return f"{said}: {change.before} → {change.after}"
    return f"{said}: {change.after}" if change.action == "add" and change.after else said


def test_a_draft_without_schema_changes(drafter: Drafter) -> None:
    drafted = drafter.draft("INSERT INTO items (price) VALUES (1); UPDATE items SET price = 2;")
    assert drafted.changes == ()
    drafter.serve()
    assert drafter.seen("SELECT price FROM items") == [{"price": 2}]
    assert drafter.site.sql("SELECT count(*) AS n FROM items") == [{"n": 0}]


def test_a_draft_may_have_steps_and_need_not_be_idempotent(drafter: Drafter) -> None:
    text = "BEGIN; CREATE TABLE a (id int); COMMIT; CREATE INDEX CONCURRENTLY a_id ON a (id); VACUUM a; INSERT INTO a VALUES (1);"
    for _ in range(2):
        drafted = drafter.draft(text)
        assert [str(change.object) for change in drafted.changes] == ["table a", "index a_id on a"]
        drafter.serve()
    assert drafter.seen("SELECT id FROM a") == [{"id": 1}]


def test_a_failed_draft_is_located_and_the_served_clone_stays(drafter: Drafter) -> None:
    drafter.draft("CREATE TABLE good (id int);")
    drafter.serve()
    with pytest.raises(DraftFailed) as caught:
        drafter.draft("CREATE TABLE better (id int);\n\nALTER TABLE items\n  ADD COLUMN x nonsense;")
    assert str(caught.value.location) == "sql/draft.sql:4:16"
    assert caught.value.sqlstate == "42704"
    assert caught.value.mutation_state == "none"
    assert drafter.seen(
        "SELECT to_regclass('good') IS NULL AS gone, to_regclass('better') IS NULL AS none"
    ) == [{"gone": False, "none": True}]


def test_hazards_of_a_draft(drafter: Drafter) -> None:
    hazards = drafter.draft("DROP TABLE gone;").hazards
    assert [(str(hazard.location), str(hazard.severity)) for hazard in hazards] == [
        ("sql/draft.sql:1:1", "risky")  # it holds no rows
    ]


def test_deploys_go_to_the_real_database_and_are_refused_by_the_clone(
    drafter: Drafter,
) -> None:
    drafter.draft("CREATE TABLE drafted (id int);")
    drafter.serve()
    drafter.site.write("sql/2_more.sql", "CREATE TABLE more (id int);")
    drafter.site.apply()
    assert drafter.site.sql("SELECT to_regclass('drafted') AS a, to_regclass('more')::text AS b") == [
        {"a": None, "b": "more"}
    ]
    drafter.site.write("sql/3_most.sql", "CREATE TABLE most (id int);")
    [*_, last] = drafter.site.run(api=drafter.site.api.for_database(""))
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, LockHeld)
    assert HOLDER in last.error.message


def test_a_plan_mentions_that_the_draft_is_left_out(drafter: Drafter) -> None:
    drafter.site.write("sql/draft.sql", "this isn't even SQL")
    planned = drafter.site.plan()
    assert planned.plan.changes == ()
    [note] = planned.plan.notes
    assert note.code == "draft_left_out"
    assert "sql/draft.sql" in note.message
    with pytest.raises(MigrationInvalid) as caught:
        drafter.draft("this isn't even SQL")
    assert str(caught.value.problems[0].location) == "sql/draft.sql:1:1"


@pytest.mark.parametrize("text", ["", " \n\t", "-- nothing yet\n"])
def test_an_empty_draft(drafter: Drafter, text: str) -> None:
    drafter.site.write("sql/Draft.SQL", text)
    file = read_draft(drafter.site.root, "sql")
    assert (file and parse_draft(file)) is None
    assert drafter.site.plan().plan.changes == drafter.site.plan().plan.notes == ()


def test_a_replaced_draft_is_blocked(drafter: Drafter) -> None:
    drafter.clones.create()
    other = DraftClone(drafter.site.api, drafter.project, "another")
    other.create()
    with pytest.raises(DraftBlocked), conflict_as_draft_blocked():
        drafter.clones.clone_api.sql(drafter.project, "SELECT 1")
    with pytest.raises(DraftBlocked):
        drafter.clones.serve()
    other.drop()

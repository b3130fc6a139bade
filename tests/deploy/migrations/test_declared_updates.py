"""`-- mosaic-updates:` comments: which text counts as one, and names that are no tables."""

from __future__ import annotations

import pytest

from mosaic_deploy.errors import EffectsExceedConsent, MigrationInvalid
from mosaic_deploy.sql.hazards import UpdatesInvalid, declared_updates
from tests.deploy.conftest import Site

NAMES = {
    "-- mosaic-updates: t": ["t"],
    "--Mosaic-Update T , app.audit\nSELECT 1": ["t", "app.audit"],
    'SELECT 1 -- MOSAIC-UPDATES: "a,b"."C""d",  app . x \n + 1': ['"a,b"."C""d"', "app.x"],
    "SELECT '\n-- mosaic-updates: t\n', E'\\'\n-- mosaic-updates: t\n'": [],
    "/*\n-- mosaic-updates: t\n/* */\n-- mosaic-updates: t\n*/ SELECT 1": [],
    "DO $$ BEGIN\n-- mosaic-updates: t\nEND $$": [],
    "-- see mosaic-updates: t\n-- mosaic-updatesx: t": [],
}
INVALID = {
    "-- mosaic-updates: audit;": 24,
    "-- mosaic-updates": 17,
    "-- mosaic-updates: a, ": 21,
    "-- mosaic-updates: a.b.c": 22,
    "-- mosaic-updates: a b": 21,
    "-- mosaic-updates: app.*": 22,
}


def test_only_line_comments_count() -> None:
    for text, names in NAMES.items():
        assert [str(one.table) for one in declared_updates(text)] == names, text


def test_anything_but_names_is_an_error() -> None:
    for text, offset in INVALID.items():
        with pytest.raises(UpdatesInvalid) as raised:
            declared_updates(text)
        assert raised.value.offset == offset, text


def test_an_invalid_comment_is_reported_at_its_place(site: Site) -> None:
    site.manifest(database={"migrations": "sql"})
    site.write("sql/1_t.sql", "CREATE TABLE t (id int);\n-- mosaic-updates: t;\nSELECT 1;")
    with pytest.raises(MigrationInvalid) as raised:
        site.plan()
    [problem] = raised.value.problems
    assert (problem.location.line, problem.location.column) == (2, 21)


def test_an_unknown_table_is_a_warning(site: Site) -> None:
    site.deploy_sql("CREATE TABLE t (id int); CREATE SCHEMA app; CREATE TABLE app.far (id int);")
    site.write(
        "sql/2_x.sql",
        "-- migrate:up\n-- mosaic-updates: t, made, far\n-- mosaic-updates: app.t\n"
        "CREATE TABLE made (id int); SET search_path = app, public;\n"
        "-- migrate:down\n-- mosaic-updates: nowhere, ;\nDROP TABLE made;",
    )
    [found] = [one for one in site.plan().plan.hazards if one.code == "updates_unknown"]
    assert (found.object, found.location.line, found.location.column) == ("app.t", 3, 20)
    site.apply()


def test_a_table_named_like_a_wildcard_is_one_table(site: Site) -> None:
    site.deploy_sql(
        'CREATE SCHEMA app; CREATE TABLE app."*" (n int); CREATE TABLE app.stats (n int); CREATE TABLE app.moved (n int);'
        'INSERT INTO app."*" VALUES (1); INSERT INTO app.stats VALUES (1); CREATE TABLE inbox (n int); CREATE TABLE empty (n int);'
        "CREATE FUNCTION counting() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE app.stats SET n = 2; RETURN NULL; END';"
        "CREATE TRIGGER counted AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION counting()"
    )
    for text in ('-- mosaic-updates: app."*"\nSELECT 1', 'DELETE FROM app."*"'):
        site.write("sql/2_x.sql", f"{text}; INSERT INTO inbox VALUES (1);")
        assert isinstance(site.fails().error, EffectsExceedConsent), text
    site.write("sql/2_x.sql", "ALTER TABLE empty SET SCHEMA app; DROP SCHEMA app CASCADE;")
    [found] = site.plan().plan.to_confirm
    assert found.code == "drop_schema"
    site.apply()

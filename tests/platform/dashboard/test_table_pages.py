"""The dashboard's tables: what is shown, in which order, and what a change of a row may do."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from started_platform import create_project
from table_browser import TableBrowser

_MARKS = "A \"b\" c%s %% 'd' 😀 <i>&amp; / ?#"
_LONG = "L" * 61 + "é"
_SETUP = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE people (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, team int, score numeric, size int GENERATED ALWAYS AS (length(name)) STORED
);
COMMENT ON TABLE people IS 'who <b>is</b> here';
INSERT INTO people (name, team, score)
  SELECT 'p' || n, CASE WHEN n % 7 = 0 THEN NULL ELSE n % 5 END, n / 10.0 FROM generate_series(1, 120) n;
CREATE INDEX ON people (team);
CREATE TABLE tasks (person int REFERENCES people ON DELETE CASCADE, nr int, title text, PRIMARY KEY (person, nr));
INSERT INTO tasks SELECT 1 + n % 60, n, 't' || n FROM generate_series(0, 119) n;
CREATE TABLE loose (a int, b text); INSERT INTO loose SELECT n, CASE WHEN n % 3 = 0 THEN NULL ELSE 'x' END FROM generate_series(1, 120) n;
CREATE VIEW seen AS SELECT name FROM people;
CREATE MATERIALIZED VIEW kept AS SELECT id, name FROM people;
CREATE TABLE parted (id int, kind text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b');
INSERT INTO parted VALUES (1, 'a'), (2, 'b');
CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1);
CREATE TABLE hidden (id int PRIMARY KEY, mine boolean); INSERT INTO hidden VALUES (1, true), (2, false);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON hidden USING (mine) WITH CHECK (mine);
CREATE TABLE empty_table ();
CREATE SCHEMA mosaic_deploy;
CREATE TABLE mosaic_deploy.settings (name text PRIMARY KEY, value jsonb, deploy_id text);
CREATE TABLE mosaic_deploy.inherits () INHERITS (public.loose);
DROP TABLE mosaic_deploy.inherits;
"""


@pytest.fixture(scope="module")
def page(api, platform) -> Iterator[TableBrowser]:
    """One project for all tests here."""
    with httpx.Client(base_url=api.root, timeout=30) as client:
        assert client.get(api.post(api.root + "/open").json()["url"]).status_code == 200
        browser = TableBrowser(api, client, create_project(platform.url, platform.api_key, "Tables"))
        browser.sql(_SETUP)
        yield browser


def all_pages(page: TableBrowser, table: str, **query: str) -> list[list[str | None]]:
    """The rows of all pages, and of all pages on the way back if they can be had."""
    pages = [page.rows(table, **query)]
    while page.follow("Next"):
        pages.append(page.shown())
    back = pages[-1:]
    while page.follow("Previous"):
        back.insert(0, page.shown())
    if len(back) > 1:
        assert [row for one in back for row in one] == [row for one in pages for row in one]
    return [row for one in pages for row in one]


@pytest.mark.parametrize(
    ("table", "query", "order"),
    [
        ("people", {}, "id"),
        ("people", {"sort": "team"}, "team, id"),
        ("people", {"sort": "team", "desc": "1"}, "team DESC, id DESC"),
        ("people", {"sort": "score", "desc": "1"}, "score DESC, id DESC"),
        ("people", {"sort": "id", "desc": "1"}, "id DESC"),
        ("people", {"column": "score", "is": "gt", "value": "2.5"}, "id"),
        ("tasks", {}, "person, nr"),
        ("tasks", {"sort": "nr", "desc": "1"}, "nr DESC, person DESC"),
        ("loose", {}, "ctid"),
        ("loose", {"sort": "b"}, "b, ctid"),
        ("loose", {"sort": "b", "desc": "1"}, "b DESC, ctid DESC"),
        ("loose", {"column": "b", "is": "notnull"}, "ctid"),
        ("parent", {"sort": "id"}, "id, tableoid, ctid"),
        ("seen", {}, "name"),
        ("kept", {"sort": "name"}, "name, ctid"),
    ],
)
def test_pages_have_every_row_once_in_order(page, table, query, order) -> None:
    where = {"gt": "WHERE score > 2.5", "notnull": "WHERE b IS NOT NULL"}.get(query.get("is", ""), "")
    columns = page.sql(
        f"SELECT array_agg('format(''%s'', ' || attname || ')' ORDER BY attnum) AS list FROM pg_attribute"
        f" WHERE attrelid = '{table}'::regclass AND attnum > 0"
    )[0]["list"]
    shown = all_pages(page, table, **query)
    expected = [list(row.values()) for row in page.sql(
        f"SELECT {', '.join(f'{one} AS c{n}' for n, one in enumerate(columns))} FROM {table} {where} ORDER BY {order}"
    )]  # fmt: skip
    texts = [[cell or "" for cell in row] for row in shown]
    if table == "seen":
        assert sorted(texts) == sorted(expected)
        assert "a view has no key" in page.text()
    else:
        assert texts == expected


def test_tables_are_listed_with_their_kinds(page) -> None:
    page.get("")
    text = page.text()
    for shown in ("people table", "seen view", "kept materialized view", "parted partitioned table, 2 partitions",
                  "hidden table row security", "who <b>is</b> here", "mosaic_deploy.settings"):  # fmt: skip
        assert shown in text
    assert "parted_a" not in text
    page.get("", search="PARTED_a")
    assert "parted_a partition" in page.text()
    page.get("", search="%")
    assert "No table has such a name" in page.text()
    page.get("", offset="3")
    assert page.follow("Previous")


def test_the_structure_has_all_parts(page) -> None:
    page.sql(
        "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER idle AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION noop();"
        " ALTER TABLE tasks DISABLE TRIGGER idle; ALTER TABLE tasks ADD CHECK (nr >= 0) NOT VALID"
    )
    page.get("structure", schema="public", table="tasks")
    for shown in ("person key integer no", "FOREIGN KEY (person) REFERENCES people(id) ON DELETE CASCADE", "not validated",
                  "CREATE UNIQUE INDEX tasks_pkey", "CREATE TRIGGER idle", "disabled", "No policies"):  # fmt: skip
        assert shown in page.text()
    page.sql("DROP FUNCTION noop CASCADE; ALTER TABLE tasks DROP CONSTRAINT tasks_nr_check")
    page.get("structure", schema="public", table="people")
    for shown in ("identity, always", "generated: length(name)", "tasks person id"):
        assert shown in page.text()
    page.get("structure", schema="public", table="hidden")
    assert "also for the project's own role (FORCE)" in page.text()
    assert "FOR ALL TO public USING (mine) WITH CHECK (mine)" in page.text()
    page.get("structure", schema="public", table="parted")
    assert "FOR VALUES IN ('b')" in page.text()
    page.get("structure", schema="public", table="seen")
    assert re.search(r"SELECT (people.)?name FROM people", page.text())


@pytest.mark.parametrize(
    ("column", "operator", "value", "count"),
    [
        ("name", "eq", "p7", 1), ("name", "ne", "p7", 119), ("name", "contains", "P11", 11), ("name", "starts", "p12", 2),
        ("team", "null", "", 17), ("team", "notnull", "", 103), ("score", "le", "0.2", 2), ("score", "lt", "0.2", 1),
        ("name", "contains", "%", 0), ("id", "ge", "119", 2),
    ],
)  # fmt: skip
def test_filters(page, column, operator, value, count) -> None:
    page.get(
        "rows", schema="public", table="people", column=column, value=value, count="1", **{"is": operator}
    )
    assert f"{count} row{'' if count == 1 else 's'} with these values." in page.text()


def test_what_cant_be_read_is_said(page, api) -> None:
    for query, expected in (
        ({"column": "score", "is": "eq", "value": "many"}, 'Invalid input syntax for type numeric: "many".'),
        ({"column": "nope", "is": "eq", "value": "1"}, "There is no column nope to filter by."),
        ({"sort": "nope"}, "These rows can't be sorted by nope"),
        ({"after": '["x"]'}, "Invalid input syntax for type integer"),
    ):
        page.get("rows", schema="public", table="people", **query)
        assert expected in page.text()
    assert page.rows("empty_table") == []
    for query in ("schema=public&table=nope", "schema=pg_catalog&table=pg_class"):
        response = page.client.get(f"{page.base}/rows?{query}")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "table_not_found")
    for query in (
        "schema=public",
        "schema=public&table=people&after=[1]",
        'schema=public&table=people&after=["%5Cud800"]',
        "schema=public&table=people&column=a&is=x&value=1",
    ):
        response = page.client.get(f"{page.base}/rows?{query}")
        assert (response.status_code, response.json()["error"]["code"]) == (400, "address_invalid")
    page.sql(
        "CREATE VIEW broken AS SELECT n FROM generate_series(1, 200) n WHERE 1 / (150 - n) IS NOT NULL; CREATE SEQUENCE numbers; CREATE VIEW writing AS SELECT nextval('numbers')"
    )
    page.get("rows", schema="public", table="writing")
    assert "by a function that a view calls" in page.text()
    # What can be read is shown.
    assert len(page.rows("broken", count="1")) == 50
    assert "Division by zero." in page.text()


def test_a_locked_table_is_reported_and_the_list_still_shown(page, api) -> None:
    url = api.get(f"/{page.project_id}/credentials").json()["database_url"]
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE loose IN ACCESS EXCLUSIVE MODE")
        page.get("rows", schema="public", table="loose")
        assert "The table or row is locked" in page.text()
        page.get("")
        assert "loose table" in page.text()


def test_foreign_keys_lead_both_ways(page) -> None:
    page.rows("tasks", column="nr", value="64", **{"is": "eq"})
    assert page.follow("5")
    assert page.shown()[0][:2] == ["5", "p5"]
    page.row("people", "5")
    assert page.follow("tasks")
    assert [row[1] for row in page.shown()] == ["4", "64"]
    page.row("tasks", "5", "64")
    assert page.follow("people")
    assert page.shown()[0][1] == "p5"


@pytest.mark.parametrize("name", [_MARKS, _LONG, "SELECT", ";--", "rows"])
def test_any_name_works(page, name) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    page.sql(
        f"CREATE SCHEMA IF NOT EXISTS {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} text PRIMARY KEY, b text);"
        f" INSERT INTO {quoted}.{quoted} VALUES ('%s', 'old')"
    )
    page.get("", search=name)
    assert page.follow(
        f"{name}.{name}".replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&#34;")
        .replace("'", "&#39;")
    )
    assert page.shown() == [["%s", "old"]]
    assert page.rows(name, name, sort=name, column=name, value="%", **{"is": "starts"}) == [["%s", "old"]]
    form = page.row(name, "%s", schema=name)
    assert "Saved" in page.send(form, value1="100% new", value2="x")
    assert page.rows(name, name) == [["100% new", "x"]]
    page.get("structure", schema=name, table=name)


_VALUES = {
    "text": ["", " ", "a\nb", "\n\nx\n", "a\r\nb\r\n", "tab\t 'q' \"d\" \\ %s", "</textarea><script>", "😀\u200b\x01", "NULL"],
    "jsonb": ['{"a": [1, 2.50, 12345678901234567890.12345], "b": {}}', '"\\u007f"', "null"],
    "json": ['{"b":1,  "a":1, "a":2}'],
    "text[]": ["{}", '{NULL,"NULL","a,b","\\"",""}', "[2:3]={x,y}"],
    "int[]": ["{{1,2},{3,NULL}}"],
    "bytea": ["\\x", "\\x00ff0d0a"],
    "vector": ["[1,2.5,-3]"],
    "float8": ["0.1", "NaN", "-Infinity", "1e-300"],
    "numeric": ["1.10", "NaN"],
    "timestamptz": ["2024-02-29 12:00:00.123456+00", "infinity", "4713-01-01 00:00:00+00 BC"],
    "interval": ["1 mon -2 days +03:00:00.5"],
    "inet": ["10.0.0.1", "10.0.0.0/8"],
    "bool": ["t"],
    "char(5)": ["ab   "],
    "int4range": ["[1,5)", "empty"],
    "point": ["(1,2)"],
    "xml": ["<a>1</a>"],
    "tsvector": ["'a':1 'b'"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
}  # fmt: skip


def test_saving_a_row_keeps_every_value_as_it_is(page) -> None:
    """An unchanged form changes nothing, and a value typed as PostgreSQL writes it is that value."""
    cases = [(kind, value) for kind, values in _VALUES.items() for value in values]
    literals = ["'" + value.replace("'", "''") + "'" for _, value in cases]
    columns = ", ".join(f"c{number} {kind}" for number, (kind, _) in enumerate(cases))
    page.sql(
        f"CREATE TABLE kinds (id int PRIMARY KEY, {columns}); INSERT INTO kinds VALUES (1, {', '.join(literals)}); INSERT INTO kinds VALUES (2)"
    )
    read = "SELECT xmin::text, kinds::text AS texts FROM kinds WHERE id = %s"
    (before,) = page.sql(read % 1)
    filled = page.row("kinds", "1")
    assert "Saved" in page.send(filled)
    assert page.sql(read % 1) == [before]

    empty = page.row("kinds", "2")
    typed = {name: text for name, text in filled.items() if name.startswith(("value", "is"))}
    # A text field has no lines of two kinds: those of a new text are \n.
    assert "Saved" in page.send({**empty, **typed, "value1": "2"})
    (after,) = page.sql(read % 2)
    assert (
        after["texts"].replace("\r\n", "\n").partition(",")[2]
        == before["texts"].replace("\r\n", "\n").partition(",")[2]
    )

    form = page.row("kinds", "1")
    page.send(form, value6="a\nc\nd")
    assert page.sql("SELECT c4 FROM kinds WHERE id = 1") == [{"c4": "a\r\nc\r\nd"}]
    shown = page.rows("kinds", sort="id")[0]
    assert (shown[1], shown[2]) == ("", "1 blank")
    page.sql("DROP TABLE kinds")


def test_null_empty_default_and_text_are_told_apart(page) -> None:
    page.sql("CREATE TABLE modes (id serial PRIMARY KEY, a text, b text DEFAULT 'd', c text NOT NULL)")
    form = page.new("modes")
    assert (form["is1"], form["is2"], form["is3"], form["is4"]) == ("default", "default", "default", "value")
    assert "Saved" in page.send(form, "new")
    assert "Saved" in page.send(form, "new", is2="null", is3="value", value4="x")
    # Typed text counts, though the choice beside it says default.
    assert "Saved" in page.send(form, "new", value2="typed", is3="null")
    read = "SELECT a, b, c FROM modes ORDER BY id"
    assert [tuple(row.values()) for row in page.sql(read)] == [
        (None, "d", ""), (None, "", "x"), ("typed", None, ""),
    ]  # fmt: skip
    page.send(page.row("modes", "1"), is2="value", is3="null")
    page.send(page.row("modes", "2"), value2="typed", is3="default", value4="")
    page.send(page.row("modes", "3"), is2="null", value4="NULL")
    assert [tuple(row.values()) for row in page.sql(read)] == [
        ("", None, ""), ("typed", "d", ""), (None, None, "NULL"),
    ]  # fmt: skip
    refused = page.send(page.new("modes"), "new", is4="null")
    assert 'Null value in column "c"' in refused
    assert page.form()["is4"] == "null"
    bad = page.send(page.row("modes", "3"), value1="three", value4="kept")
    assert "Invalid input syntax for type integer" in bad
    assert (page.form()["value1"], page.form()["value4"]) == ("three", "kept")
    page.sql("DROP TABLE modes")


def test_what_a_form_cant_keep_is_locked(page) -> None:
    page.sql(
        "CREATE TABLE locked (id int PRIMARY KEY, mixed text, lone text, big text, other text);"
        " INSERT INTO locked SELECT 1, E'a\\nb\\r\\nc', E'a\\rb', string_agg(md5(n::text), ''), 'x' FROM generate_series(1, 40000) n"
    )
    form = page.row("locked", "1")
    assert {name for name in form if name.startswith("value")} == {"value1", "value5"}
    assert "too large to be edited here" in page.text()
    assert "MB" in str(page.rows("locked")[0][3])
    # Nor by a form that has them anyway.
    assert "Saved" in page.send(form, value2="x", value4="x", value5="y")
    assert page.sql("SELECT mixed, lone, length(big) AS big, other FROM locked") == [
        {"mixed": "a\nb\r\nc", "lone": "a\rb", "big": 1_280_000, "other": "y"}
    ]
    page.sql("DROP TABLE locked")


def test_a_row_that_changed_meanwhile_is_refused_and_shown(page) -> None:
    page.sql(
        "CREATE TABLE raced (id int PRIMARY KEY, a text, b text); INSERT INTO raced VALUES (1, 'a', 'b')"
    )
    form = page.row("raced", "1")
    page.sql("UPDATE raced SET b = 'theirs'")
    text = page.send(form, value2="mine")
    assert "was changed by somebody else" in text
    assert "mine" in text
    assert page.form()["value3"] == "theirs"
    assert page.sql("SELECT a, b FROM raced") == [{"a": "a", "b": "theirs"}]
    assert "was changed by somebody else" in page.send(form, action="delete")
    assert "Saved" in page.send(page.form(), value2="mine")
    old = page.row("raced", "1")
    asked = page.send(old, action="delete")
    assert "Delete this row?" in asked
    confirm = page.form()
    page.sql("UPDATE raced SET a = 'again'")
    assert "Nothing was deleted" in page.send(confirm)
    page.sql("DELETE FROM raced")
    assert page.send(old, value2="x") == "row_not_found"
    page.sql("DROP TABLE raced")


def test_a_delete_is_asked_with_all_that_goes_with_it(page) -> None:
    form = page.row("people", "9")
    asked = page.send(form, action="delete")
    assert "deletes 2 rows of tasks" in asked
    assert page.sql("SELECT count(*)::int AS n FROM tasks WHERE person = 9") == [{"n": 2}]
    confirm = page.form()
    page.sql("INSERT INTO tasks VALUES (9, 900, 'more')")
    # Agreed to are the numbers that were shown.
    assert "deletes 3 rows of tasks" in page.send(confirm)
    page.agree()
    assert page.sql("SELECT count(*)::int AS n FROM people WHERE id = 9") == [{"n": 0}]
    assert page.sql("SELECT count(*)::int AS n FROM tasks WHERE person = 9") == [{"n": 0}]


def test_rows_without_a_key_are_found_by_place_and_version(page) -> None:
    page.sql("CREATE TABLE twins (a text); INSERT INTO twins VALUES ('x'), ('x')")
    page.rows("twins")
    assert page.follow("Open")
    first = page.form()
    assert "Saved" in page.send(first, value1="y")
    assert page.sql("SELECT a FROM twins ORDER BY a") == [{"a": "x"}, {"a": "y"}]
    assert page.send(first, value1="z") in ("row_not_found",) or "changed by somebody" in page.text()
    page.rows("twins")
    page.follow("Open")
    page.send(page.form(), action="delete")
    page.agree()
    assert len(page.rows("twins")) == 1
    page.rows("parent")
    assert page.follow("Open")
    page.send(page.form(), action="delete")
    page.agree()
    assert page.sql("SELECT count(*)::int AS n FROM parent") == [{"n": 1}]
    page.sql(
        "CREATE TABLE split (a int) PARTITION BY LIST (a); CREATE TABLE split_1 PARTITION OF split DEFAULT"
    )
    assert "Saved" in page.send(page.new("split"), "new", is1="value", value1="7")
    assert "Saved" in page.send(page.form(), value1="8")
    assert page.rows("split") == [["8"]]
    page.sql("DROP TABLE twins, split")


def test_a_row_may_move_to_another_partition(page) -> None:
    assert "Saved" in page.send(page.row("parted", "1", "a"), value2="b")
    assert page.sql("SELECT count(*)::int AS n FROM parted_b") == [{"n": 2}]
    page.rows("parted_a")
    assert "partition of parted" in page.text()
    assert "Saved" in page.send(page.new("parted"), "new", value1="3", value2="a")


def test_views_and_tracking_tables_are_read_only(page) -> None:
    page.sql("INSERT INTO mosaic_deploy.settings VALUES ('x', '{}') ON CONFLICT DO NOTHING")
    form = page.row("people", "3")
    for schema, table, key in (
        ("public", "seen", '["p3"]'),
        ("public", "kept", '["3"]'),
        ("mosaic_deploy", "settings", '["x"]'),
    ):
        page.rows(table, schema)
        assert "Read-only" in page.text()
        place = {
            "schema": schema,
            "table": table,
            "row": key,
            "version": form["version"],
            "value1": "y",
            "value2": "{}",
        }
        for action in ("save", "delete"):
            assert "nothing was changed" in page.send(
                place, action=action
            ).lower() or "row_not_found" in page.send(place, action=action)
        assert "othing was changed" in page.send(place, "new")
    assert page.sql("SELECT name FROM mosaic_deploy.settings") == [{"name": "x"}]
    page.row("settings", "x", schema="mosaic_deploy")
    assert 'name="value1"' not in page.page


def test_row_security_holds(page) -> None:
    assert page.rows("hidden") == [["1", "t"]]
    assert "rows that its policies hide aren't shown" in page.text()
    assert "row-level security policy" in page.send(page.row("hidden", "1"), value2="f")
    assert page.client.get(f'{page.base}/row?schema=public&table=hidden&row=["2"]').status_code == 404
    # A row that can be written but not read.
    page.sql("CREATE POLICY add ON hidden FOR INSERT WITH CHECK (true)")
    assert "hidden" in page.send(page.new("hidden"), "new", value1="3", value2="f", is2="value")
    page.sql("ALTER TABLE hidden NO FORCE ROW LEVEL SECURITY")
    assert len(page.rows("hidden")) == 3


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("UPDATE effects.counter SET n = n + 1", "updates 2 rows of effects.counter"),
        ("DELETE FROM effects.counter", "deletes 2 rows of effects.counter"),
        ("INSERT INTO effects.counter VALUES (9)", ""),
        ("TRUNCATE effects.counter", "drops, alters or truncates a table"),
        ("DROP TABLE effects.counter", "drops, alters or truncates a table"),
        ("INSERT INTO mosaic_deploy.settings VALUES ('evil', '{}')", "changes the tracking tables"),
        ("UPDATE effects.watched SET a = a || '!' WHERE id = 2", "updates 1 row of effects.watched"),
    ],
)
@pytest.mark.parametrize("deferred", [False, True])
def test_what_triggers_do_besides_is_measured(page, body, expected, deferred) -> None:
    page.sql(
        "DROP SCHEMA IF EXISTS effects CASCADE; CREATE SCHEMA effects; CREATE TABLE effects.counter (n int);"
        " INSERT INTO effects.counter VALUES (0), (0); CREATE TABLE effects.watched (id int PRIMARY KEY, a text);"
        " INSERT INTO effects.watched VALUES (1, 'a'), (2, 'b');"
        f" CREATE FUNCTION effects.run() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body}; RETURN NULL; END$$;"
        f" CREATE CONSTRAINT TRIGGER run AFTER UPDATE OR DELETE ON effects.watched {'DEFERRABLE INITIALLY DEFERRED' if deferred else ''}"
        " FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION effects.run()"
    )
    state = "SELECT (SELECT string_agg(n::text, ',') FROM effects.counter) AS n, (SELECT string_agg(a, ',' ORDER BY id) FROM effects.watched) AS a"
    before = page.sql(state)
    text = page.send(page.row("watched", "1", schema="effects"), value2="new")
    assert expected in text
    if not expected:
        assert "Saved" in text
        return
    assert page.sql(state) == before
    assert page.sql("SELECT count(*)::int AS n FROM mosaic_deploy.settings WHERE name = 'evil'") == [{"n": 0}]
    if "row" in expected:
        assert "Saved" in page.agree()
        assert page.sql(state) != before


def test_the_recorded_policy_holds(page) -> None:
    page.sql(
        "CREATE TABLE guarded (id int PRIMARY KEY, a text); CREATE TABLE guarded_child (id int REFERENCES guarded ON DELETE CASCADE);"
        " INSERT INTO guarded VALUES (1, 'a'); INSERT INTO guarded_child VALUES (1)"
    )

    def record(policy: str) -> None:
        page.sql(
            f"INSERT INTO mosaic_deploy.settings VALUES ('policy', '{{\"a/mosaic.yaml\": {policy}}}')"
            " ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value"
        )

    for policy, expected in (
        ('{"destructive": "deny"}', "policy.destructive is deny"),
        (
            '{"destructive": "allow", "protected_tables": ["guarded"]}',
            "public.guarded is in policy.protected_tables",
        ),
        (
            '{"destructive": "confirm", "protected_tables": ["public.guarded_child"]}',
            "public.guarded_child is in policy.protected_tables",
        ),
    ):
        record(policy)
        form = page.row("guarded", "1")
        assert expected in page.send(form, action="delete")
        assert expected in page.send(form, action="delete", agreed="deletes 1 row of guarded_child")
        # As with the command, an update of one row destroys nothing.
        assert "Saved" in page.send(form, value2=policy)
    record('"nonsense"')
    assert "deletes 1 row of guarded_child" in page.send(page.row("guarded", "1"), action="delete")
    page.sql("DELETE FROM mosaic_deploy.settings; DROP TABLE guarded, guarded_child")


def test_1600_columns_are_shown_in_parts_and_edited(page) -> None:
    page.sql(
        "DO $$BEGIN EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg(format('c%s int', n), ',') FROM generate_series(1, 1599) n)"
        " || ', id int PRIMARY KEY)'; INSERT INTO wide (id, c1500) VALUES (1, 5); END$$"
    )
    assert page.rows("wide")[0][:2] == [None, None]
    assert "Columns 1–40 of 1,600" in page.text()
    assert page.follow("Next columns")
    assert page.shown()[0][0] == "1"
    form = page.row("wide", "1")
    assert len(form) > 3200
    assert "Saved" in page.send(form, value1599="7")
    assert page.sql("SELECT c1, c1500, c1599 FROM wide") == [{"c1": None, "c1500": 5, "c1599": 7}]
    page.sql("DROP TABLE wide")


def test_large_tables_are_never_sorted_or_read_whole(page) -> None:
    page.sql(
        "CREATE UNLOGGED TABLE large AS SELECT n, n % 3 AS m, repeat('x', 1000) AS x FROM generate_series(1, 40000) n;"
        " CREATE INDEX ON large (n)"
    )
    assert page.rows("large", sort="n", desc="1")[0][0] == "40000"
    assert page.rows("large", sort="m") == []
    assert "can't be sorted by m" in page.text()
    first = page.rows("large")
    assert "Only columns that an index begins with can be sorted by" in page.text()
    assert not re.search(r'<th[^>]*><a href="[^"]*">m</a>', page.page)
    assert page.follow("Next")
    assert int(page.shown()[0][0] or 0) == int(first[-1][0] or 0) + 1
    page.rows("large", column="n", value="39999", **{"is": "ge"})
    assert [row[0] for row in page.shown()] == ["39999", "40000"]
    page.sql("DROP TABLE large")


def test_a_draft_is_named(page, api) -> None:
    root, project_id = api.root, page.project_id
    for step in ("clone", "serve"):
        assert api.post(f"{root}/dev/{project_id}/draft", json={"step": step, "name": "d"}).status_code == 200
    try:
        assert "draft's copy" in page.send(page.row("people", "4"), value2="only here")
        assert page.rows("people", column="id", value="4", **{"is": "eq"})[0][1] == "only here"
        assert api.post(
            f"/{project_id}/sql",
            json={"query": "SELECT name FROM people WHERE id = 4"},
            headers={"Mosaic-Database": "base"},
        ).json()["rows"] == [{"name": "p4"}]
    finally:
        api.post(f"{root}/dev/{project_id}/draft", json={"step": "drop", "name": "d"})


def test_forms_need_the_dashboards_origin(page, api) -> None:
    form = page.row("people", "3")
    for origin in ({}, {"Origin": "http://evil.example"}):
        assert page.client.post(f"{page.base}/row", data=form, headers=origin).status_code == 403
    assert not re.search(r"<(script)>|style=", page.page)
    large = {**form, "value2": "x" * 17_000_000}
    assert page.send(large) == "body_too_large"
    assert page.send({**form, "value2": "a\0b"}) == "form_invalid"

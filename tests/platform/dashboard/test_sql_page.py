"""The dashboard's SQL tab: what is read, what is asked before, and what can't be measured."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import httpx
import pytest


class SqlPage:
    def __init__(self, api, browser: httpx.Client, project_id: str) -> None:
        self.api, self.browser, self.project_id = api, browser, project_id

    def send(self, query: str, **fields: str) -> httpx.Response:
        data = {"query": query, "action": "run", **fields}
        path = f"/projects/{self.project_id}/sql"
        return self.browser.post(path, data=data, headers={"Origin": self.api.root})

    def run(self, query: str, **fields: str) -> str:
        """The page's text, without its tags."""
        response = self.send(query, **fields)
        assert response.status_code == 200, response.text
        main = response.text.partition("</form>")[2]
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())

    def write(self, query: str, agreed: str = "") -> str:
        return self.run(query, mode="write", agreed=agreed)

    def value(self, query: str) -> str:
        return str(self.api.sql(self.project_id, query)[0]["value"])


@pytest.fixture(scope="module")
def browser(api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.root, timeout=30) as client:
        assert client.get(api.post(api.root + "/open").json()["url"]).status_code == 200
        yield client


@pytest.fixture
def page(api, project, browser) -> SqlPage:
    project_id = project("Queries")
    api.sql(
        project_id,
        "CREATE TABLE todos (id int PRIMARY KEY, title text); INSERT INTO todos VALUES (1, 'a'), (2, 'b'), (3, NULL);"
        " CREATE TABLE notes (todo int REFERENCES todos ON DELETE CASCADE); INSERT INTO notes VALUES (1), (1);"
        " CREATE VIEW titles AS SELECT title FROM todos",
    )
    return SqlPage(api, browser, project_id)


def test_every_result_is_shown_as_postgresql_writes_it(page) -> None:
    shown = page.run(
        "SELECT * FROM todos ORDER BY id; SELECT '{\"a\": [1, true]}'::jsonb AS j, ARRAY['x y', NULL] AS list, '' AS nothing,"
        " '\\xdead'::bytea AS bytes, '<b>&' AS \"<i>\""
    )
    assert "SELECT 3" in shown
    assert "1 a 2 b 3 NULL" in shown
    for text in ('{"a": [1, true]}', '{"x y",NULL}', "\\xdead", "<b>&", "<i>", "empty"):
        assert text in shown
    many = page.run("SELECT n FROM generate_series(1, 1234) AS n")
    assert "The first 500 of 1,234 rows" in many
    assert "There was no statement" in page.run("-- nothing")
    assert "NOTICE: hello" in page.run("DO $$BEGIN RAISE NOTICE 'hello'; END$$")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 1;\n  SELECT nope FROM todos", "Error 42703 column \"nope\" does not exist Line 2, column 10"),
        ("SELEC", "Error 42601 syntax error at or near \"SELEC\" Line 1, column 1"),
        ("SELECT '😀', nope", "Line 1, column 13"),
        ("DELETE FROM todos", "Error 25006 cannot execute DELETE in a read-only transaction"),
        ("COMMIT; DELETE FROM todos", "COMMIT isn't possible here"),
        ("SELECT 1; /* x */ end; DELETE FROM todos", "END isn't possible here"),
        ("SELECT 1 #-- '\n 2; COMMIT; DELETE FROM todos; -- '", "COMMIT isn't possible here"),
        ("SELECT 1 |/* ' */ 2; COMMIT; DELETE FROM todos; --'", "COMMIT isn't possible here"),
        ("SET TRANSACTION READ WRITE; DELETE FROM todos", "must be set before any query"),
        ("SET transaction_read_only = off; DELETE FROM todos", "must be set before any query"),
        ("SELECT set_config('transaction_read_only', 'off', true); DELETE FROM todos", "must be set before any query"),
        ("COPY todos TO STDOUT", "COPY needs psql"),
        ("DO $$BEGIN DELETE FROM todos; END$$", "read-only transaction Line"),
    ],
)  # fmt: skip
def test_without_the_switch_nothing_is_changed(page, query, expected) -> None:
    shown = page.run(query)
    assert expected.removesuffix(" Line") in shown
    assert page.value("SELECT count(*) AS value FROM todos") == "3"


@pytest.mark.parametrize(
    ("query", "effects"),
    [
        ("DELETE FROM todos WHERE id = 1", "deletes 2 rows of notes deletes 1 row of todos"),
        ("TRUNCATE notes", "removes all rows of table notes"),
        ("DROP VIEW titles", "drops view titles"),
        ("DROP TABLE notes", "drops table notes"),
        ("ALTER TABLE todos DROP COLUMN title CASCADE", "drops view titles drops column todos.title"),
        ("ALTER TABLE todos ALTER id TYPE bigint", "rewrites all values of table todos"),
        ("WITH one AS (UPDATE todos SET title = 'x' RETURNING 1) SELECT * FROM one", "updates 3 rows of todos"),
        ("DO $$BEGIN UPDATE todos SET title = 'x'; END$$", "updates 3 rows of todos"),
        ("DROP SCHEMA public CASCADE", "drops schema public"),
    ],
)  # fmt: skip
def test_what_destroys_is_measured_asked_and_then_done(page, query, effects) -> None:
    before = page.value("SELECT md5(string_agg(t::text, ',' ORDER BY id)) AS value FROM todos t")
    asked = page.send(query, mode="write")
    lines = re.findall(r"<li>([^<]+)</li>", asked.text.partition("Nothing has changed yet")[2])
    assert effects in " ".join(lines)
    agreed = html.unescape(re.search(r'name="agreed" value="([^"]*)"', asked.text)[1])
    assert page.value("SELECT md5(string_agg(t::text, ',' ORDER BY id)) AS value FROM todos t") == before
    # Meanwhile it would destroy more.
    if query.startswith("DELETE"):
        page.api.sql(page.project_id, "INSERT INTO notes VALUES (1)")
        again = page.write(query, agreed)
        assert "Nothing has changed yet" in again
        assert "deletes 3 rows of notes" in again
        agreed = agreed.replace("2 rows", "3 rows")
    assert "Nothing has changed yet" not in page.write(query, agreed)
    if query != "DROP SCHEMA public CASCADE":
        assert "deletes" not in page.write("SELECT count(*) FROM todos")


def test_what_a_query_says_itself_needs_no_question(page) -> None:
    shown = page.write(
        "INSERT INTO todos VALUES (4, 'd'); UPDATE todos SET title = 'z' WHERE id < 3; CREATE TABLE more (a int)"
    )
    assert "UPDATE 2" in shown
    assert "updates 2 rows of todos" in shown
    assert page.value("SELECT count(*) AS value FROM todos WHERE title = 'z'") == "2"
    assert "UPDATE 1" in page.write("UPDATE todos SET title = 'y' WHERE id = 1 RETURNING id")
    assert page.value("SELECT to_regclass('more') AS value") == "more"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("VACUUM todos", "cannot run inside a transaction block"),
        ("BEGIN; DELETE FROM notes; COMMIT", "it has BEGIN, so what it does can't be measured"),
    ],
)
def test_what_cant_be_measured_is_run_only_after_a_question(page, query, reason) -> None:
    asked = page.write(query)
    assert "Nothing has changed yet" in asked
    assert reason in asked[:1].lower() + asked or reason[:1].upper() + reason[1:] in asked
    assert page.value("SELECT count(*) AS value FROM notes") == "2"
    done = page.write(query, "unmeasured")
    assert "Nothing has changed yet" not in done
    assert "Error" not in done


def test_plans_are_drawn_and_measured_runs_are_undone(page) -> None:
    estimated = page.run("SELECT * FROM todos JOIN notes ON id = todo WHERE title = 'a';", action="explain")
    assert "Estimates only" in estimated
    assert "on todos" in estimated
    measured = page.run("DELETE FROM todos", action="analyze", mode="write")
    assert "and was undone" in measured
    assert page.value("SELECT count(*) AS value FROM todos") == "3"
    assert "read-only transaction" in page.run("DELETE FROM todos", action="analyze")
    wrong = page.run("  SELECT\nnope", action="explain")
    assert "Line 2, column 1" in wrong


def test_downloads(page) -> None:
    query = "SELECT id, title, '' AS e, 'a,\"b\n' AS q FROM todos WHERE id <> 2 ORDER BY id"
    as_csv = page.send(query, action="csv")
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert as_csv.headers["Content-Disposition"] == f'attachment; filename="{page.project_id}.csv"'
    assert as_csv.text == 'id,title,e,q\n1,a,"","a,""b\n"\n3,,"","a,""b\n"\n'
    as_json = page.send(query, action="json")
    assert as_json.json()[1] == {"id": 3, "title": None, "e": "", "q": 'a,"b\n'}
    for action in ("csv", "json"):
        assert "Line 1, column 8" in page.run("SELECT nope", action=action)
        assert "read-only" in page.run("DELETE FROM todos RETURNING 1", action=action)


def test_names_for_completion(page) -> None:
    page.api.sql(page.project_id, 'CREATE SCHEMA "An other"; CREATE TABLE "An other"."x""y" ("😀" int)')
    names = page.browser.get(f"/projects/{page.project_id}/sql/names.json").json()["schemas"]
    assert names == {
        "public": {"notes": ["todo"], "titles": ["title"], "todos": ["id", "title"]},
        "An other": {'x"y': ["😀"]},
    }


def test_the_schema_is_drawn(page) -> None:
    page.api.sql(
        page.project_id, 'CREATE SCHEMA evil; CREATE TABLE evil."<b>&""" ("<i>" int, PRIMARY KEY ("<i>"))'
    )
    shown = page.browser.get(f"/projects/{page.project_id}/schema").text
    assert "notes.todo refers to todos.id" in shown
    assert ">todos</text>" in shown
    assert "evil.&lt;b&gt;&amp;&#34;</text>" in shown
    assert f"/projects/{page.project_id}/tables/rows?schema=evil&amp;table=%3Cb%3E%26%22" in shown
    assert "<b>" not in shown
    only = page.browser.get(f"/projects/{page.project_id}/schema?schema=evil").text
    assert ">todos</text>" not in only
    assert "has no tables yet" in page.browser.get(f"/projects/{page.project_id}/schema?schema=none%00").text


def _record_policy(page, policy: str) -> None:
    page.api.sql(
        page.project_id,
        "CREATE SCHEMA mosaic_deploy; CREATE TABLE mosaic_deploy.settings (name text PRIMARY KEY, value jsonb)",
    )
    page.api.sql(
        page.project_id, f"INSERT INTO mosaic_deploy.settings VALUES ('policy', '{{\"m\": {policy}}}')"
    )


def test_the_recorded_policy_holds(page) -> None:
    """As for the command `sql`: agreeing doesn't help."""
    _record_policy(page, '{"destructive": "confirm", "protected_tables": ["notes"]}')
    for query in ("DELETE FROM todos", "TRUNCATE notes", "DROP TABLE notes", "ALTER TABLE notes DROP todo"):
        refused = page.write(query)
        assert "policy doesn't allow this: public.notes is in policy.protected_tables" in refused, query
    assert "policy doesn't allow this" in page.write("BEGIN; DELETE FROM notes; COMMIT", "unmeasured")
    assert page.value("SELECT count(*) AS value FROM notes") == "2"
    assert "drops view titles" in page.write("DROP VIEW titles")
    assert "Nothing has changed yet" not in page.write("INSERT INTO notes VALUES (2)")
    denied = "UPDATE mosaic_deploy.settings SET value = jsonb_set(value, '{m,destructive}', '\"deny\"')"
    asked = page.write(denied)
    assert "writes to mosaic_deploy.settings, on which all later deploys rely" in asked
    page.api.sql(page.project_id, denied)
    assert "policy.destructive is deny" in page.write("DROP VIEW titles")


def test_a_partition_is_protected_with_its_table(page) -> None:
    _record_policy(page, '{"destructive": "confirm", "protected_tables": ["events"]}')
    page.api.sql(
        page.project_id,
        "CREATE TABLE events (id int) PARTITION BY RANGE (id); CREATE TABLE events_1 PARTITION OF events"
        " FOR VALUES FROM (0) TO (9); INSERT INTO events VALUES (1)",
    )
    for query in (
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM events_1",
        "UPDATE events SET id = 2",
    ):
        assert "public.events is in policy.protected_tables" in page.write(query), query


def test_tracking_tables_are_asked_about(page) -> None:
    page.api.sql(
        page.project_id, "CREATE SCHEMA mosaic_deploy; CREATE TABLE mosaic_deploy.migrations (version text)"
    )
    assert "writes to mosaic_deploy.migrations" in page.write(
        "INSERT INTO mosaic_deploy.migrations VALUES ('1')"
    )
    assert page.value("SELECT count(*) AS value FROM mosaic_deploy.migrations") == "0"

"""Migrations over the platform's limit of a request."""

from __future__ import annotations

import httpx
import pytest

from mosaic_deploy.deploy.planning.request_sizes import large_step_notes
from mosaic_deploy.errors import MigrationFailed, MigrationInvalid
from mosaic_deploy.source.migrations.files import parse_migrations, read_migrations

ROW = "INSERT INTO t VALUES ('" + "x" * 20_000 + "');\n"


def large(site, rows: int, first: str = "") -> None:
    site.write("sql/1_a.sql", "CREATE TABLE t (a text);")
    site.write("sql/2_b.sql", first + ROW * rows)
    site.manifest(database={"migrations": "sql"})


def test_the_plan_refuses_a_file_over_the_listed_limit(site):
    large(site, 2_100)
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    [problem] = caught.value.problems
    assert (problem.location.file, problem.location.line) == ("sql/2_b.sql", 1)
    assert "42.1 MB of SQL as it is sent; this platform accepts 41.9 MB per request" in problem.message
    parsed = parse_migrations(read_migrations(site.root, "sql"))
    [note] = large_step_notes(parsed)
    assert note.message.startswith("sql/2_b.sql: the file is 42.1 MB of SQL")
    large(site, 2_100, "-- mosaic: transaction=false\n")
    assert len(site.plan().plan.changes) == 3


class SmallLimit(httpx.BaseTransport):
    """A platform that lists no limit and refuses SQL requests of more than 35,000 bytes that run steps."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        if request.url.path.endswith("/sql") and b"mosaic_steps" in body and len(body) > 35_000:
            return httpx.Response(413, json={"success": False, "error": {"message": "body too large"}})
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


def test_an_unlisted_limit_is_reported_with_the_file(site, api_over):
    large(site, 3)
    site.write("sql/2_b.sql", "SELECT 1;")
    site.apply()
    site.write("sql/3_c.sql", ROW * 3)
    api = api_over(SmallLimit())
    last = site.run(site.plan(), api)[-1]
    error = last.error
    assert isinstance(error, MigrationFailed)
    assert (error.location.file, error.mutation_state) == ("sql/3_c.sql", "none")
    assert "too large" in error.message and error.message.endswith("(nothing of it ran)")
    assert "split the file" in error.hint
    assert site.sql("SELECT count(*) AS n FROM t") == [{"n": 0}]


def test_several_steps_that_do_not_fit_are_sent_one_by_one(site, api_over):
    large(site, 1)
    for number in range(3, 6):
        site.write(f"sql/{number}_c.sql", ROW)
    last = site.run(site.plan(), api_over(SmallLimit()))[-1]
    assert len([name for name in last.done if name.startswith("migration:")]) == 5
    assert site.plan().plan.changes == ()

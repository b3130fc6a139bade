"""Migrations over the platform's limit of a request."""

from __future__ import annotations

import random

import httpx
import pytest

from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.deploy.planning import request_sizes
from mosaic_deploy.deploy.planning.request_sizes import large_step_notes
from mosaic_deploy.errors import MigrationFailed, MigrationInvalid, RequestRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import applied_sources
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.source.migrations.files import parse_migrations
from mosaic_deploy.source.migrations.listing import read_migrations
from tests.deploy.conftest import OPTIONS
from tests.deploy.histories import known

ROW = "INSERT INTO t VALUES ('" + "x" * 20_000 + "');\n"


def large(site, rows: int, first: str = "") -> None:
    site.write("sql/1_a.sql", "CREATE TABLE t (a text);")
    site.write("sql/2_b.sql", first + ROW * rows)
    site.manifest(database={"migrations": "sql"})


def test_the_plan_refuses_a_file_over_the_listed_limit(site, monkeypatch):
    assert site.api.sql_request_limit() == request_sizes.EMBEDDED_LIMIT
    # Less, so that there is less to parse.
    monkeypatch.setattr(request_sizes, "EMBEDDED_LIMIT", 2_000_000)
    monkeypatch.setattr(Api, "sql_request_limit", lambda _: 2_000_000)
    large(site, 105)
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    [problem] = caught.value.problems
    assert (problem.location.file, problem.location.line) == ("sql/2_b.sql", 1)
    assert "2.1 MB of SQL as it is sent; this platform accepts 2.0 MB per request" in problem.message
    parsed = parse_migrations(read_migrations(site.root, "sql"))
    [note] = large_step_notes(parsed)
    assert note.message.startswith("sql/2_b.sql: the file is 2.1 MB of SQL")
    large(site, 105, "-- mosaic: transaction=false\n")
    assert len(site.plan().plan.changes) == 3


def random_rows(rows: int, seed: int = 1) -> str:
    """INSERTs of 10,000 characters that don't compress well."""
    dice = random.Random(seed)
    return "".join(f"INSERT INTO t VALUES ('{dice.randbytes(5_000).hex()}');\n" for _ in range(rows))


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """A platform that accepts 100 kB of SQL per request."""
    monkeypatch.setattr(request_sizes, "ALWAYS_ACCEPTED_SIZE", 10_000)
    monkeypatch.setattr(Api, "sql_request_limit", lambda _: 100_000)
    return 100_000


COMMIT_EACH = "transaction=false"


@pytest.mark.parametrize(
    ("text", "said", "commit_each"),
    [
        (random_rows(8), "the file is 1", True),  # 80 kB, and the history's copy of it
        (random_rows(16), "the file is 2", False),  # the copy alone is too large
        (ROW * 6, "the file is 120.", True),
        (f"INSERT INTO t VALUES ('{'x' * 110_000}');", "the file is 110.", False),
        (
            f"-- mosaic: transaction=false\n{ROW}INSERT INTO t VALUES ('{'x' * 110_000}');",
            "step 2 of 2",
            False,
        ),
    ],
)
def test_what_makes_the_request_smaller(site, limit, text, said, commit_each):
    site.write("sql/1_a.sql", "CREATE TABLE t (a text);")
    site.write("sql/2_b.sql", text)
    site.manifest(database={"migrations": "sql"})
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    [problem] = caught.value.problems
    assert problem.message.startswith(said)
    assert "split the file into several migrations" in problem.hint
    assert (COMMIT_EACH in problem.hint) == commit_each


def test_a_large_seed_is_split_into_seeds(site, limit):
    site.write("sql/1_a.sql", "CREATE TABLE t (a text);")
    site.write("seeds/s.sql", ROW * 6)
    site.manifest(database={"migrations": "sql", "seeds": ["seeds"]})
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    assert [problem.hint for problem in caught.value.problems] == ["split the file into several seeds"]


def test_a_single_transaction_is_one_request(site, limit):
    site.write("sql/1_a.sql", "CREATE TABLE t (a text);")
    for number in range(2, 8):
        site.write(f"sql/{number}_b.sql", ROW)
    # Seeds have requests of their own.
    site.write("seeds/s.sql", ROW * 4)
    site.manifest(database={"migrations": "sql", "transaction": "all", "seeds": ["seeds"]})
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    [problem] = caught.value.problems
    assert problem.message.startswith("the migrations up to this one are one request of 120.")
    assert problem.location.file == "sql/7_b.sql"
    assert "set database.transaction to each" in problem.hint
    site.manifest(database={"migrations": "sql", "seeds": ["seeds"]})
    assert site.plan().plan.changes


class Measuring(httpx.BaseTransport):
    """Adds up the bytes of SQL requests; refuses results of more than `most` bytes."""

    def __init__(self, most: int) -> None:
        self.inner = httpx.HTTPTransport()
        self.sent = 0
        self._most = most

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += len(request.read())
        response = self.inner.handle_request(request)
        if len(response.read()) > self._most and request.url.path.endswith("/sql"):
            return httpx.Response(
                413, json={"success": False, "error": {"message": "the result is too large"}}
            )
        return response

    def close(self) -> None:
        self.inner.close()


def test_the_text_is_sent_once_and_read_in_pieces(site, api_over, monkeypatch):
    """A file of many steps isn't sent with each of them, and texts larger than a result are read all the same."""
    texts = {str(version): random_rows(20, version) for version in (2, 3, 4)}
    site.write("sql/1_a.sql", "CREATE TABLE t (a text);")
    for version, text in texts.items():
        site.write(f"sql/{version}_b.sql", f"-- mosaic: transaction=false\n{text}")
    site.manifest(database={"migrations": "sql"})
    transport = Measuring(150_000)
    api = api_over(transport)
    assert isinstance(site.run(site.plan(), api)[-1], ApplyDone)
    whole = sum(map(len, texts.values()))
    assert transport.sent < 4 * whole
    assert site.sql("SELECT count(*) AS n FROM t") == [{"n": 60}]
    monkeypatch.setattr(applied_sources, "_PIECE", 30_000)
    recorded = applied_sources.read_applied_sources(api, site.project_id, ["1", *texts])
    assert recorded.pop("1") == "CREATE TABLE t (a text);"
    assert {version: text.partition("\n")[2] for version, text in recorded.items()} == texts


def test_the_text_of_a_corrected_rest_is_recorded(site):
    site.write("sql/1_a.sql", "CREATE TABLE t (a text);")
    site.write("sql/2_b.sql", f"-- mosaic: transaction=false\n{ROW}{ROW}SELECT 1 / 0;\n{ROW}")
    site.manifest(database={"migrations": "sql"})
    site.fails()
    corrected = f"-- mosaic: transaction=false\n{ROW}{ROW}INSERT INTO t VALUES ('1');\n{ROW}"
    site.write("sql/2_b.sql", corrected)
    site.apply()
    assert applied_sources.read_applied_sources(site.api, site.project_id, ["2"]) == {"2": corrected}


class SmallLimit(httpx.BaseTransport):
    """A platform that lists no limit and refuses SQL requests of more than 35,000 bytes that run steps, with `error`."""

    def __init__(self, **error: str) -> None:
        self.inner = httpx.HTTPTransport()
        self._error = {"message": "body too large", **error}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        if request.url.path.endswith("/sql") and b"mosaic_steps" in body and len(body) > 35_000:
            return httpx.Response(413, json={"success": False, "error": self._error})
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


def test_a_large_file_without_statements_names_a_fix(site, api_over):
    large(site, 0, "SELECT 1;")
    site.apply()
    site.write("sql/3_c.sql", f"-- {random.Random(1).randbytes(40_000).hex()}\n")
    [*_, last] = site.run(site.plan(), api_over(SmallLimit()))
    assert "too large" in last.error.message
    assert last.error.hint == "split the file into several migrations"


def test_a_used_up_limit_is_no_large_file(site, api_over):
    """A platform may report both with the same status."""
    large(site, 0, "SELECT 1;")
    site.apply()
    site.write("sql/3_c.sql", ROW * 3)
    full = {"code": "database_quota_exceeded", "message": "the project's database is suspended"}
    error = site.run(site.plan(), api_over(SmallLimit(**full)))[-1].error
    assert isinstance(error, RequestRefused)
    assert "suspended" in error.message
    assert "split" not in f"{error.message} {error.hint}"


def test_a_large_seed_and_a_large_down_migration_name_their_file_and_a_fix(site, api_over):
    site.write(
        "sql/1_a.sql", f"-- migrate:up\nCREATE TABLE t (a text);\n-- migrate:down\n{ROW * 2}DROP TABLE t;"
    )
    site.manifest(database={"migrations": "sql"})
    site.apply()
    site.write("seeds/s.sql", ROW * 2)
    site.manifest(database={"migrations": "sql", "seeds": ["seeds"]})
    api = api_over(SmallLimit())
    error = site.run(site.plan(), api)[-1].error
    assert (error.location.file, error.hint) == ("seeds/s.sql", "split the file into several seeds")
    error = list(roll_back(api, plan_rollback(api, known(site)), OPTIONS))[-1].error
    assert error.location.file == "sql/1_a.sql"
    assert "run its statements with psql" in error.hint
    assert "migrate repair --forget 1" in error.hint


def test_several_steps_that_do_not_fit_are_sent_one_by_one(site, api_over):
    large(site, 1)
    for number in range(3, 6):
        site.write(f"sql/{number}_c.sql", ROW)
    last = site.run(site.plan(), api_over(SmallLimit()))[-1]
    assert len([name for name in last.done if name.startswith("migration:")]) == 5
    assert site.plan().plan.changes == ()

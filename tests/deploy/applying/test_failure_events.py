"""The events of an apply that fails: each change starts once, and the one that failed says so."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest

from mosaic_deploy.model.event import ApplyFailed, ChangeFailed, ChangeStarted
from tests.deploy.recovery.test_mutation_state import Failing

DATABASE = {"migrations": "sql", "seeds": ["seeds"]}


@pytest.mark.parametrize(
    ("files", "failed"),
    [
        ({"sql/1_a.sql": "SELECT 1/0;"}, "migration:1_a.sql"),
        ({"sql/1_a.sql": "SELECT 1;", "sql/2_b.sql": "SELECT 1/0;"}, "migration:2_b.sql"),
        ({"sql/1_a.sql": "CREATE TABLE a (); COMMIT; SELECT 1/0;"}, "migration:1_a.sql"),
        ({"seeds/a.sql": "SELECT 1/0;"}, "seed:seeds/a.sql"),
        ({"seeds/a.sql": "SELECT 1;", "seeds/b.sql": "SELECT 1/0;"}, "seed:seeds/b.sql"),
    ],
)
def test_the_change_that_fails_starts_once_and_says_so(site, files, failed) -> None:
    for folder in ("sql", "seeds", "www"):
        (site.root / folder).mkdir(exist_ok=True)
    for path, text in files.items():
        site.write(path, text)
    site.manifest(database=DATABASE, static={"dir": "www"})
    check_events(site.run(), failed)


def test_an_extension_that_fails_says_so(site) -> None:
    # The server has it, but only superusers may create it.
    site.manifest(database={"extensions": ["file_fdw"]})
    check_events(site.run(), "extension:file_fdw")


@pytest.mark.parametrize("error", [httpx.ReadError("lost"), KeyboardInterrupt()], ids=["lost", "ctrl-c"])
def test_a_change_whose_result_is_unknown_says_so(site, api_over, error) -> None:
    site.deploy_sql("SELECT 1;")
    site.write("sql/2_call.sql", "COMMIT; DO $$ BEGIN COMMIT; END $$;")
    failing = Failing(lambda request: b"BEGIN COMMIT" in request.content, error)
    check_events(site.run(api=api_over(failing)), "migration:2_call.sql")


def check_events(events, failed: str) -> None:
    started = Counter(event.change.address for event in events if isinstance(event, ChangeStarted))
    assert set(started.values()) == {1}
    assert [event.change.address for event in events if isinstance(event, ChangeFailed)] == [failed]
    last = events[-1]
    assert isinstance(last, ApplyFailed)
    assert last.failed == failed


def test_a_failure_in_one_transaction_says_that_migrations_before_it_are_rolled_back(site) -> None:
    for version, text in enumerate(("CREATE TABLE a ();", "CREATE TABLE b ();", "SELECT 1/0;"), 1):
        site.write(f"sql/{version}_x.sql", text)
    site.manifest(database={"migrations": "sql", "transaction": "all"})
    failed = site.fails()
    assert failed.error.message == "division by zero (rolled back with the 2 migrations before it)"
    assert failed.done == (f"project:{site.name}",)
    site.write("sql/1_x.sql", "SELECT 1/0;")
    assert site.fails().error.message == "division by zero (rolled back)"

"""The events of an apply that fails: each change starts once, and the one that failed says so."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest

from mosaic_deploy.cli.render.text.error import error_lines
from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.model.event import ApplyFailed, ChangeDone, ChangeFailed, ChangeStarted
from mosaic_deploy.sql.execution import cut_rows
from mosaic_deploy.sql.scripts import copy_batches
from tests.deploy.conftest import OPTIONS
from tests.deploy.histories import known
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


def test_each_request_says_what_it_runs(site) -> None:
    site.write("sql/1_t.sql", "CREATE TABLE t (id int);")
    site.write("sql/2_i.sql", "CREATE INDEX CONCURRENTLY i ON t (id);")
    site.write("sql/3_a.sql", "SELECT 1;")
    site.write("sql/4_b.sql", "SELECT 2;")
    site.write("seeds/a.sql", "SELECT 3;")
    site.manifest(database=DATABASE)
    seen = [
        f"{'+' if isinstance(event, ChangeStarted) else '-'} {event.change.address.partition(':')[2]}"
        for event in site.run()
        if isinstance(event, ChangeStarted | ChangeDone) and event.change.kind != "project"
    ]
    assert seen == [
        "+ 1_t.sql", "- 1_t.sql", "+ 2_i.sql", "- 2_i.sql", "+ 3_a.sql", "- 3_a.sql", "- 4_b.sql",
        "+ seeds/a.sql", "- seeds/a.sql",
    ]  # fmt: skip


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
    assert site.fails().error.message == "division by zero (this migration was rolled back)"


KEPT = "  state: changes that are done and steps that are committed are kept"
ROWS = "COPY t FROM stdin;\n1\n2\n3\n4\n3\n\\.\n"
FAILURES = {
    "the first migration": (["SELECT 1/0;"], {}, "this migration was rolled back", 0),
    "a migration after others": (["CREATE TABLE a ();", "SELECT 1/0;"], {}, "this migration was rolled back", 1),
    "a later step": (["CREATE TABLE a (); COMMIT; SELECT 1/0;"], {}, "1 of its 2 steps is committed", 0),
    "rows": (["CREATE TABLE t (n int UNIQUE);", ROWS], {}, "this migration was rolled back", 1),
    "rows in steps": (["CREATE TABLE t (n int UNIQUE);", ROWS], {}, "2 of its 3 steps are committed", 1),
    "a deferred constraint": (
        ["CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);", "INSERT INTO t VALUES (1), (1);"], {},
        "deferred constraints are checked after the last statement; this migration was rolled back", 1,
    ),
    "all in one transaction": (
        ["CREATE TABLE a ();", "SELECT 1/0;"], {"transaction": "all"}, "rolled back with the 1 migration before it", 0,
    ),
    "outside a transaction": (["CREATE TABLE a ();", "VACUUM nope;"], {}, "nothing committed", 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAILURES)
def test_what_is_said_about_the_failed_migration_and_about_the_run_agrees(site, kind, monkeypatch) -> None:
    """What was rolled back isn't called kept: the message is about the failed file, the state about all else."""
    texts, database, outcome, done = FAILURES[kind]
    site.manifest(static={"dir": "www"})
    site.write("www/index.html", "x")
    site.apply()
    if kind == "rows in steps":
        monkeypatch.setattr(copy_batches, "BATCH_LENGTH", 4)
        monkeypatch.setattr(cut_rows, "WHOLE_ROWS", 4)
        monkeypatch.setattr(cut_rows, "PIECE_ROWS", 4)
    for version, text in enumerate(texts, 1):
        site.write(f"sql/{version}_x.sql", text)
    site.manifest(database={"migrations": "sql", **database}, static={"dir": "www"})
    failed = site.fails()
    assert failed.error.message.endswith(f" ({outcome})"), failed.error.message
    assert failed.done == tuple(f"migration:{version}_x.sql" for version in range(1, done + 1))
    committed = "committed" in outcome and "nothing" not in outcome
    assert failed.error.mutation_state == ("partial" if done or committed else "none")
    shown = [line for line in error_lines(failed.error) if line.startswith("  state: ")]
    assert shown == ([KEPT] if done or committed else [])


def test_a_resumed_migration_that_fails_at_once_has_changed_nothing(site) -> None:
    site.write("sql/1_x.sql", "CREATE TABLE a (); COMMIT; SELECT 1/0;")
    site.manifest(database={"migrations": "sql"})
    for state in ("partial", "none"):
        error = site.fails().error
        assert error.message == "division by zero (1 of its 2 steps is committed)"
        assert error.mutation_state == state


def test_a_failed_seed_and_a_failed_down_migration_are_rolled_back(site) -> None:
    site.write("sql/1_x.sql", "-- migrate:up\nCREATE TABLE a ();\n-- migrate:down\nDROP TABLE a; SELECT 1/0;")
    site.write("seed.sql", "SELECT 1/0;")
    site.manifest(database={"migrations": "sql", "seeds": ["seed.sql"]})
    assert site.fails().error.message == "division by zero (this seed was rolled back)"
    last = list(roll_back(site.api, plan_rollback(site.api, known(site)), OPTIONS))[-1]
    assert isinstance(last, ApplyFailed)
    assert last.error.message == "division by zero (this down migration was rolled back)"
    assert last.error.mutation_state == "none"

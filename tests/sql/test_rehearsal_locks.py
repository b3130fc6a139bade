"""The SQL that watches locks in a rehearsal: when it is sent, what isn't watched, and what the documentation says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mosaic_deploy.sql.execution.batch import compile_batch
from mosaic_deploy.sql.execution.plain import compile_plain
from mosaic_deploy.sql.execution.split import split_steps
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.guard.documented_locks import documented_locks
from mosaic_deploy.sql.guard.locks import HeldLock, LocksHeld, parse_locks, unwatched
from mosaic_deploy.sql.parse import parse

STEP = Step("1", "1.sql", "c", "s", "", "", 1, 1, split_steps(parse("ALTER TABLE t ADD x int"))[0])
APPLY = SqlSession("token", "deploy")


def test_an_apply_watches_no_locks() -> None:
    for sql in (compile_batch([STEP], APPLY), compile_plain([STEP], APPLY).text):
        assert "pg_locks" not in sql
        assert "watched" not in sql
    rehearsal = replace(APPLY, watched_oid=20000)
    for sql in (compile_batch([STEP], rehearsal), compile_plain([STEP], rehearsal).text):
        assert "pg_locks" in sql


@pytest.mark.parametrize(
    ("sql", "skipped"),
    [
        (
            "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2); INSERT INTO a VALUES (3); INSERT INTO a VALUES (4)",
            {2, 3},
        ),
        ("INSERT INTO a VALUES (1); INSERT INTO b VALUES (2); INSERT INTO a VALUES (3)", set()),
        ("UPDATE a SET x = 1; DELETE FROM a; INSERT INTO a VALUES (1)", set()),
        ("UPDATE a SET x = 1; UPDATE a SET x = 2; UPDATE a SET x = 3; ALTER TABLE a ADD y int", {2}),
        ("SET lock_timeout = '1s'; ALTER TABLE a ADD y int", {1}),
        ('INSERT INTO "A" VALUES (1); INSERT INTO app."A" VALUES (1); INSERT INTO app."A" VALUES (1)', set()),
        ("ALTER TABLE a ADD y int; ALTER TABLE a ADD z int; ALTER TABLE a ADD w int", set()),
    ],
)
def test_only_the_middle_of_rows_for_one_table_is_not_watched(sql: str, skipped: set[int]) -> None:
    assert unwatched(tuple(parse(sql))) == skipped


@pytest.mark.parametrize(
    ("sql", "locks"),
    [
        ("CREATE INDEX CONCURRENTLY i ON app.t (x)", [("app", "t", "SHARE UPDATE EXCLUSIVE", False)]),
        ("DROP INDEX CONCURRENTLY app.i", [("app", "i", "SHARE UPDATE EXCLUSIVE", False)]),
        ("REINDEX INDEX CONCURRENTLY i", [("", "i", "SHARE UPDATE EXCLUSIVE", False)]),
        ("REINDEX (CONCURRENTLY) TABLE t", [("", "t", "SHARE UPDATE EXCLUSIVE", False)]),
        (
            "VACUUM t, u",
            [("", "t", "SHARE UPDATE EXCLUSIVE", False), ("", "u", "SHARE UPDATE EXCLUSIVE", False)],
        ),
        ("VACUUM (FULL) t", [("", "t", "ACCESS EXCLUSIVE", True)]),
        ("VACUUM FULL t", [("", "t", "ACCESS EXCLUSIVE", True)]),
        ("VACUUM (FULL false, ANALYZE) t", [("", "t", "SHARE UPDATE EXCLUSIVE", False)]),
        (
            "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
            [("", "t", "SHARE UPDATE EXCLUSIVE", False), ("", "p", "ACCESS EXCLUSIVE", False)],
        ),
        ("ALTER SYSTEM SET work_mem = '8MB'", []),
        ("VACUUM", None),
        ("VACUUM FULL", None),
        ("CLUSTER", None),
        ("REINDEX SCHEMA app", None),
        ("CALL work()", None),
        ("DO $$ BEGIN COMMIT; END $$", None),
    ],
)
def test_locks_outside_transactions_are_those_of_the_documentation(
    sql: str, locks: list[tuple[str, str, str, bool]] | None
) -> None:
    found = documented_locks(parse(sql)[0])
    assert (None if found is None else [tuple(one) for one in found]) == locks


def test_reports() -> None:
    message = (
        'mosaic-deploy:{"version": "2", "step": 1, "statement": 3, "locks": {"16400": [8, "16400", 2], "16401": [1, null, 0]}, '
        '"began": 1.5, "ended": 2.25, "last": false}'
    )
    locks = {"16400": HeldLock(8, "16400", 2), "16401": HeldLock(1, "", 0)}
    assert parse_locks(message) == LocksHeld("2", 1, 3, locks, 1.5, 2.25, last=False)
    assert parse_locks(message.replace("1.5", "null")).began == 2.25  # type: ignore[union-attr]
    for other in (
        "hello",
        "mosaic-deploy:{}",
        "mosaic-deploy:[",
        'mosaic-deploy:{"version": "1", "step": 1, "rows": {}}',
    ):
        assert parse_locks(other) is None

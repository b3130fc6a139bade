"""What of a query is lost at the end of its call."""

from __future__ import annotations

import pytest

from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.single_call import has_lasting_effect, unfinished_transaction

UNFINISHED = {
    "BEGIN; CREATE TABLE z (i int)": "BEGIN",
    "START TRANSACTION READ WRITE; SELECT 1": "START TRANSACTION READ WRITE",
    "SELECT 1; BEGIN; SELECT 2; COMMIT; BEGIN WORK": "BEGIN WORK",
    "BEGIN; SAVEPOINT a; RELEASE a": "BEGIN",
    "BEGIN; COMMIT AND CHAIN; SELECT 1": "COMMIT AND CHAIN",
    "BEGIN; ROLLBACK AND CHAIN": "ROLLBACK AND CHAIN",
    "BEGIN; SAVEPOINT a; ROLLBACK TO a": "BEGIN",
}
FINISHED = (
    "SELECT 1",
    "BEGIN; SELECT 1; COMMIT",
    "BEGIN; SELECT 1; END",
    "BEGIN; SELECT 1; ROLLBACK",
    "BEGIN; SELECT 1; ABORT; SELECT 2",
    "COMMIT",
    "BEGIN; PREPARE TRANSACTION 'x'",
    "DO $$ BEGIN PERFORM 1; END $$",
    "",
)


@pytest.mark.parametrize("sql", [*UNFINISHED, *FINISHED])
def test_an_unfinished_transaction_is_found(sql) -> None:
    begin = unfinished_transaction(parse(sql))
    assert (begin.text if begin else None) == UNFINISHED.get(sql)


@pytest.mark.parametrize(
    ("sql", "lasting"),
    [
        ("SET search_path = a", False),
        ("CREATE TEMP TABLE t (i int); PREPARE p AS SELECT 1", False),
        ("CREATE TEMPORARY TABLE t AS SELECT 1", False),
        ("SET search_path = a; SELECT 1", True),
        ("CREATE TABLE t (i int)", True),
        ("CREATE TABLE t AS SELECT 1", True),
        ("ALTER ROLE me SET search_path = a", True),
        ("-- nothing", True),
    ],
)
def test_session_state_does_not_last(sql, lasting) -> None:
    assert has_lasting_effect(parse(sql)) is lasting

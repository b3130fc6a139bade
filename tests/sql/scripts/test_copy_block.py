"""The block that inserts COPY rows, and what it says about a row that PostgreSQL refuses."""

from __future__ import annotations

import json

import pytest

from mosaic_deploy.sql.dump import read_script
from mosaic_deploy.sql.execution.failure import parse_failure
from mosaic_deploy.sql.scripts.copy_batches import CopyBatch
from mosaic_deploy.sql.scripts.copy_block import RowError, parse_row_error

FACTS = {"row": 2, "message": "m", "detail": "d", "hint": "", "context": "c"}


def test_the_error_of_the_block_is_read() -> None:
    assert parse_row_error(f"mosaic-row:{json.dumps(FACTS)}") == RowError(2, "m", "d", None, "c")
    assert parse_row_error('mosaic-row:{"row": 0, "message": null}') == RowError(0, "", None, None, "")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "mosaic-row",
        "mosaic-row:",
        "mosaic-row:[1]",
        "mosaic-row:{}",
        'mosaic-row:{"row": "1"}',
        "x mosaic-row:{}",
    ],
)
def test_other_errors_are_not_of_the_block(message: str) -> None:
    assert parse_row_error(message) is None


def test_a_failed_step_has_the_error_of_the_block() -> None:
    inner = {**FACTS, "context": "PL/pgSQL function f() line 1 at RAISE\nours"}
    outer = {"code": "statement_failed", "version": "1", "step": 1, "statement": 3, "sqlstate": "23505",
             "message": f"mosaic-row:{json.dumps(inner)}", "detail": "", "hint": "", "context": "x\ny"}  # fmt: skip
    failure = parse_failure(f"mosaic-deploy:{json.dumps(outer)}")
    assert failure is not None
    assert (failure.row, failure.message, failure.detail, failure.hint) == (2, "m", "d", None)
    assert failure.context == "PL/pgSQL function f() line 1 at RAISE"
    assert (failure.statement, failure.sqlstate) == (3, "23505")


def test_a_row_and_the_copy_have_their_places_in_the_file() -> None:
    text = 'SELECT 1;\nCOPY t (a, b) FROM stdin WITH (FORMAT csv);\n"x\ny",1\nz,"2\n"\n\\.\n'
    batch = read_script(text)[1]
    assert isinstance(batch, CopyBatch)
    assert not batch.has_one_row
    assert text[batch.file_offset(0) :].startswith("COPY t")
    assert text[batch.file_offset(batch.row_offset(1)) :].startswith('"x\n')
    assert text[batch.file_offset(batch.row_offset(2)) :].startswith("z,")


@pytest.mark.parametrize(
    ("copy", "is_block"), [("COPY t (a) FROM stdin;\n1\n", False), ("COPY t (a) FROM stdin;\n1\n2\n", True), ("COPY t FROM stdin;\n1\n", True)]
)  # fmt: skip
def test_a_single_row_needs_no_block(copy: str, is_block: bool) -> None:
    [batch] = read_script(copy)
    assert batch.text.startswith("DO ") is is_block

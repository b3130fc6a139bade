"""What live rows say about new constraints, as text for people and as JSON."""

from __future__ import annotations

import pytest

from mosaic_deploy.cli.render.schema_documents import rehearsal_document
from mosaic_deploy.cli.render.text.row_checks import failing_check_lines, row_check_notes
from mosaic_deploy.cli.visible_text import unstyle
from mosaic_deploy.model.catalog import Rehearsal
from mosaic_deploy.model.hazard import RowCheck
from mosaic_deploy.sql.row_checks.tightened import _INDEX_KINDS

NOT_NULL = "SET NOT NULL on users.email"


def check(rows: int | None = None, *keys: str, **more: object) -> RowCheck:
    return RowCheck(NOT_NULL, "not_null", "users", rows, keys=keys, **more)  # type: ignore[arg-type]


def failing(checks: list[RowCheck]) -> list[str]:
    return [unstyle(line) for line in failing_check_lines(checks)]


FILL = "      fill them first: UPDATE users SET email = … WHERE email IS NULL"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (check(12, "4", "9", "31"), "12 rows, first keys 4, 9, 31"),
        (check(1, "4", address="migration:2_a.sql"), "1 row, key 4 (2_a.sql)"),
        (check(2, "4", "9"), "2 rows, keys 4, 9"),
        (check(12), "12 rows"),
        (check(1000, "4", "9", "31", more=True), "more than 1,000 rows, such as 4, 9, 31"),
    ],
)
def test_what_would_fail(found, text):
    assert failing([found]) == [f"  ! {NOT_NULL} would fail: {text}", FILL]
    assert list(row_check_notes([found])) == []


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            check(1, "4", written=True),
            f"{NOT_NULL}: 1 row, key 4 violates it now; the pending migrations may change that before",
        ),
        (
            check(reason="the table is locked"),
            f"not checked on the live rows: {NOT_NULL}: the table is locked",
        ),
        (check(0), f"1 new constraint holds for the live rows: {NOT_NULL}"),
    ],
)
def test_other_checks_are_notes(found, text):
    (note,) = row_check_notes([found])
    assert note.message == text
    assert failing([found]) == []


def test_many_are_counted():
    checks = [check(0), check(1, written=True), *[check(2)] * 12, check(0), check(reason="x")]
    lines = failing(checks)
    assert lines[-1] == "  ! rows violate 2 more constraints; --output json lists all"
    assert len(lines) == 21
    notes = list(row_check_notes(checks))
    assert [note.code for note in notes] == ["rows_violate_now", "rows_not_checked", "rows_hold"]
    assert notes[-1].message == f"2 new constraints hold for the live rows: {NOT_NULL}, {NOT_NULL}"
    assert list(row_check_notes([])) == []


@pytest.mark.parametrize("words", ["CHECK", "FOREIGN KEY", *_INDEX_KINDS.values()])
def test_each_kind_of_constraint_has_advice(words: str):
    found = RowCheck(f"{words} c on t", words.lower().replace(" ", "_"), "t", 3)
    _, advice = failing([found])
    assert "first" in advice


def test_json():
    document = rehearsal_document(Rehearsal(row_checks=(check(12, "4", address="migration:2_a.sql"),)))
    assert document is not None
    assert document["row_checks"] == [
        {
            "constraint": NOT_NULL,
            "kind": "not_null",
            "table": "users",
            "address": "migration:2_a.sql",
            "rows": 12,
            "more": False,
            "keys": ["4"],
            "final": True,
            "not_checked": None,
        }
    ]

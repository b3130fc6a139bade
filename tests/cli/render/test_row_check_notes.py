"""What live rows say about new constraints, as text for people and as JSON."""

from __future__ import annotations

import pytest

from mosaic_deploy.cli.render.schema_documents import rehearsal_document
from mosaic_deploy.cli.render.text.row_checks import row_check_notes
from mosaic_deploy.model.catalog import Rehearsal
from mosaic_deploy.model.hazard import RowCheck
from mosaic_deploy.model.plan import Severity

NOT_NULL = "SET NOT NULL on users.email"


def check(rows: int | None = None, *keys: str, **more: object) -> RowCheck:
    return RowCheck(NOT_NULL, "not_null", "users", rows, keys=keys, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (check(12, "4", "9", "31"), f"{NOT_NULL} would fail: 12 rows, first keys 4, 9, 31"),
        (check(1, "4", address="migration:2_a.sql"), f"{NOT_NULL} would fail: 1 row, key 4 (2_a.sql)"),
        (check(2, "4", "9"), f"{NOT_NULL} would fail: 2 rows, keys 4, 9"),
        (check(12), f"{NOT_NULL} would fail: 12 rows"),
        (
            check(1000, "4", "9", "31", more=True),
            f"{NOT_NULL} would fail: more than 1,000 rows, such as 4, 9, 31",
        ),
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
def test_texts(found, text):
    (note,) = row_check_notes([found])
    assert note.message == text
    assert (note.severity is Severity.WARNING) == found.fails


def test_warnings_come_first_and_many_are_counted():
    notes = list(
        row_check_notes([check(0), check(1, written=True), *[check(2)] * 12, check(0), check(reason="x")])
    )
    assert [note.code for note in notes] == ["rows_violate"] * 11 + ["rows_not_checked", "rows_hold"]
    assert notes[10].message == "rows violate 3 more constraints; --output json lists all"
    assert notes[-1].message == f"2 new constraints hold for the live rows: {NOT_NULL}, {NOT_NULL}"
    assert list(row_check_notes([])) == []


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

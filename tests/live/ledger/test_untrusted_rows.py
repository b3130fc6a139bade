"""Rows of the tracking tables that no deploy wrote: the database's role can, and so can whoever uses it."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.cli.commands.inspect.history import _document, _lines
from mosaic_deploy.cli.render.json_documents import _last_deploy
from mosaic_deploy.live.ledger.applied_sources import unpacked
from mosaic_deploy.live.ledger.deploys import _parse_deploy
from mosaic_deploy.live.ledger.read import parse_ledger
from mosaic_deploy.live.ledger.reports import sound_report
from mosaic_deploy.live.ledger.tables import LEDGER_VERSION
from mosaic_deploy.model.snapshot import Project, Snapshot

SMALL, LARGE = zlib.compress(b"SELECT 1"), zlib.compress(bytes(50_000_000))
ROW: dict[str, Any] = {
    "id": "1", "status": "done", "holder": "ann", "environment": None, "started_at": "2026-01-01T00:00:00Z",
    "finished_at": None,
}  # fmt: skip
REPORT: dict[str, Any] = {
    "commit": "0" * 40,
    "dirty": True,
    "done": ["static:a.html", "migration:1_a.sql"],
    "error": {"message": "no", "location": "sql/1_a.sql:1:2", "code": "x"},
    "sql": {"migration:1_a.sql": {"seconds": 0.1, "steps": 1, "rows": {}, "notices": []}},
    "counts": {"static": {"add": 1}},
    "approval": {"confirmed": "yes", "approved": [{"value": "prune=1", "effect": "deletes", "by": "allow"}]},
    "of a later version": [1],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*REPORT, "value"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def test_a_report_as_deploys_write_it_is_kept() -> None:
    assert sound_report(REPORT) == REPORT


@pytest.mark.parametrize("field", sorted(REPORT.keys() - {"of a later version"}))
@given(value=JSON)
def test_no_report_breaks_what_shows_it(field: str, value: object) -> None:
    changed = [value, {**REPORT, field: value}, {**REPORT, field: [value]}, {**REPORT, field: {"a": value}}]
    nested = REPORT[field]
    if isinstance(nested, dict):
        changed += [{**REPORT, field: {**nested, name: value}} for name in nested]
    for report in changed:
        deploy = _parse_deploy({**ROW, "report": report})
        assert list(_lines([deploy]))
        assert _document(deploy)
        assert _last_deploy({**ROW, "report": sound_report(report)})


def test_the_last_deploys_report_is_read_that_way() -> None:
    facts: dict[str, Any] = dict.fromkeys(
        ("version", "serial", "migrations", "extensions", "static", "storage", "auth")
    )
    facts |= {"version": LEDGER_VERSION, "serial": 1, "last": {**ROW, "report": {"error": 5, "done": ["a"]}}}
    _, found = parse_ledger(json.dumps(facts), Snapshot(Project("", "x")))
    assert found["last"]["report"] == {"done": ["a"]}


@pytest.mark.parametrize(
    ("packed", "texts"),
    [
        ({"1": SMALL}, {"1": "SELECT 1"}),
        ({"1": LARGE, "2": SMALL}, {"2": "SELECT 1"}),
        ({"1": SMALL[:-1], "2": SMALL}, {"2": "SELECT 1"}),
        ({"1": b"", "2": b"x", "3": zlib.compress(b"\xff")}, {}),
        # Together they are too large.
        ({str(number): SMALL for number in range(3)}, {"0": "SELECT 1", "1": "SELECT 1"}),
    ],
)
def test_a_small_row_takes_no_large_memory(packed: dict[str, bytes], texts: dict[str, str]) -> None:
    tracemalloc.start()
    try:
        assert dict(unpacked(packed, 20)) == texts
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()

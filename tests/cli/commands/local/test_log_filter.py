"""Which lines `local logs` shows."""

from __future__ import annotations

import json

import pytest

from mosaic_deploy.cli.commands.local.log_filter import LogFilter, parse_since, parse_statuses

LINES = {
    "sql": {"path": "/v1/project/pod-1/sql", "method": "POST", "status": 400, "project": "pod-1", "time": "2026-01-02T00:00:00+00:00"},
    "page": {"path": "/", "method": "GET", "status": 200, "project": "pod-2", "time": "2026-01-01T00:00:00+00:00"},
    "bug": {"path": "/x", "method": "GET", "status": 500, "time": "2026-01-01T00:00:00+00:00"},
    "start": {"event": "mosaic", "level": "warning", "time": "2026-01-01T00:00:00+00:00"},
    "beat": {"path": "/dev/pod-1", "method": "POST", "status": 200, "time": "2026-01-02T00:00:00+00:00"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        (LogFilter(), "sql page bug start"),
        (LogFilter(everything=True), "sql page bug start beat"),
        (LogFilter(project="pod-1"), "sql"),
        (LogFilter(statuses=parse_statuses("4xx,500")), "sql bug"),
        (LogFilter(method="get"), "page bug"),
        (LogFilter(path="*/sql"), "sql"),
        (LogFilter(since=1767312000.0), "sql"),
        (LogFilter(level="warning"), "bug start"),
        (LogFilter(level="error"), "bug"),
        (LogFilter(text="pod-2"), "page"),
    ],
)
def test_filters(chosen: LogFilter, shown: str) -> None:
    assert " ".join(name for name, entry in LINES.items() if chosen.accepts(json.dumps(entry))) == shown


def test_a_crashs_output_is_an_error() -> None:
    assert LogFilter(level="error").accepts("Traceback (most recent call last):")
    assert not LogFilter(method="GET").accepts("Traceback")


def test_times_and_statuses() -> None:
    assert parse_since("10m", 1000.0) == 400.0
    assert parse_since("1970-01-01T00:01:00+00:00", 0) == 60.0
    for text in ("soon", "10", ""):
        with pytest.raises(ValueError, match="neither an age"):
            parse_since(text, 0)
    for text in ("", "44", "6xx", "x"):
        with pytest.raises(ValueError, match="isn't a status"):
            parse_statuses(text)

"""Durations and ages as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mosaic_deploy.model.quantities import age_text, duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.0844, "84 ms"),
        (0.9999, "1.0 s"),
        (1.23, "1.2 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
        (356_400, "4 d 3 h"),
        (3, "3 s"),
        (0, "0 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(milliseconds=300), "just now"),
        (timedelta(seconds=1), "1 second ago"),
        (timedelta(seconds=59.9), "59 seconds ago"),
        (timedelta(minutes=3, seconds=30), "3 minutes ago"),
        (timedelta(hours=25), "1 day ago"),
        (timedelta(days=59), "59 days ago"),
        (timedelta(seconds=-45), "in 45 seconds"),
    ],
)
def test_ages(ago: timedelta, text: str) -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    moment = now - ago
    assert age_text(moment.isoformat(), now) == text
    assert age_text(moment.replace(tzinfo=None).isoformat(), now) == text, "without an offset it is UTC"


def test_an_old_time_is_a_date() -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert age_text("2026-03-04T12:00:00+00:00", now) == "2026-03-04"
    assert age_text("2026-03-04T12:00:00Z", now) == "2026-03-04"


def test_what_is_no_time_stays() -> None:
    assert age_text("unknown") == "unknown"

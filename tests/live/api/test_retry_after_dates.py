"""The three forms of HTTP's dates in Retry-After, all in UTC."""

from __future__ import annotations

import time

import pytest

from mosaic_deploy.live.api.responses import retry_after


@pytest.mark.parametrize(
    "form", ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y")
)
@pytest.mark.parametrize("zone", ("UTC", "America/Los_Angeles"))
def test_a_date_is_in_utc(form: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        text = time.strftime(form, time.gmtime(time.time() + 600))
        assert 590 < retry_after({"retry-after": text}) <= 600
    finally:
        monkeypatch.undo()
        time.tzset()

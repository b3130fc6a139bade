"""Uploads version 2, crashes at any request, deploys version 1: exactly version 1 is live."""

from __future__ import annotations

import httpx
import pytest

from mosaic_deploy.model.event import ApplyDone
from tests.deploy.faults import Dying, is_write
from tests.deploy.recovery.test_crashes import free_lease
from tests.sampling import sampled

V1 = {
    "index.html": "<link href=style.css>one",
    "style.css": "/* one */",
    "old.txt": "only in one",
    "same.txt": "same",
}
V2 = {
    "index.html": "<link href=style.css>TWO",  # same size: listings don't show the difference
    "style.css": "/* two, and longer */",
    "new.txt": "only in two",
    "same.txt": "same",
}
POINTS = 14
"""More than the requests of any apply below, which a test checks."""


class Counting(httpx.BaseTransport):
    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self.writes = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.writes += is_write(request)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def lay_out(site, kind: str, files: dict[str, str]) -> None:
    for path in {*V1, *V2}:
        (site.root / "files" / path).unlink(missing_ok=True)
    for path, content in files.items():
        site.write(f"files/{path}", content)
    keep = {"keep": 0} if kind == "static" else {}
    site.manifest(**{kind: {"dir": "files", "prune": True, **keep}})


def live(site, kind: str) -> dict[str, str]:
    """The live files of both versions, as a visitor gets them."""
    below = "/storage/" if kind == "storage" else "/"
    answers = {path: site.get(below + path) for path in {*V1, *V2}}
    return {path: answer.text for path, answer in answers.items() if answer.status_code == 200}


@pytest.mark.parametrize("kind", ["static", "storage"])
def test_every_request_is_a_crash_point(site, api_over, kind):
    lay_out(site, kind, V1)
    site.apply()
    lay_out(site, kind, V2)
    counting = Counting()
    assert isinstance(site.run(api=api_over(counting), parallelism=1)[-1], ApplyDone)
    assert 6 < counting.writes <= POINTS
    assert live(site, kind) == V2


@pytest.mark.parametrize("kind", ["static", "storage"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", sampled(range(POINTS), 4))
def test_a_crash_at_any_request_and_a_revert(site, api_over, kind, after, point):
    lay_out(site, kind, V1)
    site.apply()
    lay_out(site, kind, V2)
    site.run(api=api_over(Dying(point, is_write, after=after)), parallelism=1)
    free_lease(site)
    lay_out(site, kind, V1)
    planned = site.plan()
    if planned.plan.changes or planned.has_leftover_work:
        assert isinstance(site.run(planned)[-1], ApplyDone)
    assert live(site, kind) == V1
    again = site.plan()
    assert (again.plan.changes, again.plan.notes) == ((), ())
    assert not again.has_leftover_work
    rows = site.sql("select path, state from mosaic_deploy.objects order by path")
    assert rows == [{"path": path, "state": "live"} for path in sorted(V1)]

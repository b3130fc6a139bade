"""Two first deploys of one name at once end on one project, or all but one stop with an error that says what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from mosaic_deploy.errors import PlanStale, ProjectAmbiguous
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api import projects as module
from mosaic_deploy.live.api.projects import read_projects, wait_until_running
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Noted
from mosaic_deploy.model.snapshot import Project
from tests.deploy.recovery.test_crashes import small


class Pausing(httpx.BaseTransport):
    """Calls `other` once, before or after the request number `point`."""

    def __init__(self, point: int, other: Callable[[], object], *, after: bool) -> None:
        self._inner = httpx.HTTPTransport()
        self._left = point
        self._other = other
        self._after = after

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._left == 0 and not self._after:
            self._run_other()
        response = self._inner.handle_request(request)
        response.read()
        if self._left == 0 and self._after:
            self._run_other()
        self._left -= 1
        return response

    def _run_other(self) -> None:
        self._left = -1
        self._other()

    def close(self) -> None:
        self._inner.close()


def projects(site) -> list[str]:
    listed = site.api.call(endpoints.LIST_PROJECTS)["projects"]
    return [project["project_id"] for project in listed if project["name"] == site.name]


# The first requests of a first deploy: list, create, list, wait until it runs (some), install, acquire.
POINTS = [(1, False), (1, True), (2, True), (4, False), (5, True)]


@pytest.mark.parametrize("smaller_first", [True, False])
@pytest.mark.parametrize(("point", "after"), POINTS)
def test_one_deploy_goes_on(site, api_over, monkeypatch, point, after, smaller_first):
    """IDs are random, so their order is forced: both orders occur at every point."""
    small(site, "x")
    ours, theirs = site.plan(), site.plan()
    rank: dict[str, int] = {}
    parse = module.responses.parse_project

    class Ranked(str):
        __slots__ = ()

        def __lt__(self, other: str) -> bool:
            return rank[str(self)] < rank[str(other)]

    def parse_ranked(item: object) -> Project:
        project = parse(item)
        rank.setdefault(project.id, len(rank) if smaller_first else -len(rank))
        return replace(project, id=Ranked(project.id))

    monkeypatch.setattr(module.responses, "parse_project", parse_ranked)
    results: list[list[object]] = []
    pausing = Pausing(point, lambda: results.append(site.run(theirs)), after=after)
    results.append(site.run(ours, api=api_over(pausing)))
    ends = [events[-1] for events in results]
    assert len(ends) == 2
    winners = [end for end in ends if isinstance(end, ApplyDone)]
    losers = [end for end in ends if isinstance(end, ApplyFailed)]
    assert len(winners) == 1, ends
    [loser] = losers
    assert isinstance(loser.error, ProjectAmbiguous | PlanStale)
    found = projects(site)
    if len(found) == 2:
        [other] = [one for one in found if one != winners[0].project.id]
        loser_project = next(p for p in read_projects(site.api) if p.id == other)
        assert list(wait_until_running(site.api, loser_project, timeout=30))
        ledger = site.api.sql(other, "select to_regclass('public.t') as t")
        assert ledger == [{"t": None}], "nothing was deployed to the other"


class InStep(httpx.HTTPTransport):
    """Two deploys list before either creates, and both create before either lists again."""

    def __init__(self, barrier: threading.Barrier) -> None:
        super().__init__()
        self._barrier = barrier
        self._requests = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self._requests += 1
        if self._requests <= 2:
            response.read()
            self._barrier.wait(30)
        return response


def test_both_see_each_other(site, api_over):
    """One stops, and the other says that there are two."""
    small(site, "x")
    plans = [site.plan(), site.plan()]
    barrier = threading.Barrier(2)
    apis = [api_over(InStep(barrier)) for _ in plans]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(site.run, plans, apis))
    [winner] = [events for events in results if isinstance(events[-1], ApplyDone)]
    [loser] = [events[-1] for events in results if isinstance(events[-1], ApplyFailed)]
    assert isinstance(loser.error, ProjectAmbiguous)
    assert loser.error.mutation_state == "partial", "its project is there"
    assert [event.note.code for event in winner if isinstance(event, Noted)] == ["project_duplicated"]
    assert len(projects(site)) == 2
    planned = site.plan()
    assert (planned.plan.project.id, planned.plan.changes) == (winner[-1].project.id, ())
    assert [note.code for note in planned.plan.notes] == ["project_duplicated"]

"""The lease of another deploy: waiting for it, and taking it over only if that deploy is dead."""

from __future__ import annotations

import re
from dataclasses import replace

import httpx

from mosaic_deploy.errors import LockHeld, PlanStale
from mosaic_deploy.live.ledger.deploys import read_deploys
from mosaic_deploy.live.ledger.lease import LocalProcesses, WaitPolicy, acquire_lease, release_lease
from mosaic_deploy.live.ledger.lease_sql import LeaseRequest
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone, Noted, Waiting
from tests.deploy.faults import is_sql
from tests.deploy.recovery.test_crashes import small


def held(site, holder: str, seconds: float) -> None:
    """Inserts another deploy's lease that expires after `seconds`; one just renewed has 60."""
    site.sql(
        "insert into mosaic_deploy.deploys (id, serial, status, holder, plan) select 'other', serial, 'running', "
        f"'{holder}', 'p' from mosaic_deploy.ledger"
    )
    site.sql(
        "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
        f"values ('{holder}', 't', now(), now() + interval '{seconds} seconds')"
    )


def first_wait(site, **options: object) -> str:
    """The reason of an apply's first wait for the lease. The apply isn't continued."""
    events = site.events(lock_wait=60.0, **options)
    return next(event.reason for event in events if isinstance(event, Waiting))


def test_a_lease_without_a_heartbeat_is_taken_over_only_with_force_unlock(site):
    small(site, "first")
    site.apply()
    small(site, "second")
    held(site, "ada@elsewhere (pid 7)", 25)
    failed = site.fails()
    assert isinstance(failed.error, LockHeld)
    assert [a.command for a in failed.error.next_actions] == [
        "mosaic-deploy apply",
        "mosaic-deploy apply --force-unlock",
    ]
    events = site.run(force_unlock=True)
    notes = [event.note.message for event in events if isinstance(event, Noted)]
    assert [note.partition(": ")[0] for note in notes] == ["took over the lock of ada@elsewhere (pid 7)"]
    assert isinstance(events[-1], ApplyFailed)
    assert isinstance(events[-1].error, PlanStale), "it was read while the other could still write"
    assert isinstance(site.run()[-1], ApplyDone)
    other = site.sql(
        "select status, report->>'lock_taken_over_by' as by from mosaic_deploy.deploys where id = 'other'"
    )
    assert other == [{"status": "interrupted", "by": "tests"}]
    assert site.plan().plan.changes == ()


def test_a_renewed_lease_is_not_taken_over(site):
    small(site, "first")
    site.apply()
    small(site, "second")
    held(site, "ada@elsewhere (pid 7)", 58)
    failed = site.fails(force_unlock=True)
    assert isinstance(failed.error, LockHeld)
    assert "so the lock isn't taken over" in failed.error.message
    assert site.get("/").text == "<p>first"


def test_the_lease_of_an_ended_process_can_be_taken_over_at_once(site):
    small(site, "first")
    site.apply()
    small(site, "second")
    held(site, "ada@here (pid 7)", 58)
    waits_for = first_wait(
        site, processes=LocalProcesses(holder_gone=lambda holder: holder == "ada@here (pid 7)")
    )
    assert "whose process seems to have ended on this machine" in waits_for
    assert "--force-unlock" in waits_for
    taken_over = site.run(processes=LocalProcesses(holder_gone=lambda holder: True), force_unlock=True)
    assert any(isinstance(event, Noted) for event in taken_over)
    assert isinstance(site.run()[-1], ApplyDone)


def test_a_lease_renewed_in_the_meantime_is_not_taken_over(site, api_over):
    small(site, "first")
    site.apply()
    small(site, "second")
    held(site, "ada@elsewhere (pid 7)", 20)

    class Renewing(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if is_sql(request, "::numeric"):
                site.sql("update mosaic_deploy.lease set expires_at = now() + interval '1 minute'")
            return super().handle_request(request)

    failed = site.run(api=api_over(Renewing()), force_unlock=True)[-1]
    assert isinstance(failed, ApplyFailed)
    assert isinstance(failed.error, LockHeld)
    assert site.sql("select token from mosaic_deploy.lease") == [{"token": "t"}]


def test_a_stale_plan_names_the_other_deploy_and_the_command(site):
    small(site, "first")
    one, other = site.plan(), None
    site.apply()
    other = site.run(
        replace(one, plan=replace(one.plan, project=site.plan().plan.project, changes=one.plan.changes[1:]))
    )[-1]
    assert isinstance(other, ApplyFailed)
    assert isinstance(other.error, PlanStale)
    assert "tests has deployed since this plan was made" in other.error.message
    assert [a.command for a in other.error.next_actions] == ["mosaic-deploy apply"]


def test_a_plan_made_during_another_deploy_is_stale(site):
    """Also if that deploy began before the plan was made and ended before the lease was acquired."""
    small(site, "first")
    site.apply()
    small(site, "second")
    stale: list[object] = []
    for event in site.events():
        if isinstance(event, ChangeDone) and event.change.address == "static:index.html":
            small(site, "first")
            stale.append(site.plan())
    assert site.get("/").text == "<p>second"
    [read_meanwhile] = stale
    last = site.run(read_meanwhile)[-1]
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, PlanStale)
    assert last.done == ()
    site.apply()
    assert site.get("/").text == "<p>first"


def test_a_plan_made_during_a_deploy_that_crashed_is_stale(site):
    small(site, "first")
    site.apply()
    small(site, "second")
    held(site, "ada@elsewhere (pid 7)", 20)
    planned = site.plan()
    site.sql("delete from mosaic_deploy.lease")
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, PlanStale)


def test_a_release_that_is_sent_twice_counts_once(site):
    small(site, "first")
    site.apply()
    before = site.sql("select serial from mosaic_deploy.ledger")
    claim = LeaseRequest(site.project_id, "tests", "t", "d", "p", int(before[0]["serial"]))
    assert list(acquire_lease(site.api, claim, WaitPolicy(0))) == []
    release_lease(site.api, claim, "done", {})
    release_lease(site.api, claim, "done", {})
    after = site.sql("select serial from mosaic_deploy.ledger")
    assert int(after[0]["serial"]) == int(before[0]["serial"]) + 2


def test_after_the_databases_clock_went_back_a_dead_lease_ends_in_a_minute(site):
    """Its expiry is an hour ahead, which no renewal can have set. A living deploy would renew it."""
    small(site, "first")
    site.apply()
    small(site, "second")
    held(site, "ada@elsewhere (pid 7)", 3600)
    left = "select extract(epoch from expires_at - clock_timestamp())::float as s from mosaic_deploy.lease"
    failed = site.fails(force_unlock=True)
    assert isinstance(failed.error, LockHeld)
    assert "for another 60 s" in failed.error.message
    assert "clock was set back" in failed.error.message
    assert float(str(site.sql(left)[0]["s"])) <= 60
    site.sql("update mosaic_deploy.lease set expires_at = expires_at - interval '31 seconds'")
    site.run(force_unlock=True)
    site.apply()


def test_the_newest_deploy_is_the_last_one_also_if_the_clock_went_back(site):
    small(site, "first")
    site.apply()
    site.sql("update mosaic_deploy.deploys set started_at = now() + interval '1 hour', holder = 'earlier'")
    small(site, "second")
    site.apply()
    assert site.plan().live.ledger_facts["last"]["holder"] == "tests"
    holders = [deploy.holder for deploy in read_deploys(site.api, site.project_id, 5)]
    assert holders == ["tests", "earlier"]


def test_waiting_with_force_unlock_does_not_claim_that_the_other_is_alive(site):
    small(site, "first")
    site.apply()
    small(site, "second")
    held(site, "ada@elsewhere (pid 7)", 55)
    found = re.search(
        r"its last heartbeat was (\d+) s ago, and its lock is taken over after 30 s without one",
        first_wait(site, force_unlock=True),
    )
    assert found
    assert 5 <= int(found.group(1)) < 30

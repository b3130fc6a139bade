"""Crashes between a change of the schema and its record: never false drift, and none that is swallowed."""

from __future__ import annotations

from itertools import product

import httpx
import pytest

from mosaic_deploy.deploy.history.drift import accept_drift, plan_accept, read_drift
from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.errors import LockLost, MigrationFailed, PlanStale
from mosaic_deploy.live.ledger.schema_record import OBJECTS, RECORD, begin_schema_change_sql
from mosaic_deploy.model.catalog import SchemaState
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Noted
from tests.deploy.conftest import OPTIONS, Site
from tests.deploy.faults import Dying, LosingAnswers, is_write
from tests.deploy.histories import known, repair
from tests.deploy.planning.test_schema_drift import drift, state
from tests.deploy.recovery.test_crashes import free_lease
from tests.sampling import sampled

FIRST = "create table a (id int primary key, word text default 'x');"
SECOND = "alter table a add second int;\n-- migrate:down\nalter table a drop second;"


@pytest.fixture
def drifted(site: Site) -> Site:
    """One migration is applied, something drifted, and another migration is pending."""
    site.deploy_sql(FIRST)
    site.sql("create table votes (id int)")
    assert drift(site) == VOTES
    site.write("sql/2_more.sql", f"-- migrate:up\n{SECOND}")
    site.write("seeds/1.sql", "create table if not exists seeded (id int)")
    site.manifest(database={"migrations": "sql", "seeds": ["seeds"], "extensions": ["citext"]})
    return site


VOTES = "+ table votes (id integer)"


@pytest.mark.parametrize(("point", "after"), sampled(product(range(1, 8), [False, True]), 3))
def test_a_crash_at_any_write(drifted: Site, api_over, point: int, after: bool) -> None:
    """Until the next deploy has recorded, there is either nothing new to see, or nothing is compared."""
    dying = Dying(point, is_write, after=after)
    drifted.run(drifted.plan(), api=api_over(dying))
    assert dying.dead
    free_lease(drifted)
    if state(drifted) is not SchemaState.UNFINISHED:
        assert drift(drifted) == VOTES
    drifted.apply()
    assert drift(drifted) == VOTES
    assert not drifted.plan().has_work


def test_what_drifts_while_nothing_is_compared_is_the_deploys(drifted: Site, api_over) -> None:
    """Nobody can tell it from what the deploy did; what drifted before still counts, unless it is repaired."""
    _crash_before_the_record(drifted, api_over)
    assert state(drifted) is SchemaState.UNFINISHED
    [note] = [note for note in drifted.plan().plan.notes if note.code == "drift_unchecked"]
    assert "ended before it recorded the schema" in note.message
    drifted.sql("create table in_between (id int)")
    drifted.apply()
    assert drift(drifted) == VOTES
    drifted.sql("drop table votes")
    assert drift(drifted) == ""


def test_what_is_repaired_while_nothing_is_compared_is_no_drift_later(drifted: Site, api_over) -> None:
    _crash_before_the_record(drifted, api_over)
    drifted.sql("drop table votes")
    drifted.write("sql/3_votes.sql", "create table votes (id int)")
    drifted.apply()
    assert drift(drifted) == ""


def _crash_before_the_record(site: Site, api_over) -> None:
    dying = Dying(0, lambda request: b"jsonb_build_object('digest'" in request.content)
    site.run(api=api_over(dying))
    assert dying.dead
    free_lease(site)


@pytest.mark.parametrize("lost", [b"'open', '", b"jsonb_build_object('digest'"], ids=["begin", "record"])
def test_a_lost_response(drifted: Site, api_over, lost: bytes) -> None:
    losing = LosingAnswers(lambda request: lost in request.content and b"UPDATE" in request.content)
    assert isinstance(drifted.run(api=api_over(losing))[-1], ApplyDone)
    assert losing.lost
    assert drift(drifted) == VOTES


def test_a_beginning_that_arrives_late_opens_nothing(drifted: Site) -> None:
    """A copy of the request that the network delayed until the deploy has recorded, or has ended."""
    drifted.apply()
    [row] = drifted.sql(f"select deploy_id as id from mosaic_deploy.settings where name = '{RECORD}'")
    drifted.sql(
        "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) values ('tests', 'mine', now(), 'infinity')"
    )
    [answer] = drifted.api.sql(drifted.project_id, begin_schema_change_sql("mine", str(row["id"])))
    assert answer == {"held": 1, "written": 0}
    [answer] = drifted.api.sql(drifted.project_id, begin_schema_change_sql("another", "another"))
    assert answer == {"held": 0, "written": 0}
    assert drift(drifted) == VOTES


def test_a_failed_migration_leaves_a_true_record(drifted: Site) -> None:
    """Its committed steps are the deploy's; what drifts afterwards is drift."""
    drifted.write(
        "sql/3_bad.sql",
        "begin; create table good (id int); commit; begin; create table bad (id nonsense); commit;",
    )
    assert isinstance(drifted.fails().error, MigrationFailed)
    drifted.sql("create table later (id int)")
    history = known(drifted)
    found = read_drift(drifted.api, history.project.id, history.manifest)
    assert [str(change.object) for change in found.changes] == ["table later", "table votes"]
    drifted.write(
        "sql/3_bad.sql",
        "begin; create table good (id int); commit; begin; create table bad (id int); commit;",
    )
    drifted.apply()
    assert drift(drifted) == f"+ table later (id integer); {VOTES}"


@pytest.mark.parametrize("opens", [True, False], ids=["begin", "record"])
def test_a_record_that_the_database_rejects_fails_no_deploy(drifted: Site, api_over, opens: bool) -> None:
    """The catalog can't be read at that moment, for example because somebody drops what is being read."""
    wanted = b"'open', '" if opens else b"jsonb_build_object('digest'"

    class Rejected(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if wanted in request.content and b"UNION ALL" in request.content:
                content = request.content.replace(b"pg_catalog.pg_get_expr(b.adbin", b"1/0 || (b.adbin")
                content = content.replace(b"FROM pg_catalog.pg_extension e", b"FROM pg_catalog.nothing e")
                headers = {k: v for k, v in request.headers.items() if k.lower() != "content-length"}
                request = httpx.Request(request.method, request.url, headers=headers, content=content)
            return super().handle_request(request)

    events = drifted.run(api=api_over(Rejected()))
    assert isinstance(events[-1], ApplyDone), events[-1]
    notes = [event.note.code for event in events if isinstance(event, Noted)]
    assert notes == ([] if opens else ["schema_not_recorded"])
    if not opens:
        assert state(drifted) is SchemaState.UNFINISHED
        drifted.apply()
        assert drift(drifted) == VOTES
    else:
        assert drift(drifted) == "", "what had drifted couldn't be read, so it is recorded"


def test_a_rollback_makes_no_drift_and_swallows_none(drifted: Site) -> None:
    drifted.apply()
    planned = plan_rollback(drifted.api, known(drifted), to=None, steps=1)
    assert isinstance([*roll_back(drifted.api, planned, OPTIONS)][-1], ApplyDone)
    assert drift(drifted) == VOTES


def test_a_rollback_that_crashes(drifted: Site, api_over) -> None:
    drifted.apply()
    for point in range(1, 5):
        planned = plan_rollback(drifted.api, known(drifted), to=None, steps=1)
        dying = Dying(point, is_write, after=True)
        assert isinstance([*roll_back(api_over(dying), planned, OPTIONS)][-1], ApplyFailed)
        assert dying.dead
        free_lease(drifted)
        drifted.apply()
        assert drift(drifted) == VOTES


def test_history_commands_leave_the_record_valid(drifted: Site) -> None:
    drifted.apply()
    drifted.write("sql/1_live.sql", FIRST.replace("'x'", "'y'"))
    repair(drifted, accept=("1_live.sql",))
    assert drift(drifted) == VOTES
    (drifted.root / "sql/2_more.sql").unlink()
    repair(drifted, forget=("2",))
    assert drift(drifted) == VOTES


def test_accepted_drift_is_none(drifted: Site) -> None:
    planned = plan_accept(drifted.api, known(drifted))
    [change] = planned.plan.changes
    assert change.reason == "recorded as it is, with 1 difference; nothing in it is changed"
    assert isinstance([*accept_drift(drifted.api, planned, OPTIONS)][-1], ApplyDone)
    assert drift(drifted) == ""
    assert plan_accept(drifted.api, known(drifted)).plan.changes == ()
    drifted.apply()
    assert drift(drifted) == ""
    assert [
        each["status"] for each in drifted.sql("select status from mosaic_deploy.deploys order by serial")
    ] == [
        "done",
        "drift",
        "done",
    ]


def test_only_what_was_shown_is_accepted(drifted: Site) -> None:
    planned = plan_accept(drifted.api, known(drifted))
    drifted.sql("alter table a add sneaky int")
    [*_, last] = accept_drift(drifted.api, planned, OPTIONS)
    assert isinstance(last.error, PlanStale)
    assert drift(drifted) == f"+ column a.sneaky integer; {VOTES}"


def test_without_the_lease_nothing_is_recorded(drifted: Site, api_over) -> None:
    """Another deploy has taken it over by then."""
    before = drifted.sql(f"select value from mosaic_deploy.settings where name = '{OBJECTS}'")

    class Losing(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if b"jsonb_build_object('digest'" in request.content:
                drifted.sql("update mosaic_deploy.lease set token = 'theirs'")
            return super().handle_request(request)

    assert isinstance(drifted.fails(api=api_over(Losing())).error, LockLost)
    assert drifted.sql(f"select value from mosaic_deploy.settings where name = '{OBJECTS}'") == before

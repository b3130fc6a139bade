"""The first copy of a request, delayed until after its retry or after the whole deploy, changes nothing."""

from __future__ import annotations

import json
import threading
import time

import httpx
import psycopg
import pytest

from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.ledger import rows as ledger_rows
from mosaic_deploy.live.ledger.lease import WaitPolicy, acquire_lease, release_lease
from mosaic_deploy.live.ledger.lease_sql import LeaseRequest, acquire_lease_sql, renew_lease_sql
from mosaic_deploy.model.event import ApplyDone, Waiting
from mosaic_deploy.model.snapshot import Object, ObjectState
from tests.deploy.faults import Finishing, Repeating, is_sql, send_again
from tests.deploy.recovery.test_crashes import small

_EVERYTHING = (
    "select (select json_agg(o order by kind, path) from mosaic_deploy.objects o)::text as objects, "
    "(select json_agg(m order by version) from mosaic_deploy.migrations m)::text as migrations, "
    "(select json_agg(d order by serial) from mosaic_deploy.deploys d)::text as deploys, "
    "(select json_agg(s) from mosaic_deploy.settings s)::text as settings, "
    "(select json_agg(l) from mosaic_deploy.lease l)::text as lease, (select serial from mosaic_deploy.ledger) as serial"
)


def full(site, word: str) -> None:
    """A site with every kind of change. What is left over from another word is deleted."""
    small(site, word)
    site.write("seeds/one.sql", f"insert into t values ({len(word)}) on conflict do nothing; -- {word}")
    site.write(f"www/{word}.txt", word)
    for other in site.root.glob("www/*.txt"):
        if other.stem != word:
            other.unlink()
    site.manifest(
        database={"migrations": "sql", "seeds": ["seeds"], "extensions": ["pg_trgm"]},
        static={"dir": "www", "prune": True, "keep": 0},
        storage={"dir": "pics"},
        auth={"magic_link": {"redirect_url": f"/{word}.txt"}},
    )


def is_any_sql(request: httpx.Request) -> bool:
    return is_sql(request)


def test_every_request_of_a_deploy_arrives_again_after_it_ended(site, api_over):
    full(site, "first")
    first = Repeating(is_any_sql)
    assert isinstance(site.run(api=api_over(first))[-1], ApplyDone)
    assert len(first.sent) > 8, "the test records requests"
    full(site, "second")
    second = Repeating(is_any_sql)
    assert isinstance(site.run(api=api_over(second))[-1], ApplyDone)
    before = site.sql(_EVERYTHING)
    for request in (*first.sent, *second.sent):
        send_again(request)
    assert site.sql(_EVERYTHING) == before
    assert site.sql("select token from mosaic_deploy.lease") == []
    assert site.plan().plan.changes == ()
    states = site.sql("select distinct state as s from mosaic_deploy.objects")
    assert states == [{"s": "live"}]


def test_the_lease_is_acquired_by_none_of_the_late_copies(site):
    """Neither before the retry, nor while the deploy runs, nor after it ended, nor for a run that gave up."""
    small(site, "first")
    site.apply()
    serial = int(str(site.sql("select serial from mosaic_deploy.ledger")[0]["serial"]))
    claim = LeaseRequest(site.project_id, "tests", "t", "d", "p", serial)

    def arrive() -> list[dict[str, object]]:
        site.api.sql(claim.project, acquire_lease_sql(claim))
        return site.sql("select token from mosaic_deploy.lease")

    assert list(acquire_lease(site.api, claim, WaitPolicy(0))) == []
    assert arrive() == [{"token": "t"}], "a retry keeps its own lease"
    release_lease(site.api, claim, "done", {})
    assert arrive() == []
    given_up = LeaseRequest(site.project_id, "tests", "t2", "d2", "p", serial + 2)
    release_lease(site.api, given_up, "interrupted", {})
    claim = given_up
    assert arrive() == []
    assert site.sql("select count(*)::int as n from mosaic_deploy.deploys where id = 'd2'") == [{"n": 0}]


def test_a_request_for_the_lease_whose_response_is_lost_for_good_leaves_no_lease(site, api_over):
    small(site, "first")
    site.apply()
    small(site, "second")

    class LosingAll(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if is_sql(request, "INSERT INTO mosaic_deploy.lease"):
                response.read()
                raise httpx.ReadError("reset", request=request)
            return response

    failed = site.run(api=api_over(LosingAll()))[-1]
    assert failed.error.code == "response_lost"
    assert site.sql("select token from mosaic_deploy.lease") == []
    site.apply()


def test_a_renewal_does_not_revive_an_expired_lease(site):
    small(site, "first")
    site.apply()
    insert = "insert into mosaic_deploy.lease values (true, 'h', 't', now(), now() + interval '{} seconds')"
    site.sql(insert.format(-1))
    assert site.sql(renew_lease_sql("t")) == [{"held": 0}]
    site.sql("delete from mosaic_deploy.lease")
    site.sql(insert.format(5))
    assert site.sql(renew_lease_sql("t")) == [{"held": 1}]


def test_a_write_that_waited_until_after_a_takeover_writes_nothing(site):
    small(site, "first")
    site.apply()
    project = site.project_id
    site.sql("insert into mosaic_deploy.lease values (true, 'A', 'A', now(), now() + interval '1 minute')")
    answers: list[object] = []
    wrong = [Object("index.html", "0" * 64, 1, ObjectState.LIVE)]

    def run(query: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.append(site.api.sql(project, query)))
        thread.start()
        return thread

    url = site.api.call(endpoints.READ_CREDENTIALS, project=project)["database_url"]
    with psycopg.connect(url) as blocking:
        blocking.execute("update mosaic_deploy.sums set kind = kind")
        waiting = run(ledger_rows.upsert_objects_sql("static", wrong, "A", "dA"))
        while not site.sql("select 1 as one from pg_stat_activity where wait_event_type = 'Lock'"):
            time.sleep(0.05)
        site.sql("update mosaic_deploy.lease set token = 'B', holder = 'B'")
        blocking.commit()
        waiting.join()
    assert [{"held": 0, "written": 0}] in answers
    assert site.sql("select count(*)::int as n from mosaic_deploy.objects where size = 1") == [{"n": 0}]


@pytest.mark.parametrize("force", [False, True])
def test_nothing_of_a_dead_deploy_commits_after_its_lease_is_taken(site, api_over, force):
    """Its migration goes on on the server. The next deploy waits for it, and doesn't run it again."""
    site.write("sql/1_t.sql", "create table t (id int); insert into t values (1); select pg_sleep(2);")
    site.manifest(database={"migrations": "sql"})
    finishing = Finishing(lambda request: is_sql(request, "mosaic_batch"))

    def cut(request: httpx.Request) -> bool:
        return is_sql(request, "mosaic_batch")

    class Dead(Finishing):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if self.responses or self._threads:
                raise httpx.ConnectError("the machine is gone", request=request)
            return super().handle_request(request)

    finishing = Dead(cut)
    site.run(api=api_over(finishing))
    site.sql(
        "update mosaic_deploy.lease set expires_at = now() + interval '20 seconds'"
        if force
        else "update mosaic_deploy.lease set expires_at = now() - interval '1 second'"
    )
    assert site.sql("select to_regclass('public.t') as t") == [{"t": None}], "it is still running"
    if force:
        site.run(force_unlock=True, lock_wait=20.0)
    events = site.run(lock_wait=20.0)
    assert isinstance(events[-1], ApplyDone), events[-1]
    waits = [event.reason for event in events if isinstance(event, Waiting)]
    assert force or waits[0] == "for a migration of an earlier deploy, which is still running"
    assert finishing.responses[0].status_code == 200
    assert site.sql("select id from t") == [{"id": 1}]
    assert site.plan().plan.changes == ()


BLOCKS = {
    "call": "call twice();",
    "call with settings": "set timezone = 'UTC'; call twice();",
    "block": "do $$ begin insert into seen values (1); commit; insert into seen values (2); end $$;",
}


@pytest.mark.parametrize("text", BLOCKS.values(), ids=BLOCKS)
def test_a_statement_that_commits_itself_does_nothing_when_it_arrives_again(site, api_over, text) -> None:
    site.write(
        "sql/1_a.sql",
        "create table seen (n int); create procedure twice() language plpgsql as "
        "$$ begin insert into seen values (1); commit; insert into seen values (2); end $$;",
    )
    site.write("sql/2_b.sql", text)
    site.manifest(database={"migrations": "sql"})
    bodies: list[bytes] = []

    class Recording(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            bodies.extend([request.read()] * (b"mosaic_outside" in request.read()))
            return super().handle_request(request)

    assert isinstance(site.run(api=api_over(Recording()))[-1], ApplyDone)
    [body] = [each for each in bodies if b'"query":"DO $mosaic_outside' in each]
    query = json.loads(body)["query"]
    with pytest.raises(SqlFailed, match="step_not_begun"):
        site.sql(query)
    assert site.sql("select n from seen order by n") == [{"n": 1}, {"n": 2}]


def test_a_procedure_with_an_output_parameter_is_called(site) -> None:
    site.write(
        "sql/1_a.sql",
        "create table seen (n int); create procedure f(inout n int) language plpgsql as "
        "$$ begin insert into seen values (n); commit; n := n + 1; end $$;",
    )
    site.write("sql/2_b.sql", "call f(1);")
    site.manifest(database={"migrations": "sql"})
    site.apply()
    assert site.sql("select n from seen") == [{"n": 1}]

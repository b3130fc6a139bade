"""Which responses say that nothing happened, and which leave it open."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from mosaic_deploy import errors
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import create_project


def api_of(*answers: httpx.Response) -> tuple[Api, list[httpx.Request]]:
    """An API that gives the answers in turn, the last one for ever."""
    requests: list[httpx.Request] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        given = left.pop(0) if len(left) > 1 else left[0]
        return httpx.Response(given.status_code, headers=given.headers, stream=given.stream)

    transport = httpx.MockTransport(answer)
    return Api("https://api.test", ApiKey("mk_test_key"), transport=transport, sleep=lambda _: None), requests


def failed(status: int, error: object) -> httpx.Response:
    return httpx.Response(status, json={"success": False, "error": error})


SERVER_FAILED = {
    "internal error": failed(500, {"code": "internal_error", "message": "worker crashed"}),
    "with 200": failed(200, {"code": "internal_error", "message": "worker crashed"}),
    "plain text": failed(500, "something went wrong"),
    "no success field": httpx.Response(500, json={"error": "oops"}),
    "timeout": failed(500, {"code": "query_timeout", "message": "no answer from the worker"}),
    "unavailable": failed(503, {"code": "database_unavailable", "message": "lost the connection"}),
    "shutdown": failed(400, {"code": "sql_error", "sqlstate": "57P01", "message": "terminating connection"}),
    "crash": failed(500, {"sqlstate": "57P02", "message": "terminating connection because of crash"}),
    "starting": failed(422, {"sqlstate": "57P03", "message": "the database system is starting up"}),
    "connection": failed(500, {"sqlstate": "08006", "message": "server closed the connection"}),
    "html": httpx.Response(500, text="<html>Internal Server Error</html>"),
    "request timeout": httpx.Response(408, text="<html>Request Timeout</html>"),
    "too early": failed(425, "too early"),
    "closed by a gateway": httpx.Response(499, text=""),
}
REFUSED = {
    "sqlstate": failed(500, {"code": "internal_error", "sqlstate": "23505", "message": "duplicate key"}),
    "code is one": failed(500, {"code": "42P01", "message": "missing"}),
    "words": failed(500, 'relation "t" does not exist'),
    "division": failed(500, "division by zero"),
    "type": failed(500, 'invalid input syntax for type integer: "x"'),
    "index": failed(500, 'could not create unique index "i"'),
    "ours": failed(500, 'mosaic-deploy:{"code":"step_applied","version":"1","step":1}'),
    "deadlock": failed(500, "deadlock detected"),
    "400": failed(400, "no"),
    "200": failed(200, "no"),
    "disk full": failed(400, {"sqlstate": "53100", "message": "could not extend file"}),
}


@pytest.mark.parametrize("answer", SERVER_FAILED.values(), ids=SERVER_FAILED)
def test_a_failure_of_the_server_is_retried_and_its_outcome_is_unknown(answer: httpx.Response) -> None:
    api, requests = api_of(answer)
    with pytest.raises(errors.ServerFailed) as caught:
        api.sql("pod-1", "insert into t values (1)")
    assert (len(requests), caught.value.mutation_state) == (5, "unknown")
    api, requests = api_of(answer)
    with pytest.raises(errors.ServerFailed) as caught:
        api.sql("pod-1", "vacuum", idempotent=False)
    assert (len(requests), caught.value.mutation_state) == (1, "unknown")


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_a_refusal_of_postgresql_is_reported_at_once(answer: httpx.Response) -> None:
    api, requests = api_of(answer)
    with pytest.raises(errors.SqlFailed):
        api.sql("pod-1", "insert into t values (1)")
    assert len(requests) == 1


GOOD = httpx.Response(200, json={"success": True, "data": [{"n": 1}]})
UNREADABLE = {
    "truncated": httpx.Response(200, text='{"success":true,"data":[{"n":1}'),
    "empty": httpx.Response(200, text=""),
    "html": httpx.Response(200, text="<html>please log in"),
    "gzip": httpx.Response(
        200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"\x1f\x8b not gzip at all")
    ),
    "half of gzip": httpx.Response(
        200,
        headers={"content-encoding": "gzip"},
        stream=httpx.ByteStream(gzip.compress(b'{"data":[]}' * 99)[:40]),
    ),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_success_is_asked_for_again(answer: httpx.Response) -> None:
    api, requests = api_of(answer, GOOD)
    assert api.sql("pod-1", "select 1 as n") == [{"n": 1}]
    assert len(requests) == 2
    upload = endpoints.UPLOAD_STATIC_FILE
    api, requests = api_of(answer)
    with pytest.raises((errors.ResponseInvalid, errors.ResponseLost)) as caught:
        api.call(upload, project="pod-1", body={})
    assert (len(requests), caught.value.mutation_state) == (5, "unknown")


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_success_of_what_must_not_be_repeated(answer: httpx.Response) -> None:
    api, requests = api_of(answer)
    with pytest.raises((errors.ResponseInvalid, errors.ResponseLost)) as caught:
        api.call(endpoints.SEND_MAGIC_LINK, project="pod-1", body={})
    assert (len(requests), caught.value.mutation_state) == (1, "unknown")


@pytest.mark.parametrize(("key", "shown"), [("a", True), ("table", True), ("mk_secret_key", False)])
def test_a_key_as_short_as_a_word_is_not_removed_from_texts(key: str, shown: bool) -> None:
    answer = httpx.Response(400, json={"success": False, "error": f"no {key} here, as in a table"})

    transport = httpx.MockTransport(lambda _: httpx.Response(400, content=answer.content))
    api = Api("https://api.test", ApiKey(key), transport=transport)
    with pytest.raises(errors.SqlFailed) as caught:
        api.sql("pod-1", "select 1")
    assert (key in caught.value.message) is shown
    assert "as in a table" in caught.value.message


def test_a_full_disk_is_not_the_sqls_fault() -> None:
    api, _ = api_of(REFUSED["disk full"])
    with pytest.raises(errors.SqlFailed) as caught:
        api.sql("pod-1", "insert into t values (1)")
    assert "disk is full" in str(caught.value.hint)


NO_SQL_RESULT = [None, [], {}, "ok", 1, {"data": None}, {"rows": "x"}]


@pytest.mark.parametrize("body", NO_SQL_RESULT, ids=repr)
def test_an_answer_that_is_no_sql_result_is_asked_for_again(body: object) -> None:
    odd, good = (
        httpx.Response(200, text=json.dumps(body)),
        httpx.Response(200, json={"success": True, "data": [{"a": 1}]}),
    )
    api, requests = api_of(odd, odd, good)
    assert api.sql("p", "select 1 as a") == [{"a": 1}]
    assert len(requests) == 3
    api, requests = api_of(odd)
    with pytest.raises(errors.ResponseInvalid) as caught:
        api.sql("p", "insert into t values (1)", idempotent=False)
    assert (len(requests), caught.value.mutation_state) == (1, "unknown")


class Creating:
    """Creates a project, and answers listings after that with `listing`."""

    def __init__(self, created: httpx.Response, listing: httpx.Response) -> None:
        self._created, self._listing = created, listing
        self._sent = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self._sent = True
            return self._created
        return self._listing if self._sent else httpx.Response(200, json={"projects": []})


@pytest.mark.parametrize(
    ("created", "state"),
    [
        (httpx.Response(200, json={"project_id": "p", "name": "a", "status": "provisioning"}), "partial"),
        (httpx.Response(200, json={}), "unknown"),
        (httpx.Response(502, text="bad gateway"), "unknown"),
    ],
    ids=["created", "unreadable", "lost"],
)
@pytest.mark.parametrize(
    "listing",
    [
        httpx.Response(200, text="null"),
        httpx.Response(401, json={}),
        httpx.Response(200, json={"projects": []}),
    ],
    ids=["unreadable", "key rotated", "not listed"],
)
def test_a_project_that_may_exist_is_not_denied(
    created: httpx.Response, state: str, listing: httpx.Response
) -> None:
    """The listing after the creation failed, or doesn't have the project yet."""
    transport = httpx.MockTransport(Creating(created, listing))
    with Api("https://api.test", ApiKey("mk_1"), transport=transport, sleep=lambda _: None) as api:
        if state == "partial" and listing.status_code == 200 and listing.json():
            assert create_project(api, "a").project.id == "p"
            return
        with pytest.raises(errors.ApiError) as caught:
            create_project(api, "a")
    assert caught.value.mutation_state == state

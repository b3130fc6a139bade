"""The API client against scripted responses, for failures that are hard to cause on a real platform."""

import gzip
import inspect
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from mosaic_deploy import errors
from mosaic_deploy.live.api import discovery, endpoints
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.connection_errors import translate_error
from mosaic_deploy.live.api.retries import MAX_ATTEMPTS, MAX_RETRY_AFTER
from mosaic_deploy.live.api.transport import is_loopback, loopback_target

KEY = "mk_9f8e7d6c5b4a"
URL = "https://api.example"

Answer = httpx.Response | Exception
Handler = Callable[[httpx.Request], Answer]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Platform:
    """Responds by a script, whose last response repeats. Records the requests and the waits between them."""

    def __init__(self, *script: Answer | Handler, url: str = URL) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []
        transport = httpx.MockTransport(self.answer)
        self.api = Api(url, ApiKey(KEY), transport=transport, sleep=self.waits.append)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        found = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if callable(found) and not isinstance(found, type):
            found = found(request)
        if isinstance(found, Exception):
            raise found
        return found

    @property
    def asked(self) -> list[str]:
        return [f"{r.method} {r.url.raw_path.decode()}" for r in self.requests]


def answer(status: int = 200, body: object = None, **headers: str) -> Handler:
    return lambda _: httpx.Response(status, json={} if body is None else body, headers=headers)


def text(status: int, body: str) -> Handler:
    return lambda _: httpx.Response(status, text=body)


# --- httpx's errors ---


def exception_tree(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for child in root.__subclasses__():
        yield from exception_tree(child)


OURS: dict[type[Exception], type[errors.ApiError]] = {
    httpx.ConnectError: errors.Unreachable,
    httpx.ConnectTimeout: errors.Unreachable,
    httpx.PoolTimeout: errors.Unreachable,
    httpx.ProxyError: errors.Unreachable,
    httpx.ReadError: errors.ResponseLost,
    httpx.WriteError: errors.ResponseLost,
    httpx.CloseError: errors.ResponseLost,
    httpx.ReadTimeout: errors.ResponseLost,
    httpx.WriteTimeout: errors.ResponseLost,
    httpx.RemoteProtocolError: errors.ResponseLost,
    httpx.LocalProtocolError: errors.ResponseInvalid,
    httpx.DecodingError: errors.ResponseLost,
    httpx.TooManyRedirects: errors.ResponseInvalid,
    httpx.UnsupportedProtocol: errors.ApiUrlInvalid,
    httpx.InvalidURL: errors.ApiUrlInvalid,
}
BRANCHES = {
    httpx.HTTPError,
    httpx.RequestError,
    httpx.TransportError,
    httpx.TimeoutException,
    httpx.NetworkError,
    httpx.ProtocolError,
}
NEVER_RAISED = {
    httpx.HTTPStatusError,  # raise_for_status is never called
    httpx.CookieConflict,  # cookies are never read
    httpx.StreamError,  # nothing is streamed
    httpx.StreamConsumed,
    httpx.StreamClosed,
    httpx.ResponseNotRead,
    httpx.RequestNotRead,
}


def test_every_httpx_exception_is_mapped() -> None:
    public = {v for v in vars(httpx).values() if inspect.isclass(v) and issubclass(v, Exception)}
    tree = {kind for root in public for kind in exception_tree(root) if kind.__module__.startswith("httpx")}
    assert tree == OURS.keys() | BRANCHES | NEVER_RAISED


@pytest.mark.parametrize("foreign", OURS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("words", ["it broke", ""])
def test_httpx_exceptions_become_api_errors(foreign: type[Exception], words: str) -> None:
    platform = Platform(foreign(words))
    with pytest.raises(errors.ApiError) as caught:
        platform.api.call(endpoints.LIST_PROJECTS)
    assert type(caught.value) is OURS[foreign]
    assert "api.example" in caught.value.message


def test_an_unknown_transport_error_becomes_an_api_error() -> None:
    class Newer(httpx.TransportError):
        pass

    assert type(translate_error(Newer("x"), "GET", URL)) is errors.ResponseInvalid


@pytest.mark.parametrize("url", ["api.example", "http://[::1", "ftp://api.example", "http://a\0b"])
def test_an_invalid_url_is_an_error(url: str) -> None:
    with Api(url, ApiKey(KEY), sleep=lambda _: None) as api, pytest.raises(errors.ApiUrlInvalid) as caught:
        api.call(endpoints.LIST_PROJECTS)
    assert "invalid URL: " in caught.value.message


def test_a_timeout_is_a_lost_response_with_unknown_effect() -> None:
    platform = Platform(httpx.ReadTimeout("slow"))
    with pytest.raises(errors.ResponseLost) as caught:
        platform.api.call(endpoints.CREATE_PROJECT, body={"name": "a"})
    assert caught.value.mutation_state == "unknown"


@pytest.mark.parametrize(
    ("operation", "state", "hint"),
    [
        (endpoints.LIST_PROJECTS, "none", "run the same command again"),
        (endpoints.RUN_SQL, "unknown", "run the same command again"),
        (
            endpoints.RUN_SQL_NOT_IDEMPOTENT,
            "unknown",
            "check whether it took effect before you run the command again",
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("lost", [httpx.ReadTimeout("slow"), answer(504)], ids=["timeout", "gateway"])
def test_the_hint_of_a_lost_response(operation, state: str, hint: str, lost) -> None:
    platform = Platform(*[lost] * 5)
    with pytest.raises((errors.ResponseLost, errors.ServerFailed)) as caught:
        platform.api.call(operation, body={})
    assert caught.value.mutation_state == state
    assert str(caught.value.hint).startswith(hint)


def test_a_platform_error_for_a_statement_sent_once_has_unknown_effect() -> None:
    with pytest.raises(errors.ServerFailed) as caught:
        Platform(answer(500)).api.call(endpoints.RUN_SQL_NOT_IDEMPOTENT, body={})
    assert caught.value.mutation_state == "unknown"


def test_a_row_without_a_column_is_an_invalid_response() -> None:
    [row] = Platform(httpx.Response(200, json={"rows": [{"a": 1}]})).api.sql("oak-1ab", "SELECT")
    assert row["a"] == 1
    with pytest.raises(errors.ResponseInvalid, match="has no column ledger"):
        row["ledger"]


# --- retries ---


def test_429_waits_for_retry_after() -> None:
    platform = Platform(answer(429, **{"Retry-After": "7"}), answer(429, **{"Retry-After": "9"}), answer())
    assert platform.api.call(endpoints.CREATE_PROJECT, body={}) == {}
    assert platform.waits == [7.0, 9.0]


def test_repeated_429_raises_rate_limited() -> None:
    platform = Platform(answer(429, {"error": "slow down"}))
    with pytest.raises(errors.RateLimited, match="slow down"):
        platform.api.call(endpoints.LIST_PROJECTS)
    assert len(platform.requests) == MAX_ATTEMPTS
    assert len(platform.waits) == MAX_ATTEMPTS - 1


def test_a_long_retry_after_is_an_error() -> None:
    platform = Platform(answer(429, **{"Retry-After": str(int(MAX_RETRY_AFTER) + 1)}))
    with pytest.raises(errors.RateLimited):
        platform.api.call(endpoints.LIST_PROJECTS)
    assert (len(platform.requests), platform.waits) == (1, [])


@pytest.mark.parametrize("odd", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5 s", "²", ""])
def test_an_invalid_retry_after_is_ignored(odd: str) -> None:
    headers = [(b"Retry-After", odd.encode("latin-1"))]
    platform = Platform(httpx.Response(429, headers=headers, json={}), answer())
    assert platform.api.call(endpoints.LIST_PROJECTS) == {}
    assert 0 < platform.waits[0] < 1


def test_waits_double_and_stay_bounded() -> None:
    platform = Platform(answer(503))
    with pytest.raises(errors.ServerFailed):
        platform.api.call(endpoints.LIST_PROJECTS)
    bounds = [0.25 * 2**n for n in range(MAX_ATTEMPTS - 1)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(platform.waits, bounds, strict=True))


@pytest.mark.parametrize(
    "trouble", [answer(503), text(502, "<html>"), httpx.ReadError("reset"), httpx.ConnectError("no")]
)
def test_idempotent_requests_are_retried(trouble: Answer | Handler) -> None:
    platform = Platform(trouble, trouble, answer(200, {"data": [{"a": 1}]}))
    assert platform.api.sql("pod-1", "SELECT 1") == [{"a": 1}]
    assert len({r.content for r in platform.requests}) == 1
    assert len(platform.requests) == 3


@pytest.mark.parametrize(
    "operation", [o for o in endpoints.OPERATIONS if not o.idempotent], ids=lambda o: o.name
)
@pytest.mark.parametrize(
    "trouble", [httpx.ReadTimeout("slow"), answer(500), answer(503), text(504, "gateway")]
)
def test_other_requests_are_sent_once(operation: endpoints.Operation, trouble: Answer | Handler) -> None:
    platform = Platform(trouble)
    with pytest.raises((errors.ResponseLost, errors.ServerFailed)):
        platform.api.call(operation, project="pod-1", body={})
    assert len(platform.requests) == 1


def test_every_request_is_retried_without_a_connection() -> None:
    platform = Platform(httpx.ConnectError("refused"), answer(201, {"project_id": "pod-1"}))
    assert platform.api.call(endpoints.CREATE_PROJECT, body={"name": "a"}) == {"project_id": "pod-1"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_4xx_is_not_retried(status: int) -> None:
    platform = Platform(answer(status, {"error": "no"}))
    with pytest.raises(errors.ApiError):
        platform.api.call(endpoints.LIST_STATIC_FILES, project="pod-1")
    assert len(platform.requests) == 1


# --- error responses ---


def refused(
    handler: Answer | Handler, operation: endpoints.Operation = endpoints.LIST_PROJECTS
) -> errors.ApiError:
    with pytest.raises(errors.ApiError) as caught:
        Platform(handler).api.call(operation, project="pod-1")
    return caught.value


def test_401_mentions_the_key_rotation() -> None:
    error = refused(answer(401, {"detail": "bad key"}))
    assert type(error) is errors.Unauthorized
    assert error.message == "the API key was rejected: bad key"
    assert error.hint
    assert "every 30 days" in error.hint
    assert "dashboard" in error.hint
    assert "MOSAIC_API_KEY" in error.hint
    assert "completed changes are kept" in error.hint


@pytest.mark.parametrize(
    "said",
    [
        "this API key was rotated out on 2026-01-02 and has been refused since 2026-01-09",
        "no account has this API key; `mosaic-deploy local key` shows the current one",
        "API key expired",
    ],
)
def test_401_with_an_explanation_of_the_rotation(said: str) -> None:
    error = refused(answer(401, {"error": {"message": said}}))
    assert error.message == f"the API key was rejected: {said}"
    assert error.hint == (
        "run `mosaic-deploy login` with the current key or set MOSAIC_API_KEY, "
        "then run the same command again; completed changes are kept"
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RequestRefused),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.RequestRefused),
        (500, errors.ServerFailed),
        (503, errors.ServerFailed),
    ],
)
def test_statuses(status: int, kind: type[errors.ApiError]) -> None:
    error = refused(answer(status, {"error": "why", "request_id": "r-1"}))
    assert type(error) is kind
    assert error.message == f"list projects: why (HTTP {status})"
    assert (error.status, error.request_id, error.operation) == (status, "r-1", "list projects")


@pytest.mark.parametrize(
    "body",
    [
        {"error": "why"},
        {"message": "why"},
        {"detail": "why"},
        {"error": {"message": "why"}},
        {"detail": {"message": "why"}},
        {"error": {"detail": "why"}},
        {"success": False, "error": "why"},
        {"error": True, "message": "why"},
        {"error": "Bad Request", "message": "why"},
    ],
)
def test_error_messages_in_every_format(body: object) -> None:
    assert refused(answer(400, body)).message == "list projects: why (HTTP 400)"


def test_a_plain_text_error_message() -> None:
    assert refused(text(404, "why\n")).message == "list projects: why (HTTP 404)"
    assert refused(text(404, "")).message == "list projects: Not Found (HTTP 404)"


def test_success_false_is_an_error_whatever_the_status() -> None:
    error = refused(answer(200, {"success": False, "error": "quota"}))
    assert type(error) is errors.RequestRefused
    assert "quota" in error.message


@pytest.mark.parametrize("status", [200, 302])
def test_html_instead_of_json_is_an_error(status: int) -> None:
    error = refused(text(status, "<html>" + "x" * 1000))
    assert type(error) is errors.ResponseInvalid
    assert error.message.endswith("with a web page: a web page without a title")
    assert len(error.message) < 300


def test_204_is_none() -> None:
    platform = Platform(httpx.Response(204))
    assert platform.api.call(endpoints.DELETE_STATIC_FILE, project="pod-1", filename="a.css") is None


# --- PostgreSQL's errors ---

MISSING = 'relation "x" does not exist'
SQL_ERRORS = {
    "400 nested": (answer(400, {"error": {"code": "42P01", "message": MISSING, "hint": "h"}}), "42P01"),
    "400 flat": (answer(400, {"error": MISSING, "sqlstate": "42P01", "position": 15}), "42P01"),
    "400 text": (text(400, MISSING), None),
    "422 detail": (answer(422, {"detail": MISSING}), None),
    "500 text": (text(500, f"ERROR:  {MISSING}\nLINE 1: SELECT"), None),
    "500 text without ERROR": (text(500, MISSING), None),
    "500 text with a state": (text(500, f"{MISSING} (SQLSTATE 42P01)"), "42P01"),
    "500 json": (answer(500, {"error": {"code": "42P01", "message": MISSING}}), "42P01"),
    "500 with our mark": (
        text(500, 'mosaic-deploy:{"code": "lease_expired", "version": "1", "step": 1}'),
        None,
    ),
    "500 detail object": (answer(500, {"detail": {"message": MISSING, "sqlstate": "42P01"}}), "42P01"),
    "200": (answer(200, {"success": False, "error": MISSING}), None),
    "200 nested": (answer(200, {"success": False, "error": {"message": MISSING, "code": "42P01"}}), "42P01"),
}


@pytest.mark.parametrize(("handler", "sqlstate"), SQL_ERRORS.values(), ids=SQL_ERRORS)
def test_postgresql_errors_are_sql_failed_and_final(handler: Handler, sqlstate: str | None) -> None:
    platform = Platform(handler)
    with pytest.raises(errors.SqlFailed) as caught:
        platform.api.sql("pod-1", "SELECT * FROM x")
    assert len(platform.requests) == 1
    assert MISSING in caught.value.message or "lease_expired" in caught.value.message
    assert caught.value.sqlstate == sqlstate


def test_fields_of_an_sql_error() -> None:
    facts = {"message": "m", "code": "23505", "detail": "d", "hint": "h", "position": "7"}
    with pytest.raises(errors.SqlFailed) as caught:
        Platform(answer(400, {"error": facts})).api.sql("pod-1", "x")
    error = caught.value
    assert (error.message, error.sqlstate, error.detail, error.pg_hint, error.position) == (
        "m",
        "23505",
        "d",
        "h",
        7,
    )


@pytest.mark.parametrize(
    "handler",
    [
        text(500, "Internal Server Error"),
        answer(500, {"error": {"code": "internal_error", "message": "boom"}}),
        answer(500, {"error": {"code": "ERROR", "message": "boom"}}),
        text(502, MISSING),
        answer(503, {"error": "starting"}),
    ],
)
def test_platform_errors_are_not_sql_errors(handler: Handler) -> None:
    platform = Platform(handler)
    with pytest.raises(errors.ServerFailed):
        platform.api.sql("pod-1", "SELECT 1")
    assert len(platform.requests) == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"success": True, "data": [{"a": 1}]}, [{"a": 1}]),
        ({"rows": [{"a": 1}]}, [{"a": 1}]),
        ({"success": True, "data": [{"result": "CREATE TABLE"}]}, [{"result": "CREATE TABLE"}]),
        ({"success": True}, []),
        ({"data": []}, []),
    ],
)
def test_rows_in_every_format(body: object, rows: list[dict[str, object]]) -> None:
    assert Platform(answer(200, body)).api.sql("pod-1", "x") == rows


# --- discovery ---

LISTING = {"endpoints": ["POST /v1/project/{slug}/s3/upload", "DELETE /v1/project/{slug}/files/{name}"]}


def by_path(routes: dict[str, Handler]) -> Handler:
    return lambda request: routes.get(request.url.path, answer(404, {"error": "no such path"}))(request)


MOVED = by_path(
    {"/v1/project": answer(200, LISTING), "/v1/project/pod-1/s3/upload": answer(200, {"upload_url": "u"})}
)


def test_a_wrong_default_path_is_corrected_and_cached(cache: Path) -> None:
    platform = Platform(MOVED)
    for _ in range(2):
        assert platform.api.call(endpoints.CREATE_UPLOAD_URL, project="pod-1", body={}) == {"upload_url": "u"}
    assert platform.asked == [
        "POST /v1/project/pod-1/storage/upload",
        "GET /v1/project",
        "POST /v1/project/pod-1/s3/upload",
        "POST /v1/project/pod-1/s3/upload",
    ]
    [remembered] = cache.rglob("*.json")
    assert json.loads(remembered.read_text())["paths"]["storage upload URL"] == "/{id}/s3/upload"
    assert KEY not in remembered.read_text()

    later = Platform(MOVED)
    later.api.call(endpoints.CREATE_UPLOAD_URL, project="pod-1", body={})
    assert later.asked == ["POST /v1/project/pod-1/s3/upload"]


def test_405_is_corrected_too() -> None:
    platform = Platform(answer(405), answer(200, LISTING), answer(200, {"upload_url": "u"}))
    assert platform.api.call(endpoints.CREATE_UPLOAD_URL, project="pod-1", body={}) == {"upload_url": "u"}


def test_discovery_is_requested_once() -> None:
    platform = Platform(by_path({"/v1/project": answer(200, LISTING)}))
    for _ in range(3):
        with pytest.raises(errors.OperationUnknown, match="has no endpoint for: list storage"):
            platform.api.call(endpoints.LIST_STORAGE, project="pod-1")
    assert platform.asked.count("GET /v1/project") == 1


def test_concurrent_uploads_request_discovery_once() -> None:
    together = threading.Barrier(4, timeout=10)
    gate = threading.local()

    def moved(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/storage/upload") and not hasattr(gate, "passed"):
            gate.passed = True
            together.wait()  # all have been refused before any asks for the listing
        return MOVED(request)  # type: ignore[return-value]

    platform = Platform(moved)
    answers: list[object] = []

    def upload() -> None:
        answers.append(platform.api.call(endpoints.CREATE_UPLOAD_URL, project="pod-1", body={}))

    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [{"upload_url": "u"}] * 4
    assert platform.asked.count("GET /v1/project") == 1


@pytest.mark.parametrize("listing", [answer(500), answer(404), text(200, "<html>"), httpx.ReadError("x")])
def test_if_discovery_fails_the_first_error_is_raised(listing: Answer | Handler) -> None:
    def handle(request: httpx.Request) -> Answer:
        if request.url.path != "/v1/project":
            return httpx.Response(404, json={"error": "no such path"})
        return listing(request) if callable(listing) else listing

    with pytest.raises(errors.NotFound, match="no such path"):
        Platform(handle).api.call(endpoints.CREATE_UPLOAD_URL, project="pod-1", body={})


def test_documented_paths_are_never_corrected() -> None:
    platform = Platform(answer(404, {"error": "no project"}))
    with pytest.raises(errors.NotFound):
        platform.api.call(endpoints.LIST_STATIC_FILES, project="pod-1")
    assert len(platform.requests) == 1


def test_optional_operations_are_those_listed() -> None:
    platform = Platform(answer(200, LISTING))
    assert [
        platform.api.supports(o) for o in (endpoints.DELETE_STATIC_FILE, endpoints.DELETE_STORAGE_FILE)
    ] == [True, False]
    assert platform.asked == ["GET /v1/project"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"limits": {"static_file_bytes": 5}}, 5),
        ({"limits": {"static_file_bytes": "5"}}, 5),
        ({"limits": {"static_file_bytes": 0}}, None),
        ({"limits": {"static_file_bytes": "5 MB"}}, None),
        ({"limits": {"static_file_bytes": True}}, None),
        ({"limits": [5]}, None),
        ({"limits": {}}, None),
        ({}, None),
    ],
)
def test_limits_are_read_from_the_listing(limits: dict[str, object], expected: int | None) -> None:
    listed = json.loads(
        json.dumps(limits).replace('"static_file_bytes":', '"sql_request_bytes": 9, "static_file_bytes":')
    )
    platform = Platform(answer(200, {"endpoints": [], **listed}))
    assert platform.api.static_file_limit() == platform.api.static_file_limit() == expected
    assert platform.api.sql_request_limit() == (9 if "sql_request_bytes" in str(listed) else None)
    assert platform.asked == ["GET /v1/project"]


def test_a_platform_without_a_listing_has_no_optional_operations() -> None:
    assert not Platform(answer(404)).api.supports(endpoints.DELETE_STATIC_FILE)


def test_a_page_of_a_gateway_instead_of_the_listing_is_not_believed() -> None:
    """Else deletions and settings would be left out, for a day."""
    platform = Platform(text(200, "<html>Please wait</html>"), answer(200, LISTING))
    assert platform.api.supports(endpoints.DELETE_STATIC_FILE)
    assert platform.asked == ["GET /v1/project"] * 2


@pytest.mark.parametrize("listing", [text(200, "<html>Welcome</html>"), answer(404)])
def test_that_there_is_no_listing_is_remembered_for_this_run_only(listing: Handler) -> None:
    platform = Platform(listing)
    for _ in range(2):
        assert not platform.api.supports(endpoints.DELETE_STATIC_FILE)
    assert platform.asked.count("GET /v1/project") in (1, 5)
    assert discovery.read_cached_discovery(URL) is None


def test_an_old_or_damaged_cache_is_ignored(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = discovery.DiscoveredApi({"a": "/b"}, 7, 8)
    discovery.write_cached_discovery(URL, listed)
    assert discovery.read_cached_discovery(URL) == listed
    assert discovery.read_cached_discovery(URL + "/other") is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + discovery.CACHE_SECONDS + 60)
    assert discovery.read_cached_discovery(URL) is None
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    [remembered] = cache.rglob("*.json")
    for broken in ("{", "[]", "3", "{}", '{"paths": []}'):
        remembered.write_text(broken)
        assert discovery.read_cached_discovery(URL) is None


def test_a_cache_that_cannot_be_written_is_ignored(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    platform = Platform(MOVED)
    assert platform.api.call(endpoints.CREATE_UPLOAD_URL, project="pod-1", body={}) == {"upload_url": "u"}


# --- the API key ---


def everything_said(error: BaseException) -> str:
    """Everything that a traceback, a repr, a log or a JSON dump of `error` could show."""
    said = ["".join(traceback.format_exception(error)), repr(error), str(error), repr(error.args)]
    while error is not None:
        said.append(repr(vars(error)))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return "\n".join(said)


ECHOES = {
    "message": answer(400, {"error": f"bad key {KEY}"}),
    "401": answer(401, {"detail": f"{KEY} was rotated"}),
    "bare text": text(403, f"X-API-Key: {KEY}"),
    "sql facts": answer(400, {"error": {"message": KEY, "hint": KEY, "detail": f"d {KEY}", "code": "42601"}}),
    "request id": answer(500, {"error": "x", "request_id": KEY}),
    "header": answer(500, {"error": "x"}, **{"x-request-id": KEY}),
    "page": text(200, f"<html>{KEY}"),
    "at the cut of an excerpt": text(200, "x" * 195 + KEY),
    "odd rows": answer(200, {"neither": KEY}),
    "success false": answer(200, {"success": False, "message": KEY}),
    "gzip": lambda _: httpx.Response(
        400,
        headers={"Content-Encoding": "gzip"},
        content=gzip.compress(json.dumps({"error": KEY}).encode()),
    ),
    "connection": httpx.ConnectError("no route"),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_errors_do_not_contain_a_key_that_the_server_echoes(echo: Answer | Handler) -> None:
    with pytest.raises(errors.ApiError) as caught:
        Platform(echo).api.sql("pod-1", "SELECT 1")
    said = everything_said(caught.value)
    assert KEY not in said
    assert KEY[:8] not in said


def test_the_key_is_not_printed() -> None:
    api = Platform(answer()).api
    shown = [repr(api), str(api), repr(ApiKey(KEY)), f"{ApiKey(KEY)}", repr(vars(api))]
    assert not [text for text in shown if KEY in text]
    assert ApiKey(f" {KEY}\n").reveal() == KEY


@pytest.mark.parametrize("broken", ["mk_secret\nX: y", "mk_secret é", "mk_secret two", "mk_secret\0"])
def test_an_invalid_key_is_an_error_that_does_not_show_it(broken: str) -> None:
    with pytest.raises(errors.KeyInvalid) as caught:
        ApiKey(broken)
    assert "secret" not in str(caught.value) + repr(caught.value) + repr(caught.value.args)


def test_the_key_is_sent_only_to_the_api() -> None:
    platform = Platform(answer())
    platform.api.call(endpoints.LIST_PROJECTS)
    platform.api.fetch("https://pod-1.example/")
    platform.api.put_bytes("https://bucket.example/a?signature=x", b"abc", 3)
    assert [KEY in str(request.headers.multi_items()) for request in platform.requests] == [
        True,
        False,
        False,
    ]
    assert platform.requests[0].headers["x-api-key"] == KEY
    assert all(KEY not in str(request.url) for request in platform.requests)


def test_redirects_are_not_followed() -> None:
    platform = Platform(lambda _: httpx.Response(302, headers={"Location": "https://elsewhere.example"}))
    with pytest.raises(errors.ResponseInvalid):
        platform.api.call(endpoints.LIST_PROJECTS)
    assert platform.api.fetch("https://pod-1.example/").status_code == 302
    assert {request.url.host for request in platform.requests} == {"api.example", "pod-1.example"}


def test_traffic_and_error_of_an_upload() -> None:
    platform = Platform(answer())
    platform.api.put_bytes("https://bucket.example/a", iter([b"ab", b"c"]), 3)
    [request] = platform.requests
    assert (request.headers["content-length"], request.read()) == ("3", b"abc")
    assert "transfer-encoding" not in request.headers
    assert (platform.api.traffic.requests, platform.api.traffic.bytes_sent) == (1, 3)
    with pytest.raises(errors.Forbidden, match="expired"):
        Platform(text(403, "<Error>expired</Error>")).api.put_bytes("https://bucket.example/a", b"", 0)


# --- this machine ---


@pytest.mark.parametrize(
    ("url", "target", "headers"),
    [
        ("http://pod-1.localhost:8080/a?b", "http://127.0.0.1:8080/a?b", {"Host": "pod-1.localhost:8080"}),
        ("http://pod-1.localhost/", "http://127.0.0.1/", {"Host": "pod-1.localhost"}),
        ("http://localhost:1/", "http://localhost:1/", {}),
        ("https://pod-1.mosaic.site/", "https://pod-1.mosaic.site/", {}),
        ("https://localhost.example/", "https://localhost.example/", {}),
    ],
)
def test_names_below_localhost_connect_to_127_0_0_1(url: str, target: str, headers: dict[str, str]) -> None:
    assert loopback_target(url) == (target, headers)


def test_the_host_header_keeps_the_name() -> None:
    platform = Platform(answer(), url="http://127.0.0.1:8080")
    platform.api.fetch("http://pod-1.localhost:8080/page")
    [request] = platform.requests
    assert (request.url.host, request.url.port) == ("127.0.0.1", 8080)
    assert request.headers.get_list("host") == ["pod-1.localhost:8080"]


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://a.localhost", True),
        ("https://api.mosaic.site", False),
        ("http://127.0.0.1.evil.example", False),
    ],
)
def test_loopback(url: str, local: bool) -> None:
    assert is_loopback(url) is local


@pytest.mark.parametrize("name", ["a b.png", "é/🎉.png", "50%.png", "a?b#c.png", "{id}.png"])
def test_file_names_in_paths(name: str) -> None:
    platform = Platform(answer())
    platform.api.call(endpoints.DELETE_STORAGE_FILE, project="pod-1", filename=name)
    [request] = platform.requests
    assert request.url.path == f"/v1/project/pod-1/storage/{name}"
    assert not request.url.query


# --- errors of the platform and of gateways ---


def own(status: int, code: object, *, success: object = False) -> Handler:
    return answer(status, {"success": success, "error": {"code": code, "message": "no mail server answers"}})


def test_an_email_that_could_not_be_sent() -> None:
    platform = Platform(own(502, "email_not_sent"))
    with pytest.raises(errors.EmailNotSent, match=r"nothing was sent.*no mail server answers") as caught:
        platform.api.call(endpoints.SEND_MAGIC_LINK, project="pod-1", body={})
    assert caught.value.mutation_state == "none"
    assert "--smtp" in str(caught.value.hint)
    assert len(platform.requests) == 1


@pytest.mark.parametrize(
    "unsure",
    [
        own(502, "email_unconfirmed"),
        own(502, "email_not_sent", success=True),
        answer(502, {"error": {"code": "email_not_sent", "message": "no"}}),
        text(502, "<html>email_not_sent</html>"),
    ],
)
def test_an_email_with_unknown_outcome(unsure: Handler) -> None:
    with pytest.raises(errors.ServerFailed) as caught:
        Platform(unsure).api.call(endpoints.SEND_MAGIC_LINK, project="pod-1", body={})
    assert caught.value.mutation_state == "unknown"


@pytest.mark.parametrize("status", [502, 504])
@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("store_unavailable", "none"),
        ("Bad Gateway", "unknown"),
        ("", "unknown"),
        (502, "unknown"),
        (None, "unknown"),
    ],
)
def test_gateway_errors_have_unknown_effect(status: int, said: object, state: str) -> None:
    with pytest.raises(errors.ServerFailed) as caught:
        Platform(own(status, said)).api.call(endpoints.UPLOAD_STATIC_FILE, project="pod-1", body={})
    assert caught.value.mutation_state == state


def test_text_that_is_not_unicode_is_not_sent() -> None:
    platform = Platform(answer())
    with pytest.raises(errors.RequestRefused, match=r"POST wasn't sent: .*udcff") as caught:
        platform.api.sql("p", "select '\udcff'")
    assert (platform.requests, caught.value.mutation_state) == ([], "none")


def test_json_that_is_nested_too_deeply_is_no_json() -> None:
    platform = Platform(httpx.Response(200, content=b"[" * 100_000), answer(200, {"projects": []}))
    assert platform.api.call(endpoints.LIST_PROJECTS) == {"projects": []}

"""What an upload says when it is told to wait, or when a firewall refuses it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from mosaic_deploy.deploy.applying.transfers import transfer
from mosaic_deploy.errors import (
    ApiError,
    Forbidden,
    NotFound,
    RateLimited,
    RequestBlocked,
    RequestRefused,
    ResponseInvalid,
    ServerFailed,
    TransfersFailed,
)
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.upload import upload_static_file, upload_storage_file
from mosaic_deploy.model.change import PutStatic
from mosaic_deploy.model.event import ChangeFailed, ChangeStarted
from mosaic_deploy.model.snapshot import Object

PAGE = "<!DOCTYPE html><html><head><title>Request\n blocked &amp; logged</title></head><body><h1>403</h1>x</body></html>"
Respond = Callable[[httpx.Request], httpx.Response]


class Platform:
    """Answers a static upload and the PUT of a storage upload with `refusal`."""

    def __init__(self, refusal: Respond) -> None:
        self.refusal = refusal
        self.requests: list[str] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if request.method == "POST" and request.url.path.endswith("/storage/upload"):
            url = "https://bucket.example/a"
            return httpx.Response(200, json={"upload_url": url, "filename": "a", "expires_in": 300})
        return self.refusal(request)

    def upload(self, kind: str) -> ApiError:
        transport = httpx.MockTransport(self)
        with (
            Api("https://api.example", ApiKey("mk_1"), transport=transport, sleep=self.waits.append) as api,
            pytest.raises(ApiError) as caught,
        ):
            if kind == "static":
                upload_static_file(api, "p", "a.html", b"x")
            else:
                file = Object("a", hashlib.sha256(b"x").hexdigest(), 1)
                upload_storage_file(api, "p", file, lambda: iter([b"x"]), lambda _: None)
        return caught.value


def answer(status: int, body: str = "{}", **headers: str) -> Respond:
    return lambda _: httpx.Response(status, text=body, headers=headers)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("kind", ["static", "storage"])
@pytest.mark.parametrize("dated", [False, True])
def test_a_long_wait_is_told_and_not_waited_for(kind: str, dated: bool) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    platform = Platform(answer(429, **{"Retry-After": format_datetime(at, usegmt=True) if dated else "3600"}))
    error = platform.upload(kind)
    assert isinstance(error, RateLimited)
    assert 3590 < error.retry_after <= 3600
    wait = error.message.rpartition("; ")[2]
    assert wait.startswith(tuple(f"the platform asks to wait {each}" for each in ("1 h, until ", "59 min")))
    assert wait.endswith(" UTC")
    assert error.hint == "wait until then, then run the same command again; completed changes are kept"
    assert len(platform.requests) <= 2, "asked once"
    assert not platform.waits


def test_a_short_wait_is_waited_for() -> None:
    answers = iter([answer(429, **{"Retry-After": "2"}), answer(429, **{"Retry-After": "60"})])
    platform = Platform(lambda request: next(answers)(request))  # noqa: PLW0108 - another answer each time
    assert isinstance(platform.upload("static"), RateLimited)
    assert platform.waits[0] == 2.0


@pytest.mark.parametrize("kind", ["static", "storage"])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("absurd", ["99999999999", "9" * 30, "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_wait_is_an_error_without_a_date(kind: str, status: int, absurd: str) -> None:
    platform = Platform(answer(status, **{"Retry-After": absurd}))
    error = platform.upload(kind)
    assert isinstance(error, RateLimited | ServerFailed)
    assert "the platform asks to wait more than a year" in error.message
    assert platform.waits == []


def test_maintenance_with_a_long_wait_says_so() -> None:
    error = Platform(answer(503, '{"error": "maintenance"}', **{"Retry-After": "7200"})).upload("static")
    assert isinstance(error, ServerFailed)
    assert "maintenance (HTTP 503); the platform asks to wait 2 h, until " in error.message


@pytest.mark.parametrize("text", ["3600.5", "3600.", " 3600 "])
def test_a_wait_in_fractions_of_a_second_is_a_wait(text: str) -> None:
    platform = Platform(answer(429, **{"Retry-After": text}))
    error = platform.upload("static")
    assert error.retry_after in (3600.0, 3600.5)
    assert "the platform asks to wait 1 h, until " in error.message
    assert platform.waits == []


def test_a_platform_that_never_says_how_long_to_wait() -> None:
    error = Platform(answer(429, '{"error": "slow down"}')).upload("static")
    assert error.hint == "wait some minutes, then run the same command again; completed changes are kept"


@pytest.mark.parametrize("kind", ["static", "storage"])
@pytest.mark.parametrize(
    "body", ['{"success": false, "error": {"code": "disk_full", "message": "the disk is full"}}', "full"]
)
def test_a_full_disk_of_the_platform(kind: str, body: str) -> None:
    error = Platform(answer(507, body)).upload(kind)
    assert isinstance(error, ServerFailed)
    assert error.hint == (
        "free space on the platform's disk or get more, then run the same command again; completed changes are kept"
    )


def sql_error(refusal: Respond) -> tuple[Exception, Platform]:
    platform = Platform(refusal)
    transport = httpx.MockTransport(platform)
    with (
        Api("https://api.example", ApiKey("mk_1"), transport=transport, sleep=platform.waits.append) as api,
        pytest.raises(ApiError) as caught,
    ):
        api.sql("p", "SELECT 1")
    return caught.value, platform


def test_a_long_wait_comes_before_the_next_run() -> None:
    error, platform = sql_error(answer(503, '{"error": "maintenance"}', **{"Retry-After": "7200"}))
    assert error.hint == "wait until then; run the same command again; it first checks what is live"
    assert platform.waits == []


@pytest.mark.parametrize("status", [400, 403, 406, 407, 418, 422, 451])
def test_a_firewall_that_refuses_sql_is_not_postgresql(status: int) -> None:
    error, platform = sql_error(answer(status, PAGE))
    assert isinstance(error, RequestBlocked)
    assert "Request blocked & logged" in error.message
    assert len(platform.requests) == 1


@pytest.mark.parametrize("kind", ["static", "storage"])
@pytest.mark.parametrize("status", [403, 406, 451])
def test_a_firewalls_line_of_text(kind: str, status: int) -> None:
    platform = Platform(answer(status, "error code: 1020"))
    error = platform.upload(kind)
    assert isinstance(error, RequestBlocked)
    assert (
        "probably refused by a firewall or proxy in front of the platform: error code: 1020" in error.message
    )
    assert len([each for each in platform.requests if each.startswith("PUT") or "files" in each]) == 1


@pytest.mark.parametrize(("status", "kind"), [(413, RequestRefused), (404, NotFound), (429, RateLimited)])
def test_a_gateways_page_with_a_meaning_of_its_own(status: int, kind: type) -> None:
    error = Platform(answer(status, PAGE)).upload("static")
    assert type(error) is kind


def test_a_page_in_place_of_a_stored_file_is_no_success() -> None:
    error = Platform(answer(200, PAGE)).upload("storage")
    assert isinstance(error, RequestBlocked)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (answer(200, PAGE), "api.example answered 200 with a web page: Request blocked & logged"),
        (
            answer(302, "", Location="https://login.example/"),
            "api.example answered 302 with a redirect to https://login.example/",
        ),
    ],
)
def test_a_page_in_place_of_an_answer(response: Respond, said: str) -> None:
    error = Platform(response).upload("static")
    assert isinstance(error, ResponseInvalid)
    assert error.message == said
    assert (
        "a firewall, a proxy or a network's login page answered. Then run the same command again"
        in error.hint
    )


@pytest.mark.parametrize("kind", ["static", "storage"])
@pytest.mark.parametrize("status", [403, 406, 451])
def test_a_firewall_is_not_tried_again(kind: str, status: int) -> None:
    platform = Platform(answer(status, PAGE, **{"Content-Type": "text/html"}))
    error = platform.upload(kind)
    assert isinstance(error, RequestBlocked)
    name = "upload static file" if kind == "static" else "upload to storage"
    assert error.message == (
        f"{name}: refused by a firewall or proxy in front of the platform: Request blocked & logged (HTTP {status})"
    )
    assert not error.retryable
    assert error.hint
    assert error.hint.startswith("running it again won't help")
    assert not platform.waits
    assert len([each for each in platform.requests if each.startswith("PUT") or "files" in each]) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 410])
def test_an_expired_address_of_an_upload_is_renewed_once(status: int) -> None:
    platform = Platform(answer(status, "<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>"))
    error = platform.upload("storage")
    assert platform.requests.count("PUT /a") == 2
    assert isinstance(error, Forbidden | RequestRefused)
    assert "key was rejected" not in error.message, "the upload carries no key"
    assert f"(HTTP {status})" in error.message


def test_an_object_stores_xml_is_read() -> None:
    body = (
        '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Not &amp; never</Message><Key>a</Key>'
        "<RequestId>18FF8F73E06565C0</RequestId><HostId>G4Gd0coLmDcmC19wmK==</HostId></Error>"
    )
    error = Platform(answer(403, body)).upload("storage")
    assert error.message == "upload to storage: AccessDenied: Not & never (HTTP 403)"
    assert error.request_id == "18FF8F73E06565C0"


@pytest.mark.parametrize("status", [404, 411, 413])
def test_an_upload_that_is_refused_for_good_is_sent_once(status: int) -> None:
    platform = Platform(answer(status, "<Error/>"))
    platform.upload("storage")
    assert platform.requests.count("PUT /a") == 1


def test_a_gateway_page_is_named_by_its_title() -> None:
    error = Platform(answer(502, "<html><h1>Bad <b>gateway</b></h1><p>" + "x" * 5000)).upload("static")
    assert "x" * 20 not in error.message


# --- many files ---


def failing(error: ApiError) -> Iterator[object]:
    def send(_change: PutStatic, _report: object) -> None:
        raise error

    return transfer([PutStatic(f"{n}.png", "0" * 64, 1, "add", "new") for n in range(50)], send, 1)  # type: ignore[arg-type]


def outcome(error: ApiError) -> tuple[Exception, int]:
    started = 0
    try:
        for event in failing(error):
            started += isinstance(event, ChangeStarted)
            assert isinstance(event, ChangeStarted | ChangeFailed)
    except Exception as raised:
        return raised, started
    raise AssertionError


def test_a_long_wait_stops_the_other_files() -> None:
    limited = RateLimited("wait")
    limited.retry_after = 3600.0
    raised, started = outcome(limited)
    assert raised is limited
    assert started < 50


@pytest.mark.parametrize(("error", "retryable"), [(RequestBlocked("a"), False), (ServerFailed("b"), True)])
def test_files_that_never_pass_are_not_retryable(error: ApiError, retryable: bool) -> None:
    raised, _ = outcome(error)
    assert isinstance(raised, TransfersFailed)
    assert raised.retryable is retryable
    assert raised.hint
    assert raised.hint.startswith("run the same command again" if retryable else "fix what is listed")

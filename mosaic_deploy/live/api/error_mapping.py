"""Maps HTTP statuses and error bodies to errors.ApiError."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from mosaic_deploy import errors
from mosaic_deploy.live.api import responses
from mosaic_deploy.model.quantities import duration_text
from mosaic_deploy.sql.marker import MARKER

_YEAR = 366 * 86400.0
_KEY_REJECTED = "the API key was rejected: "
_RERUN_HINT = "then run the same command again; completed changes are kept"
_KEY_ROTATED_HINT = (
    "API keys rotate every 30 days; copy the current one from the dashboard, run `mosaic-deploy login` or set MOSAIC_API_KEY, "
    f"{_RERUN_HINT}"
)
_KEY_REPLACED_HINT = f"run `mosaic-deploy login` with the current key or set MOSAIC_API_KEY, {_RERUN_HINT}"
_EXPLAINS_KEY = re.compile(r"\b(rotat|expired|replaced|current (one|key))", re.IGNORECASE)
"""The platform's message explains the rotation itself, so the hint needn't."""
_SQLSTATE = re.compile(r"(?=[A-Z]*[0-9])[0-9A-Z]{5}")
_SQLSTATE_IN_TEXT = re.compile(r"\bSQLSTATE\W{0,4}([0-9A-Z]{5})\b")
_POSTGRESQL_WORDS = re.compile(
    r"\bSQLSTATE\b|\bERROR:|\bat or near \"|\bat end of input\b|\binvalid transaction termination\b"
    r"|\b(relation|column|schema|type|function|table|index|constraint|role|operator|extension)\b.* "
    r"(does not exist|already exists)\b|\bviolates .* constraint\b|\bpermission denied for\b"
    rf"|{re.escape(MARKER)}|\bcanceling statement due to\b|\bcannot run inside a transaction block\b"
    r"|\bdivision by zero\b|\bnull value in column\b|\binvalid input (syntax|value) for\b|\bvalue too long for type\b"
    r"|\bout of range\b.*\btype\b|\btype\b.*\bout of range\b|\b(integer|bigint|smallint) out of range\b"
    r"|\bmust be (owner|superuser|member)\b|\bdeadlock detected\b|\bcould not (create unique index|serialize access)\b"
    r"|\bother objects depend on it\b|\bcannot be cast\b|\bcannot be implemented\b|\bmissing FROM-clause entry\b"
    r"|\bmust appear in the GROUP BY\b|\bis ambiguous\b|\bis of type .* but expression is of type\b|\bis not a (table|view)\b"
    r"|\bno unique constraint matching\b|\bmore than one row returned\b|\bcurrent transaction is aborted\b"
    r"|\bcannot insert multiple commands into a prepared statement\b|\bread-only transaction\b"
)
"""Texts that only PostgreSQL writes: some platforms return them as plain text with status 500."""
MULTIPLE_COMMANDS_ERROR = "cannot insert multiple commands into a prepared statement"
"""PostgreSQL's error for several statements in one call, at endpoints that accept one."""
TRANSACTION_TIMEOUT_ERROR = "terminating connection due to transaction timeout"
"""PostgreSQL's error for `transaction_timeout`. It ends the connection, but it is known that nothing was committed."""
TRANSACTION_TIMEOUT = "25P04"
DISK_FULL = "53100"
DISK_FULL_HINT = "the database's disk is full, which isn't the SQL's fault; free space or get more, then run the same command again"
_CONNECTION_CLASS = "08"
_SESSION_ENDED = frozenset({"57P01", "57P02", "57P03", "57P05"})
"""Shutdown, crash, not accepting connections, idle too long. PostgreSQL ended the session, at an unknown point."""
_DEFECT_CODE = re.compile(r"internal|crash|server_error", re.IGNORECASE)
"""Codes of a platform that failed at an unknown point."""
_SERVER_CODE = re.compile(
    rf"{_DEFECT_CODE.pattern}|unavailable|time_?d?_?out|gateway|overload", re.IGNORECASE
)
"""Codes of a platform that failed itself."""
_STABLE_CODE = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")
_EMAIL_UNSENT_HINT = "check the platform's mail server (`--smtp`), then run the same command again"
_BLOCKED_HINT = (
    "running it again won't help: ask those who run the network or the platform, or change or exclude the "
    "content that it objects to"
)
_GAVE_UP = frozenset({408, 425, 499})
"""Statuses below 500 of a gateway that gave up on a request, which may have taken effect."""
_INSUFFICIENT_STORAGE = 507
_NOT_POSTGRESQL = frozenset({401, 403, 404, 405, 413, 429, 502, 503, 504}) | _GAVE_UP


ObjectHook = Callable[[dict[str, Any]], object]
"""json's object hook: replaces each object, to save memory for large responses."""


def parse_body(response: httpx.Response, object_hook: ObjectHook | None = None) -> Any:
    """The body's JSON; None for 204, and the text for an error without JSON.

    Raises ResponseInvalid for a success without JSON.
    """
    if response.status_code == 204:
        return None
    try:
        return response.json(object_hook=object_hook)
    except (ValueError, RecursionError):
        if response.status_code >= 400:
            return response.text
    host, status = response.request.url.host, response.status_code
    if responses.is_web_page(response.text):
        message = f"{host} answered {status} with a web page: {responses.page_title(response.text)}"
        raise errors.ResponseInvalid(message, hint=WEB_PAGE_HINT)
    if response.is_redirect:
        message = f"{host} answered {status} with a redirect to {response.headers.get('location')}"
        raise errors.ResponseInvalid(message, hint=WEB_PAGE_HINT)
    raise errors.ResponseInvalid(
        f"{host} answered {status} without JSON: {responses.excerpt(response.text)}",
        hint="check that MOSAIC_API_URL is the API's URL",
    )


WEB_PAGE_HINT = (
    "this is no answer of the platform: check that MOSAIC_API_URL is the API's URL; if it is, a firewall, a proxy or a "
    "network's login page answered"
)


def blocked_error(response: httpx.Response, operation: str) -> errors.RequestBlocked:
    """The error for a response of a firewall or proxy."""
    said = responses.excerpt(responses.parse_error_facts(response.text)["message"])
    refused = "refused" if responses.is_web_page(response.text) else "probably refused"
    return errors.RequestBlocked(
        f"{operation}: {refused} by a firewall or proxy in front of the platform: {said} (HTTP {response.status_code})",
        hint=_BLOCKED_HINT,
        status=response.status_code,
        request_id=response.headers.get("x-request-id"),
        operation=operation,
    )


def is_failure(response: httpx.Response, payload: object) -> bool:
    """Whether the response is an error: by its status, or `success: false` with any status."""
    return response.status_code >= 400 or (isinstance(payload, Mapping) and payload.get("success") is False)


def is_platform_error(payload: object) -> bool:
    """Whether the platform itself refused, and knows that it did nothing: `success: false` with a code that says why."""
    error = payload.get("error") if isinstance(payload, Mapping) and payload.get("success") is False else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return isinstance(code, str) and bool(_STABLE_CODE.fullmatch(code)) and not _DEFECT_CODE.search(code)


def is_server_failure(response: httpx.Response, payload: object, *, sql: bool = False) -> bool:
    """Whether the server failed, so the request may have taken effect or not. PostgreSQL's refusal isn't one."""
    if not is_failure(response, payload) or (sql and is_sql_error(response)):
        return False
    facts = responses.parse_error_facts(payload)
    status = response.status_code
    return status >= 500 or status in _GAVE_UP or _reports_server_failure(status, facts)


def _reports_server_failure(status: int, facts: Mapping[str, Any]) -> bool:
    """Whether an error says that the server failed, or lost its connection to PostgreSQL."""
    sqlstate = _sqlstate(facts)
    if sqlstate:
        return sqlstate.startswith(_CONNECTION_CLASS) or sqlstate in _SESSION_ENDED
    code = facts.get("code")
    return (status < 400 or status >= 500) and isinstance(code, str) and bool(_SERVER_CODE.search(code))


def is_sql_error(response: httpx.Response) -> bool:
    """Whether PostgreSQL refused the statement, so nothing of it took effect.

    Platforms return that with 400, 422, 500 or even 200. Of a 500 only a SQLSTATE or PostgreSQL's words prove it.
    """
    if responses.is_from_firewall(response):
        return False
    facts = responses.parse_error_facts(parse_body(response))
    if TRANSACTION_TIMEOUT_ERROR in facts["message"]:
        return True
    if response.status_code in _NOT_POSTGRESQL:
        return False
    if _reports_server_failure(response.status_code, facts):
        return False
    if _sqlstate(facts) or _POSTGRESQL_WORDS.search(facts["message"]):
        return True
    return response.status_code in (200, 400, 422)


def error_from_response(response: httpx.Response, operation: str, *, sql: bool = False) -> errors.ApiError:
    """The error for `response`. With `sql`, PostgreSQL's errors become SqlFailed."""
    payload = parse_body(response)
    facts = responses.parse_error_facts(payload)
    request_id = facts.get("request_id") or response.headers.get("x-request-id")
    common: errors.ApiErrorFields = {
        "status": response.status_code,
        "request_id": str(request_id) if request_id else None,
        "operation": operation,
    }
    if sql and is_sql_error(response):
        return _sql_failed(facts, common)
    if is_platform_error(payload) and facts.get("code") == errors.EmailNotSent.code:
        message = f"{operation}: nothing was sent or counted against the limit: {facts['message']}"
        unsent: errors.ApiErrorFields = {**common, "hint": _EMAIL_UNSENT_HINT}
        return errors.EmailNotSent(message, **unsent)
    if response.status_code >= 400 and responses.is_from_firewall(response):
        return blocked_error(response, operation)
    message = facts["message"] or response.reason_phrase
    failed = is_server_failure(response, payload)
    error = _server_failed(message, common) if failed else _error_for_status(message, common)
    if isinstance(error, errors.RequestRefused):
        error.over_quota = str(facts.get("code")).endswith("_quota_exceeded")
    return _with_wait(error, responses.retry_after(response.headers))


ASK_OPERATOR_HINT = "ask those who run the platform"


def _with_wait(error: errors.ApiError, seconds: float) -> errors.ApiError:
    """`error`, saying how long the platform asks to wait."""
    if seconds and isinstance(error, errors.RateLimited | errors.ServerFailed):
        error.retry_after = seconds
        if seconds > _YEAR:
            error.message = f"{error.message}; the platform asks to wait more than a year"
            error.hint = ASK_OPERATOR_HINT
            return error
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        wait = duration_text(round(seconds))
        error.message = f"{error.message}; the platform asks to wait {wait}, until {until:%Y-%m-%d %H:%M} UTC"
        error.hint = f"wait until then, {_RERUN_HINT}"
    return error


def as_rate_limited(error: errors.ApiError) -> errors.RateLimited:
    """The same error as RateLimited, also for 503: a file that has to wait hasn't failed."""
    limited = errors.RateLimited(
        error.message,
        status=error.status,
        request_id=error.request_id,
        operation=error.operation,
        hint=error.hint,
    )
    limited.retry_after = error.retry_after
    return limited


def without_key(error: errors.ApiError) -> errors.ApiError:
    """The error of a request that doesn't carry the key: its 401 says nothing about it."""
    if not isinstance(error, errors.Unauthorized):
        return error
    message = f"{error.operation}: {error.message.removeprefix(_KEY_REJECTED)} (HTTP {error.status})"
    return errors.Forbidden(
        message, status=error.status, request_id=error.request_id, operation=error.operation
    )


def _error_for_status(message: str, common: errors.ApiErrorFields) -> errors.ApiError:
    status = common["status"] or 0
    if status == 401:
        rotated: errors.ApiErrorFields = {
            **common,
            "hint": _KEY_REPLACED_HINT if _EXPLAINS_KEY.search(message) else _KEY_ROTATED_HINT,
        }
        return errors.Unauthorized(f"{_KEY_REJECTED}{message}", **rotated)
    if status == 404 and not common.get("hint"):
        common = {**common, "hint": "check that MOSAIC_API_URL is the API's URL without a path"}
    by_status: dict[int, type[errors.ApiError]] = {
        403: errors.Forbidden,
        404: errors.NotFound,
        429: errors.RateLimited,
    }
    if status == 429:
        common = {**common, "hint": f"wait some minutes, {_RERUN_HINT}"}
    kind = by_status.get(status, errors.RequestRefused)
    return kind(f"{common['operation']}: {message} (HTTP {status})", **common)


PLATFORM_FULL_HINT = f"free space on the platform's disk or get more, {_RERUN_HINT}"


def _server_failed(message: str, common: errors.ApiErrorFields) -> errors.ServerFailed:
    if common["status"] == _INSUFFICIENT_STORAGE:
        common = {**common, "hint": PLATFORM_FULL_HINT}
    return errors.ServerFailed(f"{common['operation']}: {message} (HTTP {common['status']})", **common)


def is_disk_full(sqlstate: str | None, message: str) -> bool:
    """PostgreSQL reports it as DISK_FULL, or as an I/O error with the system's text."""
    return sqlstate == DISK_FULL or "No space left on device" in message


def _sql_failed(facts: Mapping[str, Any], common: errors.ApiErrorFields) -> errors.SqlFailed:
    position = str(facts.get("position") or "")
    detail = _text(facts.get("detail"))
    if is_disk_full(_sqlstate(facts), facts["message"]):
        common = {**common, "hint": DISK_FULL_HINT}
    return errors.SqlFailed(
        facts["message"],
        sqlstate=_sqlstate(facts),
        detail=detail if detail != facts["message"] else None,
        pg_hint=_text(facts.get("hint")),
        position=int(position) if position.isdecimal() else None,
        context=_text(facts.get("where") or facts.get("context")) or "",
        notices=facts.get("notices"),
        **common,
    )


def _sqlstate(facts: Mapping[str, Any]) -> str | None:
    """The SQLSTATE in an error's facts. The platform's own codes (`internal_error`) don't count."""
    for code in (facts.get("sqlstate"), facts.get("code")):
        if isinstance(code, str) and _SQLSTATE.fullmatch(code):
            return code
    if TRANSACTION_TIMEOUT_ERROR in facts["message"]:
        return TRANSACTION_TIMEOUT
    match = _SQLSTATE_IN_TEXT.search(facts["message"])
    return match.group(1) if match else None


def _text(value: object) -> str | None:
    return str(value) if value else None

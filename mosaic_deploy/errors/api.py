"""Errors of API requests, SQL queries, projects and API keys."""

from __future__ import annotations

from typing import Unpack

from mosaic_deploy.errors.base import ApiErrorFields, ErrorFields, MosaicError


class KeyMissing(MosaicError):
    """No API key is set, and --local isn't given."""

    code = "key_missing"


class ApiError(MosaicError):
    """An API request failed. `status` is the HTTP status, None if there was no response."""

    code = "api_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        operation: str | None = None,
        **facts: Unpack[ErrorFields],
    ) -> None:
        super().__init__(message, **facts)
        self.status = status
        self.request_id = request_id
        self.operation = operation
        self.retry_after = 0.0
        """Seconds that the platform asks to wait, 0 if it didn't say."""


class Unauthorized(ApiError):
    """The API rejected the key (HTTP 401): it is wrong or was rotated."""

    code = "unauthorized"


class Forbidden(ApiError):
    """The API key doesn't allow this (HTTP 403)."""

    code = "forbidden"


class RequestBlocked(ApiError):
    """A firewall or proxy in front of the API refused a request: its answer is a web page, not the API's."""

    code = "request_blocked"


class NotFound(ApiError):
    """The API has nothing at this URL (HTTP 404)."""

    code = "not_found"


class RequestRefused(ApiError):
    """The API rejected the request (another HTTP 4xx, or `success: false`)."""

    code = "request_refused"
    over_quota = False
    """The project has used up a limit. Some platforms report that with HTTP 413, too."""

    @property
    def too_large(self) -> bool:
        """Whether the request or its result is larger than the platform accepts."""
        return self.status == 413 and not self.over_quota


class RateLimited(ApiError):
    """The API is still rate limiting (HTTP 429) after all retries."""

    code = "rate_limited"
    retryable = True


class ServerFailed(ApiError):
    """The API still fails (HTTP 5xx) after all retries."""

    code = "server_failed"
    retryable = True


class EmailNotSent(ApiError):
    """The platform couldn't hand an email to its mail server."""

    code = "email_not_sent"
    retryable = True


class Unreachable(ApiError):
    """Can't connect to the API."""

    code = "unreachable"
    retryable = True


class ResponseLost(ApiError):
    """A request was sent, but no response arrived."""

    code = "response_lost"
    retryable = True


class ResponseInvalid(ApiError):
    """The API's response can't be read, or the stored content differs from what was sent."""

    code = "response_invalid"


class SqlFailed(ApiError):
    """PostgreSQL rejected a statement.

    `position` counts characters from 1 in the query as sent; `context` are the functions and lines that led there,
    `calls` the same as lines for people, `raw_notices` what PostgreSQL reported before, as the response has it.
    """

    code = "sql_failed"

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        pg_hint: str | None = None,
        position: int | None = None,
        context: str = "",
        notices: object = None,
        **facts: Unpack[ApiErrorFields],
    ) -> None:
        super().__init__(message, **facts)
        self.sqlstate = sqlstate
        self.detail = detail
        self.pg_hint = pg_hint
        self.position = position
        self.context = context
        self.raw_notices = notices
        self.calls: tuple[str, ...] = ()


class SqlNotReadOnly(MosaicError):
    """The query isn't read-only."""

    code = "sql_not_read_only"


class OperationUnknown(MosaicError):
    """The platform doesn't offer a required operation."""

    code = "operation_unknown"


class ProjectAmbiguous(MosaicError):
    """Several projects have this name."""

    code = "project_ambiguous"


class ProjectNotFound(MosaicError):
    """The account has no project with this ID."""

    code = "project_not_found"


class ProjectExists(MosaicError):
    """The account already has a project with this name."""

    code = "project_exists"


class ProjectNotReady(MosaicError):
    """The project is still being provisioned after five minutes."""

    code = "project_not_ready"
    retryable = True


class KeyInvalid(MosaicError):
    """The API key contains a space, a line break or another invalid character. Nothing was sent."""

    code = "key_invalid"


class KeyStoreFailed(MosaicError):
    """The keyring or the file of saved keys can't be read or written."""

    code = "key_store_failed"


class ApiUrlInvalid(ApiError):
    """MOSAIC_API_URL isn't a usable URL, or would expose the API key. Nothing was sent."""

    code = "api_url_invalid"


class ApiUrlUntrusted(ApiError):
    """API address and key don't belong together: one is from `.env`, the other isn't. Nothing was sent."""

    code = "api_url_untrusted"


class ProxyInvalid(ApiError):
    """A proxy in the environment (HTTPS_PROXY, ALL_PROXY, …) can't be used. Nothing was sent."""

    code = "proxy_invalid"


class CertificatesInvalid(ApiError):
    """A TLS certificate isn't trusted, or SSL_CERT_FILE can't be read. Nothing was sent."""

    code = "certificates_invalid"


class SqlInvalid(MosaicError):
    """The SQL has a syntax error. Nothing was sent."""

    code = "sql_invalid"


class ResultTooLarge(MosaicError):
    """A single row is larger than a response may be."""

    code = "result_too_large"

"""Errors of the API, of its SQL endpoint, and of projects and keys."""

from __future__ import annotations

from typing import Unpack

from mosaic_deploy.errors.base import ApiErrorFields, ErrorFields, MosaicError


class KeyMissing(MosaicError):
    """No API key and not --local."""

    code = "key_missing"


class ApiError(MosaicError):
    """The API said no, or nothing. `status` is the HTTP status, None where no answer came."""

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


class Unauthorized(ApiError):
    """401: the key is wrong or was rotated."""

    code = "unauthorized"


class Forbidden(ApiError):
    """403: the key may not do that."""

    code = "forbidden"


class NotFound(ApiError):
    """404: the API has no such thing."""

    code = "not_found"


class RequestRefused(ApiError):
    """Any other 4xx, or `success: false`."""

    code = "request_refused"


class RateLimited(ApiError):
    """429, after the retries."""

    code = "rate_limited"
    retryable = True


class ServerFailed(ApiError):
    """5xx, after the retries."""

    code = "server_failed"
    retryable = True


class EmailNotSent(ApiError):
    """The platform's mail server didn't take a mail."""

    code = "email_not_sent"
    retryable = True


class Unreachable(ApiError):
    """No connection could be made."""

    code = "unreachable"
    retryable = True


class ResponseLost(ApiError):
    """Sent, but no answer came."""

    code = "response_lost"
    retryable = True


class ResponseInvalid(ApiError):
    """An answer that can't be understood."""

    code = "response_invalid"


class SqlFailed(ApiError):
    """PostgreSQL's answer to a statement. `position` counts characters from 1 in the query that was sent."""

    code = "sql_failed"

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        pg_hint: str | None = None,
        position: int | None = None,
        **facts: Unpack[ApiErrorFields],
    ) -> None:
        super().__init__(message, **facts)
        self.sqlstate = sqlstate
        self.detail = detail
        self.pg_hint = pg_hint
        self.position = position


class SqlNotReadOnly(MosaicError):
    """A query that may only read, and would write."""

    code = "sql_not_read_only"


class OperationUnknown(MosaicError):
    """The platform doesn't list an operation that is needed."""

    code = "operation_unknown"


class ProjectAmbiguous(MosaicError):
    """Two projects of one name."""

    code = "project_ambiguous"


class ProjectNotFound(MosaicError):
    """The id given isn't one of this account's."""

    code = "project_not_found"


class ProjectExists(MosaicError):
    """There is one of the name already."""

    code = "project_exists"


class ProjectNotReady(MosaicError):
    """Still provisioning when the wait ended."""

    code = "project_not_ready"
    retryable = True


class KeyInvalid(MosaicError):
    """The API key contains characters that no key has. Nothing was sent."""

    code = "key_invalid"


class KeyStoreFailed(MosaicError):
    """The keyring or the file of saved keys can't be read or written."""

    code = "key_store_failed"


class ApiUrlInvalid(ApiError):
    """MOSAIC_API_URL can't be used, or would expose the key. Nothing was sent."""

    code = "api_url_invalid"


class SqlInvalid(MosaicError):
    """The text isn't SQL. Nothing was sent."""

    code = "sql_invalid"


class ResultTooLarge(MosaicError):
    """The first row of a query is larger than a response may be."""

    code = "result_too_large"

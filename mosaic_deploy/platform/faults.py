"""The platform's errors: `Fault` for HTTP responses, `ProcessFault` for commands."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any


class Fault(Exception):
    """An error response: HTTP status, stable snake_case code, message for people.

    `details` are added to the `error` object, `headers` to the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def document(self, request_id: str) -> dict[str, Any]:
        """The JSON body of the error response."""
        error = {"code": self.code, "message": self.message, **self.details}
        return {"success": False, "error": error, "request_id": request_id}


class ProcessFault(Exception):
    """A command that failed; printed as one JSON document, with exit code 1."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def document(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


def fault_from_os_error(error: OSError) -> ProcessFault:
    where = f" ({error.filename})" if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ProcessFault("disk_full", f"the disk is full{where}", "free up about 200 MB of disk space")
    if error.errno == errno.EROFS:
        return ProcessFault("home_not_writable", f"{reason}{where}", "set MOSAIC_HOME to a folder you own")
    return ProcessFault("system_refused", f"operating system error: {reason}{where}")

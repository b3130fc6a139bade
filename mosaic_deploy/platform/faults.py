"""What the platform can answer when something is wrong: one value, in HTTP and in the process contract."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any


class Fault(Exception):
    """An answer that is an error: HTTP status, stable snake_case code, message for a human.

    `details` are further members of the `error` object; `headers` go on the HTTP response.
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
        """The JSON body of every error the API answers."""
        error = {"code": self.code, "message": self.message, **self.details}
        return {"success": False, "error": error, "request_id": request_id}


class ProcessFault(Exception):
    """A start, stop or reset that can't be done; printed as one JSON document, exit code 1."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def document(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


def fault_from_os_error(error: OSError) -> ProcessFault:
    """What the operating system didn't allow, as a person can act on it."""
    where = f" ({error.filename})" if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ProcessFault(
            "disk_full", f"the disk is full{where}", "free some space; about 200 MB are needed"
        )
    if error.errno == errno.EROFS:
        return ProcessFault("home_not_writable", f"{reason}{where}", "set MOSAIC_HOME to a folder you own")
    return ProcessFault("system_refused", f"the system refused: {reason}{where}")

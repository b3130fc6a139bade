"""The platform's log: one JSON object per line, in a file that is rotated at `MAX_BYTES`.

Every line has `time`, `level` and `event`. A request's line has the ID that its response has in `X-Request-Id`.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.http.request_journal import RequestRecord

LOG_FILE = "platform.log"
MAX_BYTES = 5_000_000
BACKUP_COUNT = 3

_QUIET_ROUTES = ("/healthz", "/metrics", "/dev/{project_id}", "/dev/{project_id}/draft")

_requests = logging.getLogger("mosaic_deploy.platform.requests")


def configure(folder: Path | None) -> None:
    """Log to `platform.log` in `folder`, or to stderr if None."""
    handler: logging.Handler = (
        logging.StreamHandler(sys.stderr) if folder is None else RotatingLogFile(folder / LOG_FILE)
    )
    handler.setFormatter(JsonLineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Errors of logging itself would be written to the same, possibly full, disk.
    logging.raiseExceptions = False


def log_request(request_record: RequestRecord) -> None:
    fields = {
        "request_id": request_record.request_id,
        "method": request_record.method,
        "path": request_record.path,
        "route": request_record.route,
        "status": request_record.status,
        "ms": round(request_record.milliseconds, 1),
        "client": request_record.client,
        **({"project": request_record.project_id} if request_record.project_id else {}),
        **({"cut_off": True} if request_record.cut_off else {}),
    }
    # Every few seconds: from each load balancer, and the heartbeats of `dev`.
    level = (
        logging.DEBUG
        if request_record.route in _QUIET_ROUTES and request_record.status == 200
        else logging.INFO
    )
    _requests.log(
        level,
        "%s %s %d",
        request_record.method,
        request_record.path,
        request_record.status,
        extra={"fields": fields},
    )


class JsonLineFormatter(logging.Formatter):
    """Formats a record as ASCII JSON, so no path or message can forge another line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": "request" if record.name == _requests.name and fields else record.name,
            **({} if fields else {"message": record.getMessage()}),
            **fields,
        }
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


class RotatingLogFile(logging.handlers.RotatingFileHandler):
    """A log file that takes stderr along on rotation if stderr goes to the same file, so crash output is kept."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=BACKUP_COUNT, encoding="utf-8")
        self._with_stderr = os.path.sameopenfile(self._file_descriptor(), 2)

    def _open(self) -> Any:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(handle, "a", encoding="utf-8")

    def doRollover(self) -> None:  # noqa: N802 (the standard library's name)
        super().doRollover()
        if self._with_stderr:
            for number in (1, 2):
                os.dup2(self._file_descriptor(), number)

    def _file_descriptor(self) -> int:
        assert self.stream is not None
        return self.stream.fileno()

"""Which lines of the embedded platform's log are shown."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
_SERIOUS = ("critical", "fatal")
_HEARTBEATS = re.compile(r"/dev/[^/]+(?:/draft)?")
"""Paths that `dev` calls every few seconds."""
_STATUS = re.compile(r"(?P<whole>[1-5])xx|(?P<low>\d{3})(?:-(?P<high>\d{3}))?")
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

StatusRanges = tuple[tuple[int, int], ...]
"""Pairs of the first and the last status."""


def parse_statuses(text: str) -> StatusRanges:
    """`404`, `4xx`, `400-499`, or several with commas. Raises ValueError."""
    ranges = []
    for part in text.lower().split(","):
        found = _STATUS.fullmatch(part.strip())
        if not found:
            raise ValueError(f"{part.strip()!r} isn't a status such as 404, 4xx or 400-599")
        low = int(found["whole"] or 0) * 100 or int(found["low"])
        high = low + 99 if found["whole"] else int(found["high"] or low)
        if high < low:
            raise ValueError(f"{part.strip()!r} must begin with its smaller number")
        ranges.append((low, high))
    return tuple(ranges)


def parse_since(text: str, now: float) -> float:
    """The time, in seconds since 1970, of `10m` before `now`, or of an ISO time. Raises ValueError."""
    if found := _AGE.fullmatch(text.strip()):
        return now - float(found[1]) * _SECONDS[found[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is neither an age such as 10m nor an ISO time") from None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What a line must be; None for anything. Lines that aren't JSON, such as a traceback, have no fields.

    `since` is in seconds since 1970. Without `everything` the successful heartbeats of `dev` are left out.
    """

    project: str | None = None
    statuses: StatusRanges | None = None
    method: str | None = None
    path: str | None = None
    since: float | None = None
    level: str | None = None
    text: str | None = None
    everything: bool = False

    def accepts(self, line: str) -> bool:
        entry = _entry(line)
        if not self.everything and _is_heartbeat(entry):
            return False
        return (
            (self.text is None or self.text in line) and self._fits_request(entry) and self._fits_event(entry)
        )

    def _fits_request(self, entry: dict[str, Any]) -> bool:
        path, status = str(entry.get("path", "")), entry.get("status")
        return (
            (
                self.project is None
                or entry.get("project") == self.project
                or f"/{self.project}/" in f"{path}/"
            )
            and (
                self.statuses is None
                or (isinstance(status, int) and any(low <= status <= high for low, high in self.statuses))
            )
            and (self.method is None or str(entry.get("method", "")).upper() == self.method.upper())
            and (self.path is None or ("path" in entry and fnmatchcase(path, self.path)))
        )

    def _fits_event(self, entry: dict[str, Any]) -> bool:
        # A traceback has no time of its own, and is kept.
        if self.since is not None and entry and _time(entry) < self.since:
            return False
        return self.level is None or _severity(entry) >= LEVELS.index(self.level)


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _is_heartbeat(entry: dict[str, Any]) -> bool:
    path, status = str(entry.get("path", "")), entry.get("status")
    return bool(_HEARTBEATS.fullmatch(path)) and isinstance(status, int) and 0 < status < 400


def _severity(entry: dict[str, Any]) -> int:
    """The index in LEVELS. What the platform didn't write itself is a crash's output."""
    status = entry.get("status")
    if not entry or (isinstance(status, int) and status >= 500) or entry.get("level") in _SERIOUS:
        return LEVELS.index("error")
    level = entry.get("level")
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")


def _time(entry: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(entry.get("time"))).timestamp()
    except ValueError:
        return 0.0

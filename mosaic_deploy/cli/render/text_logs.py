"""A line of the embedded platform's log, for people."""

from __future__ import annotations

import json
from typing import Any


def log_line(line: str) -> str:
    """One line, or several where an error came with its trace. What isn't ours stays as it is."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "time" not in entry:
        return line
    shown = _request(entry) if entry.get("event") == "request" else _event(entry)
    trace = f"\n{entry['error']}" if entry.get("error") else ""
    return f"{str(entry['time'])[:23].replace('T', ' ')} {shown}{trace}"


def _request(entry: dict[str, Any]) -> str:
    path = ascii(str(entry.get("path", "")))[1:-1]
    return (
        f"{entry.get('status', '')!s:>3} {entry.get('ms', '')!s:>8} ms  {entry.get('method', '')} {path}"
        f"  ({entry.get('request_id', '')})"
    )


def _event(entry: dict[str, Any]) -> str:
    asked = f" ({entry['request_id']})" if entry.get("request_id") else ""
    return f"{entry.get('level', '')} {entry.get('event', '')}: {entry.get('message', '')}{asked}"

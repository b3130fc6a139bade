"""Parses the API's responses, tolerantly: every format in the platform's guides, and similar ones."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import urljoin

import httpx

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.model.event import SqlNotice
from mosaic_deploy.model.snapshot import Project, StorageUsage

_NOT_BLOCKED = frozenset({401, 404, 408, 413, 414, 425, 429, 431, 499})
"""Statuses below 500 that say the same whether the platform or a gateway sends them."""
_TEXT_BLOCKED = frozenset({403, 406, 451})
"""Statuses that firewalls also send with a line of plain text."""
_WRAPPERS = ("data", "rows", "result", "results")


class Row(dict[str, Any]):
    """The values of a row by column. A column that the endpoint left out raises ResponseInvalid."""

    def __missing__(self, column: str) -> Any:
        raise ResponseInvalid(f"the SQL endpoint's response has no column {column}: {excerpt(self)}")


Notices = tuple[SqlNotice, ...] | None
"""None if the platform doesn't return notices, so they are lost."""


class SqlResult(NamedTuple):
    """A `/sql` response."""

    rows: list[Row]
    notices: Notices


def parse_sql_result(payload: object) -> SqlResult:
    """Rows and notices of a `/sql` response. Raises ResponseInvalid."""
    return SqlResult(parse_rows(payload), parse_notices(payload))


def parse_notices(payload: object) -> Notices:
    """What PostgreSQL reported, under `notices` of a response or an error; objects or texts."""
    found = payload.get("notices") if isinstance(payload, Mapping) else None
    if not isinstance(found, list):
        return None
    return tuple(_parse_notice(item) for item in found)


def _parse_notice(item: object) -> SqlNotice:
    if not isinstance(item, Mapping):
        return SqlNotice("NOTICE", str(item))
    detail, hint = (str(item[key]) if item.get(key) else None for key in ("detail", "hint"))
    return SqlNotice(str(item.get("severity") or "NOTICE"), str(item.get("message") or ""), detail, hint)


def parse_rows(payload: object) -> list[Row]:
    """The rows of a `/sql` response, under `rows`, `data` or `result`. Raises ResponseInvalid."""
    if isinstance(payload, Mapping):
        for name in ("rows", "data", "result"):
            found = payload.get(name)
            if isinstance(found, list):
                return [Row(row) for row in found if isinstance(row, dict)]
        if payload.get("success") is True:
            return []
    raise ResponseInvalid(f"the SQL endpoint's response has neither rows nor data: {excerpt(payload)}")


def parse_project(item: object) -> Project:
    """A project, its ID from `project_id`, `slug` or `id`. Raises ResponseInvalid."""
    if isinstance(item, Mapping):
        inner = item.get("project") or item.get("data")
        if isinstance(inner, Mapping):
            return parse_project(inner)
        found = item.get("project_id") or item.get("slug") or item.get("id")
        if found:
            texts = {key: str(item.get(key) or "") for key in ("name", "url", "status")}
            return Project(str(found), texts["name"], texts["url"].rstrip("/"), texts["status"] or "running")
    raise ResponseInvalid(f"expected a project with an ID: {excerpt(item)}")


def parse_projects(payload: object) -> list[Project]:
    """The projects of a listing: the list itself, or under `projects` or `data`."""
    return [parse_project(item) for item in _find_items(payload, "projects")]


_CONTAINER_TYPES = frozenset({list, dict})
"""A file's entry has no value of these types; the objects around the entries have."""


class ListedFile(NamedTuple):
    """One file of a listing. A dict would take three times as much memory."""

    name: str
    size_and_url: tuple[int | None, str]
    """Size in bytes (None if not listed) and URL."""


def shorten_file(item: dict[str, Any]) -> object:
    """JSON object hook: a file's entry becomes a ListedFile, any other object is returned unchanged."""
    return (_parse_file(item) or item) if _CONTAINER_TYPES.isdisjoint(map(type, item.values())) else item


def _parse_file(item: Mapping[str, Any]) -> ListedFile | None:
    name = item.get("filename") or item.get("name") or item.get("key") or item.get("path")
    if not isinstance(name, str):
        return None
    return ListedFile(name.removeprefix("/"), (_parse_size(item.get("size")), str(item.get("url") or "")))


def shorten_file_size(item: dict[str, Any]) -> object:
    """As `shorten_file`, without the URL."""
    item.pop("url", None)
    return shorten_file(item)


def parse_files(payload: object) -> dict[str, tuple[int | None, str]]:
    """Filename → (size in bytes or None, URL), from a list, or one under `files`, `objects` or `data`."""
    listed: dict[str, tuple[int | None, str]] = {}
    for item in _find_items(payload, "files", "objects"):
        if isinstance(item, str):
            listed[item] = (None, "")
            continue
        found = _parse_file(item) if isinstance(item, Mapping) else item
        if isinstance(found, ListedFile):
            listed[found.name] = found.size_and_url
    return listed


def parse_usage(payload: object) -> StorageUsage | None:
    """Storage used and allowed, from a listing's `usage`; None if it has none."""
    found = payload.get("usage") if isinstance(payload, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    used, limit = _parse_size(found.get("used_bytes")), _parse_size(found.get("limit_bytes"))
    if used is not None and limit is not None:
        return StorageUsage(used, limit)
    used, limit = _parse_size_text(found.get("used")), _parse_size_text(found.get("limit"))
    return StorageUsage(used, limit, exact=False) if used is not None and limit is not None else None


_SIZE_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGTP]?)i?B")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


def _parse_size_text(text: object) -> int | None:
    """Bytes from `1.2 GB`, read as decimal units."""
    match = _SIZE_TEXT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return _parse_size(text)
    return round(float(match[1]) * _UNITS[match[2].upper()])


def parse_uploaded_size(payload: object) -> int | None:
    """The `size` in an upload's response, in bytes."""
    return _parse_size(payload.get("size")) if isinstance(payload, Mapping) else None


def parse_limit(listing: object, name: str) -> int | None:
    """A limit in bytes (`static_file_bytes`, `sql_request_bytes`) from the endpoint listing; None if not listed."""
    limits = listing.get("limits") if isinstance(listing, Mapping) else None
    return (_parse_size(limits.get(name)) or None) if isinstance(limits, Mapping) else None


def parse_error_facts(body: object) -> dict[str, Any]:
    """`message`, `request_id` and PostgreSQL's fields from an error body (`error`, `message` or `detail`)."""
    if not isinstance(body, Mapping):
        text = str(body or "").strip()
        if is_web_page(text):
            return {"message": page_title(text)}
        return _parse_xml_error(text) or {"message": text}
    inner = body.get("error")
    nested = next((body[key] for key in ("error", "detail") if isinstance(body.get(key), Mapping)), body)
    facts = dict(nested)
    message = facts.get("message") or (inner if isinstance(inner, str) else None) or facts.get("detail")
    text = message if isinstance(message, str) else json.dumps(message or body)
    return {**facts, "message": text, "request_id": body.get("request_id") or facts.get("request_id")}


_XML_FIELD = re.compile(r"<(Code|Message|RequestId)>([^<]*)</\1>")


def _parse_xml_error(text: str) -> dict[str, Any]:
    """As `parse_error_facts`, from an object store's XML; empty if it isn't that."""
    if not text.startswith("<"):
        return {}
    found = {name: unescape(value).strip() for name, value in _XML_FIELD.findall(text)}
    message = ": ".join(filter(None, (found.get("Code"), found.get("Message"))))
    return {"message": message, "request_id": found.get("RequestId")} if message else {}


_TITLE = re.compile(r"<(title|h1)[^>]*>(.*?)</\1", re.IGNORECASE | re.DOTALL)


def is_web_page(text: str) -> bool:
    """Whether a body is HTML, which the API never sends."""
    start = text.lstrip()[:200].lower()
    return start.startswith("<!doctype html") or "<html" in start


def is_from_firewall(response: httpx.Response) -> bool:
    """Whether something in front of the platform refused the request: the API sends JSON, and object stores XML."""
    text = response.text.strip()
    status = response.status_code
    if is_web_page(text):
        return status < 500 and status not in _NOT_BLOCKED
    return bool(text) and status in _TEXT_BLOCKED and not text.startswith("<") and not _is_json(text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def page_title(text: str) -> str:
    """The title of a web page, or its first heading."""
    titles = (" ".join(unescape(found[2]).split()) for found in _TITLE.finditer(text))
    return excerpt(next(filter(None, titles), "a web page without a title"))


def redirect_target(url: str, location: str) -> str:
    """The URL that the header `Location` of a response from `url` means; empty if it is none."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds from `Retry-After`, which is a number or a date; 0 if there is none, or it is in the past."""
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        # Of HTTP's three forms, C's asctime has no zone; all are in UTC.
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?", re.ASCII)
"""HTTP knows whole seconds only, but some platforms send fractions."""


def excerpt(value: object, length: int = 200) -> str:
    """The beginning of a response, for an error message."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= length else text[:length] + "…"


def _find_items(payload: object, *names: str) -> list[Any]:
    if isinstance(payload, list):
        return payload
    if isinstance(payload, Mapping):
        for name in (*names, *_WRAPPERS):
            found = payload.get(name)
            if isinstance(found, list):
                return found
            if isinstance(found, Mapping):
                return _find_items(found, *names)
    raise ResponseInvalid(f"expected a list under {names[0]!r}: {excerpt(payload)}")


def _parse_size(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else None

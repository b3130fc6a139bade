"""Tolerant reading of the API's answers: every shape the platform's guides show, and close kin."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.model.snapshot import Project, Usage

Row = dict[str, Any]
_WRAPPERS = ("data", "rows", "result", "results")


def rows(answer: object) -> list[Row]:
    """The rows of a `/sql` answer, under `rows` or `data`. Raises ResponseInvalid."""
    if isinstance(answer, Mapping):
        for name in ("rows", "data", "result"):
            found = answer.get(name)
            if isinstance(found, list):
                return [row for row in found if isinstance(row, dict)]
        if answer.get("success") is True:
            return []
    raise ResponseInvalid(f"the SQL endpoint's answer has neither rows nor data: {excerpt(answer)}")


def project(item: object) -> Project:
    """A project from `project_id`, `slug` or `id`. Raises ResponseInvalid."""
    if isinstance(item, Mapping):
        inner = item.get("project") or item.get("data")
        if isinstance(inner, Mapping):
            return project(inner)
        found = item.get("project_id") or item.get("slug") or item.get("id")
        if found:
            texts = {key: str(item.get(key) or "") for key in ("name", "url", "status")}
            return Project(str(found), texts["name"], texts["url"].rstrip("/"), texts["status"] or "running")
    raise ResponseInvalid(f"expected a project with an id: {excerpt(item)}")


def projects(answer: object) -> list[Project]:
    """The projects of a listing, bare or under `projects` or `data`."""
    return [project(item) for item in _items(answer, "projects")]


_WITHIN = frozenset({list, dict})
"""What no value of a file's entry is, and some value of what is around the entries."""


class ListedFile(NamedTuple):
    """What is kept of one file of a listing: as an object of JSON it takes three times as much memory."""

    name: str
    told: tuple[int | None, str]
    """Its size in bytes, None where not told, and its URL."""


def listed_file(item: dict[str, Any]) -> object:
    """A file of a listing, of an object as it is read; any other object is left as it is."""
    return (_file(item) or item) if _WITHIN.isdisjoint(map(type, item.values())) else item


def _file(item: Mapping[str, Any]) -> ListedFile | None:
    name = item.get("filename") or item.get("name") or item.get("key") or item.get("path")
    if not isinstance(name, str):
        return None
    return ListedFile(name.removeprefix("/"), (_size(item.get("size")), str(item.get("url") or "")))


def listed_size(item: dict[str, Any]) -> object:
    """The same without the URL."""
    item.pop("url", None)
    return listed_file(item)


def files(answer: object) -> dict[str, tuple[int | None, str]]:
    """Filename → (size in bytes or None, url), from a listing under `files`, `objects`, `data` or bare."""
    listed: dict[str, tuple[int | None, str]] = {}
    for item in _items(answer, "files", "objects"):
        if isinstance(item, str):
            listed[item] = (None, "")
            continue
        found = _file(item) if isinstance(item, Mapping) else item
        if isinstance(found, ListedFile):
            listed[found.name] = found.told
    return listed


def usage(answer: object) -> Usage | None:
    """Storage used and allowed, from a listing's `usage`; None where it doesn't say."""
    found = answer.get("usage") if isinstance(answer, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    used, limit = _size(found.get("used_bytes")), _size(found.get("limit_bytes"))
    if used is not None and limit is not None:
        return Usage(used, limit)
    used, limit = _told_size(found.get("used")), _told_size(found.get("limit"))
    return Usage(used, limit, exact=False) if used is not None and limit is not None else None


_TOLD_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGTP]?)i?B")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


def _told_size(text: object) -> int | None:
    """Bytes from `1.2 GB`, read as decimal units."""
    told = _TOLD_SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if told is None:
        return _size(text)
    return round(float(told[1]) * _UNITS[told[2].upper()])


def uploaded_size(answer: object) -> int | None:
    """The `size` an upload's answer states, in bytes."""
    return _size(answer.get("size")) if isinstance(answer, Mapping) else None


def static_file_limit(listing: object) -> int | None:
    """Bytes of the largest static file, from a discovery listing's `limits`; None where it doesn't say."""
    limits = listing.get("limits") if isinstance(listing, Mapping) else None
    return (_size(limits.get("static_file_bytes")) or None) if isinstance(limits, Mapping) else None


def error_facts(body: object) -> dict[str, Any]:
    """`message` and whatever PostgreSQL facts an error body holds, under `error`, `message` or `detail`."""
    if not isinstance(body, Mapping):
        return {"message": str(body or "").strip()}
    inner = body.get("error")
    nested = next((body[key] for key in ("error", "detail") if isinstance(body.get(key), Mapping)), body)
    facts = dict(nested)
    message = facts.get("message") or (inner if isinstance(inner, str) else None) or facts.get("detail")
    text = message if isinstance(message, str) else json.dumps(message or body)
    return {**facts, "message": text, "request_id": body.get("request_id") or facts.get("request_id")}


def excerpt(value: object, length: int = 200) -> str:
    """The beginning of an answer, for an error message."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= length else text[:length] + "…"


def _items(answer: object, *names: str) -> list[Any]:
    if isinstance(answer, list):
        return answer
    if isinstance(answer, Mapping):
        for name in (*names, *_WRAPPERS):
            found = answer.get(name)
            if isinstance(found, list):
                return found
            if isinstance(found, Mapping):
                return _items(found, *names)
    raise ResponseInvalid(f"expected a list under {names[0]!r}: {excerpt(answer)}")


def _size(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else None

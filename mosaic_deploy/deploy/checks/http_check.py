"""`verify.http`: one request to the site, like a visitor's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mosaic_deploy.deploy.checks.outcome import Outcome, failed, passed
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.responses import excerpt
from mosaic_deploy.model.manifest import HttpCheck
from mosaic_deploy.model.variable_value import Scalar, VariableValue, revealed, revealed_text

if TYPE_CHECKING:
    import httpx

REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PATH_PARTS = re.compile(r"\[(?P<index>[0-9]+)\]|\.?(?P<name>[^.\[\]]+)")


def check_name(site: str, check: HttpCheck) -> str:
    url = f"{site}{check.path}"
    return url if check.method == "GET" else f"{check.method} {url}"


def check_http(api: Api, site: str, check: HttpCheck) -> Outcome:
    """Sends the request once, and names everything that is wrong with the response."""
    content = None if check.body is None else revealed_text(check.body).encode()
    headers = {name: revealed_text(text) for name, text in check.headers.items()}
    began = time.monotonic()
    try:
        response = api.fetch(
            site + revealed_text(check.path),
            method=revealed_text(check.method),
            headers=headers,
            content=content,
        )
    except MosaicError as error:
        return failed(error.message)
    milliseconds = round((time.monotonic() - began) * 1000)
    mistakes = list(_mistakes(response, check, milliseconds))
    if mistakes:
        return failed("; ".join(mistakes))
    return passed(f"{response.status_code}, {milliseconds} ms" if check.max_ms else str(response.status_code))


def _mistakes(response: httpx.Response, check: HttpCheck, milliseconds: int) -> Iterator[str]:
    if response.status_code != revealed(check.status):
        yield f"status {response.status_code}, expected {check.status}{_redirect_text(response)}"
        return  # another page than the one that the other checks are about
    for name, text in check.response_headers.items():
        found = response.headers.get(name)
        if found is None:
            yield f"the response has no header {name}"
        elif revealed_text(text) not in found:
            yield f"header {name} is {found!r}, which doesn't contain {text!r}"
    if check.contains is not None and revealed_text(check.contains) not in response.text:
        yield f"the page doesn't contain {check.contains!r}"
    if check.json:
        yield from _json_mistakes(response, check)
    most = revealed(check.max_ms)
    if isinstance(most, int) and milliseconds > most:
        yield f"took {milliseconds} ms, more than the {check.max_ms} ms of max_ms"


def _redirect_text(response: httpx.Response) -> str:
    location = response.headers.get("location")
    return f" (redirects to {location})" if location and response.is_redirect else ""


def _json_mistakes(response: httpx.Response, check: HttpCheck) -> Iterator[str]:
    try:
        document = response.json()
    except (ValueError, RecursionError):
        yield f"the body isn't JSON: {excerpt(response.text)}"
        return
    for path, expected in check.json.items():
        found = _values_at(document, path)
        if not found:
            yield f"the JSON has no {path}"
        elif not is_same(found[0], revealed(expected)):
            yield f"{path} is {value_text(found[0])}, expected {value_text(expected)}"


def _values_at(document: object, path: str) -> list[object]:
    """The value at `path`, such as `items[0].name`; empty if there is none. A leading `$` is the document."""
    found: object = document
    for part in _PATH_PARTS.finditer(re.sub(r"^\$(?=[.\[])", "", path)):
        if part["index"] is not None:
            index = int(part["index"])
            if not isinstance(found, list) or index >= len(found):
                return []
            found = found[index]
        else:
            if not isinstance(found, dict) or part["name"] not in found:
                return []
            found = found[part["name"]]
    return [found]


def value_text(value: object) -> str:
    """The beginning of a value as JSON, which distinguishes 1 and "1"; of one from variables, what the manifest says."""
    if isinstance(value, VariableValue):
        return value.written
    return excerpt(json.dumps(value, ensure_ascii=False, default=str))


def is_same(found: object, expected: Scalar) -> bool:
    """Whether two JSON values are equal. `true` isn't 1."""
    return found == expected and isinstance(found, bool) is isinstance(expected, bool)

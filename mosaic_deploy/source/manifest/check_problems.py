"""Mistakes in `verify` that the schema can't find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.manifest.text import SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node

_BODILESS = ("GET", "HEAD", "OPTIONS")
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding"})
"""They follow from the body. With others, no request can be sent."""


def check_problems(tree: Node, source: SourceText) -> Iterator[Problem]:
    """A Problem for every check that can't run."""
    verify = _child(tree, "verify")
    for check in _items(_child(verify, "http")):
        yield from _http_problems(check, source)
    for check in _items(_child(verify, "sql")):
        yield from _query_problems(check, source)
    link = _child(verify, "magic_link")
    has_page = _child(link, "redirect_url") or _child(tree, "auth", "magic_link", "redirect_url")
    if link is not None and link.value is not None and not has_page:
        hint = "add verify.magic_link.redirect_url or auth.magic_link.redirect_url"
        yield _problem(link, "no page for the magic link", hint, source)


def _http_problems(check: Node, source: SourceText) -> Iterator[Problem]:
    method, body = _child(check, "method"), _child(check, "body")
    name = method.value if method else "GET"
    if body is not None and name in _BODILESS:
        yield _problem(body, f"a {name} request has no body", "set method: POST, or remove the body", source)
    headers = _child(check, "headers")
    for header, node in (headers.value if headers and isinstance(headers.value, dict) else {}).items():
        if header.lower() in _OWN_HEADERS:
            yield _problem(node, "is set by the request itself", "remove it", source)
    contents = [node for node in (_child(check, "contains"), _child(check, "json")) if node is not None]
    if name == "HEAD" and contents:
        yield _problem(contents[0], "the response to HEAD has no body", "use method: GET", source)


def _query_problems(check: Node, source: SourceText) -> Iterator[Problem]:
    query, rows, value = (_child(check, name) for name in ("query", "rows", "value"))
    if query is not None and isinstance(query.value, str) and query.value:
        mistake = _query_mistake(query.value)
        if mistake and query.variable is None:
            yield _problem(query, mistake, "a check is a single SELECT, EXPLAIN or SHOW", source)
        elif mistake:
            yield _problem(query, f"not a read-only query: the value of {query.variable}", None, source)
    if rows is not None and rows.value == 0 and value is not None:
        yield _problem(value, "a query without rows has no value", "remove rows: 0 or value", source)


def _query_mistake(query: str) -> str | None:
    # The parser takes a while to load, and most manifests have no query.
    from mosaic_deploy.sql.parse import SqlSyntaxError
    from mosaic_deploy.sql.read_only import NotReadOnly, read_only_query

    try:
        read_only_query(query, 1)
    except (NotReadOnly, SqlSyntaxError) as error:
        return error.message
    return None


def _problem(node: Node, message: str, hint: str | None, source: SourceText) -> Problem:
    return Problem(message, source.location(node.line, node.column), field=node.field, hint=hint)


def _child(node: Node | None, *names: str) -> Node | None:
    value: Any = node
    for name in names:
        value = value.value.get(name) if value is not None and isinstance(value.value, dict) else None
    return value if isinstance(value, Node) else None


def _items(node: Node | None) -> list[Node]:
    return node.value if node is not None and isinstance(node.value, list) else []

"""PostgreSQL 18's parser: libpg_query's C functions, from the library that the `postgast` package ships.

The package itself isn't imported: that takes 60 ms and builds protobuf objects; loading the library takes 1 ms. Only
functions of libpg_query's public header (`pg_query.h`) are called. They are thread-safe. Texts must not contain NUL.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
import sys
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char_p, c_int
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from mosaic_deploy.sql.pg_parser.comments import ParserError, refuse_deep_comments, without_comments
from mosaic_deploy.sql.pg_parser.stack import NestedTooDeeply, call_with_stack

ResultT = TypeVar("ResultT")

__all__ = ("ParserError", "parse_plpgsql", "parse_statements", "split_statements")

_FILES = {"win32": "pg_query.dll", "darwin": "libpg_query.dylib"}


class _Error(Structure):
    _fields_ = (
        ("message", c_char_p),
        ("funcname", c_char_p),
        ("filename", c_char_p),
        ("lineno", c_int),
        ("cursorpos", c_int),
        ("context", c_char_p),
    )


class _ParseResult(Structure):
    _fields_ = (("tree", c_char_p), ("stderr", c_char_p), ("error", POINTER(_Error)))


class _StatementSpan(Structure):
    _fields_ = (("location", c_int), ("length", c_int))


class _SplitResult(Structure):
    _fields_ = (
        ("pieces", POINTER(POINTER(_StatementSpan))),
        ("count", c_int),
        ("stderr", c_char_p),
        ("error", POINTER(_Error)),
    )


class _PlpgsqlResult(Structure):
    _fields_ = (("tree", c_char_p), ("error", POINTER(_Error)))


_SIGNATURES: dict[str, tuple[str, type[Structure]]] = {
    "pg_query_parse": ("pg_query_free_parse_result", _ParseResult),
    "pg_query_split_with_parser": ("pg_query_free_split_result", _SplitResult),
    "pg_query_parse_plpgsql": ("pg_query_free_plpgsql_parse_result", _PlpgsqlResult),
}


def parse_statements(sql: str) -> list[dict[str, Any]]:
    """Raw statements from libpg_query's JSON: `stmt`, and `stmt_location` and `stmt_len` in bytes.

    Raises ParserError, and RecursionError for a tree nested too deeply for Python.
    """
    refuse_deep_comments(sql)
    found: list[dict[str, Any]] = _allowing_comments(partial(_parse_tree, "pg_query_parse"), sql).get(
        "stmts", []
    )
    return found


def parse_plpgsql(statement: str) -> Any:
    """PL/pgSQL's tree of a CREATE FUNCTION or DO statement. Raises ParserError, RecursionError."""
    refuse_deep_comments(statement, in_bodies=True)
    parse = partial(_parse_tree, "pg_query_parse_plpgsql", malformed=_MALFORMED_JSON)
    return _allowing_comments(parse, statement, in_bodies=True)


_MALFORMED_JSON = re.compile(r"(?:\{\}\},)+")
"""libpg_query 6 writes one brace too many for each of a trigger's variables (`tg_op` etc.), all before user code."""


_BODY_LINE = re.compile(r" near line (\d+)$")


def split_statements(sql: str) -> list[str]:
    """The text of each statement up to its semicolon, without building trees. Raises ParserError."""
    refuse_deep_comments(sql)
    encoded = sql.encode()
    return [encoded[first:end].decode() for first, end in _allowing_comments(_statement_spans, sql)]


def _statement_spans(sql: str) -> list[tuple[int, int]]:
    """Where each statement begins and ends, in bytes."""
    library = _library()
    result = library.pg_query_split_with_parser(sql.encode())
    try:
        _raise_parser_error(result)
        pieces = (result.pieces[number].contents for number in range(result.count))
        return [(piece.location, piece.location + piece.length) for piece in pieces]
    finally:
        library.pg_query_free_split_result(result)


def _allowing_comments(parse: Callable[[str], ResultT], sql: str, *, in_bodies: bool = False) -> ResultT:
    """What `parse` finds; after an error, without the comments, because the library doesn't know them everywhere."""
    try:
        return parse(sql)
    except ParserError:
        blanked = without_comments(sql, in_bodies=in_bodies)
        if blanked == sql:
            raise
    try:
        return parse(blanked)
    except ParserError as error:
        raise ParserError(error.message, _original(error.position, blanked, sql), error.body_line) from None


def _original(position: int | None, blanked: str, sql: str) -> int | None:
    """The position in `sql` of what is at `position` in `blanked`, which has as many bytes."""
    if position is None or position < 1:
        return position
    before = len(blanked[: position - 1].encode())
    return len(sql.encode()[:before].decode(errors="ignore")) + 1


def _parse_tree(function: str, sql: str, malformed: re.Pattern[str] | None = None) -> Any:
    """`malformed` matches what to remove if the library's JSON is invalid."""
    try:
        return call_with_stack(partial(_parse_in_this_thread, function, malformed), sql)
    except NestedTooDeeply:
        raise RecursionError from None


def _parse_in_this_thread(function: str, malformed: re.Pattern[str] | None, sql: str) -> Any:
    library = _library()
    result = getattr(library, function)(sql.encode())
    try:
        _raise_parser_error(result)
        return _load_json(result.tree, malformed)
    finally:
        getattr(library, _SIGNATURES[function][0])(result)


def _load_json(tree: bytes, malformed: re.Pattern[str] | None) -> Any:
    try:
        return json.loads(tree)
    except ValueError:
        if malformed is None:
            raise
        return json.loads(malformed.sub("", tree.decode(), count=1))


def _raise_parser_error(result: Any) -> None:
    if result.error:
        error = result.error.contents
        line = _BODY_LINE.search((error.context or b"").decode(errors="replace"))
        raise ParserError(
            (error.message or b"").decode(errors="replace"),
            error.cursorpos or None,
            int(line.group(1)) if line else None,
        )


@cache
def _library() -> ctypes.CDLL:
    found = importlib.util.find_spec("postgast")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the package postgast, which contains PostgreSQL's parser, isn't installed")
    name = _FILES.get(sys.platform, "libpg_query.so")
    library = ctypes.CDLL(str(Path(found.submodule_search_locations[0]) / name))
    for function, (free, result) in _SIGNATURES.items():
        getattr(library, function).argtypes = [c_char_p]
        getattr(library, function).restype = result
        getattr(library, free).argtypes = [result]
        getattr(library, free).restype = None
    return library

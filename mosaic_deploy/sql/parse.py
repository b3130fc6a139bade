"""Statements and their places, by PostgreSQL's own parser (libpg_query)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mosaic_deploy.sql.libpg_query import ParserError, split_statements

Tree = dict[str, Any]
"""A parse tree as libpg_query's JSON: `{"CreateStmt": {…}}`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `offset` is where `text` begins in the file, in characters from 0.

    `text` runs from the first token to the last, without the semicolon; comments before it are left out.
    `parsed` is the tree where it is kept; a large file's statements are parsed again when one is asked for.
    """

    text: str
    offset: int
    parsed: Tree | None = field(default=None, compare=False, hash=False, repr=False)
    first_byte: int = field(default=0, compare=False, repr=False)
    """The byte that the tree's positions have for the text's beginning."""

    @property
    def tree(self) -> Tree:
        """The parse tree. The positions in it count from the file's beginning or from the statement's."""
        return _parse_single_tree(self.text) if self.parsed is None else self.parsed

    @property
    def kind(self) -> str:
        """The name of the tree's root node, such as `CreateStmt`."""
        if self.parsed is None and (word := _PLAIN_WORD.match(self.text)):
            return _PLAIN_KINDS[word.group().lower()]
        return next(iter(self.tree), "")

    @property
    def node(self) -> Tree:
        """The root node's fields."""
        fields: Tree = next(iter(self.tree.values()), {})
        return fields


class SqlSyntaxError(Exception):
    """The parser's refusal. `offset` is in characters from 0, None where the parser gave no place."""

    def __init__(self, message: str, offset: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


_PLAIN_KINDS = {
    "insert": "InsertStmt",
    "update": "UpdateStmt",
    "delete": "DeleteStmt",
    "select": "SelectStmt",
}
"""First words that begin one kind of statement only: what a file with a million statements is full of."""
_PLAIN_WORD = re.compile(r"(?:insert|update|delete|select)\b", re.IGNORECASE)

LARGE_TEXT = 1_000_000
"""Characters from which on a file's trees aren't kept: they take 80 times the memory of its text."""


def parse(sql: str) -> list[Statement]:
    """The statements of `sql`; none for an empty or comment-only text. Raises SqlSyntaxError."""
    if "\0" in sql:
        raise SqlSyntaxError("a NUL character", sql.index("\0"))
    if len(sql) < LARGE_TEXT:
        return list(_statements(sql, _raw_statements(sql)))

    return [Statement(text, offset) for text, offset in split_large(sql)]


def semantic_checksum(statements: Sequence[Statement]) -> str:
    """sha256 of the parse trees without positions: comments, layout and letter case don't count.

    In a large file, whose trees aren't kept, they count inside a statement and not between statements.
    """
    return semantic_checksums([statements])[-1]


def semantic_checksums(parts: Sequence[Sequence[Statement]]) -> tuple[str, ...]:
    """The checksum of the first part, of the first two, …; of nothing where there are no parts."""
    digest = hashlib.sha256()
    found = []
    for part in parts or ((),):
        for statement in part:
            digest.update(_checksum_bytes(statement))
        found.append(digest.hexdigest())
    return tuple(found)


def _checksum_bytes(statement: Statement) -> bytes:
    """What counts of a statement, in bytes that tell where it ends."""
    if statement.parsed is not None:
        return "".join(_tree_tokens(statement.parsed)).encode("utf-8", "surrogatepass")
    return f"text {len(statement.text)} {statement.text}".encode()


@lru_cache(maxsize=4)
def _parse_single_tree(text: str) -> Tree:
    """The tree of a single statement's text. Rules look at one statement after the other, each several times."""
    [raw] = _raw_statements(text)
    tree: Tree = raw["stmt"]
    return tree


def line_and_column(text: str, offset: int) -> tuple[int, int, str]:
    """Line and column (from 1, in characters) of `offset`, and the line's text without its end."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line_text = text[start : len(text) if end < 0 else end].rstrip("\r")
    return text.count("\n", 0, offset) + 1, offset - start + 1, line_text


def _raw_statements(sql: str) -> list[Tree]:
    from mosaic_deploy.sql.libpg_query import ParserError, parse_statements  # loads a C library

    try:
        return parse_statements(sql)
    except ParserError as error:
        raise syntax_error(error.message, error.position) from None
    except RecursionError:
        raise SqlSyntaxError("the statement is nested too deeply to be read", None) from None


def syntax_error(message: str, position: int | None, base: int = 0) -> SqlSyntaxError:
    """The parser's error, whose `position` counts characters from 1 in a text that begins at `base`.

    The message goes without the rest of the file, which an unterminated quote is `at or near` to.
    """
    line, _, more = message.partition("\n")
    offset = base + position - 1 if position and position > 0 else None
    return SqlSyntaxError(f'{line}…"' if more else line, offset)


def _statements(sql: str, raw: list[Tree]) -> Iterator[Statement]:
    """Turns libpg_query's byte offsets into characters, in one pass over the text."""
    encoded = sql.encode()
    at_byte = at_char = 0
    for item in raw:
        start = item.get("stmt_location", 0)
        end = start + item["stmt_len"] if item.get("stmt_len") else len(encoded)
        at_char += len(encoded[at_byte:start].decode())
        text = encoded[start:end].decode()
        lead = leading_trivia_length(text)
        first_byte = start + len(text[:lead].encode())
        yield Statement(text[lead:].rstrip(WHITESPACE), at_char + lead, item["stmt"], first_byte)
        at_char += len(text)
        at_byte = end


WHITESPACE = " \t\n\r\f\v"
"""What PostgreSQL's scanner calls white space; a no-break space, for one, is part of a name."""
_TRIVIA = re.compile(rf"(?:[{WHITESPACE}]|--[^\n\r]*)+")
_COMMENT_MARK = re.compile(r"/\*|\*/")


def leading_trivia_length(text: str) -> int:
    """How many characters of white space and comments `text` begins with (comments nest)."""
    return skip_trivia(text, 0)


def skip_trivia(text: str, at: int) -> int:
    """The first place from `at` on that is neither white space nor comment."""
    while at < len(text):
        if blank := _TRIVIA.match(text, at):
            at = blank.end()
        elif text.startswith("/*", at):
            at = _after_block_comment(text, at)
        else:
            return at
    return at


def _after_block_comment(text: str, at: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, at):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


_POSITIONS = frozenset(
    {
        "location",
        "stmt_location",
        "stmt_len",
        "list_start",
        "list_end",
        "rexpr_list_start",
        "rexpr_list_end",
    }
)


def _tree_tokens(root: Any) -> Iterator[str]:
    """A tree as words that only an equal tree yields, positions left out.

    Without recursion: a chain of a thousand operators is as deep as it is long.
    """
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            named = [item for item in sorted(node.items()) if item[0] not in _POSITIONS]
            yield f"{{{len(named)} "
            waiting.extend(value for item in reversed(named) for value in reversed(item))
        elif isinstance(node, list):
            yield f"[{len(node)} "
            waiting.extend(reversed(node))
        else:
            yield json.dumps(node, ensure_ascii=False)


CHUNK_LENGTH = 1_000_000
"""Characters; a piece that can't be cut there grows."""
_STATEMENT_END = re.compile(rf";[{WHITESPACE}]*\n")
_GROWTH = 4


def split_large(sql: str, piece: int = CHUNK_LENGTH) -> Iterator[tuple[str, int]]:
    """Each statement's text with its offset in characters. Raises SqlSyntaxError."""
    at, size = 0, piece
    while at < len(sql):
        cut = _STATEMENT_END.search(sql, at + size - 1)
        end = cut.end() if cut else len(sql)
        found = _split_chunk(sql, at, end)
        if found is None:
            size *= _GROWTH
            continue
        yield from found
        at, size = end, piece


def _split_chunk(sql: str, at: int, end: int) -> list[tuple[str, int]] | None:
    """The statements between two places; None where the text isn't known to have a statement's end at `end`."""
    text = sql[at:end]
    try:
        pieces = split_statements(text)
    except ParserError as error:
        if end < len(sql):
            return None
        raise syntax_error(error.message, error.position, at) from None
    found, last = _with_offsets(text, pieces, at)
    ended = not found or text.startswith(";", last)
    return found if ended or end == len(sql) else None


def _with_offsets(text: str, pieces: list[str], base: int) -> tuple[list[tuple[str, int]], int]:
    """The pieces with their offsets, and where the last one ends in `text`.

    Between them are semicolons, white space and comments only, so the next token begins the next piece.
    """
    found: list[tuple[str, int]] = []
    last = 0
    for piece in pieces:
        start = skip_trivia(text, last)
        while text.startswith(";", start):
            start = skip_trivia(text, start + 1)
        statement = piece[leading_trivia_length(piece) :]
        assert text.startswith(statement, start)
        last = start + len(statement)
        found.append((statement.rstrip(WHITESPACE), base + start))
    return found, last

"""SQL texts parsed into statements with positions, by PostgreSQL's own parser (libpg_query)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from mosaic_deploy.sql.pg_parser.libpg_query import ParserError, split_statements
from mosaic_deploy.sql.pg_parser.stack import deep_levels
from mosaic_deploy.sql.pg_parser.trivia import WHITESPACE, leading_trivia_length, skip_trivia

Tree = dict[str, Any]
"""A parse tree as libpg_query's JSON: `{"CreateStmt": {…}}`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `offset` is the position of `text` in the file, in characters from 0.

    `text` runs from the first token to the last, without leading comments or the semicolon. `parsed` is the parse
    tree, or None in a large file, where `tree` parses the statement again.
    """

    text: str
    offset: int
    parsed: Tree | None = field(default=None, compare=False, hash=False, repr=False)
    first_byte: int = field(default=0, compare=False, repr=False)
    """The byte position in the tree that corresponds to the start of `text`."""

    @property
    def tree(self) -> Tree:
        """The parse tree. Its byte positions count from the start of the file (`parsed`) or of the statement."""
        return _parse_single_tree(self.text) if self.parsed is None else self.parsed

    @property
    def size(self) -> int:
        """Its characters in the file."""
        return len(self.text)

    @property
    def written(self) -> str:
        """The text in which errors are located."""
        return self.text

    def file_offset(self, at: int) -> int:
        """The position in the file of a character of `written`."""
        return self.offset + at

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
    """A syntax error. `offset` is in characters from 0; None if the parser gave none."""

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
"""First words that identify the kind, so the many statements of a large file needn't be parsed for it."""
_PLAIN_WORD = re.compile(r"(?:insert|update|delete|select)\b", re.IGNORECASE)

LARGE_TEXT = 1_000_000
"""Files of this many characters or more don't keep their trees, which take 80 times the memory of the text."""


def parse(sql: str) -> list[Statement]:
    """The statements of `sql`; [] for an empty or comment-only text. Raises SqlSyntaxError."""
    if "\0" in sql:
        raise SqlSyntaxError("NUL characters aren't allowed", sql.index("\0"))
    if len(sql) < LARGE_TEXT:
        return list(_statements(sql, _raw_statements(sql)))
    statements = [Statement(text, offset) for text, offset in split_large(sql)]
    for statement in statements:
        if deep_levels(statement.text):
            _refuse_nested_too_deeply(statement)
    return statements


def _refuse_nested_too_deeply(statement: Statement) -> None:
    """Raises SqlSyntaxError now, because the tree of a statement in a large file is made later."""
    try:
        _raw_statements(statement.text)
    except SqlSyntaxError as error:
        raise SqlSyntaxError(error.message, statement.offset + (error.offset or 0)) from None


def shifted(statement: Statement, by: int) -> Statement:
    """The statement of a text that starts at offset `by` in its file."""
    return replace(statement, offset=statement.offset + by)


def semantic_checksum(statements: Sequence[Statement]) -> str:
    """sha256 of the parse trees without positions: comments, layout and keyword case don't matter.

    In a large file, which keeps no trees, they matter inside a statement but not between statements.
    """
    return semantic_checksums([statements])[-1]


def semantic_checksums(parts: Sequence[Sequence[Statement]]) -> tuple[str, ...]:
    """The checksums of the first part, the first two parts, and so on; that of no statements if there are none."""
    digest = hashlib.sha256()
    found = []
    for part in parts or ((),):
        for statement in part:
            digest.update(_checksum_bytes(statement))
        found.append(digest.hexdigest())
    return tuple(found)


def _checksum_bytes(statement: Statement) -> bytes:
    """The bytes of a statement that its checksum covers; they also delimit it."""
    if statement.parsed is not None:
        return "".join(_tree_tokens(statement.parsed)).encode("utf-8", "surrogatepass")
    return f"text {len(statement.text)} {statement.text}".encode()


@lru_cache(maxsize=4)
def _parse_single_tree(text: str) -> Tree:
    """The tree of a single statement. Cached, because lint rules read the same statement several times."""
    [raw] = _raw_statements(text)
    tree: Tree = raw["stmt"]
    return tree


def line_and_column(text: str, offset: int) -> tuple[int, int, str]:
    """Line and column (from 1, in characters) of `offset`, and the line's text without its line end."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line_text = text[start : len(text) if end < 0 else end].rstrip("\r")
    return text.count("\n", 0, offset) + 1, offset - start + 1, line_text


def _raw_statements(sql: str) -> list[Tree]:
    from mosaic_deploy.sql.pg_parser.libpg_query import ParserError, parse_statements  # loads a C library

    try:
        return parse_statements(sql)
    except ParserError as error:
        raise syntax_error(error.message, error.position) from None
    except RecursionError:
        raise SqlSyntaxError("the statement is nested too deeply", None) from None


def syntax_error(message: str, position: int | None, base: int = 0) -> SqlSyntaxError:
    """The parser's error as SqlSyntaxError; `position` counts from 1 in a text that starts at `base`.

    The message is cut at the first line end: for an unterminated quote it contains the rest of the file.
    """
    line, _, more = message.partition("\n")
    offset = base + position - 1 if position and position > 0 else None
    return SqlSyntaxError(f'{line}…"' if more else line, offset)


def _statements(sql: str, raw: list[Tree]) -> Iterator[Statement]:
    """Statements with libpg_query's byte offsets converted to characters, in one pass."""
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
    """A tree as tokens that identify it, without positions.

    Not recursive, because a chain of a thousand operators is a thousand levels deep.
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
"""Characters per chunk; a chunk that can't be split there grows."""
_STATEMENT_END = re.compile(rf";[{WHITESPACE}]*\n")
_GROWTH = 4


def split_large(sql: str, chunk: int = CHUNK_LENGTH) -> Iterator[tuple[str, int]]:
    """Each statement's text with its offset in characters. Raises SqlSyntaxError."""
    at, size = 0, chunk
    while at < len(sql):
        cut = _STATEMENT_END.search(sql, at + size - 1)
        end = cut.end() if cut else len(sql)
        found = _split_chunk(sql, at, end)
        if found is None:
            size *= _GROWTH
            continue
        yield from found
        at, size = end, chunk


def _split_chunk(sql: str, at: int, end: int) -> list[tuple[str, int]] | None:
    """The statements between two offsets; None if `end` may not be the end of a statement."""
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
    """The statements with their offsets, and the end of the last one in `text`.

    Only semicolons, white space and comments separate them, so the next token starts the next statement.
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

"""Statements and their places, by PostgreSQL's own parser (libpg_query through pgparse)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Tree = dict[str, Any]
"""A parse tree as libpg_query's JSON: `{"CreateStmt": {…}}`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `offset` is where `text` begins in the file, in characters from 0.

    `text` runs from the first token to the last, without the semicolon; comments before it are left out.
    """

    text: str
    offset: int
    tree: Tree = field(compare=False, hash=False)

    @property
    def kind(self) -> str:
        """The name of the tree's root node, such as `CreateStmt`."""
        return next(iter(self.tree), "")

    @property
    def node(self) -> Tree:
        """The root node's fields."""
        fields: Tree = next(iter(self.tree.values()), {})
        return fields


class SyntaxProblem(Exception):
    """The parser's refusal. `offset` is in characters from 0, None where the parser gave no place."""

    def __init__(self, message: str, offset: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def parse(sql: str) -> list[Statement]:
    """The statements of `sql`; none for an empty or comment-only text. Raises SyntaxProblem."""
    if "\0" in sql:
        raise SyntaxProblem("a NUL character", sql.index("\0"))
    return list(_statements(sql, _raw_statements(sql)))


def semantic_checksum(statements: list[Statement]) -> str:
    """sha256 of the parse trees without positions: comments, layout and letter case don't count."""
    digest = hashlib.sha256()
    for word in _words([statement.tree for statement in statements]):
        digest.update(word.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def line_and_column(text: str, offset: int) -> tuple[int, int, str]:
    """Line and column (from 1, in characters) of `offset`, and the line's text without its end."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line_text = text[start : len(text) if end < 0 else end].rstrip("\r")
    return text.count("\n", 0, offset) + 1, offset - start + 1, line_text


def _raw_statements(sql: str) -> list[Tree]:
    import pgparse

    try:
        return list(pgparse.parse(sql))
    except pgparse.PGQueryError as error:
        offset = error.position - 1 if error.position and error.position > 0 else None
        raise SyntaxProblem(_one_line(str(error.message)), offset) from None
    except RecursionError:
        raise SyntaxProblem("the statement is nested too deeply to be read", None) from None


def _one_line(message: str) -> str:
    """The message without the rest of the file, which an unterminated quote is `at or near` to."""
    line, _, more = message.partition("\n")
    return f'{line}…"' if more else line


def _statements(sql: str, raw: list[Tree]) -> Iterator[Statement]:
    """Turns libpg_query's byte offsets into characters, in one pass over the text."""
    encoded = sql.encode()
    at_byte = at_char = 0
    for item in raw:
        start = item.get("stmt_location", 0)
        end = start + item["stmt_len"] if item.get("stmt_len") else len(encoded)
        at_char += len(encoded[at_byte:start].decode())
        text = encoded[start:end].decode()
        lead = leading_trivia(text)
        yield Statement(text[lead:].rstrip(_SPACE), at_char + lead, item["stmt"])
        at_char += len(text)
        at_byte = end


_SPACE = " \t\n\r\f\v"
"""What PostgreSQL's scanner calls white space; a no-break space, for one, is part of a name."""
_LINE_COMMENT = re.compile(r"--[^\n\r]*")
_COMMENT_MARK = re.compile(r"/\*|\*/")


def leading_trivia(text: str) -> int:
    """How many characters of white space and comments `text` begins with (comments nest)."""
    at = 0
    while at < len(text):
        if text[at] in _SPACE:
            at += 1
        elif line := _LINE_COMMENT.match(text, at):
            at = line.end()
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
    {"location", "stmt_location", "stmt_len", "list_start", "list_end", "rexpr_list_start"}
)


def _words(root: Any) -> Iterator[str]:
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

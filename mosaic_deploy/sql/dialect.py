"""Recognizes SQL written for another database when PostgreSQL's parser rejects it, and translates it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosaic_deploy.sql.parse import LARGE_TEXT, SqlSyntaxError, parse
from mosaic_deploy.sql.pg_parser.trivia import skip_trivia

_NAMES = {"mysql": "MySQL", "sqlite": "SQLite", "tsql": "T-SQL (SQL Server)"}
_SIZED_TYPES = r"(?:var)?char|character|numeric|decimal|(?:var)?bit|time|float|interval"
"""Types that take a size in PostgreSQL: `key varchar(20)` is a column."""
_DIALECT_PATTERNS: tuple[tuple[str, str, str], ...] = (
    ("mysql", "backticks", r"`[^`\n]*`"),
    ("mysql", "AUTO_INCREMENT", r"\bauto_increment\b"),
    ("mysql", "ENGINE=", r"\bengine\s*=\s*\w+"),
    ("mysql", "UNSIGNED", r"\bunsigned\b"),
    ("mysql", "CHARSET", r"\b(?:default\s+charset|charset\s*=|character\s+set\s*=?\s*\w)"),
    ("mysql", "ON UPDATE CURRENT_TIMESTAMP", r"\bon\s+update\s+current_timestamp\b"),
    (
        "mysql",
        "KEY inside CREATE TABLE",
        r"[,(]\s*(?:(?:unique|fulltext)\s+(?:key|index)|(?:key|index)\s+(?!" + _SIZED_TYPES + r")\w+)\s*\(",
    ),
    ("mysql", "INT(11)", r"\b(?:tiny|small|medium|big)?int\s*\(\s*\d+\s*\)"),
    ("mysql", "INSERT IGNORE", r"\binsert\s+ignore\b"),
    ("mysql", "REPLACE INTO", r"(?<!\bor\s)\breplace\s+into\b"),
    ("mysql", "ON DUPLICATE KEY", r"\bon\s+duplicate\s+key\b"),
    ("mysql", "LIMIT a, b", r"\blimit\s+\d+\s*,\s*\d+"),
    ("mysql", "MODIFY COLUMN", r"\bmodify\s+(?:column\s+)?\w+\s+\w+"),
    ("mysql", "DELIMITER", r"^\s*delimiter\s+\S+"),
    ("mysql", "LOCK TABLES", r"^\s*(?:un)?lock\s+tables\b"),
    ("mysql", "USE", r"^\s*use\s+\w+\s*;?\s*$"),
    ("sqlite", "AUTOINCREMENT", r"\bautoincrement\b"),
    ("sqlite", "PRAGMA", r"^\s*pragma\b"),
    ("sqlite", "INSERT OR …", r"\binsert\s+or\s+(?:replace|ignore|abort|rollback|fail)\b"),
    ("sqlite", "WITHOUT ROWID", r"\bwithout\s+rowid\b"),
    ("tsql", "[brackets]", r"(?<![\w\]\[(,$.\"'])(?<!\barray\s)\s*\[[A-Za-z_][\w ]*\](?!\s*\[)"),
    ("tsql", "IDENTITY(1,1)", r"\bidentity\s*\(\s*-?\d+\s*,\s*-?\d+\s*\)"),
    ("tsql", "GO", r"^\s*go\s*;?\s*$"),
    ("tsql", "NVARCHAR", r"\bn(?:var)?char\s*\(\s*(?:max|\d+)\s*\)"),
    ("tsql", "VARCHAR(MAX)", r"\b(?:varchar|varbinary)\s*\(\s*max\s*\)"),
    ("tsql", "CLUSTERED", r"\b(?:non)?clustered\b"),
    ("tsql", "TOP", r"\bselect\s+(?:distinct\s+)?top\s*\(?\s*\d+"),
    ("tsql", "SET NOCOUNT", r"^\s*set\s+(?:nocount|ansi_nulls|quoted_identifier|xact_abort)\s+(?:on|off)\b"),
    ("tsql", "@variables", r"(?<![\w@])@\w+\s*(?:=|\bas\b|\bint\b|\bn?varchar\b)"),
    ("tsql", "PRINT or EXEC", r"^\s*(?:print|exec)\s"),
    ("tsql", "IF OBJECT_ID", r"\bif\s+object_id\s*\("),
)
_COMPILED_PATTERNS = tuple(
    (dialect, name, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for dialect, name, pattern in _DIALECT_PATTERNS
)
_STRINGS_AND_COMMENTS = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^'\\]|''|\\.)*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_GO = re.compile(r"^[ \t]*go[ \t]*;?[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_STATEMENT_END = re.compile(r"""'(?:[^'\\]|''|\\.)*'|"[^"]*"|`[^`]*`|--[^\n]*|/\*.*?\*/|(;)""", re.DOTALL)
_MAX_STATEMENT_LENGTH = 20_000
"""Characters of a statement to examine, and of a translation to show."""
_MAX_START_CANDIDATES = 20


def dialect_hint(sql: str, offset: int) -> str | None:
    """A hint naming the database that the rejected statement at `offset` is written for; None if there is no sign.

    If the statement can be translated and PostgreSQL's parser accepts the result, it follows on further lines.
    """
    statement = failing_statement(sql, offset)
    signs = _matched_patterns(statement)
    if not signs:
        return None
    dialect = max(signs, key=lambda name: len(signs[name]))
    seen = ", ".join(signs[dialect][:3])
    found = f"this is {_NAMES[dialect]} syntax: {seen}"
    if _GO.fullmatch(statement):
        return f"{found}; remove the line (PostgreSQL ends each statement with a semicolon)"
    translation = _postgresql_translation(statement, dialect)
    return f"{found}; in PostgreSQL:\n{translation}" if translation else found


def failing_statement(sql: str, offset: int) -> str:
    """The statement around `offset`, where PostgreSQL's parser rejects `sql`.

    It starts after the last semicolon up to which the text parses, and ends at a semicolon outside quotes and
    comments, or before a line with GO.
    """
    if separator := _GO.match(sql, sql.rfind("\n", 0, offset) + 1):
        return separator.group()
    start = _statement_start(sql, offset)
    return _truncate_at_end(sql[start : start + _MAX_STATEMENT_LENGTH], offset - start).strip()


def _statement_start(sql: str, offset: int) -> int:
    cuts = list(_start_candidates(sql, offset))
    for cut in cuts:
        try:
            parse(sql[:cut])
        except SqlSyntaxError:
            continue
        return skip_trivia(sql, cut)
    return skip_trivia(sql, 0 if len(cuts) < _MAX_START_CANDIDATES else cuts[0])


def _start_candidates(sql: str, offset: int) -> Iterator[int]:
    """Offsets where the statement may start, the last first; only one in a large file."""
    at = offset
    for _ in range(_MAX_START_CANDIDATES if offset < LARGE_TEXT else 1):
        at = sql.rfind(";", 0, at)
        if at < 0:
            return
        yield at + 1


def _truncate_at_end(text: str, failed_at: int) -> str:
    if go := _GO.search(text, failed_at):
        text = text[: go.start()]
    ends = (found.start(1) for found in _STATEMENT_END.finditer(text) if found.group(1))
    return text[: next((end for end in ends if end >= failed_at), len(text))]


def _matched_patterns(statement: str) -> dict[str, list[str]]:
    """The matching signs of each dialect, ignoring strings and comments."""
    bare = _STRINGS_AND_COMMENTS.sub("''", statement)
    found: dict[str, list[str]] = {}
    for dialect, name, pattern in _COMPILED_PATTERNS:
        if pattern.search(bare):
            found.setdefault(dialect, []).append(name)
    return found


def _postgresql_translation(statement: str, dialect: str) -> str | None:
    """The statement translated by sqlglot; None if PostgreSQL's parser rejects the result."""
    from mosaic_deploy.sql.dialect_translation import translate_to_postgresql

    translation = translate_to_postgresql(statement, dialect)
    if translation is None or len(translation) > _MAX_STATEMENT_LENGTH:
        return None
    try:
        parse(translation)
    except SqlSyntaxError:
        return None
    return translation

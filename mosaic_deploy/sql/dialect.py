"""SQL that another database would understand: said so where PostgreSQL's parser refuses it, with its own form."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from mosaic_deploy.sql.parse import LARGE, SyntaxProblem, after_trivia, parse

_NAMES = {"mysql": "MySQL", "sqlite": "SQLite", "tsql": "T-SQL (SQL Server)"}
_SIZED = r"(?:var)?char|character|numeric|decimal|(?:var)?bit|time|float|interval"
"""Types that take a size in PostgreSQL too: `key varchar(20)` is a column."""
_SIGNS: tuple[tuple[str, str, str], ...] = (
    ("mysql", "backticks", r"`[^`\n]*`"),
    ("mysql", "AUTO_INCREMENT", r"\bauto_increment\b"),
    ("mysql", "ENGINE=", r"\bengine\s*=\s*\w+"),
    ("mysql", "UNSIGNED", r"\bunsigned\b"),
    ("mysql", "CHARSET", r"\b(?:default\s+charset|charset\s*=|character\s+set\s*=?\s*\w)"),
    ("mysql", "ON UPDATE CURRENT_TIMESTAMP", r"\bon\s+update\s+current_timestamp\b"),
    (
        "mysql",
        "KEY inside CREATE TABLE",
        r"[,(]\s*(?:(?:unique|fulltext)\s+(?:key|index)|(?:key|index)\s+(?!" + _SIZED + r")\w+)\s*\(",
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
_COMPILED = tuple(
    (dialect, name, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for dialect, name, pattern in _SIGNS
)
_TEXT = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^'\\]|''|\\.)*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_GO = re.compile(r"^[ \t]*go[ \t]*;?[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_END = re.compile(r"""'(?:[^'\\]|''|\\.)*'|"[^"]*"|`[^`]*`|--[^\n]*|/\*.*?\*/|(;)""", re.DOTALL)
_LONGEST = 20_000
"""Characters of one statement that are worth a look, and a translation that is worth showing."""
_MOST_CUTS = 20


def dialect_hint(sql: str, offset: int) -> str | None:
    """What other database's SQL stands where the parser refused `sql`, and the same for PostgreSQL.

    None where nothing speaks for another dialect. The first line says which one; where a translation is
    known and PostgreSQL's parser accepts it, the lines after it are that statement.
    """
    statement = failing_statement(sql, offset)
    signs = _signs(statement)
    if not signs:
        return None
    dialect = max(signs, key=lambda name: len(signs[name]))
    seen = ", ".join(signs[dialect][:3])
    says = f"this is {_NAMES[dialect]}: {seen}"
    if _GO.fullmatch(statement):
        return (
            f"{says}, which ends a batch; leave the line out: in PostgreSQL a semicolon ends each statement"
        )
    form = _form(statement, dialect)
    return f"{says}; in PostgreSQL it is:\n{form}" if form else says


def failing_statement(sql: str, offset: int) -> str:
    """The statement around `offset`, in a text that PostgreSQL's parser refuses there.

    It begins behind the last semicolon up to which the text parses, and ends as other dialects end one: at a
    semicolon outside quotes and comments, or before a line with GO.
    """
    if separator := _GO.match(sql, sql.rfind("\n", 0, offset) + 1):
        return separator.group()
    start = _start(sql, offset)
    return _until_end(sql[start : start + _LONGEST], offset - start).strip()


def _start(sql: str, offset: int) -> int:
    cuts = list(_cuts(sql, offset))
    for cut in cuts:
        try:
            parse(sql[:cut])
        except SyntaxProblem:
            continue
        return after_trivia(sql, cut)
    return after_trivia(sql, 0 if len(cuts) < _MOST_CUTS else cuts[0])


def _cuts(sql: str, offset: int) -> Iterator[int]:
    """Where a statement may begin, the last place first; a few only, and one in a large file."""
    at = offset
    for _ in range(_MOST_CUTS if offset < LARGE else 1):
        at = sql.rfind(";", 0, at)
        if at < 0:
            return
        yield at + 1


def _until_end(text: str, failed: int) -> str:
    if go := _GO.search(text, failed):
        text = text[: go.start()]
    ends = (found.start(1) for found in _END.finditer(text) if found.group(1))
    return text[: next((end for end in ends if end >= failed), len(text))]


def _signs(statement: str) -> dict[str, list[str]]:
    """What speaks for each dialect, outside texts and comments."""
    bare = _TEXT.sub("''", statement)
    found: dict[str, list[str]] = {}
    for dialect, name, pattern in _COMPILED:
        if pattern.search(bare):
            found.setdefault(dialect, []).append(name)
    return found


def _form(statement: str, dialect: str) -> str | None:
    """The statement for PostgreSQL, where sqlglot reads it and PostgreSQL's parser accepts what it writes."""

    form = postgresql_form(statement, dialect)
    if form is None or len(form) > _LONGEST:
        return None
    try:
        parse(form)
    except SyntaxProblem:
        return None
    return form


_TRANSLATABLE = (exp.Create, exp.Insert, exp.Select, exp.Update, exp.Delete, exp.Alter, exp.Drop)
_TYPES = {
    exp.DataType.Type.UTINYINT: "SMALLINT",
    exp.DataType.Type.USMALLINT: "INT",
    exp.DataType.Type.UMEDIUMINT: "INT",
    exp.DataType.Type.UINT: "BIGINT",
    exp.DataType.Type.UBIGINT: "DECIMAL(20)",
    exp.DataType.Type.UDECIMAL: "DECIMAL",
    exp.DataType.Type.MEDIUMINT: "INT",
}
"""The narrowest signed type that holds the same numbers."""
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"})
_LEFT_OUT = (
    exp.CharacterSetColumnConstraint,
    exp.CollateColumnConstraint,
    exp.CommentColumnConstraint,
    exp.OnUpdateColumnConstraint,
)
"""What PostgreSQL has no word for in a column's definition; ON UPDATE is told, since it changes rows."""


def postgresql_form(statement: str, dialect: str) -> str | None:
    """`statement` as PostgreSQL's SQL; None where sqlglot doesn't read it or it has no counterpart."""
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it would print what we say in our own words
    try:
        tree = sqlglot.parse_one(statement, read=dialect)
        if not isinstance(tree, _TRANSLATABLE) or not _has_counterpart(tree):
            return None
        written = [tree, *_rewrite(tree)]
        texts = [one.sql("postgres", pretty=True, unsupported_level=ErrorLevel.IGNORE) for one in written]
    except (SqlglotError, ValueError, RecursionError):
        return None
    notes = (
        ["-- ON UPDATE CURRENT_TIMESTAMP needs a trigger in PostgreSQL"] if _ON_UPDATE in tree.meta else []
    )
    return "\n".join([*notes, *(f"{text};" for text in texts)])


_ON_UPDATE = "on update"


def _has_counterpart(tree: exp.Expression) -> bool:
    """Not for REPLACE: which of the columns is the key, only the table knows."""
    return str(tree.args.get("alternative") or "IGNORE").upper() == "IGNORE"


def _rewrite(tree: exp.Expression) -> list[exp.Expression]:
    """Changes `tree` in place; returns statements that belong behind it."""
    behind = list(_indexes(tree)) if isinstance(tree, exp.Create) else []
    for node in list(tree.find_all(*_LEFT_OUT)):
        if isinstance(node, exp.OnUpdateColumnConstraint):
            tree.meta[_ON_UPDATE] = True
        (node.parent if isinstance(node.parent, exp.ColumnConstraint) else node).pop()
    for property_ in list(tree.find_all(exp.Property)):
        if not isinstance(property_, exp.TemporaryProperty):
            property_.pop()
    for unique in tree.find_all(exp.UniqueColumnConstraint):
        if isinstance(unique.this, exp.Schema):
            unique.this.set("this", None)
    for type_ in list(tree.find_all(exp.DataType)):
        _rewrite_type(type_)
    if isinstance(tree, exp.Insert) and (tree.args.get("ignore") or tree.args.get("alternative")):
        tree.set("ignore", None)
        tree.set("alternative", None)
        tree.set("conflict", exp.OnConflict(action=exp.var("DO NOTHING")))
    return behind


def _rewrite_type(node: exp.DataType) -> None:
    kind = node.this
    if kind in _TYPES:
        node.replace(exp.DataType.build(_TYPES[kind]))
    elif kind.name in _INTEGERS:
        node.set("expressions", [])  # a display width
    elif kind.name == "BIT" and not node.expressions:
        node.replace(exp.DataType.build("BOOLEAN"))
    elif kind.name == "ENUM":
        _check_instead(node)
    elif any(size.name.upper() == "MAX" for size in node.expressions):
        node.replace(exp.DataType.build("BYTEA" if "BINARY" in kind.name else "TEXT", dialect="postgres"))


def _check_instead(node: exp.DataType) -> None:
    """An ENUM in place, which PostgreSQL wants as a type of its own, as text with a check."""
    column, values = node.parent, [value.copy() for value in node.expressions]
    node.replace(exp.DataType.build("TEXT"))
    if isinstance(column, exp.ColumnDef):
        among = exp.In(this=exp.column(column.this.copy()), expressions=values)
        check = exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=among))
        column.append("constraints", check)


def _indexes(tree: exp.Create) -> Iterator[exp.Expression]:
    """KEY inside CREATE TABLE as CREATE INDEX."""
    table = tree.find(exp.Table)
    for node in list(tree.find_all(exp.IndexColumnConstraint)):
        node.pop()
        if table is not None and node.expressions:
            name = node.this.copy() if node.this else None
            columns = [exp.Ordered(this=one.copy()) for one in node.expressions]
            parameters = exp.IndexParameters(columns=columns)
            index = exp.Index(this=name, table=table.copy(), params=parameters)
            yield exp.Create(this=index, kind="INDEX")

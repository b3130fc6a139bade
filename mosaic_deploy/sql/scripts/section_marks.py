"""Recognizes the section markers of dbmate, goose, sql-migrate, node-pg-migrate and tern among a file's comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.scripts.mistakes import Mistake
from mosaic_deploy.sql.scripts.scan import Span

DBMATE, GOOSE, SQL_MIGRATE, NODE_PG_MIGRATE, TERN = (
    "dbmate",
    "goose",
    "sql-migrate",
    "node-pg-migrate",
    "tern",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker of `tool`. `direction` is up, down, or "" for one inside a section; `end` is where its section starts.

    `no_transaction` is what of it turns transactions off, as written; "" if nothing does. `implies_up`: the text before it is the
    up section. `whole_file`: its options are those of both sections.
    """

    tool: str
    direction: str
    start: int
    end: int
    text: str
    no_transaction: str = ""
    implies_up: bool = False
    whole_file: bool = False
    is_exact: bool = True
    mistake: Mistake | None = None


_LOOKS_MARKED = re.compile(
    r"^[ \t]*--[ \t-]*(?:migrate:|\+[ \t]*(?:goose|migrate)\b|(?:up|down)\s+migration)|---- (?:create above|tern:)",
    re.IGNORECASE | re.MULTILINE,
)
_DBMATE = re.compile(r"--[ \t]*migrate:(up|down)\b(.*)")
_NO_TRANSACTION = re.compile(r"\btransaction\s*[:=]\s*false\b", re.IGNORECASE)
_GOOSE = re.compile(r"--[ \t]*\+goose\b(.*)", re.IGNORECASE)
_SQL_MIGRATE = re.compile(r"--[ \t]*\+[ \t]*migrate\b(.*)", re.IGNORECASE)
_NODE_PG_MIGRATE = re.compile(r"--[\s-]*(up|down)\s+migration(.*)", re.IGNORECASE)
_TERN = re.compile(r"---- create above / drop below ----")
_TERN_NO_TRANSACTION = re.compile(r"---- tern: disable-tx ----\s*")
_TERN_TEMPLATE = re.compile(r"\{\{-?\s*(?:\.|template\b|if\b|range\b|with\b|define\b|block\b|\$)")


def looks_marked(text: str) -> bool:
    """Whether the text may have a marker, wherever it is written."""
    return _LOOKS_MARKED.search(with_lf(text)) is not None


def find_marks(text: str, comments: Sequence[Span]) -> list[Mark]:
    """The markers in order. What node-pg-migrate would accept is only a remark beside another tool's markers."""
    marks = list(_marks(with_lf(text), comments))
    if any(mark.tool != NODE_PG_MIGRATE for mark in marks):
        marks = [mark for mark in marks if mark.tool != NODE_PG_MIGRATE or mark.is_exact]
    checks = {GOOSE: _goose_mistakes, SQL_MIGRATE: _sql_migrate_mistakes, TERN: _tern_mistakes}
    for tool, check in checks.items():
        if any(mark.tool == tool for mark in marks):
            marks += check(text, marks)
    return sorted(marks, key=lambda mark: mark.start)


def _marks(text: str, comments: Sequence[Span]) -> Iterator[Mark]:
    for comment in comments:
        line = text[comment.start : comment.end]
        indent = text[text.rfind("\n", 0, comment.start) + 1 : comment.start]
        if found := _TERN.search(line):
            start = comment.start + found.start()
            yield Mark(TERN, "down", start, start + len(found.group()), found.group(), implies_up=True)
        elif indent.strip():
            continue  # behind SQL
        elif _TERN_NO_TRANSACTION.fullmatch(line):
            yield Mark(TERN, "", comment.start, comment.end, line.strip(), "disable-tx", implies_up=True)
        elif found := _DBMATE.match(line):
            name = f"-- migrate:{found.group(1)}"
            off = _NO_TRANSACTION.search(found.group(2))
            yield Mark(DBMATE, found.group(1), comment.start, comment.end, name, off[0] if off else "")
        elif found := _GOOSE.fullmatch(line):
            yield _goose_mark(comment, found.group(1).strip(), bool(indent))
        elif found := _SQL_MIGRATE.match(line):
            yield _sql_migrate_mark(comment, line, found.group(1).split(), bool(indent))
        elif found := _NODE_PG_MIGRATE.match(line):
            direction = found.group(1).lower()
            exact = not found.group(2).strip(" \t\r-")
            name = f"-- {direction.capitalize()} Migration"
            yield Mark(NODE_PG_MIGRATE, direction, comment.start, comment.end, name, is_exact=exact)


_GOOSE_WORDS = ("Up", "Down", "StatementBegin", "StatementEnd", "NO TRANSACTION", "ENVSUB ON", "ENVSUB OFF",
                "ENVSUBST ON", "ENVSUBST OFF")  # fmt: skip


def _goose_mark(comment: Span, given: str, indented: bool) -> Mark:
    word = next((word for word in _GOOSE_WORDS if word.lower() == " ".join(given.split()).lower()), "")
    mistake = None
    if not word:
        hint = "goose's are Up, Down, StatementBegin, StatementEnd, NO TRANSACTION and ENVSUB"
        mistake = Mistake(f"unknown goose annotation {given!r}", comment.start, hint)
    elif indented:
        mistake = Mistake(
            "goose's annotations must start in the first column", comment.start, "remove the indent"
        )
    return Mark(
        GOOSE,
        word.lower() if word in ("Up", "Down") else "",
        comment.start,
        comment.end,
        f"-- +goose {word or given}",
        no_transaction=word if word == "NO TRANSACTION" else "",
        whole_file=True,
        mistake=mistake,
    )


def _goose_mistakes(text: str, marks: Sequence[Mark]) -> Iterator[Mark]:
    """Marks with the mistakes that goose reports itself: sections out of order, unbalanced statement blocks."""
    own = [mark for mark in marks if mark.tool == GOOSE]
    section, block = "", None
    for mark in own:
        word = mark.text.removeprefix("-- +goose ")
        if word in ("Up", "Down"):
            if block:
                yield _wrong(block, f"{block.text} without -- +goose StatementEnd")
                block = None
            if word == "Down" and section != "Up":
                yield _wrong(mark, "-- +goose Down must come after -- +goose Up")
            section = word
        elif word == "StatementBegin":
            if block or not section:
                yield _wrong(mark, f"{mark.text} must be in a section, after the previous block's end")
            block = mark
        elif word == "StatementEnd":
            if not block:
                yield _wrong(mark, f"{mark.text} without -- +goose StatementBegin")
            block = None
        elif word in ("ENVSUB ON", "ENVSUBST ON") and "$" in _substituted(text, mark, own):
            hint = "write the values directly, or remove the annotation"
            yield _wrong(mark, "goose would replace environment variables here, which isn't supported", hint)
    if block:
        yield _wrong(block, f"{block.text} without -- +goose StatementEnd")


def _substituted(text: str, mark: Mark, marks: Sequence[Mark]) -> str:
    off = (m.start for m in marks if m.start > mark.start and m.text.endswith(" OFF"))
    return text[mark.end : next(off, len(text))]


def _sql_migrate_mark(comment: Span, line: str, words: list[str], indented: bool) -> Mark:
    word, options = (words[0], words[1:]) if words else ("", [])
    mistake = None
    if word not in ("Up", "Down", "StatementBegin", "StatementEnd"):
        hint = "sql-migrate's are Up, Down, StatementBegin and StatementEnd, in this letter case"
        mistake = Mistake(f"unknown sql-migrate command {word!r}", comment.start, hint)
    elif indented or not line.startswith("-- +migrate "):
        message = "sql-migrate doesn't recognize this marker"
        mistake = Mistake(message, comment.start, f"write `-- +migrate {word}` in the first column")
    return Mark(
        SQL_MIGRATE,
        word.lower() if word in ("Up", "Down") else "",
        comment.start,
        comment.end,
        f"-- +migrate {word}".rstrip(),
        no_transaction="notransaction" if "notransaction" in options else "",
        mistake=mistake,
    )


def _sql_migrate_mistakes(text: str, marks: Sequence[Mark]) -> Iterator[Mark]:
    del text
    block = None
    for mark in marks:
        if mark.text == "-- +migrate StatementBegin":
            block = mark
        elif mark.text == "-- +migrate StatementEnd":
            block = None
    if block:
        yield _wrong(block, f"{block.text} without -- +migrate StatementEnd")


def _tern_mistakes(text: str, marks: Sequence[Mark]) -> Iterator[Mark]:
    if found := _TERN_TEMPLATE.search(text):
        tern = next(mark for mark in marks if mark.tool == TERN)
        mistake = Mistake(
            f"tern would expand the template {found.group()}… here, which isn't supported",
            found.start(),
            "write its result directly",
        )
        yield Mark(TERN, "", tern.start, tern.end, tern.text, mistake=mistake)


def _wrong(mark: Mark, message: str, hint: str | None = None) -> Mark:
    return Mark(mark.tool, "", mark.start, mark.end, mark.text, mistake=Mistake(message, mark.start, hint))


def with_lf(text: str) -> str:
    """The text, as long as it was, with CR as a line end: there, too, a line comment ends."""
    return text.replace("\r", "\n")

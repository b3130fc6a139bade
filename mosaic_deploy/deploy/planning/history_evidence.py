"""Compares the texts that were applied with the folder's files: what was edited, renamed or squashed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from mosaic_deploy.diff.history.actions import lost_step_actions
from mosaic_deploy.diff.history.matching import (
    Evidence,
    Matches,
    MatchKind,
    match_history,
    name_without_number,
)
from mosaic_deploy.errors import ApiError, Location, MigrationDiverged, MigrationInvalid, Problem
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.outside_transaction import can_read_outcome
from mosaic_deploy.live.ledger.applied_sources import read_applied_sources
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.down import section_as_applied
from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile, parse_migrations
from mosaic_deploy.sql.execution.split import ExecutionMode
from mosaic_deploy.sql.parse import Statement, semantic_checksum

_INSIGNIFICANT = frozenset({"SelectStmt", "VariableSetStmt", "VariableShowStmt", "TransactionStmt"})
"""Statements that unrelated files have in common."""
_WORD = re.compile(r"\w+|[^\w\s]")
_SAME_NAME_RATIO, _OTHER_NAME_RATIO = 0.5, 0.8
_MAX_COMPARED = 10_000
"""Characters of each text that are compared for similarity."""


@dataclass(frozen=True, slots=True)
class AppliedTexts:
    """Rows and files matched with the help of the applied texts, which are by version."""

    matches: Matches
    evidence: Evidence = field(default_factory=Evidence)
    texts: Mapping[str, str] = field(default_factory=dict)


def read_applied_texts(
    api: Api,
    project: str,
    files: Sequence[MigrationFile],
    folder: Sequence[Migration],
    rows: Sequence[Migration],
) -> AppliedTexts:
    """Matches `rows` with the folder. Sends one request, and that only if a row has no equal file.

    `folder` are the migrations of `files`, with semantic checksums if they may differ from the rows. Without an
    answer from the API, only names and checksums count.
    """
    matches = match_history(folder, rows)
    unclear = [m for m in matches.rows if m.diverged and m.kind in (MatchKind.EDITED, MatchKind.MISSING)]
    if not unclear:
        return AppliedTexts(matches)
    texts = _read_texts(api, project, [match.row.version for match in unclear])
    taken = {match.file.file for match in matches.rows if match.file and match not in unclear}
    free = [_Text(file.migration, file) for file in files if file.migration.file not in taken]
    applied = [
        _Text(match.row, MigrationFile(match.row, match.row.file, texts[match.row.version]))
        for match in unclear
        if match.row.version in texts
    ]
    found = compare_texts(applied, free)
    return AppliedTexts(match_history(folder, rows, found), found, texts)


def files_with_moved_statements(
    row: Migration, text: str, edited: MigrationFile, files: Sequence[MigrationFile]
) -> tuple[Migration, ...]:
    """Those of `files` with a statement of the applied `text` that isn't in the edited file any more."""
    applied = _Text(row, MigrationFile(row, row.file, text)).significant
    moved = applied - _Text(edited.migration, edited).significant
    return tuple(
        file.migration for file in files if not moved.isdisjoint(_Text(file.migration, file).significant)
    )


def _read_texts(api: Api, project: str, versions: Sequence[str]) -> Mapping[str, str]:
    try:
        return read_applied_sources(api, project, versions)
    except ApiError:
        return {}


class _Text:
    """A migration's text, parsed as far as that is possible. `wordings` are its statements without numbers."""

    def __init__(self, migration: Migration, file: MigrationFile) -> None:
        self.migration, self.file = migration, file
        statements = _statements(file)
        self.digests = tuple(semantic_checksum([statement]) for statement in statements)
        self.significant = {
            digest
            for digest, statement in zip(self.digests, statements, strict=True)
            if statement.kind not in _INSIGNIFICANT
        }
        self.words = _WORD.findall(file.text[:_MAX_COMPARED])
        self.wordings = {
            tuple(word for word in _WORD.findall(statement.text[:_MAX_COMPARED]) if not word.isdecimal())
            for statement in statements
            if statement.kind not in _INSIGNIFICANT
        }
        self.tables = frozenset(name for statement in statements for name in _table_names(statement))


def _statements(file: MigrationFile) -> list[Statement]:
    try:
        [parsed] = parse_migrations([file])
    except MigrationInvalid:
        return []
    return [statement for step in parsed.steps for statement in step.statements]


def _table_names(statement: Statement) -> Iterator[str]:
    """The names of the relations in a statement; none in a large file, whose trees would take too long."""
    waiting: list[Any] = [statement.parsed or {}]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(name := node.get("relname"), str):
                yield name
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def compare_texts(applied: Sequence[_Text], free: Sequence[_Text]) -> Evidence:
    """What the texts of rows without an equal file have in common with files without an equal row."""
    squashed: dict[str, str] = {}
    for file in free:
        whole = [row for row in applied if row.migration.applied and row.migration.version not in squashed]
        for row in _squashed_rows(file, whole):
            squashed[row.migration.version] = file.migration.file
    edited: dict[str, str] = {}
    for row in applied:
        scores = [(_score(row, file), file.migration.file) for file in free]
        best = max(scores, key=lambda scored: scored[0], default=(0, ""))
        if best[0]:
            edited[row.migration.version] = best[1]
    with_down = (row.migration.version for row in applied if section_as_applied(row.file))
    return Evidence(edited, squashed, frozenset(with_down))


def _squashed_rows(file: _Text, applied: Sequence[_Text]) -> Sequence[_Text]:
    """The successive rows whose statements, in order, are those of the file; empty if there aren't at least two."""
    for first in range(len(applied)):
        length = 0
        for last in range(first, len(applied)):
            part = applied[last].digests
            if file.digests[length : length + len(part)] != part:
                break
            length += len(part)
            if length == len(file.digests) and length and last > first:
                return applied[first : last + 1]
    return ()


def _score(row: _Text, file: _Text) -> int:
    """How surely the file was made from the row's text: 0 if probably not.

    A statement in common is certain: it would run twice. A name in common outweighs a number, which branches reuse.
    """
    same_number = row.migration.version == file.migration.version
    names = [name_without_number(each.migration.file) for each in (row, file)]
    same_name = names[0] == names[1]
    if same_number and same_name:
        return 8
    if row.significant & file.significant:
        return 6 + same_number
    ratio = SequenceMatcher(None, row.words, file.words, autojunk=False).ratio()
    if same_name and ratio >= _SAME_NAME_RATIO:
        return 4
    related = set(names[0].split("_")) & set(names[1].split("_")) and row.tables and row.tables == file.tables
    if same_number and (row.wordings & file.wordings or (related and ratio >= _OTHER_NAME_RATIO)):
        return 2
    return 0


def refuse_lost_steps(
    api: Api, project: str, parsed: Sequence[ParsedFile], rows: Iterable[Migration]
) -> None:
    """Raises MigrationDiverged for `lost_steps`: the history knows a step by its number, so it could run a second time."""
    lost = list(lost_steps(api, project, parsed, rows))
    if not lost:
        return
    raise MigrationDiverged(
        "it isn't known whether a step took effect, and its file was edited since",
        problems=[lost_step_problem(file, row) for file, row in lost],
        hint="check in the database whether it took effect, and record that; otherwise it could run twice",
        next_actions=[action for _, row in lost for action in lost_step_actions(row, row.step_begun)],
    )


def lost_steps(
    api: Api, project: str, parsed: Sequence[ParsedFile], rows: Iterable[Migration]
) -> Iterator[tuple[ParsedFile, Migration]]:
    """Files with another statement in the place of one whose outcome only a person can find out.

    Sends one request, and that only if a file was edited while a step's outcome is unknown.
    """
    known = {row.version: row for row in rows if row.step_begun > row.steps_done}
    edited = [
        (each, row)
        for each in parsed
        if (row := known.get(each.file.migration.version)) and row.checksum != each.file.migration.checksum
    ]
    if not edited:
        return
    texts = read_applied_sources(api, project, [row.version for _, row in edited])
    for file, row in edited:
        if _is_lost(file, row.step_begun, _sent_statement(row, texts)):
            yield file, row


def lost_step_problem(file: ParsedFile, row: Migration) -> Problem:
    message = f"step {row.step_begun} of {row.steps} was begun before the file was edited, and isn't in its place any more"
    hint = f"`mosaic-deploy migrate restore-file {row.version}` writes the file as it was begun"
    return Problem(message, Location(file.file.relative_path), hint=hint)


def _sent_statement(row: Migration, texts: Mapping[str, str]) -> Statement | None:
    """The statement of the step that was begun; None if the history hasn't its text."""
    try:
        [parsed] = parse_migrations([MigrationFile(row, row.file, texts.get(row.version, ""))], [row])
    except MigrationInvalid:
        return None
    statements = [step.statements for step in parsed.steps[row.step_begun - 1 : row.step_begun]]
    return statements[0][0] if statements and statements[0] else None


def _is_lost(file: ParsedFile, number: int, sent: Statement | None) -> bool:
    """Whether the file's step `number` can't be the sent statement, perhaps corrected."""
    if sent is not None and can_read_outcome(sent):
        return False
    for step in file.steps[number - 1 : number]:
        if step.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION:
            [now] = step.statements
            if sent is None:
                return can_read_outcome(now)
            later = [one for each in file.steps[number:] for one in each.statements]
            same = semantic_checksum([sent])
            is_later = any(one.kind == sent.kind and semantic_checksum([one]) == same for one in later)
            return now.kind != sent.kind or (semantic_checksum([now]) != same and is_later)
    return True

"""Compares the findings of the lint rules with what the rehearsal saw. Only those about locks, rewrites and names are judged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.deploy.rehearsal.observed import WatchedStatement
from mosaic_deploy.model.catalog import BLOCKED, LiveSize, SchemaObject
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.sql.guard.locks import LOCK_MODES
from mosaic_deploy.sql.hazards import RULES, UNREPORTED_LOCK, IgnoreComments, ignore_reason
from mosaic_deploy.sql.parse import Statement

LARGE_ROWS, LARGE_BYTES = 100_000, 50_000_000
"""From one of these on, a table is large: to rewrite or read it takes more than a moment."""
_FIRST_BLOCKING, _STRONGEST = LOCK_MODES.index("SHARE") + 1, len(LOCK_MODES)

_REWRITES = frozenset({"column_type", "add_column_rewrites", "table_rewrite"})
_SCANS = frozenset(
    {
        "set_not_null",
        "foreign_key_validates",
        "check_validates",
        "validate_same_transaction",
        "attach_scans",
        "constraint_builds_index",
        "index_locks",
        "reindex_locks",
    }
)
_LOCKS = frozenset({"lock_table", "drop_index_locks", "refresh_locks", "vacuum_full"})
_NEEDS_ROWS = frozenset({"not_null_without_default"})
_NAMES = frozenset({"rename_table", "rename_column"})
_MILD = (HazardSeverity.BLOCKING, HazardSeverity.RISKY)
JUDGED = _REWRITES | _SCANS | _LOCKS | _NEEDS_ROWS | _NAMES
"""The rules whose findings a rehearsal may refute: none is about data that is lost."""
_INSTEAD = next(rule.instead for rule in RULES if rule.code == UNREPORTED_LOCK)


@dataclass(frozen=True, slots=True)
class SeenFile:
    """What was seen of a file, its statements, and the plan's findings in it."""

    text: str
    written: Sequence[Statement]
    hazards: Sequence[Hazard]
    statements: Sequence[WatchedStatement] = field(default_factory=list)


def refuted(files: Collection[SeenFile], sizes: Mapping[SchemaObject, LiveSize]) -> tuple[Hazard, ...]:
    """The findings that don't hold for the live tables."""
    empty = frozenset(item for item, size in sizes.items() if size.empty)
    return tuple(
        hazard for file in files for hazard in file.hazards if _is_refuted(hazard, _at(file, hazard), empty)
    )


def _is_refuted(hazard: Hazard, seen: WatchedStatement | None, empty: frozenset[SchemaObject]) -> bool:
    if seen is None or not seen.seen or hazard.code not in JUDGED or hazard.severity not in _MILD:
        return False
    blocked = {table for table, rank in seen.held.items() if rank >= _FIRST_BLOCKING}
    if hazard.code in _NAMES:
        return not any(rank == _STRONGEST for rank in seen.held.values())
    if hazard.code in _LOCKS | _NEEDS_ROWS or (seen.in_block and hazard.code in _SCANS):
        return blocked <= empty
    if hazard.code in _REWRITES:
        return seen.rewritten <= empty
    return (seen.scanned | seen.rewritten) <= empty


def _at(file: SeenFile, hazard: Hazard) -> WatchedStatement | None:
    """The statement that the finding is about."""
    offset = _offset(file.text, hazard)
    for each in file.statements:
        statement = each.statement
        if statement and statement.offset <= offset < statement.offset + max(1, statement.size):
            return each
    return None


def _offset(text: str, hazard: Hazard) -> int:
    start = 0
    for _ in range((hazard.location.line or 1) - 1):
        start = text.find("\n", start) + 1
    return start + (hazard.location.column or 1) - 1


def unreported(files: Collection[SeenFile], sizes: Mapping[SchemaObject, LiveSize]) -> tuple[Hazard, ...]:
    """Large live tables that a statement rewrites or reads while others can't use them, and of which no rule says so."""
    large = {item: size for item, size in sizes.items() if is_large(size)}
    return tuple(hazard for file in files for hazard in _unreported_in(file, large))


def is_large(size: LiveSize) -> bool:
    return (size.rows or 0) >= LARGE_ROWS or (size.bytes or 0) >= LARGE_BYTES


def _unreported_in(file: SeenFile, large: Mapping[SchemaObject, LiveSize]) -> Iterator[Hazard]:
    known = [id(_at(file, one)) for one in file.hazards if one.severity is HazardSeverity.BLOCKING]
    comments = IgnoreComments(file.text)
    ignores = {one.offset: comments.before_statement(one) for one in file.written}
    for each in file.statements:
        if id(each) in known or each.location is None or each.statement is None:
            continue
        for table in sorted(each.rewritten | each.scanned):
            mode = LOCK_MODES[max(each.held.get(table, 0), each.taken.get(table, 0), 1) - 1]
            if table in large and mode in BLOCKED:
                verb = _verb(each, rewritten=table in each.rewritten)
                what = f"{verb} {table.name} ({large[table].text}), blocking {BLOCKED[mode]}"
                yield Hazard(
                    UNREPORTED_LOCK,
                    HazardSeverity.BLOCKING,
                    what,
                    table.name,
                    each.location,
                    instead=_INSTEAD,
                    ignored=ignore_reason(ignores[each.statement.offset], UNREPORTED_LOCK),
                )


def _verb(seen: WatchedStatement, *, rewritten: bool) -> str:
    if not rewritten:
        return "reads every row of"
    return "rewrites or empties" if seen.in_block else "rewrites"

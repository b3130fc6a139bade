"""The locks of a rehearsed migration on live tables, and the live sizes of what it destroys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.model.catalog import LiveSize, Rehearsal, RehearsedChange, SchemaObject, TableLock
from mosaic_deploy.model.quantities import count_text, duration_text

_SHOWN_KINDS = ("table", "materialized view")
_MAX_SHOWN = 5
_LONG_HOLD = 1.0
"""Seconds. A rehearsal has no rows, so a shorter time says nothing."""


def lock_lines(done: RehearsedChange, rehearsal: Rehearsal) -> Iterator[str]:
    """A line for each live table that the migration blocks, the worst first. Those that it drops have a line already."""
    dropped = {change.object for change in done.changes if change.action == "drop"}
    by_table: dict[SchemaObject, list[TableLock]] = {}
    for lock in done.locks:
        if lock.blocks and lock.table.kind in _SHOWN_KINDS and lock.table not in dropped:
            by_table.setdefault(lock.table, []).append(lock)
    shown = sorted(by_table.items(), key=lambda found: _rank(found[1], rehearsal.size_of(found[0])))
    for table, locks in shown[:_MAX_SHOWN]:
        yield _lock_line(table, locks, rehearsal.size_of(table))
    if len(shown) > _MAX_SHOWN:
        yield f"… and locks {count_text(len(shown) - _MAX_SHOWN, 'more table')}; --output json lists all"
    for place in done.unseen[:_MAX_SHOWN]:
        yield f"{place} runs outside a transaction; its locks weren't seen"


def _rank(locks: Sequence[TableLock], size: LiveSize | None) -> tuple[bool, bool, bool, int]:
    return (
        not any(lock.rewritten for lock in locks),
        not any(lock.scanned for lock in locks),
        not any(lock.blocks == "reads and writes" for lock in locks),
        -(size.bytes or 0) if size else 0,
    )


def _lock_line(table: SchemaObject, locks: Sequence[TableLock], size: LiveSize | None) -> str:
    """`locks orders (≈200.6 k rows, 31.0 MB): ACCESS EXCLUSIVE, blocks reads and writes; rewrites the table`"""
    strongest = next((lock for lock in locks if lock.blocks == "reads and writes"), locks[-1])
    held = max(lock.held or 0.0 for lock in locks)
    facts = [
        f"{strongest.mode}, blocks {strongest.blocks}",
        _work_text(locks, harmless=size is not None and size.empty),
        "held while later statements change rows" if any(lock.outlasted for lock in locks) else "",
        f"held {duration_text(held)} in the rehearsal" if held >= _LONG_HOLD else "",
        "" if strongest.seen else "as PostgreSQL's documentation says",
    ]
    known = f" ({size.text})" if size and size.text else ""
    return f"locks {table.name}{known}: {'; '.join(fact for fact in facts if fact)}"


def _work_text(locks: Sequence[TableLock], *, harmless: bool) -> str:
    """What the statements that lock the table do with it."""
    rewriting = [lock for lock in locks if lock.rewritten]
    if rewriting:
        work = (
            "rewrites the table" if any(not lock.in_block for lock in rewriting) else "rewrites or empties it"
        )
    elif any(lock.scanned for lock in locks):
        work = "reads every row"
    else:
        return (
            "doesn't rewrite it" if any(lock.in_block for lock in locks) else "neither rewrites nor reads it"
        )
    return work if harmless else style(work, fg="yellow")

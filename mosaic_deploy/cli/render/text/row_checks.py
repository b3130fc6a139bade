"""What live rows say about a plan's new constraints: those that would fail, and notes about the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.model.hazard import RowCheck
from mosaic_deploy.model.plan import Note
from mosaic_deploy.model.quantities import count_text

_MAX_SHOWN, _MAX_NAMED = 10, 5
_DUPLICATES = "delete or change the duplicates first"
_FIXES = {
    "new_column": "give the column a DEFAULT; or add it without NOT NULL, fill it, and then SET NOT NULL",
    "check": "correct them first with an UPDATE; or add the constraint NOT VALID, which accepts the rows that are there",
    "foreign_key": "insert the rows that they reference, or delete them first; or add the constraint NOT VALID",
    "unique": _DUPLICATES,
    "primary_key": _DUPLICATES,
    "unique_index": _DUPLICATES,
    "domain": "correct the values first with an UPDATE",
    "type": "correct the values first with an UPDATE, or convert them with USING",
}
"""By kind of constraint, what makes live rows conform to it."""


def failing_check_lines(checks: Sequence[RowCheck]) -> Iterator[str]:
    """For each constraint that would fail, a warning and what to do about its rows; nothing if none would."""
    failing = [check for check in checks if check.fails]
    for check in failing[:_MAX_SHOWN]:
        yield style(f"  ! {row_check_failure(check)}{_of_file(check)}", fg="yellow")
        if fix := _fix(check):
            yield f"      {fix}"
    if more := len(failing[_MAX_SHOWN:]):
        yield style(
            f"  ! rows violate {count_text(more, 'more constraint')}; --output json lists all", fg="yellow"
        )


def row_check_notes(checks: Sequence[RowCheck]) -> Iterator[Note]:
    """What isn't final, what wasn't checked, and which constraints hold; not those that would fail."""
    violated = [check for check in checks if check.rows and not check.fails]
    for check in violated[:_MAX_SHOWN]:
        message = (
            f"{check.constraint}: {_rows_text(check)} violate{'s' if check.rows == 1 else ''} it now; the pending "
            f"migrations may change that before{_of_file(check)}"
        )
        yield Note("rows_violate_now", message)
    if more := len(violated[_MAX_SHOWN:]):
        message = f"rows violate {count_text(more, 'more constraint')} now; --output json lists all"
        yield Note("rows_violate_now", message)
    left_out = [f"{check.constraint}: {check.reason}" for check in checks if check.rows is None]
    if left_out:
        shown = left_out[:_MAX_SHOWN]
        if rest := len(left_out) - len(shown):
            shown.append(f"and {rest} more")
        yield Note("rows_not_checked", f"not checked on the live rows: {'; '.join(shown)}")
    if held := [check.constraint for check in checks if check.rows == 0]:
        verb = "holds" if len(held) == 1 else "hold"
        named = (
            held
            if len(held) <= _MAX_NAMED + 1
            else [*held[:_MAX_NAMED], f"and {len(held) - _MAX_NAMED} more"]
        )
        message = f"{count_text(len(held), 'new constraint')} {verb} for the live rows: {', '.join(named)}"
        yield Note("rows_hold", message)


def row_check_failure(check: RowCheck) -> str:
    """`SET NOT NULL on users.email would fail: 12 rows, first keys 4, 9, 31`"""
    return f"{check.constraint} would fail: {_rows_text(check)}"


def _of_file(check: RowCheck) -> str:
    file = check.address.partition(":")[2]
    return f" ({file})" if file else ""


def _fix(check: RowCheck) -> str:
    """What makes the rows conform; "" for a kind of constraint without advice."""
    if check.kind == "not_null":
        column = check.constraint.removeprefix(f"SET NOT NULL on {check.table}.")
        return f"fill them first: UPDATE {check.table} SET {column} = … WHERE {column} IS NULL"
    return _FIXES.get(check.kind, "")


def _rows_text(check: RowCheck) -> str:
    """`12 rows, first keys 4, 9, 31`; `1 row, key 4`; only the count without a primary key."""
    count = count_text(check.rows or 0, "row")
    if check.more:
        count = f"more than {count}"
    if not check.keys:
        return count
    listed = ", ".join(check.keys)
    if check.more:
        return f"{count}, such as {listed}"
    if check.rows == len(check.keys):
        return f"{count}, {'key' if check.rows == 1 else 'keys'} {listed}"
    return f"{count}, first keys {listed}"

"""What live rows say about a plan's new constraints, as notes of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.model.hazard import RowCheck
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text

_MAX_SHOWN, _MAX_NAMED = 10, 5


def row_check_notes(checks: Sequence[RowCheck]) -> Iterator[Note]:
    """A warning per constraint that would fail; then what isn't final, what wasn't checked, and which hold."""
    violated = sorted((check for check in checks if check.rows), key=lambda check: check.written)
    for check in violated[:_MAX_SHOWN]:
        file = check.address.partition(":")[2]
        of_file = f" ({file})" if file else ""
        if check.fails:
            yield Note("rows_violate", f"{row_check_failure(check)}{of_file}", Severity.WARNING)
        else:
            message = (
                f"{check.constraint}: {_rows_text(check)} violate{'s' if check.rows == 1 else ''} it now; the pending "
                f"migrations may change that before{of_file}"
            )
            yield Note("rows_violate_now", message)
    if more := len(violated[_MAX_SHOWN:]):
        message = f"rows violate {count_text(more, 'more constraint')}; --output json lists all"
        yield Note("rows_violate", message, Severity.WARNING)
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

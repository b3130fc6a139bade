"""The migration history for people: each migration's state, and the commands that fix what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mosaic_deploy.cli.render.layout import text_width, wrap
from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.model.migration_history import HistoryEntry, MigrationState, MigrationStatus
from mosaic_deploy.model.quantities import age_text

_COLORS = {
    MigrationState.APPLIED: "green",
    MigrationState.PENDING: "yellow",
    MigrationState.REFORMATTED: "yellow",
}
_MAX_FILE_WIDTH = 60


def history_lines(lines: Sequence[MigrationStatus], width: int | None = None) -> Iterator[str]:
    """A line per migration, the fixes for what is wrong, and the number of migrations in each state."""
    if not lines:
        yield "No migrations."
        return
    version_width = max(len(line.version) for line in lines)
    file_width = min(_MAX_FILE_WIDTH, max(text_width(line.file) for line in lines))
    indent = version_width + 2 + file_width + 2
    for line in lines:
        padding = " " * (file_width - text_width(line.file))
        state = style(status_text(line), fg=_COLORS.get(line.state, "red"))
        yield from wrap(
            f"{line.version:>{version_width}}  {line.file}{padding}  {state}{_origin(line)}",
            width,
            indent if width is None or indent <= width // 2 else version_width + 2,
        )
    yield from fix_lines(lines)
    yield f"{_counts_text(lines)}."


def _counts_text(lines: Sequence[MigrationStatus]) -> str:
    """`4 applied (1 reformatted), 1 pending`"""
    counts = Counter(line.state for line in lines)
    reformatted = counts.pop(MigrationState.REFORMATTED, 0)
    counts[MigrationState.APPLIED] += reformatted
    texts = {state: f"{counts[state]} {state.replace('_', ' ')}" for state in MigrationState if counts[state]}
    if reformatted:
        texts[MigrationState.APPLIED] += f" ({reformatted} reformatted)"
    return ", ".join(texts.values())


def repair_lines(lines: Sequence[MigrationStatus]) -> Iterator[str]:
    """What can be repaired, and how."""
    if lines:
        yield from list(fix_lines(lines))[1:-1]
    else:
        yield "Nothing to repair: the folder and the migration history agree."


def fix_lines(lines: Sequence[MigrationStatus]) -> Iterator[str]:
    """For each migration that needs a fix: what is wrong, and the commands to choose from."""
    for line in lines:
        if line.next_actions:
            yield ""
            yield f"{line.file}: {status_text(line)}"
            if line.entry and line.entry.cause:
                yield f"  {line.entry.cause}"
            yield from (f"  next: {action.description}:  {action.command}" for action in line.next_actions)
    if any(line.next_actions for line in lines):
        yield ""


_TEXTS = {
    MigrationState.REFORMATTED: "applied; its comments, layout or down section changed since",
    MigrationState.MISSING: "applied, but the file is missing",
    MigrationState.OUT_OF_ORDER: "pending, but a newer one is applied",
    MigrationState.SQUASHED: "applied; another file contains its statements",
}


def status_text(line: MigrationStatus) -> str:
    """`applied`, `pending`, `step 2 of 3 failed; …`"""
    if line.state is MigrationState.MISSING and line.entry and not line.entry.migration.applied:
        return f"{_steps_text(line, MigrationState.PARTIAL, line.entry)}, but the file is missing"
    if text := _TEXTS.get(line.state):
        return text
    if line.state is MigrationState.RENUMBERED:
        return f"applied as {line.applied_as}; its number has changed"
    if line.state is MigrationState.NUMBER_TAKEN:
        return f"pending, but {line.number_of} was applied with its number"
    if line.entry and line.state not in (MigrationState.APPLIED, MigrationState.PENDING):
        return _steps_text(line, line.state, line.entry)
    return f"{line.state} as {line.applied_as}" if line.applied_as else str(line.state)


def _steps_text(line: MigrationStatus, state: MigrationState, entry: HistoryEntry) -> str:
    """For a file that is neither fully applied nor pending."""
    row = entry.migration
    step = f"step {abs(entry.attempt)} of {row.steps}"
    if state is MigrationState.EDITED:
        applied = "it was applied" if row.applied else f"step {row.steps_done} of {row.steps} was applied"
        return f"edited after {applied}"
    if state is MigrationState.FAILED:
        kept = {0: "", 1: "; step 1 is kept"}.get(row.steps_done, f"; steps 1 to {row.steps_done} are kept")
        return f"{step} failed; the next apply retries step {abs(entry.attempt)}{kept}"
    if state is MigrationState.UNKNOWN:
        return f"{step} was started, but its outcome is unknown"
    return f"step {row.steps_done} of {line.steps or row.steps} applied"


def _origin(line: MigrationStatus) -> str:
    """`  3 minutes ago by ada@laptop, baseline`; nothing for a migration that isn't in the history."""
    if line.entry is None:
        return ""
    origin = "" if line.entry.origin == "apply" else f", {line.entry.origin}"
    return f"  {age_text(line.entry.at)} by {line.entry.by}{origin}"

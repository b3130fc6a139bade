"""Finds steps whose SQL is larger than the platform accepts in one request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from mosaic_deploy.errors import MigrationInvalid, Problem
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.source.migrations.files import ParsedFile, statement_location
from mosaic_deploy.sql.execution.split import StepSql

ALWAYS_ACCEPTED_SIZE = 1024 * 1024
"""Characters of SQL that every platform accepts in a request, so its limit is fetched only for larger steps."""
EMBEDDED_LIMIT = 40 * 1024 * 1024
"""Bytes of a request that the embedded platform accepts."""
SPLIT_HINT = (
    "split the file into several migrations; or write `-- mosaic: transaction=false` at its start: then its statements "
    "commit one by one, so it may be partly applied if one fails"
)


def refuse_large_steps(api: Api, parsed: Sequence[ParsedFile], *, single_transaction: bool = False) -> None:
    """Raises MigrationInvalid for steps over the platform's limit, if it lists one."""
    large = list(_large_steps(parsed, single_transaction))
    limit = api.sql_request_limit() if large else None
    problems = [
        Problem(
            f"{_step_name(each, number)} is {size_text(size)} of SQL as it is sent; this platform accepts "
            f"{size_text(limit)} per request",
            statement_location(each.file, each.steps[number - 1].statements[0]),
            hint=SPLIT_HINT,
        )
        for each, number, size in large
        if limit and size > limit
    ]
    if problems:
        raise MigrationInvalid("too large for a request; nothing was sent", problems=problems)


def large_step_notes(parsed: Sequence[ParsedFile]) -> tuple[Note, ...]:
    """Warnings about steps over the embedded platform's limit, for a check that asks no platform."""
    return tuple(
        Note(
            "step_large",
            f"{each.file.relative_path}: {_step_name(each, number)} is {size_text(size)} of SQL as it is sent, and a "
            f"platform may refuse that (the embedded one accepts {size_text(EMBEDDED_LIMIT)}); {SPLIT_HINT}",
            Severity.WARNING,
        )
        for each, number, size in _large_steps(parsed, single_transaction=False)
        if size > EMBEDDED_LIMIT
    )


def _step_name(parsed: ParsedFile, number: int) -> str:
    return f"step {number} of {len(parsed.steps)}" if len(parsed.steps) > 1 else "the file"


def _large_steps(
    parsed: Sequence[ParsedFile], single_transaction: bool
) -> Iterator[tuple[ParsedFile, int, int]]:
    """(file, number of the step, bytes of its request) of large steps; `single_transaction` adds up all of them."""
    total = 0
    for each in parsed:
        for number, step in enumerate(each.steps, 1):
            size = _characters(step)
            if single_transaction:
                total += size
            if max(size, total) > ALWAYS_ACCEPTED_SIZE:
                yield each, number, max(_request_size(step), total)


def _characters(step: StepSql) -> int:
    return sum(statement.size for statement in step.statements)


def _request_size(step: StepSql) -> int:
    """Bytes of its statements in a request: JSON inside SQL inside JSON, as `compile_batch` writes it."""
    return sum(len(_as_json(_as_json(statement.text)).encode()) for statement in step.statements)


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

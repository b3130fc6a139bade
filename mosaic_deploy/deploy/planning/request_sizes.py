"""Finds steps whose SQL is larger than the platform accepts in one request."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.errors import MigrationInvalid, Problem
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.source.migrations.files import SEED_VERSION, ParsedFile, statement_location
from mosaic_deploy.sql.execution.records import packed_source
from mosaic_deploy.sql.parse import Statement

ALWAYS_ACCEPTED_SIZE = 1024 * 1024
"""Characters of SQL that every platform accepts in a request, so its limit is fetched only for larger steps."""
EMBEDDED_LIMIT = 40 * 1024 * 1024
"""Bytes of a request that the embedded platform accepts."""
_SPLIT_HINT = "split the file into several migrations"
_COMMIT_EACH_HINT = (
    f"{_SPLIT_HINT}; or write `-- mosaic: transaction=false` at its start: then its statements "
    "commit one by one, so it may be partly applied if one fails"
)
_SPLIT_SEED_HINT = "split the file into several seeds"
_ONE_TRANSACTION_HINT = (
    "set database.transaction to each in the manifest: then every migration is a request of its own"
)


@dataclass(frozen=True, slots=True)
class _LargeStep:
    """A step and the bytes of its request; with `total`, of one request for it and all steps before it."""

    file: ParsedFile
    number: int
    size: int
    total: bool

    def problem(self, accepts: str) -> str:
        """`accepts` says how much the platform takes."""
        if self.total:
            return f"the migrations up to this one are one request of {size_text(self.size)}; {accepts}"
        steps = len(self.file.steps)
        name = f"step {self.number} of {steps}" if steps > 1 else "the file"
        return f"{name} is {size_text(self.size)} of SQL as it is sent; {accepts}"

    def hint(self, limit: float) -> str:
        """What makes the request smaller, if the platform accepts `limit` bytes."""
        if self.total:
            return _ONE_TRANSACTION_HINT
        if _is_seed(self.file):
            return _SPLIT_SEED_HINT
        # A file without statements has no steps, only its text to record.
        statements = self.file.steps[self.number - 1].statements if self.file.steps else ()
        if len(statements) < 2:
            return _SPLIT_HINT
        largest = max(_request_size([one]) for one in statements) + _recorded_size(self.file)
        return _COMMIT_EACH_HINT if largest <= limit else _SPLIT_HINT


def large_step_hint(parsed: ParsedFile, number: int, *, single_transaction: bool) -> str:
    """What to do about a step that the platform has refused as too large, without saying what it accepts."""
    return _LargeStep(parsed, number, 0, total=single_transaction).hint(math.inf)


def refuse_large_steps(
    api: Api, migrations: Sequence[ParsedFile], seeds: Sequence[ParsedFile], *, single_transaction: bool
) -> None:
    """Raises MigrationInvalid for steps over the platform's limit, if it lists one."""
    large = [
        *(_large_total(migrations) if single_transaction else _large_steps(migrations)),
        *_large_steps(seeds),
    ]
    limit = api.sql_request_limit() if large else None
    problems = [
        Problem(
            one.problem(f"this platform accepts {size_text(limit)} per request"),
            statement_location(one.file.file, one.file.steps[one.number - 1].statements[0]),
            hint=one.hint(limit),
        )
        for one in large
        if limit and one.size > limit
    ]
    if problems:
        raise MigrationInvalid("too large for a request; nothing was sent", problems=problems)


def large_step_notes(parsed: Sequence[ParsedFile]) -> tuple[Note, ...]:
    """Warnings about steps over the embedded platform's limit, for a check that asks no platform."""
    accepts = f"a platform may refuse that (the embedded one accepts {size_text(EMBEDDED_LIMIT)})"
    return tuple(
        Note(
            "step_large",
            f"{one.file.file.relative_path}: {one.problem(accepts)}; {one.hint(EMBEDDED_LIMIT)}",
            Severity.WARNING,
        )
        for one in _large_steps(parsed)
        if one.size > EMBEDDED_LIMIT
    )


def _large_steps(parsed: Sequence[ParsedFile]) -> Iterator[_LargeStep]:
    """The steps whose requests may be larger than any platform accepts. A file's first one also has its recorded text."""
    for each in parsed:
        record = _recorded_size(each)
        for number, step in enumerate(each.steps, 1):
            first = record if number == 1 else 0
            if first + sum(one.size for one in step.statements) > ALWAYS_ACCEPTED_SIZE:
                yield _LargeStep(each, number, first + _request_size(step.statements), total=False)


def _large_total(parsed: Sequence[ParsedFile]) -> Iterator[_LargeStep]:
    """The last step, for the one request that has them all, if that is large."""
    if not parsed or sum(each.file.size for each in parsed) <= ALWAYS_ACCEPTED_SIZE:
        return
    records = sum(map(_recorded_size, parsed))
    size = records + sum(_request_size(step.statements) for each in parsed for step in each.steps)
    last = next((each for each in reversed(parsed) if each.steps), None)
    if last:
        yield _LargeStep(last, len(last.steps), size, total=True)


def _recorded_size(parsed: ParsedFile) -> int:
    """Bytes of the text as the history records it; 0 for a small one, and for a seed, whose text isn't recorded."""
    if _is_seed(parsed) or parsed.file.size <= ALWAYS_ACCEPTED_SIZE:
        return 0
    return len(packed_source(parsed.recorded_text))


def _is_seed(parsed: ParsedFile) -> bool:
    return parsed.file.migration.version.startswith(SEED_VERSION)


def _request_size(statements: Sequence[Statement]) -> int:
    """Bytes of statements in a request: JSON inside SQL inside JSON, as `compile_batch` writes it."""
    return sum(len(_as_json(_as_json(statement.text)).encode()) for statement in statements)


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

"""The steps of a file of which an earlier version was applied in part.

What was committed stays apart from the rest, however the edited file would be split on its own. So only the statements
decide whether it can resume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mosaic_deploy.sql.execution.split import EMPTY_STEP, ExecutionMode, StepSql
from mosaic_deploy.sql.parse import semantic_checksums


def steps_as_begun(
    steps: list[StepSql], split_after: Callable[[int], list[StepSql]], done: int, semantic: str
) -> list[StepSql]:
    """The steps, of which the first `done` are those that were committed.

    `semantic` is the checksum of the committed statements; `split_after` splits the file with a commit after that many
    statements. If nothing is left to run, the last step is empty. Unchanged if the file doesn't start with what was
    committed, or if a transaction of its own has both.
    """
    if semantic_checksums([step.statements for step in steps])[done - 1 : done] != (semantic,):
        statements = [statement for step in steps for statement in step.statements]
        sums = semantic_checksums([[statement] for statement in statements])
        if not statements or semantic not in sums:
            return steps
        committed = sums.index(semantic) + 1
        split = split_after(committed)
        number = _steps_with(split, committed)
        if number is None:
            return steps
        steps = [*_exactly(done, split[:number]), *split[number:]]
    return [*steps, EMPTY_STEP] if len(steps) == done else steps


def _steps_with(steps: Sequence[StepSql], statements: int) -> int | None:
    """How many of the first steps have exactly this number of statements; None if a step has some of them and others."""
    for number, step in enumerate(steps, 1):
        statements -= len(step.statements)
        if statements <= 0:
            return number if statements == 0 else None
    return None


def _exactly(number: int, committed: list[StepSql]) -> list[StepSql]:
    """The committed statements as `number` steps. These never run again, so it doesn't matter how they are divided."""
    more = len(committed) - number
    if more <= 0:
        return [*committed, *[EMPTY_STEP] * -more]
    together = tuple(statement for step in committed[: more + 1] for statement in step.statements)
    first = replace(committed[0], statements=together, execution_mode=ExecutionMode.BATCH)
    return [first, *committed[more + 1 :]]

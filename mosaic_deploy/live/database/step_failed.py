"""The failure of a step."""

from __future__ import annotations

from dataclasses import dataclass

from mosaic_deploy.sql.execution.step import Step


@dataclass
class StepFailed(Exception):
    """PostgreSQL rejected a step. `statement` is its number in the step, from 1; 0 if unknown.

    `position` is a character of that statement, from 1; None if PostgreSQL didn't report it.
    """

    step: Step
    statement: int
    sqlstate: str | None
    message: str
    detail: str | None = None
    hint: str | None = None
    position: int | None = None
    too_large: bool = False  # the request; nothing of the step ran

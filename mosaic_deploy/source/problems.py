"""Mistakes of several kinds, gathered so that they are told at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from mosaic_deploy.errors import (
    Interrupted,
    Location,
    ManifestInvalid,
    MigrationInvalid,
    MosaicError,
    Problem,
    SecretFound,
    SourceChanged,
    SourceRefused,
    SourceUnreadable,
)

_COLLECTED_ERRORS = (ManifestInvalid, SourceRefused, SourceUnreadable, SecretFound, MigrationInvalid)
"""What is wrong with files as they are. Anything else (a folder that changes, the API's no) isn't gathered."""

Result = TypeVar("Result")


class ErrorCollector:
    """What one reading refuses. `manifest` is named where a refusal names no place."""

    def __init__(self, manifest: str, first: ManifestInvalid | None = None) -> None:
        self._manifest = manifest
        self._found: list[MosaicError] = [first] if first else []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, error: MosaicError) -> None:
        self._found.append(error)

    def collect(self, read: Callable[[], Result]) -> Result | None:
        """What `read` gives, None where it refused. What it raises otherwise is raised, unless there are mistakes to tell."""
        try:
            return read()
        except _COLLECTED_ERRORS as error:
            self.add(error)
            return None
        except MosaicError as error:
            if not isinstance(error, (SourceChanged, Interrupted)):
                self.raise_collected()
            raise

    def raise_collected(self) -> None:
        """Raises what was found, as one error of the first one's kind; nothing where nothing was."""
        if not self._found:
            return
        first, *others = self._found
        if others:
            problems = [problem for each in self._found for problem in self._problems(each, first.code)]
            first.message = (
                "; ".join(dict.fromkeys(each.message for each in self._found if each.problems))
                or first.message
            )
            first.hint = (
                "\n".join(dict.fromkeys(each.hint for each in self._found if each.problems and each.hint))
                or None
            )
            first.location = None
            first.problems = tuple(problems)
            first.next_actions = tuple(
                dict.fromkeys(action for each in self._found for action in each.next_actions)
            )
        raise first

    def _problems(self, error: MosaicError, told: str) -> list[Problem]:
        """An error's problems, or itself as one, each with the error's code where that isn't the one `told`."""
        alone = Problem(error.message, error.location or Location(self._manifest), hint=error.hint)
        code = error.code if error.code != told else None
        return [replace(problem, code=code) for problem in error.problems or (alone,)]

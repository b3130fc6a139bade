"""Collects errors of several kinds, to report them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from mosaic_deploy.errors import (
    BuildOutputMissing,
    IgnoreFileInvalid,
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

_COLLECTED_ERRORS = (
    ManifestInvalid,
    BuildOutputMissing,
    SourceRefused,
    SourceUnreadable,
    IgnoreFileInvalid,
    SecretFound,
    MigrationInvalid,
)
"""Errors in the files as they are. Others, such as SourceChanged or API errors, are raised at once."""

Result = TypeVar("Result")


class ErrorCollector:
    """Collects the errors of one reading. Errors without a location are located in the file `manifest`."""

    def __init__(self, manifest: str, first: ManifestInvalid | None = None) -> None:
        self._manifest = manifest
        self._errors: list[MosaicError] = [first] if first else []

    def __bool__(self) -> bool:
        return bool(self._errors)

    def add(self, error: MosaicError) -> None:
        self._errors.append(error)

    def collect(self, read: Callable[[], Result]) -> Result | None:
        """The result of `read`, None if it failed with an error that is collected.

        Other errors are raised, unless errors were already collected: then those are raised instead.
        """
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
        """Raises all collected errors as one, with the class of the first. Does nothing if there are none."""
        if not self._errors:
            return
        first, *others = self._errors
        if others:
            problems = [problem for each in self._errors for problem in self._problems(each, first.code)]
            first.message = (
                "; ".join(dict.fromkeys(each.message for each in self._errors if each.problems))
                or first.message
            )
            first.hint = (
                "\n".join(dict.fromkeys(each.hint for each in self._errors if each.problems and each.hint))
                or None
            )
            first.location = None
            first.problems = tuple(problems)
            first.next_actions = tuple(
                dict.fromkeys(action for each in self._errors for action in each.next_actions)
            )
        raise first

    def _problems(self, error: MosaicError, reported_code: str) -> list[Problem]:
        """The error's problems, or itself as one, with the error's code if it differs from `reported_code`."""
        itself = Problem(error.message, error.location or Location(self._manifest), hint=error.hint)
        code = error.code if error.code != reported_code else None
        return [replace(problem, code=code) for problem in error.problems or (itself,)]

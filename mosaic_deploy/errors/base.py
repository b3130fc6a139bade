"""The base of all errors, and the facts that an error carries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict

MutationState = Literal["none", "committed", "partial", "unknown"]


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a user's file. `line` and `column` count from 1, columns in characters."""

    file: str
    line: int | None = None
    column: int | None = None
    text: str | None = None
    """The line itself, shown with a caret below it."""

    def __str__(self) -> str:
        parts = [self.file, *(str(n) for n in (self.line, self.column) if n is not None)]
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class NextAction:
    """One thing to do next; `command` can be pasted as it is."""

    description: str
    command: str | None = None
    needs_person: bool = False
    """Whether only a person may decide to do it: it destroys, overrides a guard, says what nobody else
    knows, or is sent to others."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the user's files, of several that are reported together."""

    message: str
    location: Location
    field: str = ""
    """Dotted path in the manifest (`static.dir`), empty where it doesn't apply."""
    hint: str | None = None
    """What to do. More lines than one show SQL below the problem."""
    diff: str | None = None
    """A unified diff that shows what is wrong, cut where it is long."""
    code: str | None = None
    """Its own kind, where that isn't the code of the error that tells it."""

    def __str__(self) -> str:
        """One line: of a hint with several, the first."""
        colon = ":" if self.location.line is None and not self.field else ""
        return f"{self.location}{colon} {self.summary}"

    @property
    def summary(self) -> str:
        """The same without its place."""
        field = f"{self.field}: " if self.field else ""
        hint = f"; {self.hint.partition(chr(10))[0]}" if self.hint else ""
        code = f" ({self.code})" if self.code else ""
        return f"{field}{self.message}{code}{hint}"


class ErrorFields(TypedDict, total=False):
    """What any error may carry besides its message."""

    hint: str | None
    location: Location | None
    problems: Sequence[Problem]
    mutation_state: MutationState
    next_actions: Sequence[NextAction]


class ApiErrorFields(ErrorFields, total=False):
    """What an error of the API may carry as well."""

    status: int | None
    request_id: str | None
    operation: str | None


class MosaicError(Exception):
    """Base of all errors shown to users. Carries facts; the renderer makes the text."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retryable: bool = False
    """Whether the same command may succeed later without anything being changed by the user."""
    safe_to_retry: ClassVar[bool] = True
    """Whether running the same command again can do harm. It never can by design; see docs/architecture.md."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        location: Location | None = None,
        problems: Sequence[Problem] = (),
        mutation_state: MutationState = "none",
        next_actions: Sequence[NextAction] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location
        self.problems = tuple(problems)
        self.mutation_state: MutationState = mutation_state
        self.next_actions = tuple(next_actions)


def all_errors() -> Iterator[type[MosaicError]]:
    """Every error class below MosaicError, in definition order: the table of codes."""
    pending = list(MosaicError.__subclasses__())
    while pending:
        kind = pending.pop(0)
        yield kind
        pending[:0] = kind.__subclasses__()

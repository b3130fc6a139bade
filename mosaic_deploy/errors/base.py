"""MosaicError, the base class of all errors, and the values that an error carries."""

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
    """The text of the line, shown with a caret below `column`."""

    def __str__(self) -> str:
        parts = [self.file, *(str(n) for n in (self.line, self.column) if n is not None)]
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class NextAction:
    """A suggested next step. `command` works when pasted into a shell."""

    description: str
    command: str | None = None
    needs_person: bool = False
    """Whether a person must decide: the step destroys data, overrides a safeguard, states a fact that only a
    person can know, or sends something to others."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One of several mistakes that an error reports together."""

    message: str
    location: Location
    field: str = ""
    """Dotted path in the manifest (`static.dir`); empty for problems outside the manifest."""
    hint: str | None = None
    """How to fix it. Lines after the first are SQL, shown below the problem."""
    diff: str | None = None
    """A unified diff of what is wrong, shortened if it is long."""
    code: str | None = None
    """The problem's own error code, if it differs from that of the error that reports it."""

    def __str__(self) -> str:
        """Location and summary on one line."""
        colon = ":" if self.location.line is None else ""
        return f"{self.location}{colon} {self.summary}"

    @property
    def summary(self) -> str:
        """Field, message, code and the first line of the hint, without the location."""
        field = f"{self.field}: " if self.field else ""
        hint = f"; {self.hint.partition(chr(10))[0]}" if self.hint else ""
        code = f" ({self.code})" if self.code else ""
        return f"{field}{self.message}{code}{hint}"


class ErrorFields(TypedDict, total=False):
    """Keyword arguments of every error."""

    hint: str | None
    location: Location | None
    problems: Sequence[Problem]
    mutation_state: MutationState
    next_actions: Sequence[NextAction]


class ApiErrorFields(ErrorFields, total=False):
    """Keyword arguments of an ApiError."""

    status: int | None
    request_id: str | None
    operation: str | None


class MosaicError(Exception):
    """Base of all errors shown to users. Carries values; a renderer turns them into text."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retryable: bool = False
    """Whether the same command may succeed later without any change by the user."""
    safe_to_retry: ClassVar[bool] = True
    """Whether running the same command again does no harm. Always true by design; see docs/architecture.md."""

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
    """All subclasses of MosaicError, in order of definition."""
    pending = list(MosaicError.__subclasses__())
    while pending:
        kind = pending.pop(0)
        yield kind
        pending[:0] = kind.__subclasses__()

"""Every error a user can meet, drawn as a tree.

MosaicError
├── ManifestMissing        manifest_missing        no mosaic.yaml where one was looked for
├── ManifestInvalid        manifest_invalid        mistakes in the manifest, all told at once
├── SourceError
│   ├── SourceUnreadable   source_unreadable       a file or folder that can't be read or written
│   ├── SourceRefused      source_refused          names that collide, links that leave the folder, …
│   ├── SecretFound        secret_found            a file to be published that looks like a secret
│   └── SourceChanged      source_changed          a file changed between plan and send
├── MigrationError
│   ├── MigrationInvalid   migration_invalid       names, duplicates, syntax: found offline
│   ├── MigrationDiverged  migration_diverged      history and folder disagree
│   ├── StatementFailed
│   │   ├── MigrationFailed  migration_failed      PostgreSQL refused a statement
│   │   └── DraftFailed    draft_failed            it refused one of a draft, on a copy of the database
│   ├── RepairRefused      repair_refused          a repair of the history that would be a guess
│   ├── AdoptionRefused    adoption_refused        a history that can't be taken over as it is
│   └── RollbackRefused    rollback_refused        no way down, or not the file that was applied
├── KeyMissing             key_missing             no API key and not --local
├── ApiError
│   ├── Unauthorized       unauthorized            401: the key is wrong or was rotated
│   ├── Forbidden          forbidden               403: the key may not do that
│   ├── NotFound           not_found               404: the API has no such thing
│   ├── RequestRefused     request_refused         any other 4xx, or `success: false`
│   ├── RateLimited        rate_limited            429, after the retries
│   ├── ServerFailed       server_failed           5xx, after the retries
│   ├── MailUnsent         mail_unsent             the platform's mail server didn't take a mail
│   ├── Unreachable        unreachable             no connection could be made
│   ├── ResponseLost       response_lost           sent, but no answer came
│   ├── ResponseInvalid    response_invalid        an answer that can't be understood
│   └── SqlFailed          sql_failed              PostgreSQL refused a statement that is no migration's
├── SqlRefused             sql_refused             a query that may only read, and would write
├── OperationUnknown       operation_unknown       the platform doesn't list an operation that is needed
├── ProjectAmbiguous       project_ambiguous       two projects of one name
├── ProjectNotFound        project_not_found       the id given isn't one of this account's
├── ProjectExists          project_exists          there is one of the name already
├── ProjectNotReady        project_not_ready       still provisioning when the wait ended
├── LeaseHeld              lease_held              another deploy is under way
├── LeaseLost              lease_lost              this deploy slept through its lease
├── LedgerNewer            ledger_newer            written by a newer mosaic-deploy
├── PlanStale              plan_stale              live moved between plan and apply
├── PlanMoved              plan_moved              what a saved plan was made from has moved since
├── PlanFileRefused        plan_file_refused       no saved plan, not a whole one, or one that can't be written
├── SelectionRefused       selection_refused       --only or --except that would skip a migration or means nothing
├── ConsentMissing         consent_missing         unattended without --yes
├── Declined               declined                the person said no
├── PolicyDenied           policy_denied           the manifest's policy doesn't let the plan be applied
├── DestructiveUnconfirmed  destructive_unconfirmed  data would be destroyed, and nobody agreed to that
├── PruneUnconfirmed       prune_unconfirmed       strangers' files would be deleted, and nobody agreed to their number
├── QuotaExceeded          quota_exceeded          what would be stored doesn't fit
├── TransfersFailed        transfers_failed        several files could not be sent
├── VerifyFailed           verify_failed           applied, but a check over HTTP failed
├── PlatformFailed         platform_failed         the embedded platform can't run here
├── DraftBlocked           draft_blocked           the local database is in use, so it can't be copied for a draft
├── WatchFailed            watch_failed            the system doesn't let the folders be watched
├── UsageRefused           usage                   a command line that can't be read
└── Interrupted            interrupted             Ctrl-C

`code` is stable: scripts may rely on it. `docs/errors.md` documents each, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict, Unpack

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
        return f"{self.location}{colon} {self.told}"

    @property
    def told(self) -> str:
        """The same without its place."""
        field = f"{self.field}: " if self.field else ""
        hint = f"; {self.hint.partition(chr(10))[0]}" if self.hint else ""
        code = f" ({self.code})" if self.code else ""
        return f"{field}{self.message}{code}{hint}"


class Facts(TypedDict, total=False):
    """What any error may carry besides its message."""

    hint: str | None
    location: Location | None
    problems: Sequence[Problem]
    mutation_state: MutationState
    next_actions: Sequence[NextAction]


class ApiFacts(Facts, total=False):
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


class ManifestMissing(MosaicError):
    code = "manifest_missing"


class ManifestInvalid(MosaicError):
    code = "manifest_invalid"


class SourceError(MosaicError):
    code = "source_error"


class SourceUnreadable(SourceError):
    code = "source_unreadable"


class SourceRefused(SourceError):
    code = "source_refused"


class SecretFound(SourceError):
    code = "secret_found"


class SourceChanged(SourceError):
    code = "source_changed"
    retryable = True


class MigrationError(MosaicError):
    code = "migration_error"


class MigrationInvalid(MigrationError):
    code = "migration_invalid"


class MigrationDiverged(MigrationError):
    code = "migration_diverged"


class StatementFailed(MigrationError):
    """PostgreSQL refused a statement. `sqlstate` and PostgreSQL's own words are kept."""

    code = "statement_failed"

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        pg_hint: str | None = None,
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(message, **facts)
        self.sqlstate = sqlstate
        self.detail = detail
        self.pg_hint = pg_hint


class MigrationFailed(StatementFailed):
    code = "migration_failed"


class DraftFailed(StatementFailed):
    """Of a draft, on a copy of the database. The project's own one isn't touched."""

    code = "draft_failed"


class RepairRefused(MigrationError):
    code = "repair_refused"


class AdoptionRefused(MigrationError):
    code = "adoption_refused"


class RollbackRefused(MigrationError):
    code = "rollback_refused"


class KeyMissing(MosaicError):
    code = "key_missing"


class ApiError(MosaicError):
    """The API said no, or nothing. `status` is the HTTP status, None where no answer came."""

    code = "api_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        operation: str | None = None,
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(message, **facts)
        self.status = status
        self.request_id = request_id
        self.operation = operation


class Unauthorized(ApiError):
    code = "unauthorized"


class Forbidden(ApiError):
    code = "forbidden"


class NotFound(ApiError):
    code = "not_found"


class RequestRefused(ApiError):
    code = "request_refused"


class RateLimited(ApiError):
    code = "rate_limited"
    retryable = True


class ServerFailed(ApiError):
    code = "server_failed"
    retryable = True


class MailUnsent(ApiError):
    code = "mail_unsent"
    retryable = True


class Unreachable(ApiError):
    code = "unreachable"
    retryable = True


class ResponseLost(ApiError):
    code = "response_lost"
    retryable = True


class ResponseInvalid(ApiError):
    code = "response_invalid"


class SqlFailed(ApiError):
    """PostgreSQL's answer to a statement. `position` counts characters from 1 in the query that was sent."""

    code = "sql_failed"

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        pg_hint: str | None = None,
        position: int | None = None,
        **facts: Unpack[ApiFacts],
    ) -> None:
        super().__init__(message, **facts)
        self.sqlstate = sqlstate
        self.detail = detail
        self.pg_hint = pg_hint
        self.position = position


class SqlRefused(MosaicError):
    code = "sql_refused"


class OperationUnknown(MosaicError):
    code = "operation_unknown"


class ProjectAmbiguous(MosaicError):
    code = "project_ambiguous"


class ProjectNotFound(MosaicError):
    code = "project_not_found"


class ProjectExists(MosaicError):
    code = "project_exists"


class ProjectNotReady(MosaicError):
    code = "project_not_ready"
    retryable = True


class LeaseHeld(MosaicError):
    code = "lease_held"
    retryable = True


class LeaseLost(MosaicError):
    code = "lease_lost"
    retryable = True


class LedgerNewer(MosaicError):
    code = "ledger_newer"


class PlanStale(MosaicError):
    """Retryable where the same command plans anew: not of a saved plan, and not of an agent's, which are given."""

    code = "plan_stale"
    retryable = True


class PlanMoved(MosaicError):
    code = "plan_moved"


class PlanFileRefused(MosaicError):
    code = "plan_file_refused"


class SelectionRefused(MosaicError):
    code = "selection_refused"


class ConsentMissing(MosaicError):
    code = "consent_missing"


class Declined(MosaicError):
    code = "declined"


class PolicyDenied(MosaicError):
    code = "policy_denied"


class DestructiveUnconfirmed(MosaicError):
    code = "destructive_unconfirmed"


class PruneUnconfirmed(MosaicError):
    code = "prune_unconfirmed"


class QuotaExceeded(MosaicError):
    code = "quota_exceeded"


class TransfersFailed(MosaicError):
    """Several files could not be sent, or arrived as something else: one Problem for each."""

    code = "transfers_failed"
    retryable = True


class VerifyFailed(MosaicError):
    code = "verify_failed"


class PlatformFailed(MosaicError):
    code = "platform_failed"


class DraftBlocked(MosaicError):
    """The local database is in use, or another draft is in the way: a copy can't be made now."""

    code = "draft_blocked"
    retryable = True


class WatchFailed(MosaicError):
    code = "watch_failed"


class UsageRefused(MosaicError):
    code = "usage"
    exit_code = 2


class Interrupted(MosaicError):
    code = "interrupted"
    exit_code = 130
    retryable = True


def all_errors() -> Iterator[type[MosaicError]]:
    """Every error class below MosaicError, in definition order: the table of codes."""
    pending = list(MosaicError.__subclasses__())
    while pending:
        kind = pending.pop(0)
        yield kind
        pending[:0] = kind.__subclasses__()

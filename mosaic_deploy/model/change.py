"""Changes of a plan, one class per kind. Their fields are also their JSON fields."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from mosaic_deploy.model.quantities import count_text


class Action(StrEnum):
    ADD = "add"
    CHANGE = "change"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class CreateProject:
    name: str
    kind: ClassVar[str] = "project"
    action: ClassVar[Action] = Action.ADD
    reason: ClassVar[str] = "will be created"

    @property
    def address(self) -> str:
        return f"project:{self.name}"


@dataclass(frozen=True, slots=True)
class EnableExtension:
    name: str
    kind: ClassVar[str] = "extension"
    action: ClassVar[Action] = Action.ADD
    reason: ClassVar[str] = "listed in database.extensions"

    @property
    def address(self) -> str:
        return f"extension:{self.name}"


@dataclass(frozen=True, slots=True)
class _OfMigration:
    version: str
    file: str
    kind: ClassVar[str]

    @property
    def address(self) -> str:
        return f"{self.kind}:{self.file}"


NOTHING_LEFT = "only recorded: its applied steps are all that it contains now"
"""The summary of a partly applied file whose other statements were deleted."""


@dataclass(frozen=True, slots=True)
class ApplyMigration(_OfMigration):
    """`steps_done` is the number of steps that an earlier, interrupted run committed; `summary` what the file does.

    `destroys` are the live objects that it drops for good: `table old`, `column books.fax`. `updates` are the live tables of
    which it updates rows: `public.orders (table has ≈2 k rows)`; `deletes` are those of which it deletes rows.
    """

    checksum: str
    semantic_checksum: str
    steps: int = 1
    steps_done: int = 0
    summary: str = ""
    destroys: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    kind: ClassVar[str] = "migration"
    action: ClassVar[Action] = Action.ADD

    @property
    def reason(self) -> str:
        if self.steps_done and self.summary != NOTHING_LEFT:
            return f"resumes after step {self.steps_done} of {self.steps}"
        return self.summary or "pending"


@dataclass(frozen=True, slots=True)
class RecordMigration(_OfMigration):
    """A file's row in the ledger, and nothing run: `steps_done` of its `steps` count as committed. `renumbered_from` is the
    version of the row that gets this version; empty if its number stays the same."""

    checksum: str
    semantic_checksum: str
    steps: int
    steps_done: int
    action: Action
    reason: str
    renumbered_from: str = ""
    kind: ClassVar[str] = "history"


@dataclass(frozen=True, slots=True)
class ForgetMigration(_OfMigration):
    """Deletes a migration from the ledger without running or undoing anything."""

    reason: str
    kind: ClassVar[str] = "history"
    action: ClassVar[Action] = Action.DESTROY


@dataclass(frozen=True, slots=True)
class RollBackMigration(_OfMigration):
    """Runs the down migration, written at `down` with the SHA-256 `checksum`, of a file that is pending afterwards."""

    down: str
    statements: int
    checksum: str
    destroys: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    kind: ClassVar[str] = "rollback"
    action: ClassVar[Action] = Action.DESTROY

    @property
    def reason(self) -> str:
        return f"undone by {self.down} ({self.statements} statement{'' if self.statements == 1 else 's'})"


@dataclass(frozen=True, slots=True)
class _OfFile:
    path: str
    kind: ClassVar[str]

    @property
    def address(self) -> str:
        return f"{self.kind}:{self.path}"


@dataclass(frozen=True, slots=True)
class RunSeed(_OfFile):
    """Runs a seed file as one transaction. Each content, identified by `sha256`, runs once.

    `alters`: its statements may create, change or drop objects of the database, and not only rows.
    """

    sha256: str
    size: int
    action: Action
    reason: str
    destroys: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    alters: bool = False
    kind: ClassVar[str] = "seed"


@dataclass(frozen=True, slots=True)
class RunRepeatable(RunSeed):
    """Runs a repeatable file as a seed is run; `sha256` identifies its meaning."""

    kind: ClassVar[str] = "repeatable"


@dataclass(frozen=True, slots=True)
class RecordRepeatable(_OfFile):
    """Records that a repeatable file has run, and runs nothing; `sha256` identifies its meaning."""

    sha256: str
    size: int
    reason: str
    kind: ClassVar[str] = "history"
    action: ClassVar[Action] = Action.ADD


@dataclass(frozen=True, slots=True)
class _Put(_OfFile):
    """`overwrites`: a live file that this project didn't deploy, and that differs or couldn't be compared."""

    sha256: str
    size: int
    action: Action
    reason: str
    overwrites: bool = False


@dataclass(frozen=True, slots=True)
class _Delete(_OfFile):
    """`unmanaged`: not deployed from this project, so it is deleted only if its number was approved.

    With `keep`, in seconds, the file stays live that long, and a later plan deletes it. That deletion is `approved`: what was
    to be approved, was so when the file left the folder.
    """

    reason: str
    unmanaged: bool = False
    keep: float = 0.0
    approved: bool = False

    @property
    def action(self) -> Action:
        return Action.CHANGE if self.keep else Action.DESTROY


@dataclass(frozen=True, slots=True)
class PutStatic(_Put):
    """Uploads a static file."""

    kind: ClassVar[str] = "static"


@dataclass(frozen=True, slots=True)
class DeleteStatic(_Delete):
    """Deletes a static file, or records that it is to be deleted."""

    kind: ClassVar[str] = "static"


@dataclass(frozen=True, slots=True)
class PutStorageFile(_Put):
    """Uploads a storage file."""

    kind: ClassVar[str] = "storage"


@dataclass(frozen=True, slots=True)
class DeleteStorageFile(_Delete):
    """Deletes a storage file, or records that it is to be deleted."""

    kind: ClassVar[str] = "storage"


@dataclass(frozen=True, slots=True)
class SetAuth:
    """`settings` are the desired settings as canonical JSON text, so that the change is hashable.

    `overwrites`: live settings that this project didn't deploy.
    """

    settings: str
    action: Action
    reason: str
    overwrites: bool = False
    kind: ClassVar[str] = "auth"

    @property
    def address(self) -> str:
        return "auth:magic_link"


@dataclass(frozen=True, slots=True)
class LoosenPolicy:
    """The manifest's policy forbids less than that of the last deploy. Nothing is changed but the record of it."""

    reason: str
    kind: ClassVar[str] = "policy"
    action: ClassVar[Action] = Action.CHANGE

    @property
    def address(self) -> str:
        return "policy:manifest"


@dataclass(frozen=True, slots=True)
class AcceptSchema:
    """Records the live schema as the one that deploys left, with its drift. `digest` is of the schema that was shown."""

    digest: str
    differences: int
    kind: ClassVar[str] = "schema"
    action: ClassVar[Action] = Action.CHANGE

    @property
    def reason(self) -> str:
        return (
            f"recorded as it is, with {count_text(self.differences, 'difference')}; nothing in it is changed"
        )

    @property
    def address(self) -> str:
        return "schema:database"


RunsSql = ApplyMigration | RollBackMigration | RunSeed
Put = PutStatic | PutStorageFile
Delete = DeleteStatic | DeleteStorageFile
HistoryChange = RecordMigration | ForgetMigration
Change = (
    CreateProject
    | EnableExtension
    | ApplyMigration
    | HistoryChange
    | RollBackMigration
    | RunSeed
    | RunRepeatable
    | RecordRepeatable
    | Put
    | Delete
    | SetAuth
    | LoosenPolicy
    | AcceptSchema
)

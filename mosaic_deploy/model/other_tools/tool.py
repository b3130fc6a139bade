"""What a migration tool has recorded in its history table, and what is known about the tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.model.snapshot import Migration


class RowState(StrEnum):
    APPLIED = "applied"
    FAILED = "failed"
    """Failed, and not resolved since."""
    ROLLED_BACK = "undone"
    """Cancels the earlier rows of the same version."""
    BASELINE = "baseline"
    """Everything up to this version counts as applied."""
    REPEATABLE = "repeatable"
    """Has no version; the tool runs it again after every change."""
    IGNORED = "ignored"
    """Isn't about a migration, or about an attempt that was resolved."""


class Naming(StrEnum):
    """What a row says about its file."""

    NUMBER = "number"
    """Its number, its title, or both."""
    FILE = "file"
    """The file's or the folder's name."""
    TIME = "time"
    """A time that the tool has assigned to the file, as the row's version; perhaps also the file's name."""
    REVISION = "revision"
    """An identifier without order, in the file's SQL or its name."""
    APP = "app"
    """An app and the name of its migration, as `app.name`."""


@dataclass(frozen=True, slots=True)
class MigrationTool:
    """A tool's history table, and the SQL to read it.

    `columns` selects `version`, `name`, `state` and, if the tool has them, `checksum` and `part`; `order` is the order in
    which they count. `cumulative`: the tool stores only the newest version. `checksums` returns what the tool may have
    computed for a file's content, and `parts` the parts of a file that have rows of their own, with the checksums that these
    have now; "" if that can't be computed.
    """

    name: str
    table: str
    columns: str
    order: str
    naming: Naming = Naming.NUMBER
    cumulative: bool = False
    checksums: Callable[[bytes], frozenset[str]] | None = None
    parts: Callable[[bytes], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class OtherToolRow:
    """A row of a tool's history. `version` or `name` is empty if the tool keeps none; `checksum` is text of the tool's own kind."""

    version: str
    name: str
    state: RowState
    checksum: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class ToolFile:
    """A migration file with its path in the project, its bytes, and the time that the tool has assigned to it ("" if none)."""

    migration: Migration
    path: str
    content: bytes = b""
    time: str = ""

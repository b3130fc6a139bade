"""Errors in the user's project: manifest, files and migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from mosaic_deploy.errors.base import ErrorFields, MosaicError


class ManifestMissing(MosaicError):
    """There is no mosaic.yaml in this folder."""

    code = "manifest_missing"


class ManifestInvalid(MosaicError):
    """The manifest or .env has mistakes; all are reported at once."""

    code = "manifest_invalid"


class EnvironmentRequired(MosaicError):
    """The manifest has environments, and neither --env nor the manifest itself says which project is meant."""

    code = "environment_required"


class ChecksNotConfigured(MosaicError):
    """The manifest has no checks to run."""

    code = "checks_not_configured"


class SourceError(MosaicError):
    """A file or folder of the project can't be read, written or deployed."""

    code = "source_error"


class SourceUnreadable(SourceError):
    """A file or folder can't be read."""

    code = "source_unreadable"


class SourceRefused(SourceError):
    """Some files can't be deployed: unsupported types, names that collide, links out of the project, …"""

    code = "source_refused"


class BuildOutputMissing(SourceError):
    """The folder in build.output doesn't exist or has no files, so there is nothing to deploy."""

    code = "build_output_missing"


class BuildFailed(SourceError):
    """build.command failed, took too long or couldn't be started. Nothing was deployed."""

    code = "build_failed"


class SecretFound(SourceError):
    """A file to be published appears to contain a secret."""

    code = "secret_found"


class SourceChanged(SourceError):
    """A file changed after the plan was made."""

    code = "source_changed"
    retryable = True


class MigrationError(MosaicError):
    """A migration can't be read, applied, recorded or rolled back."""

    code = "migration_error"


class MigrationInvalid(MigrationError):
    """Migration files have mistakes that can be found offline: names, duplicates, syntax."""

    code = "migration_invalid"


class MigrationUnknownName(MigrationError):
    """A pending migration or seed names a table or column that doesn't exist."""

    code = "migration_unknown_name"


class MigrationDiverged(MigrationError):
    """The migrations folder and the migration history contradict each other."""

    code = "migration_diverged"


class StatementFailed(MigrationError):
    """PostgreSQL rejected a statement. Carries PostgreSQL's SQLSTATE, detail and hint.

    `calls` are the functions and lines that led to the error, innermost first, as PostgreSQL describes them;
    `notices` are what it reported before.
    """

    code = "statement_failed"

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        pg_hint: str | None = None,
        calls: tuple[str, ...] = (),
        notices: tuple[str, ...] = (),
        **facts: Unpack[ErrorFields],
    ) -> None:
        super().__init__(message, **facts)
        self.sqlstate = sqlstate
        self.detail = detail
        self.pg_hint = pg_hint
        self.calls = calls
        self.notices = notices


class MigrationFailed(StatementFailed):
    """PostgreSQL rejected a statement of a migration."""

    code = "migration_failed"


class EffectsExceedConsent(MigrationError):
    """A step did more to existing rows or objects than the plan says, so it was rolled back."""

    code = "effects_exceed_consent"


class EffectsNotMeasured(MigrationError):
    """PostgreSQL doesn't count the rows that a step changes, so destroying data needs approval. The step was rolled back."""

    code = "effects_not_measured"


class SchemaChanged(MigrationError):
    """What a migration touches was changed since the plan was rehearsed. Nothing of its next step ran."""

    code = "schema_changed"
    objects: Sequence[tuple[str, str, str]] = ()
    """Kind, name and parent of what was changed."""


class RehearsalDiffers(MigrationError):
    """A step changes the schema otherwise than in its rehearsal, and the policy requires the same. It was rolled back."""

    code = "rehearsal_differs"


class DraftFailed(StatementFailed):
    """PostgreSQL rejected a statement of draft.sql on a copy of the database. The real one is unchanged."""

    code = "draft_failed"


class RehearsalFailed(StatementFailed):
    """PostgreSQL rejected a statement of a pending migration in the rehearsal of the plan. Nothing live was changed."""

    code = "rehearsal_failed"


class RepairRefused(MigrationError):
    """This repair of the migration history is ambiguous, not needed, or contradicts the database."""

    code = "repair_refused"


class HistoryImportRefused(MigrationError):
    """The migration history can't be imported, or the baseline can't be set."""

    code = "history_import_refused"


class RollbackRefused(MigrationError):
    """A migration can't be rolled back: no down migration, or the file changed since it was applied."""

    code = "rollback_refused"


class FileExists(SourceError):
    """A file to be created already exists. Nothing was overwritten."""

    code = "file_exists"


class WriteFailed(SourceError):
    """A file or folder can't be created or written."""

    code = "write_failed"


class IgnoreFileInvalid(SourceError):
    """A .mosaicignore has an invalid pattern, or excludes a whole deployed folder."""

    code = "ignore_file_invalid"


class DraftMissing(MigrationError):
    """There is no draft.sql, or it contains no statement."""

    code = "draft_missing"


class MigrationsNotConfigured(MosaicError):
    """The manifest has no migrations folder."""

    code = "migrations_not_configured"


class ProjectNotConfigured(MosaicError):
    """Neither the manifest nor an option names a project."""

    code = "project_not_configured"


class StorageFileMissing(MosaicError):
    """No storage file has this name, or matches this pattern. Nothing was changed."""

    code = "storage_file_missing"


class StorageFileManaged(MosaicError):
    """The storage file is deployed from a manifest, whose next apply would undo the change. Nothing was changed."""

    code = "storage_file_managed"

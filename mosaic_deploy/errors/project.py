"""Errors in the user's project: the manifest, files and migrations."""

from __future__ import annotations

from typing import Unpack

from mosaic_deploy.errors.base import ErrorFields, MosaicError


class ManifestMissing(MosaicError):
    """No mosaic.yaml where one was looked for."""

    code = "manifest_missing"


class ManifestInvalid(MosaicError):
    """Mistakes in the manifest, all told at once."""

    code = "manifest_invalid"


class SourceError(MosaicError):
    """A file or folder of the project that can't be deployed."""

    code = "source_error"


class SourceUnreadable(SourceError):
    """A file or folder that can't be read or written."""

    code = "source_unreadable"


class SourceRefused(SourceError):
    """Names that collide, links that leave the folder, …."""

    code = "source_refused"


class SecretFound(SourceError):
    """A file to be published that looks like a secret."""

    code = "secret_found"


class SourceChanged(SourceError):
    """A file changed between plan and send."""

    code = "source_changed"
    retryable = True


class MigrationError(MosaicError):
    """A migration that can't be read, applied, recorded or rolled back."""

    code = "migration_error"


class MigrationInvalid(MigrationError):
    """Names, duplicates, syntax: found offline."""

    code = "migration_invalid"


class MigrationDiverged(MigrationError):
    """History and folder disagree."""

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
        **facts: Unpack[ErrorFields],
    ) -> None:
        super().__init__(message, **facts)
        self.sqlstate = sqlstate
        self.detail = detail
        self.pg_hint = pg_hint


class MigrationFailed(StatementFailed):
    """PostgreSQL refused a statement."""

    code = "migration_failed"


class DraftFailed(StatementFailed):
    """Of a draft, on a copy of the database. The project's own one isn't touched."""

    code = "draft_failed"


class RepairRefused(MigrationError):
    """A repair of the history that would be a guess."""

    code = "repair_refused"


class AdoptionRefused(MigrationError):
    """A history that can't be taken over as it is."""

    code = "adoption_refused"


class RollbackRefused(MigrationError):
    """No way down, or not the file that was applied."""

    code = "rollback_refused"


class FileExists(SourceError):
    """A file that would be created exists already. Nothing is overwritten."""

    code = "file_exists"


class WriteFailed(SourceError):
    """A file or folder can't be created or written."""

    code = "write_failed"


class IgnoreFileInvalid(SourceError):
    """A .mosaicignore has a pattern that can't be used, or excludes a whole deployed folder."""

    code = "ignore_file_invalid"


class DraftMissing(MigrationError):
    """There is no draft.sql, or it has no statement."""

    code = "draft_missing"


class MigrationsNotConfigured(MosaicError):
    """The manifest names no migrations folder."""

    code = "migrations_not_configured"


class ProjectNotConfigured(MosaicError):
    """Neither the manifest nor an option says which project."""

    code = "project_not_configured"

"""The draft of the next migration: `draft.sql` in the migrations folder, or graphile-migrate's `current.sql`. It isn't deployed."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from mosaic_deploy.errors import DraftMissing, FileExists, Location, SourceUnreadable, WriteFailed
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.source.migrations.files import (
    MigrationFile,
    ParsedFile,
    parse_migrations,
)
from mosaic_deploy.source.migrations.layouts.detect import detected_layout
from mosaic_deploy.source.migrations.layouts.graphile import GRAPHILE
from mosaic_deploy.source.migrations.layouts.layout import DRAFT_FILE
from mosaic_deploy.source.migrations.listing import read_sql_file
from mosaic_deploy.source.migrations.new import next_files
from mosaic_deploy.sql.pg_parser.trivia import leading_trivia_length


def find_draft(folder: Path) -> Path | None:
    """The path of the draft, in any letter case; None if there is none."""
    try:
        found = sorted(path for path in folder.iterdir() if is_draft(path.name))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceUnreadable(f"the migrations folder can't be read: {error}") from error
    drafts = [path for path in found if path.name.lower() == DRAFT_FILE]
    if not drafts and found and detected_layout(folder) is GRAPHILE:
        return found[0]
    return drafts[0] if drafts else None


def is_draft(name: str) -> bool:
    """Whether a file of the migrations folder may be the draft."""
    return name.lower() in (DRAFT_FILE, GRAPHILE.draft)


def read_draft(root: Path, folder: str) -> MigrationFile | None:
    """The draft, not yet parsed; None if there is none or it is blank. Raises the same errors as `read_migrations`."""
    path = find_draft(root / folder)
    if path is None:
        return None
    file = read_sql_file(root, path)
    return file if file.text.strip() else None


def parse_draft(file: MigrationFile) -> ParsedFile | None:
    """The parsed draft, None if it has no statement. Raises MigrationInvalid."""
    [parsed] = parse_migrations([file])
    return parsed if parsed.has_statements else None


def _has_no_statement(path: Path) -> bool:
    """Whether the file contains only comments. False for an unreadable file, which is treated as a draft."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    return leading_trivia_length(text) == len(text)


def draft_note(root: Path, folder: str) -> Note | None:
    """A plan's note about a draft that isn't deployed, None if there is no draft with a statement."""
    path = find_draft(root / folder)
    if path is None or _has_no_statement(path):
        return None
    relative_path = path.relative_to(root).as_posix()
    return Note(
        "draft_left_out",
        f"{relative_path} isn't deployed; run `mosaic-deploy dev` to try it on a copy of the local database, or "
        "`mosaic-deploy migrate commit NAME` to turn it into a migration",
        Severity.INFO,
    )


def commit_draft(root: Path, folder: str, title: str, now: datetime, layout: str | None = None) -> Path:
    """Renames the draft to the next migration in the folder's layout and returns the new path. Never overwrites a file.

    Raises DraftMissing, FileExists, WriteFailed, MigrationInvalid if the draft isn't valid SQL, UsageInvalid for a title
    without letters and digits, and the errors of `next_files`.
    """
    draft = _require_draft(root, folder)
    target = draft.parent / next_files(root, folder, title, now, layout)[0].file
    relative_path = target.relative_to(root).as_posix()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _rename_without_overwriting(draft, target)
    except FileExistsError:
        raise FileExists(f"{relative_path} already exists", location=Location(relative_path)) from None
    except OSError as error:
        raise WriteFailed(f"{relative_path} can't be created: {error.strerror}") from None
    return target


def _require_draft(root: Path, folder: str) -> Path:
    path = find_draft(root / folder)
    if path is None:
        raise DraftMissing(
            f"{folder}/{DRAFT_FILE} doesn't exist",
            hint=f"write SQL into {folder}/{DRAFT_FILE}; `mosaic-deploy dev` tries it on every save",
        )
    file = read_draft(root, folder)
    if file is None or parse_draft(file) is None:
        relative_path = path.relative_to(root).as_posix()
        raise DraftMissing(f"{relative_path} contains no statement", location=Location(relative_path))
    return path


def _rename_without_overwriting(draft: Path, target: Path) -> None:
    """Renames by creating a hard link, which fails if the target exists, and deleting the old name.

    Raises FileExistsError.
    """
    if not draft.is_symlink():
        try:
            os.link(draft, target)
        except FileExistsError:
            raise
        except OSError:
            pass  # the file system has no hard links
        else:
            draft.unlink()
            return
    if os.path.lexists(target):
        raise FileExistsError
    draft.rename(target)

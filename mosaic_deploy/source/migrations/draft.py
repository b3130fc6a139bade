"""The draft of the next migration: `draft.sql` in the migrations folder, which is no migration."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from mosaic_deploy.errors import Location, SourceRefused, SourceUnreadable
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.source.migrations.files import (
    DRAFT_FILE,
    MigrationFile,
    ParsedFile,
    parse_migrations,
    read_migrations,
    read_sql_file,
)
from mosaic_deploy.source.migrations.new import next_version, slugify
from mosaic_deploy.sql.parse import leading_trivia_length


def find_draft(folder: Path) -> Path | None:
    """The draft's path, by whatever case its name is written in; None where there is none."""
    try:
        found = sorted(path for path in folder.iterdir() if path.name.lower() == DRAFT_FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceUnreadable(f"the migrations folder can't be read: {error}") from error
    return found[0] if found else None


def read_draft(root: Path, folder: str) -> MigrationFile | None:
    """The draft, not yet parsed; None where there is none, or nothing but blanks in it.

    Raises as `read_migrations` does.
    """
    path = find_draft(root / folder)
    if path is None:
        return None
    file = read_sql_file(root, path)
    return file if file.text.strip() else None


def parse_draft(file: MigrationFile) -> ParsedFile | None:
    """None for one without a statement. Raises MigrationInvalid."""
    [parsed] = parse_migrations([file])
    return parsed if parsed.units else None


def _has_no_statement(path: Path) -> bool:
    """Whether there is nothing but comments in it. One that can't be read is a draft all the same."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    return leading_trivia_length(text) == len(text)


def draft_note(root: Path, folder: str) -> Note | None:
    """What a plan says of a draft that lies beside the migrations. It isn't parsed; without a statement it is none."""
    path = find_draft(root / folder)
    if path is None or _has_no_statement(path):
        return None
    shown = path.relative_to(root).as_posix()
    return Note(
        "draft_left_out",
        f"{shown} is a draft, so it isn't applied: `mosaic-deploy dev` tries it on a copy of the local database, "
        "`mosaic-deploy migrate seal NAME` makes it a migration",
        Severity.INFO,
    )


def commit_draft(root: Path, folder: str, title: str, now: datetime) -> Path:
    """Gives the folder's draft the next number and a name, and returns its path. Nothing is ever overwritten.

    Raises SourceRefused where there is no draft, nothing in it, or a file of that name; MigrationInvalid for one that
    isn't SQL; SourceUnreadable; and as `read_migrations` does.
    """
    draft = _require_draft(root, folder)
    existing = [file.migration.file for file in read_migrations(root, folder)]
    sealed = draft.with_name(f"{next_version(existing, now)}_{slugify(title)}.sql")
    shown = sealed.relative_to(root).as_posix()
    try:
        _rename_without_overwriting(draft, sealed)
    except FileExistsError:
        raise SourceRefused(f"{shown} is there already", location=Location(shown)) from None
    except OSError as error:
        raise SourceUnreadable(f"{shown} can't be made: {error.strerror}") from None
    return sealed


def _require_draft(root: Path, folder: str) -> Path:
    path = find_draft(root / folder)
    if path is None:
        raise SourceRefused(
            f"there is no {folder}/{DRAFT_FILE}",
            hint=f"write SQL into {folder}/{DRAFT_FILE}: `mosaic-deploy dev` tries it on every save",
        )
    file = read_draft(root, folder)
    if file is None or parse_draft(file) is None:
        shown = path.relative_to(root).as_posix()
        raise SourceRefused(f"{shown} has no statement in it", location=Location(shown))
    return path


def _rename_without_overwriting(draft: Path, sealed: Path) -> None:
    """A rename that overwrites nothing: the second name is made, which fails where there is one, then the first goes."""
    if not draft.is_symlink():
        try:
            os.link(draft, sealed)
        except FileExistsError:
            raise
        except OSError:
            pass  # a file system without second names
        else:
            draft.unlink()
            return
    if os.path.lexists(sealed):
        raise FileExistsError
    draft.rename(sealed)

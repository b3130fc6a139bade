"""The draft becomes the next migration."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from mosaic_deploy.errors import Location, SourceRefused, SourceUnreadable
from mosaic_deploy.source.draft import find_draft, parse_draft, read_draft
from mosaic_deploy.source.migrations import DRAFT, read_migrations
from mosaic_deploy.source.new_migration import next_number, safe_name


def seal(root: Path, folder: str, title: str, now: datetime) -> Path:
    """Gives the folder's draft the next number and a name, and returns its path. Nothing is ever overwritten.

    Raises SourceRefused where there is no draft, nothing in it, or a file of that name; MigrationInvalid for one that
    isn't SQL; SourceUnreadable; and as `read_migrations` does.
    """
    draft = _whole_draft(root, folder)
    existing = [file.migration.file for file in read_migrations(root, folder)]
    sealed = draft.with_name(f"{next_number(existing, now)}_{safe_name(title)}.sql")
    shown = sealed.relative_to(root).as_posix()
    try:
        _rename(draft, sealed)
    except FileExistsError:
        raise SourceRefused(f"{shown} is there already", location=Location(shown)) from None
    except OSError as error:
        raise SourceUnreadable(f"{shown} can't be made: {error.strerror}") from None
    return sealed


def _whole_draft(root: Path, folder: str) -> Path:
    path = find_draft(root / folder)
    if path is None:
        raise SourceRefused(
            f"there is no {folder}/{DRAFT}",
            hint=f"write SQL into {folder}/{DRAFT}: `mosaic-deploy dev` tries it on every save",
        )
    file = read_draft(root, folder)
    if file is None or parse_draft(file) is None:
        shown = path.relative_to(root).as_posix()
        raise SourceRefused(f"{shown} has no statement in it", location=Location(shown))
    return path


def _rename(draft: Path, sealed: Path) -> None:
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

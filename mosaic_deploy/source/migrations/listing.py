"""Which files of a folder are migrations: names begin with a version number and `_` or `-`; links stay inside."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from mosaic_deploy.errors import Location, Problem, SourceUnreadable

_NAME = re.compile(r"([0-9]+)[_-].*\.sql", re.IGNORECASE)
_MAX_VERSION_DIGITS = 18
"""The ledger stores versions as bigint."""

DRAFT_FILE = "draft.sql"
"""The draft in the migrations folder, which isn't a migration. See draft.py."""


def sql_files(folder: Path) -> list[Path]:
    """The folder's SQL files but the draft and down migrations. Raises SourceUnreadable."""
    try:
        found = [p for p in folder.iterdir() if p.suffix.lower() == ".sql" and not p.name.startswith(".")]
    except OSError as error:
        raise SourceUnreadable(f"the migrations folder can't be read: {error}") from error
    # Broken links are kept, so that reading them reports an error instead of silently skipping a migration.
    up = [p for p in found if not (p.name.lower().endswith(".down.sql") or p.name.lower() == DRAFT_FILE)]
    return sorted(p for p in up if p.is_file() or p.is_symlink())


def is_sql_inside(path: Path, root: Path) -> bool:
    """Whether the file, or what it links to, is an SQL file inside the project folder or its own folder."""
    if not path.is_symlink():
        return True
    target = Path(os.path.realpath(path))
    # Errors show lines of the file, so a link must not lead to a file of another kind, such as .env.
    inside = any(target.is_relative_to(os.path.realpath(folder)) for folder in (root, path.parent))
    return inside and target.suffix.lower() == ".sql"


def link_problem(path: Path, relative_path: str) -> Problem:
    """What is wrong with such a link."""
    if not path.exists():
        message = f"links to {path.readlink()}, which doesn't exist"
        return Problem(message, Location(relative_path), hint="copy the file")
    message = "links out of the project folder, or to a file that isn't .sql"
    return Problem(message, Location(relative_path), hint="copy the file")


def version_of(name: str) -> str | None:
    """The version in the name of a migration file, without leading zeros; None if there is none."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    version = match.group(1).lstrip("0") or "0"
    return version if len(version) <= _MAX_VERSION_DIGITS else None


def name_problem(relative_path: str) -> Problem:
    """What is wrong with a name that has no version, and a better one."""
    hint = "name it like 0001_create_users.sql or 20261123120000_create_users.sql"
    name = PurePosixPath(relative_path).name
    found = re.match(r"0*([0-9]+)", name)
    if found is None:
        return Problem("the name doesn't start with a version number", Location(relative_path), hint=hint)
    if len(found.group(1)) > _MAX_VERSION_DIGITS:
        message = f"the version number has more than {_MAX_VERSION_DIGITS} digits"
        return Problem(message, Location(relative_path), hint=hint)
    number, rest = found.group(), name[found.end() : -len(".sql")]
    better = f"{number}_{re.sub(r'[^0-9a-z]+', '_', rest.lower()).strip('_') or 'name'}.sql"
    message = f"missing _ or - after the version number {number}"
    return Problem(message, Location(relative_path), hint=f"rename it to {better}")

"""Creates the next migration file, with the next version number and a template."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mosaic_deploy.errors import FileExists, Location, UsageInvalid, WriteFailed

_TIMESTAMP = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])[0-5]\d[0-5]\d")
_NUMBER = re.compile(r"[0-9]+")
_FIRST = "0001"
_LONGEST_NAME = 100
_TEMPLATE = """-- {title}
-- Runs once, in a transaction. After it is applied, put further changes in a new file.

"""


def write_new_migration(
    folder: Path, folder_name: str, existing: Sequence[str], title: str, now: datetime
) -> Path:
    """Creates the migration after `existing` (file names in order), and its folder if needed. Returns its path.

    Raises UsageInvalid for a title without letters and digits, FileExists, WriteFailed.
    """
    name = f"{next_version(existing, now)}_{slugify(title)}.sql"
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(_TEMPLATE.format(title=" ".join(title.split())))
    except FileExistsError:
        raise FileExists(
            f"{folder_name}/{name} already exists", location=Location(f"{folder_name}/{name}")
        ) from None
    except OSError as error:
        raise WriteFailed(f"{folder_name}/{name} can't be written: {error.strerror}") from None
    return path


def next_version(existing: Sequence[str], now: datetime) -> str:
    """The version after the last of `existing`, in the same format.

    After a timestamp comes the current time in UTC, or the timestamp plus 1 if that is later.
    """
    if not existing:
        return _FIRST
    found = _NUMBER.match(existing[-1])
    newest = found.group() if found else "0"
    if _TIMESTAMP.fullmatch(newest):
        return str(max(int(f"{now.astimezone(UTC):%Y%m%d%H%M%S}"), int(newest) + 1))
    return str(int(newest) + 1).zfill(len(newest))


def slugify(title: str) -> str:
    """`title` as part of a file name: letters and digits of any script, separated by underscores.

    Raises UsageInvalid if it has no letters and digits.
    """
    lowered = unicodedata.normalize("NFC", title).lower()
    name = re.sub(r"[\W_]+", "_", lowered).strip("_")
    slug = name.encode()[:_LONGEST_NAME].decode(errors="ignore").strip("_")
    if not slug:
        raise UsageInvalid(
            f"the name {title!r} has no letter or digit",
            hint="describe the migration in a few words, for example: add orders",
        )
    return slug

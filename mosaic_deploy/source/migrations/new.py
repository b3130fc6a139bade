"""The next migration file: a number after the newest one, a safe name, and a template."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mosaic_deploy.errors import Location, SourceRefused, SourceUnreadable

_TIMESTAMP = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])[0-5]\d[0-5]\d")
_NUMBER = re.compile(r"[0-9]+")
_FIRST = "0001"
_LONGEST_NAME = 100
_TEMPLATE = """-- {title}
-- Runs once, in a transaction. Once it is applied, put further changes in a new file.

"""


def write_new_migration(folder: Path, shown: str, existing: Sequence[str], title: str, now: datetime) -> Path:
    """Creates the next file of a folder whose migrations are named `existing`, in their order.

    Raises SourceRefused for a name without a letter or digit and for a file that is there already,
    SourceUnreadable where the folder can't be written to.
    """
    name = f"{next_version(existing, now)}_{slugify(title)}.sql"
    path = folder / name
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(_TEMPLATE.format(title=" ".join(title.split())))
    except FileExistsError:
        where = Location(f"{shown}/{name}")
        raise SourceRefused(f"{shown}/{name} is there already", location=where) from None
    except OSError as error:
        raise SourceUnreadable(f"{shown}/{name} can't be written: {error.strerror}") from None
    return path


def next_version(existing: Sequence[str], now: datetime) -> str:
    """The version after the newest of `existing`, written in its style.

    A timestamp is followed by now (UTC), or by its successor where now isn't after it.
    """
    if not existing:
        return _FIRST
    found = _NUMBER.match(existing[-1])
    newest = found.group() if found else "0"
    if _TIMESTAMP.fullmatch(newest):
        return str(max(int(f"{now.astimezone(UTC):%Y%m%d%H%M%S}"), int(newest) + 1))
    return str(int(newest) + 1).zfill(len(newest))


def slugify(title: str) -> str:
    """`title` as part of a file's name: letters and digits of any script, underscores between.

    Raises SourceRefused where nothing is left.
    """
    plain = unicodedata.normalize("NFC", title).lower()
    name = re.sub(r"[\W_]+", "_", plain).strip("_")
    cut = name.encode()[:_LONGEST_NAME].decode(errors="ignore").strip("_")
    if not cut:
        raise SourceRefused(
            f"{title!r} has no letter or digit that a file could be named by",
            hint="say in a few words what the migration does: add orders",
        )
    return cut

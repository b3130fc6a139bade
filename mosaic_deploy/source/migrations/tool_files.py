"""Reads migration files as their tool reads them: bytes, and the time that Drizzle's journal gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import Location, SourceUnreadable
from mosaic_deploy.model.other_tools.tool import ToolFile
from mosaic_deploy.source.migrations.files import MigrationFile
from mosaic_deploy.source.migrations.layouts.drizzle import JOURNAL

_TIMESTAMP = re.compile(r"([0-9]{14})_")


def read_tool_files(root: Path, folder: str, files: Sequence[MigrationFile]) -> tuple[ToolFile, ...]:
    """The files with their content. Raises SourceUnreadable."""
    times = _journal_times(root / folder / JOURNAL)
    return tuple(_read(root, file, times) for file in files)


def _read(root: Path, file: MigrationFile, times: Mapping[str, str]) -> ToolFile:
    place = Location(file.relative_path)
    try:
        content = (root / file.relative_path).read_bytes()
    except OSError as error:
        message = f"{file.relative_path} can't be read: {error.strerror}"
        raise SourceUnreadable(message, location=place) from error
    name = file.migration.file
    return ToolFile(file.migration, file.relative_path, content, times.get(name) or _time_in_name(name))


def _journal_times(journal: Path) -> dict[str, str]:
    """By file, milliseconds since 1970. The layout has reported what is wrong with the journal."""
    try:
        entries: Any = json.loads(journal.read_text("utf-8-sig"))["entries"]
        return {f"{entry['tag']}.sql": str(entry["when"]) for entry in entries}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _time_in_name(name: str) -> str:
    """Of a folder of Drizzle's version 1, whose name begins with the time in UTC."""
    found = _TIMESTAMP.match(name)
    try:
        moment = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return ""
    return str(int(moment.timestamp()) * 1000) if moment else ""

"""Changesets in files of Liquibase's formatted SQL, with the checksums that Liquibase has in `databasechangelog`.

The checksum is that of Liquibase 4.22 and later, which begins with `9:`. What counts was found out with Liquibase 4.28:
not the changeset's own line, comments about it, conditions and rollbacks, nor any space, tab or line end.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

_CHANGESET = re.compile(
    r"^[ \t]*--[ \t]*changeset[ \t]+(?P<author>\"[^\"\n]*\"|[^:\n]+?)[ \t]*:[ \t]*(?P<id>\"[^\"\n]*\"|\S+)[^\n]*",
    re.IGNORECASE | re.MULTILINE,
)
_DIRECTIVE = re.compile(
    r"^[ \t]*--[ \t]*(?:rollback|preconditions|precondition-[\w-]+|comment|validCheckSum|property)\b[^\n]*",
    re.IGNORECASE | re.MULTILINE,
)
_ROLLBACK = re.compile(
    r"^[ \t]*/\*[ \t]*liquibase[ \t]+rollback\b.*?\*/", re.IGNORECASE | re.MULTILINE | re.DOTALL
)
_IGNORED = re.compile(r"[ \t]*--[ \t]*ignoreLines:[ \t]*(?P<what>start|end|\d+)", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\r\n]+")


def liquibase_changesets(content: bytes) -> Mapping[str, str]:
    """The changesets as `author:id`, with their checksums; "" if a property is inserted, whose value is elsewhere too."""
    text = "\n".join(
        _without_ignored(content.decode("utf-8-sig", "replace").replace("\r\n", "\n").split("\n"))
    )
    found = list(_CHANGESET.finditer(text))
    ends = [*(one.start() for one in found[1:]), len(text)]
    return {
        ":".join(each.strip('"') for each in one.group("author", "id")): _checksum(text[one.end() : end])
        for one, end in zip(found, ends, strict=False)
    }


def _checksum(body: str) -> str:
    sql = _DIRECTIVE.sub("", _ROLLBACK.sub("", body))
    return "" if "${" in sql else _version_9(f"{_version_9(_BLANKS.sub('', sql))}:")


def _version_9(text: str) -> str:
    return "9:" + hashlib.new("md5", text.encode(), usedforsecurity=False).hexdigest()


def _without_ignored(lines: list[str]) -> Iterator[str]:
    """Without the lines that `--ignoreLines:start` and `end` enclose, or that follow `--ignoreLines:2`."""
    left, inside = 0, False
    for line in lines:
        found = _IGNORED.match(line)
        what = found["what"].lower() if found else ""
        if left:
            left -= 1
        elif inside:
            inside = what != "end"
        elif what:
            left, inside = int(what) if what.isdecimal() else 0, what == "start"
        else:
            yield line

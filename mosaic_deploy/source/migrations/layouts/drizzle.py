"""Drizzle: files in the order of meta/_journal.json; a file that isn't in the journal doesn't run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.source.migrations.layouts.layout import (
    DRAFT_FILE,
    FolderContent,
    Layout,
    ListedFile,
    Listing,
    is_sql,
    plain_number,
)

JOURNAL = "meta/_journal.json"
_NUMBER = re.compile(r"[0-9]+")


def _has_journal(content: FolderContent) -> bool:
    return JOURNAL in content.names


def _list(content: FolderContent) -> Listing:
    place = Location(JOURNAL)
    try:
        journal: Any = json.loads(content.read_text(JOURNAL))
        tags = [str(entry["tag"]) for entry in journal["entries"]]
        dialect = str(journal.get("dialect", "postgresql"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Listing((), problems=(Problem("isn't a journal of drizzle-kit", place),))
    names = [f"{tag}.sql" for tag in tags]
    listed, top = Counter(names), frozenset(content.top)
    there = [name for name in listed if name in top]
    return Listing(
        tuple(ListedFile(name, _number(name), name.removesuffix(".sql")) for name in there),
        ignored=tuple(_strays(content, listed)),
        problems=tuple(_problems(listed, top, dialect)),
    )


def _problems(listed: Mapping[str, int], top: Collection[str], dialect: str) -> Iterator[Problem]:
    if not dialect.startswith(("postgres", "pg")):
        yield Problem(f"the migrations are for {dialect}, not for PostgreSQL", Location(JOURNAL))
    for name, times in listed.items():
        if name not in top:
            yield Problem(f"is listed in {JOURNAL}, but doesn't exist", Location(name))
        elif times > 1:
            yield Problem(f"is listed in {JOURNAL} twice", Location(name))


def _strays(content: FolderContent, listed: Collection[str]) -> Iterator[tuple[str, str]]:
    for name in content.top:
        if is_sql(name) and name not in listed and name.lower() != DRAFT_FILE:
            yield name, f"isn't listed in {JOURNAL}, so it doesn't run"


def _number(name: str) -> str:
    found = _NUMBER.match(name)
    return plain_number(found.group()) if found else ""


DRIZZLE = Layout(
    "drizzle",
    "Drizzle's journal",
    lambda content: [JOURNAL] if _has_journal(content) else [],
    _list,
    None,
    "drizzle-kit lists its files in meta/_journal.json: run `npx drizzle-kit generate --custom --name {slug}`",
    explains=_has_journal,
)

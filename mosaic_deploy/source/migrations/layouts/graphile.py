"""graphile-migrate: committed/000001.sql by number; current.sql is the draft."""

from __future__ import annotations

from mosaic_deploy.model.snapshot import natural_order
from mosaic_deploy.source.migrations.layouts.layout import (
    FolderContent,
    Layout,
    ListedFile,
    Listing,
    is_down,
    is_sql,
    stem,
)
from mosaic_deploy.source.migrations.layouts.numbered import number_of

_COMMITTED = "committed"
_CURRENT = "current.sql"
_OWN = frozenset({_CURRENT, "afterReset.sql"})


def _evidence(content: FolderContent) -> list[str]:
    committed = [f"{_COMMITTED}/{name}" for name in content.subfolders.get(_COMMITTED, ()) if number_of(name)]
    return committed or [name for name in content.top if name == _CURRENT]


def _list(content: FolderContent) -> Listing:
    names = [name for name in content.subfolders.get(_COMMITTED, ()) if is_sql(name) and not is_down(name)]
    files = [
        ListedFile(f"{_COMMITTED}/{name}", number, stem(name))
        for name in names
        if (number := number_of(name))
    ]
    files.sort(key=lambda each: (natural_order(each.number), each.name))
    ignored = [
        *((f"{_COMMITTED}/{name}", "has no number") for name in names if not number_of(name)),
        *((name, "isn't committed") for name in content.top if is_sql(name) and name not in _OWN),
        *((f"current/{name}", "isn't committed") for name in content.subfolders.get("current", ())),
    ]
    return Listing(tuple(files), ignored=tuple(ignored))


GRAPHILE = Layout(
    "graphile-migrate",
    "graphile-migrate's committed/",
    _evidence,
    _list,
    None,
    "write it into current.sql and run `graphile-migrate commit`, which signs its files",
    draft=_CURRENT,
)

"""Makes a base what the live database is: compared with its schema, and given what the recorded files don't make."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.rehearsal.copied_tables import copy_tables
from mosaic_deploy.deploy.rehearsal.extensions import create_extensions, match_extensions
from mosaic_deploy.deploy.rehearsal.recorded import NotRehearsed, RecordedHistory
from mosaic_deploy.deploy.rehearsal.unmanaged import managed
from mosaic_deploy.diff.schema import schema_changes, unmanaged_objects
from mosaic_deploy.diff.schema_drift import how_to_keep
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.catalog.remade import remade, without_newer_privileges
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.model.catalog import Catalog, SchemaChange, SchemaObject
from mosaic_deploy.model.change import EnableExtension
from mosaic_deploy.sql.quote import identifier

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_DEFAULT_SEARCH_PATH = '"$user", public'
_MAX_NAMED = 5
"""Objects that a remark names; the others are counted."""
NOT_THE_FILES = "the recorded files don't make the live schema"
_REMEDY = "undo the differences in the database; or {keep}; or list objects that an app creates itself under policy.unmanaged"


@dataclass(frozen=True, slots=True)
class MatchedBase:
    """The schema of a base that is like the live one. `read_schema` reads it again; `remarks` are differences that may matter.

    `search_path` is what the role or the database sets for new live sessions; None if there is no live database. `printed` are the
    definitions of its objects that the live server prints differently, as it prints them.
    """

    schema: Catalog
    read_schema: Callable[[], Catalog]
    remarks: tuple[str, ...]
    search_path: str | None
    printed: Catalog = field(default_factory=dict)


_REBUILT = "the apply that runs its CREATE INDEX again drops it and builds it again"


def match_live(
    database: RehearsalDatabase,
    history: RecordedHistory,
    planned: PreparedPlan,
    reading: Future[Catalog] | None,
) -> MatchedBase:
    """The base with the extensions and the unmanaged tables that are live, and the plan's new extensions.

    `reading` is the live schema; None if there is no live database. Raises NotRehearsed, with the differences.
    """
    read_schema = partial(_read_schema, database, history.database.owner)
    base = read_schema()
    live = reading.result() if reading else base
    unmanaged = unmanaged_objects(planned.desired.manifest.unmanaged)
    if copy_tables(database, base, live, unmanaged):
        base = read_schema()
    differences = schema_changes(managed(base, unmanaged), managed(live, unmanaged))
    extensions = [each for each in differences if each.object.kind == "extension"]
    unfinished = [each for each in differences if _is_invalid_index(each)]
    others = [each for each in differences if each not in (*extensions, *unfinished)]
    printed = _printed_differently(database, history.database.server, others)
    if serious := tuple(each for each in others if each.object not in printed):
        keep = how_to_keep(planned.live.snapshot.migrations or ())
        raise NotRehearsed(NOT_THE_FILES, serious, _REMEDY.format(keep=keep))
    _require_search_path(database, history.database.search_path)
    remarks = (
        *_print_remarks(database.server, history.database.server, printed),
        *match_extensions(database, extensions),
        *(
            f"the live database has {each.object}, which a failed build left invalid; {_REBUILT}"
            for each in unfinished
        ),
    )
    new = [each.name for each in planned.plan.changes if isinstance(each, EnableExtension)]
    create_extensions(database, new)
    schema = read_schema() if extensions or new else base
    search_path = history.database.set_search_path if reading else None
    return MatchedBase(schema, read_schema, remarks, search_path, printed)


def major_version(server: str) -> int:
    """18 for `18.1` and `18beta2`; 0 if it isn't known."""
    found = re.match(r"\d+", server)
    return int(found[0]) if found else 0


def _printed_differently(
    database: RehearsalDatabase, live_server: str, differences: Sequence[SchemaChange]
) -> Catalog:
    """The live definitions of these differences that are none: another major of PostgreSQL prints the same objects differently.

    That counts as shown if the database, given the live definition, prints its own, or what it prints given that: it prints some
    definitions that it reads in another way than it was given. Raises ApiError.
    """
    here, there = major_version(database.server), major_version(live_server)
    changed = {
        each.object: (each.before or "", each.after or "") for each in differences if each.action == "change"
    }
    if not changed or not there or here == there:
        return {}
    own = {item: before for item, (before, _) in changed.items()}
    live = {item: after for item, (_, after) in changed.items()}
    from_live = remade(database.api, database.project, live)
    from_own = remade(
        database.api,
        database.project,
        {item: own[item] for item in from_live if from_live[item] != own[item]},
    )
    return {
        item: text
        for item, text in live.items()
        if (item in from_live and from_live[item] in (own[item], from_own.get(item)))
        or without_newer_privileges(item, own[item], there) == text
    }


def _print_remarks(here: str, live: str, printed: Catalog) -> Iterator[str]:
    if not printed:
        return
    names = sorted(map(str, printed))
    more = [f"{len(names) - _MAX_NAMED} more"] if len(names) > _MAX_NAMED else []
    *most, last = [*names[:_MAX_NAMED], *more]
    them = f"{', '.join(most)} and {last}" if most else last
    verdict = "they are" if most else "it is"
    yield f"PostgreSQL {major_version(live)} and {major_version(here)} print {them} differently; {verdict} the same"


def _is_invalid_index(change: SchemaChange) -> bool:
    """What a failed CREATE INDEX CONCURRENTLY leaves, which the next apply drops."""
    return change.object.kind == "index" and change.action == "add" and str(change.after).endswith("INVALID")


def _require_search_path(database: RehearsalDatabase, live: str) -> None:
    """Raises NotRehearsed if names without a schema mean something else on the live database.

    A migration can have set its search_path, which the base then has; somebody else can have, too.
    """
    if live in ("", _DEFAULT_SEARCH_PATH):
        return
    rows = database.api.sql(database.project, "SELECT pg_catalog.current_setting('search_path') AS path")
    if rows[0]["path"] != live:
        raise NotRehearsed(f"the live database has search_path = {live}, which no recorded file set")


def _read_schema(database: RehearsalDatabase, live_owner: str) -> Catalog:
    """The schema with the live name of the role that owns the database, which grants and default privileges mention."""
    catalog = read_catalog(database.api, database.project)
    if not live_owner:
        return catalog
    shown = live_owner if _PLAIN_NAME.fullmatch(live_owner) else identifier(live_owner)
    named = re.compile(rf"\b{re.escape(database.owner)}\b")

    def renamed(text: str) -> str:
        return named.sub(lambda _: shown, text)

    return {
        SchemaObject(item.kind, renamed(item.name), renamed(item.parent)): renamed(definition)
        for item, definition in catalog.items()
    }

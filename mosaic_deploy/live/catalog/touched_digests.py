"""A catalog as digests of what steps touch, as the database computes them before a step runs: see `touched.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mosaic_deploy.live.catalog.query import ALL_OBJECTS
from mosaic_deploy.live.catalog.schema_results import step_result
from mosaic_deploy.live.catalog.touched import (
    CATALOG_SETTINGS,
    MENTIONED_OBJECTS,
    REFERENCED,
    SCHEMA_OF_NAME,
    TOUCHED_OBJECTS,
)
from mosaic_deploy.model.catalog import Catalog, Rehearsal, SchemaObject
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.effects import StepTouches, Touched, name_parts
from mosaic_deploy.sql.guard.rehearsed import (
    NOTHING_READ,
    NOTHING_TOUCHED,
    SchemaReader,
    TouchedName,
    TouchedNames,
    objects_digest,
    text_digest,
)

RELATION, ROUTINE, TYPE, INDEX, SCHEMA, DATABASE = TOUCHED_OBJECTS
EVERYWHERE = Touched(DATABASE, "objects")
"""What may act on any statement: casts, operators, event triggers, default privileges and the like."""
_TOP_KINDS = {
    **dict.fromkeys(("table", "foreign table", "view", "materialized view", "sequence"), RELATION),
    **dict.fromkeys(("function", "procedure", "aggregate"), ROUTINE),
    **dict.fromkeys(("type", "domain"), TYPE),
    "schema": SCHEMA,
}
_TABLES = ("table", "foreign table")
_OF_RELATION = frozenset({"column", "constraint", "index", "trigger", "policy", "rule"})
_NAME_OF_ROUTINE = re.compile(r'((?:"(?:[^"]|"")*"|[^"(])*)\(')
_INDEXED = ("PRIMARY KEY", "UNIQUE", "EXCLUDE")
"""How the definition of a constraint with an index begins."""
_NOT_COMPARED = frozenset(
    {"comment", "extension", "statistics", "publication", "subscription", "user mapping"}
)
_OTHER_GRANT = re.compile("(schema|server|language|foreign-data wrapper) (.*)")
_REFERENCED, _SCHEMA_OF_NAME = re.compile(REFERENCED), re.compile(SCHEMA_OF_NAME)
_NAME = r'(?:"(?:[^"]|"")*"|[\w$.])+'
_INHERITS = re.compile(rf"(?:UNLOGGED )?(?:PARTITION OF|INHERITS) ({_NAME}(?:, {_NAME})*)")


def touched_of(item: SchemaObject, definition: str = "") -> Iterator[Touched]:
    """What is touched with this object; nothing for objects that aren't compared.

    Several if a grant doesn't say what its object is, if the definition is one of a foreign key, or of a table that inherits.
    """
    if item.kind == "grant":
        yield from _touched_of_grant(item.parent)
    elif item.parent and item.kind in _OF_RELATION:
        yield Touched(RELATION, item.parent)
        if item.kind == "index" or (item.kind == "constraint" and definition.startswith(_INDEXED)):
            schema = _SCHEMA_OF_NAME.match(item.parent)
            yield Touched(INDEX, f"{schema[1] if schema else ''}{item.name}")
        if (key := _REFERENCED.match(definition)) and item.kind == "constraint" and key[1] != item.parent:
            yield Touched(RELATION, key[1])
    elif not item.parent and item.kind in _TOP_KINDS:
        kind = _TOP_KINDS[item.kind]
        routine = _NAME_OF_ROUTINE.match(item.name)
        yield Touched(kind, routine[1] if kind == ROUTINE and routine else item.name)
        yield from _parents(definition) if item.kind in _TABLES else ()
    elif not item.parent and item.kind not in _NOT_COMPARED:
        yield EVERYWHERE


def _touched_of_grant(on: str) -> Iterator[Touched]:
    if other := _OTHER_GRANT.fullmatch(on):
        yield Touched(SCHEMA, other[2]) if other[1] == "schema" else EVERYWHERE
        return
    yield from (Touched(RELATION, on), Touched(TYPE, on))
    if routine := _NAME_OF_ROUTINE.match(on):
        yield Touched(ROUTINE, routine[1])


def _parents(definition: str) -> Iterator[Touched]:
    """What the table with this definition inherits from."""
    if found := _INHERITS.match(definition):
        for name in re.findall(_NAME, found[1]):
            yield Touched(RELATION, name.removeprefix("public."))


def group_by_touched(catalog: Catalog) -> Mapping[Touched, Mapping[SchemaObject, str]]:
    """The objects of all that can be touched, with their definitions; invalid indexes don't count.

    A relation also has the foreign keys of other tables that reference it, and, without a definition, the tables that
    inherit from it.
    """
    found: dict[Touched, dict[SchemaObject, str]] = {}
    grants = []
    for item, definition in catalog.items():
        if item.kind == "grant":
            grants.append((item, definition))
        elif not (item.kind == "index" and definition.endswith(" INVALID")):
            for touched in touched_of(item, definition):
                inherits = item.kind in _TABLES and touched.name != item.name
                found.setdefault(touched, {})[item] = "" if inherits else definition
    for item, definition in grants:
        for touched in touched_of(item):
            if touched in found or touched.kind in (SCHEMA, DATABASE):
                found.setdefault(touched, {})[item] = definition
    return found


def search_path_setting(search_path: str) -> Catalog:
    """The search_path that the role or the database sets for new sessions, as an object to compare; empty without one."""
    return {SchemaObject("setting", "search_path"): search_path}


def digests_of(objects: Mapping[SchemaObject, str]) -> Mapping[SchemaObject, str]:
    """The digests of the objects' definitions."""
    return {item: text_digest(definition.encode()) for item, definition in objects.items()}


def rehearsed_names(
    rehearsal: Rehearsal | None, *, single_transaction: bool, results: bool = False
) -> Mapping[tuple[str, int], TouchedNames]:
    """What each step is compared with before it runs, by the change's address and the step's number; with `results`, also after it.

    Of steps that are one transaction, the first one has all, and the last one the result.
    """
    if rehearsal is None or rehearsal.not_rehearsed or not rehearsal.steps:
        return {}
    steps = _as_one(rehearsal.steps) if single_transaction else rehearsal.steps
    later: set[Touched] = set()
    found: dict[tuple[str, int], TouchedNames] = {}
    for step in reversed(steps):
        again = later & step.changes
        names = (
            _name(touched, rehearsal, lock, again=touched in again)
            for touched, lock in sorted(step.touches.items())
        )
        found[step.address, step.step] = TouchedNames(tuple(names), tuple(sorted(step.words)))
        later |= step.touches.keys()
    return _with_results(found, rehearsal.steps) if results else found


def _with_results(
    names: Mapping[tuple[str, int], TouchedNames], steps: Sequence[StepTouches]
) -> Mapping[tuple[str, int], TouchedNames]:
    """The step at which the schema is read notes it, and the next one with a result is compared."""
    found = dict(names)
    is_noted = False
    for step in steps:
        key = step.address, step.step
        result = step_result(step)
        before = found.get(key, NOTHING_TOUCHED)
        found[key] = replace(before, notes=not is_noted, leaves=result)
        is_noted = result is None
    return found


def _as_one(steps: Sequence[StepTouches]) -> tuple[StepTouches, ...]:
    """The first migration's step with what those of all migrations touch, then the seeds, which run apart."""
    migrations = [step for step in steps if step.address.startswith(_MIGRATION)]
    touches: dict[Touched, str] = {}
    for step in migrations:
        for touched, lock in step.touches.items():
            touches[touched] = max(touches.get(touched, ""), lock, key=LOCKS.index)
    changes = frozenset[Touched]().union(*(step.changes for step in migrations))
    words = frozenset[str]().union(*(step.words for step in migrations))
    first = StepTouches(migrations[0].address, migrations[0].step, touches, changes, words)
    return (first, *(step for step in steps if not step.address.startswith(_MIGRATION)))


_MIGRATION = f"{ApplyMigration.kind}:"
LOCKS = ("", "ACCESS SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE")
"""The modes in which a step's relations are locked before it, the weakest first."""


def _name(touched: Touched, rehearsal: Rehearsal, lock: str, *, again: bool) -> TouchedName:
    parts = name_parts(touched.name)
    schema, name = parts if len(parts) == 2 else ("public", touched.name.strip('"').replace('""', '"'))
    objects = {
        (item.kind, item.name, item.parent): digest
        for item, digest in rehearsal.objects.get(touched, {}).items()
    }
    return TouchedName(touched.kind, touched.name, schema, name, objects_digest(objects), lock, again)


def schema_reader(
    rehearsal: Rehearsal | None, names: Mapping[tuple[str, int], TouchedNames], unmanaged: str
) -> SchemaReader:
    """How a run reads what the steps of its rehearsal touch; nothing if they touch nothing. `unmanaged` as in SchemaReader."""
    if not names or rehearsal is None:
        return NOTHING_READ
    every = {one.key: one for each in names.values() for one in each.names if one.kind == RELATION}
    watched = tuple(TouchedName(one.kind, one.key, one.schema, one.name) for one in every.values())
    schemas = tuple(touched.name for touched in rehearsal.objects if touched.kind == SCHEMA)
    return SchemaReader(
        TOUCHED_OBJECTS,
        MENTIONED_OBJECTS,
        CATALOG_SETTINGS,
        watched,
        ("public", *schemas),
        unmanaged,
        records=len(names) > 1,
        every=ALL_OBJECTS if any(one.leaves is not None for one in names.values()) else "",
    )


Sides = tuple[Mapping[SchemaObject, str], Mapping[SchemaObject, str]]


def schema_differences(
    found: Mapping[str, object], rehearsed: Mapping[Touched, Mapping[SchemaObject, str]]
) -> list[str]:
    """What isn't as rehearsed, as texts: `column orders.sneaky was added`. `found` is what a step reports; see Failure.

    Of what was added or dropped as a whole, only that.
    """
    sides = list(_sides(found, rehearsed))
    whole = {item.name for _, (then, now) in sides for item in then.keys() ^ now.keys() if not item.parent}
    texts: list[str] = []
    for name, (then, now) in sides:
        differing = list(_differing(then, now))
        texts += [f"{item} was {verb}" for item, verb in differing if item.parent not in whole]
        texts += [] if differing else [f"{name} was changed"]
    return list(dict.fromkeys(texts))


def changed_objects(
    found: Mapping[str, object], rehearsed: Mapping[Touched, Mapping[SchemaObject, str]]
) -> list[tuple[str, str, str]]:
    """Kind, name and parent of all objects that aren't as rehearsed. Arguments as above."""
    changed = {
        item
        for _, (then, now) in _sides(found, rehearsed)
        for item in then.keys() | now.keys()
        if then.get(item) != now.get(item)
    }
    return [(item.kind, item.name, item.parent) for item in sorted(changed)]


def _sides(
    found: Mapping[str, object], rehearsed: Mapping[Touched, Mapping[SchemaObject, str]]
) -> Iterator[tuple[str, Sides]]:
    """By what is touched, its objects with their digests as they were expected, and as they are."""
    before = {str(touched): objects for touched, objects in rehearsed.items()}
    for name, sides in sorted(found.items()):
        then = before.get(name, {})
        now: Mapping[SchemaObject, str] = {}
        if isinstance(sides, Mapping):
            now = _parse_objects(sides.get("now"))
            then = _parse_objects(sides["left"]) if sides.get("left") else then
        yield name, (then, now)


def _parse_objects(found: object) -> Mapping[SchemaObject, str]:
    rows = found if isinstance(found, list) else []
    return {
        SchemaObject(str(kind), str(name), str(parent)): str(digest) for kind, name, parent, digest in rows
    }


def _differing(
    then: Mapping[SchemaObject, str], now: Mapping[SchemaObject, str]
) -> Iterator[tuple[SchemaObject, str]]:
    for item in sorted(
        then.keys() | now.keys(), key=lambda item: (item.parent or item.name, bool(item.parent), item)
    ):
        if then.get(item) != now.get(item):
            yield item, "added" if item not in then else "dropped" if item not in now else "changed"

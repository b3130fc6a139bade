"""How the database differs from what files leave behind."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.deploy.history.created_objects import Kind
from mosaic_deploy.deploy.history.expected_schema import (
    Column,
    ExpectedSchema,
    Part,
    Place,
    Relation,
    Standalone,
)
from mosaic_deploy.errors import Problem
from mosaic_deploy.sql.hazards import Facts, ObjectFacts, ObjectKind, ObjectRef
from mosaic_deploy.sql.hazards.syntax.names import Name
from mosaic_deploy.sql.hazards.syntax.types import ColumnType, type_from_text
from mosaic_deploy.sql.quote import identifier

_LIVE_KINDS = {
    "r": Kind.TABLE,
    "p": Kind.TABLE,
    "f": Kind.FOREIGN_TABLE,
    "v": Kind.VIEW,
    "m": Kind.MATERIALIZED_VIEW,
    "i": Kind.INDEX,
    "I": Kind.INDEX,
    "S": Kind.SEQUENCE,
}
_LOOKED_UP = {
    Kind.SEQUENCE: ObjectKind.RELATION,
    Kind.TYPE: ObjectKind.TYPE,
    Kind.DOMAIN: ObjectKind.TYPE,
    Kind.SCHEMA: ObjectKind.SCHEMA,
    Kind.EXTENSION: ObjectKind.EXTENSION,
}
_PRECISE_TO = 6
"""PostgreSQL lowers a higher precision of a time to this."""
_Found = Iterator[tuple[Place, str]]


def references(expected: ExpectedSchema) -> set[ObjectRef]:
    """What to look up in the database."""
    found = {_standalone_ref(each) for each in expected.standalone.values()}
    for each in expected.relations.values():
        if each.place or each.columns:
            found.add(_relation_ref(each))
        found |= {_part_ref(each, part) for part in each.parts.values()}
    return found


def missing_problems(expected: ExpectedSchema, facts: Facts) -> list[Problem]:
    """What the database, described by `facts` about the `references`, doesn't have, in the order of the files."""
    found = [*_missing_standalone(expected, facts)]
    for each in expected.relations.values():
        found += _relation_differences(each, facts)
    ordered = sorted(found, key=lambda one: one[0].order)
    return [Problem(message, place.location) for place, message in ordered]


def _missing_standalone(expected: ExpectedSchema, facts: Facts) -> _Found:
    for each in expected.standalone.values():
        live = facts.get(_standalone_ref(each))
        if problem := _existence(each.kind, str(each.name), live, any_kind=each.if_not_exists):
            yield each.place, problem


def _relation_differences(each: Relation, facts: Facts) -> _Found:
    live = facts.get(_relation_ref(each))
    if each.place and each.kind:
        problem = _existence(each.kind, str(each.name), live, any_kind=each.if_not_exists)
        if problem:
            yield each.place, problem
            return
    for name, column in each.columns.items():
        yield from _column_differences(each, name, column, live)
    for part in each.parts.values():
        found, shown = facts.get(_part_ref(each, part)), f"{part.new.name} on {each.name}"
        any_kind = part.new.if_not_exists or part.new.kind is not Kind.INDEX
        if problem := _existence(part.new.kind, shown, found, any_kind=any_kind):
            yield part.place, problem


def _column_differences(each: Relation, name: str, column: Column, live: ObjectFacts | None) -> _Found:
    if live is None or name not in live.columns:
        what = f"adds column {name} to" if column.new.added else f"alters column {name} of"
        yield column.place, f"{what} {each.name}, which doesn't have it"
        return
    wanted, actual = column.built_in, type_from_text(live.columns[name])
    if wanted and actual and _plain(wanted) != _plain(actual):
        yield column.typed, f"gives column {name} of {each.name} the type {wanted}, but it has {actual}"


def _existence(kind: Kind, shown: str, live: ObjectFacts | None, *, any_kind: bool) -> str:
    """The problem with an object; "" if there is none."""
    if live is None:
        return f"creates {kind} {shown}, which doesn't exist"
    actual = _LIVE_KINDS.get(live.relation_kind, kind)
    if any_kind or actual is kind:
        return ""
    return f"creates {kind} {shown}, but the database has {'an' if actual is Kind.INDEX else 'a'} {actual} of that name"


def _plain(found: ColumnType) -> ColumnType:
    """The type with its modifiers as PostgreSQL keeps them; without those that it may keep in another form."""
    mods = found.mods
    if found.name == "numeric" and len(mods) == 1:
        mods = (*mods, 0)
    elif found.name in ("time", "timetz", "timestamp", "timestamptz"):
        mods = tuple(min(mod, _PRECISE_TO) for mod in mods if isinstance(mod, int))
    elif found.name == "interval":
        mods = ()
    return found._replace(mods=mods if all(isinstance(mod, int) for mod in mods) else ())


def _relation_ref(each: Relation) -> ObjectRef:
    return ObjectRef(ObjectKind.RELATION, _quoted(each.name))


def _part_ref(each: Relation, part: Part) -> ObjectRef:
    if part.new.kind is Kind.INDEX:
        return ObjectRef(ObjectKind.RELATION, _quoted(Name(each.name.schema, part.new.name)))
    return ObjectRef(ObjectKind.DROPPED, _quoted(each.name), f"{part.new.kind}:{part.new.name}")


def _standalone_ref(each: Standalone) -> ObjectRef:
    if each.kind in _LOOKED_UP:
        return ObjectRef(_LOOKED_UP[each.kind], _quoted(each.name))
    return ObjectRef(ObjectKind.DROPPED, _quoted(each.name), "function:")


def _quoted(name: Name) -> str:
    return ".".join(identifier(part) for part in name if part)

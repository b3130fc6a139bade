"""What is known about the objects that statements name: created by the reviewed files, or there before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mosaic_deploy.model.hazard import table_is_affected
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.hazards.effects.relation import Relation
from mosaic_deploy.sql.hazards.effects.routines import BUILTIN_FUNCTIONS, Routine, live_routines
from mosaic_deploy.sql.hazards.live_objects import (
    Facts,
    ObjectFacts,
    ObjectKind,
    ObjectRef,
    row_estimate_text,
)
from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN_NAME, Name
from mosaic_deploy.sql.hazards.syntax.types import ColumnType, type_from_text
from mosaic_deploy.sql.hazards.syntax.volatility import STABLE_FUNCTIONS
from mosaic_deploy.sql.quote import identifier

INVOKER_OPTIONS = frozenset(f"security_invoker={word}" for word in ("true", "on", "1", "yes"))
"""Storage options of a view that runs with its reader's privileges."""
_TEMPORARY_SCHEMA = "pg_temp"
_KINDS_WITHOUT_SCHEMA = (ObjectKind.SCHEMA, ObjectKind.EXTENSION, ObjectKind.ANY_TABLE)


class ObjectKey(NamedTuple):
    """Identifies one object. `schema` is empty for kinds that have none."""

    kind: ObjectKind
    schema: str
    name: str


class Scope:
    """The objects as they are before the next statement. Rules read it, `update_scope` changes it.

    `facts` describe the live database; without them (None) every object that these files don't create counts as
    existing. `lookups` collects what the rules asked for. `policy` names the tables to treat more strictly.
    """

    def __init__(self, facts: Facts | None = None, policy: PolicySpec | None = None) -> None:
        self.lookups: set[ObjectRef] = set()
        self.protected_tables = policy.protected_tables if policy else ()
        self.strict = policy is not None and (policy.destructive == "deny" or bool(policy.protected_tables))
        """Whether the policy forbids destroying data: then code that can't be checked counts as destructive."""
        self._routines: dict[str, dict[tuple[str | None, tuple[str, ...]], Routine]] = {}
        self._renamed: dict[str, str] = {}
        self.stable_functions: set[str] = set()
        """Names of functions declared immutable or stable."""
        self._relations: dict[ObjectKey, Relation] = {}
        self._facts = facts
        self._created: dict[ObjectKey, bool] = {}
        """False if it may have existed before: IF NOT EXISTS, or created inside a DO block."""
        self._origins: dict[ObjectKey, ObjectKey] = {}
        """The live identity of objects that these files rename or move."""
        self._dropped: set[ObjectKey] = set()
        self.search_path: tuple[str, ...] = ()
        """The search path that the file sets; empty if it keeps the connection's own."""

    # Queries, for rules.

    def existed_before(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> bool:
        """Whether the object existed before these files, so that changing it matters."""
        key = self.key(name, kind)
        if self.is_unknown(name, kind):
            return self.existed_before(Name(None, ""), ObjectKind.ANY_TABLE)
        if self._created.get(key) or key in self._dropped or self._created.get(_schema_of(key)):
            return False
        found = self.facts_of(name, kind)
        if self._facts is None:
            return key not in self._created
        return found is not None

    def facts_of(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> ObjectFacts | None:
        """The live facts about the object, looked up by its live name; None if unknown."""
        if self.is_unknown(name, kind):
            return None
        refs = list(self._candidate_refs(name, kind))
        self.lookups.update(refs)
        known = self._facts or {}
        return next((known[ref] for ref in refs if ref in known), None)

    def live_name(self, name: Name) -> str:
        """The relation's live name as `schema.name`; `schema.*` or `*` if it is computed at run time."""
        found = self.facts_of(name) or ObjectFacts()
        origin = self.origin(name)
        if self.is_unknown(name):
            known = origin.schema if name.schema is not None else UNKNOWN_NAME
            return "*" if known == UNKNOWN_NAME else f"{known}.*"
        return f"{found.schema or origin.schema}.{found.name or origin.name}"

    def is_unknown(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> bool:
        """Whether the name is computed at run time."""
        return UNKNOWN_NAME in (name.schema, name.name) or self.origin(name, kind).name == UNKNOWN_NAME

    def is_protected(self, *tables: str) -> bool:
        """Whether the policy protects one of these tables, named as in Hazard."""
        return any(table_is_affected(table, one) for table in tables for one in self.protected_tables)

    def routines(self, name: Name) -> list[Routine | None]:
        """Every function and procedure of this name, in any schema and with any arguments.

        A routine that can't be read is None in the list. Functions of PostgreSQL and of extensions are left out.
        """
        bare = name.name
        builtin = name.schema in (None, "pg_catalog") and (
            bare in BUILTIN_FUNCTIONS or bare in STABLE_FUNCTIONS
        )
        if name.schema == "pg_catalog" or (builtin and bare not in self._routines):
            return []
        found: list[Routine | None] = []
        for each in dict.fromkeys((bare, self._renamed.get(bare, bare))):
            created = self._routines.get(each, {})
            found += created.values()
            for one in live_routines(self._function_facts(each)):
                if one is None or (one.name.schema, one.arguments) not in created:
                    found.append(one)
        return found

    def _function_facts(self, name: str) -> ObjectFacts:
        ref = ObjectRef(ObjectKind.FUNCTION, identifier(name))
        self.lookups.add(ref)
        return (self._facts or {}).get(ref, ObjectFacts())

    def row_estimate(self, name: Name) -> str:
        """` (≈2.1 M rows)`, for use after the table's name; "" if unknown."""
        found = self.facts_of(name)
        return row_estimate_text(found.rows if found else None)

    def column(self, name: Name, column: str) -> ColumnType | None:
        """The column's type before the statement; None if unknown."""
        if known := self.relation(name).columns.get(column):
            return known
        found = self.facts_of(name)
        text = found.columns.get(column) if found else None
        return type_from_text(text) if text else None

    def relation(self, name: Name) -> Relation:
        """What the files reveal about the table or view. Only `update_scope` may change it."""
        return self._relations.setdefault(self.key(name), Relation())

    def runs_as_invoker(self, view: Name) -> bool:
        """Whether the view has `security_invoker`, or had it until these files dropped it."""
        key = self.key(view)
        if self.relation(view).security_invoker or key in self._created:
            return self.relation(view).security_invoker
        found = self.facts_of(view)
        return found is not None and not found.storage_options.isdisjoint(INVOKER_OPTIONS)

    def was_dropped(self, name: Name) -> bool:
        """Whether these files drop the relation without creating another one of its name."""
        return self.key(name) in self._dropped

    def key(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> ObjectKey:
        """The object that `name` refers to under the current search path."""
        if kind in _KINDS_WITHOUT_SCHEMA:
            return ObjectKey(kind, "", name.name)
        if name.schema is not None:
            return ObjectKey(kind, name.schema, name.name)
        candidates = [
            ObjectKey(kind, schema, name.name)
            for schema in (_TEMPORARY_SCHEMA, *self._effective_search_path())
        ]
        known = (key for key in candidates if key in self._created or key in self._origins)
        return next(known, candidates[1])

    def origin(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> ObjectKey:
        """The object's identity before these files renamed or moved it."""
        key = self.key(name, kind)
        found = self._origins.get(key, key)
        schema = self._origins.get(_schema_of(found))
        return found._replace(schema=schema.name) if schema else found

    # Changes, for `update_scope`.

    def create(
        self,
        name: Name,
        kind: ObjectKind = ObjectKind.RELATION,
        *,
        certain: bool = True,
        temporary: bool = False,
    ) -> None:
        """Records that the object is created; not `certain` if it may have existed already."""
        schema = _TEMPORARY_SCHEMA if temporary else name.schema or self._effective_search_path()[0]
        key = (
            ObjectKey(kind, "", name.name)
            if kind in (ObjectKind.SCHEMA, ObjectKind.EXTENSION)
            else ObjectKey(kind, schema, name.name)
        )
        certain = certain or key in self._dropped
        if key in self._origins and not certain:
            return
        self._origins.pop(key, None)
        self._dropped.discard(key)
        self._created[key] = self._created.get(key, False) or certain

    def drop(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> None:
        """Records that the object is dropped unconditionally."""
        key = self.key(name, kind)
        was_created = self._created.pop(key, None) is not None
        self._origins.pop(key, None)
        if key in self._relations:
            self._relations[key] = Relation(security_invoker=self._relations[key].security_invoker)
        if was_created or name.schema is not None or len(self.search_path) < 2:
            self._dropped.add(key)

    def move(
        self, name: Name, to: Name, kind: ObjectKind = ObjectKind.RELATION, *, certain: bool = True
    ) -> None:
        """Records that the object is renamed or moved to another schema; not `certain` if that may not happen."""
        old = self.key(name, kind)
        new = ObjectKey(kind, old.schema if to.schema is None else to.schema, to.name)
        if not certain:
            self._origins.setdefault(new, self._origins.get(old, old))
            return
        created = self._created.pop(old, None)
        origin = self._origins.pop(old, old)
        self._created.pop(new, None)
        self._dropped.discard(new)
        self._dropped.add(old)
        if created is not None:
            self._created[new] = created
        if not created:
            self._origins[new] = origin
        if old in self._relations:
            self._relations[new] = self._relations.pop(old)

    @property
    def schema(self) -> str:
        """The schema of a new object whose name has none."""
        return self._effective_search_path()[0]

    def set_search_path(self, path: tuple[str, ...], *, certain: bool) -> None:
        """Records a new search path; if it may not be set, names resolve along the new one and the old one."""
        self.search_path = path if certain else tuple(dict.fromkeys((*path, *self._effective_search_path())))

    def define_routine(self, routine: Routine) -> None:
        """Records that the function or procedure is created or replaced."""
        self._routines.setdefault(routine.name.name, {})[routine.name.schema, routine.arguments] = routine

    def rename_routine(self, old: str, new: str) -> None:
        """Records that a function or procedure is renamed; both names refer to it from then on."""
        self._renamed[new] = self._renamed.get(old, old)

    def begin_session(self) -> None:
        """Drops what doesn't carry over from one unit to the next."""
        self.search_path = ()
        for key in [key for key in self._created if key.schema == _TEMPORARY_SCHEMA]:
            del self._created[key]

    def mark_applied(self) -> None:
        """From now on, treats whatever these files created as existing; known columns stay known."""
        self._created.clear()
        self._origins.clear()
        self._dropped.clear()
        for relation in self._relations.values():
            relation.added_columns.clear()
            relation.unvalidated.clear()
            relation.rules_and_triggers.clear()

    def _effective_search_path(self) -> tuple[str, ...]:
        return self.search_path or ("public",)

    def _candidate_refs(self, name: Name, kind: ObjectKind) -> Iterator[ObjectRef]:
        key = self.key(name, kind)
        origin = self.origin(name, kind)
        if not key.schema:
            yield ObjectRef(kind, identifier(origin.name))
            return
        fixed = name.schema is not None or origin != key
        for schema in (origin.schema,) if fixed else self.search_path:
            yield ObjectRef(kind, f"{identifier(schema)}.{identifier(origin.name)}")
        if not fixed:  # resolved along the connection's own search path
            yield ObjectRef(kind, identifier(origin.name))


def visible_schemas(names: Iterable[str]) -> tuple[str, ...]:
    """A search path without schemas that hold no reviewed tables."""
    return tuple(name for name in names if name and name not in ("$user", "pg_temp", "pg_catalog"))


def _schema_of(key: ObjectKey) -> ObjectKey:
    return ObjectKey(ObjectKind.SCHEMA, "", key.schema)

"""What is known about the objects that statements name: created by the reviewed files, or there before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mosaic_deploy.model.hazard import table_is_affected
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.hazards.effects.relation import Relation
from mosaic_deploy.sql.hazards.live_objects import (
    Facts,
    ObjectFacts,
    ObjectKind,
    ObjectRef,
    row_estimate_text,
)
from mosaic_deploy.sql.hazards.syntax.functions import BUILTIN_FUNCTIONS
from mosaic_deploy.sql.hazards.syntax.names import Name
from mosaic_deploy.sql.hazards.syntax.types import ColumnType, type_from_text
from mosaic_deploy.sql.parse import Statement
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
        self.functions: dict[str, list[Statement]] = {}
        """The functions and procedures that these files create, or rename to this name: their CREATE statements."""
        self.stable_functions: set[str] = set()
        """Names of functions declared immutable or stable."""
        self._relations: dict[ObjectKey, Relation] = {}
        self._facts = facts
        # Live tables that hold no row, as `schema.name`.
        self.empty_tables = frozenset(table for one in (facts or {}).values() for table in one.empty_tables)
        self._created: dict[ObjectKey, bool] = {}
        """False if it may have existed before: IF NOT EXISTS, or created inside a DO block."""
        self._origins: dict[ObjectKey, ObjectKey] = {}
        """The live identity of objects that these files rename or move."""
        self._dropped: set[ObjectKey] = set()
        self._if_not_exists: set[ObjectKey] = set()
        """Relations created with IF NOT EXISTS, which the database may have already."""
        self.temporary_tables: frozenset[str] = frozenset()
        """The temporary tables that the file creates."""
        self.written: dict[ObjectKey, set[int]] = {}
        """The relations whose rows the files write, with the steps that do."""
        self.search_path: tuple[str, ...] = ()
        """The search path that the file sets; empty if it keeps the connection's own."""

    # Queries, for rules.

    def existed_before(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> bool:
        """Whether the object existed before these files, so that changing it matters."""
        key = self.key(name, kind)
        if self._created.get(key) or key in self._dropped or self._created.get(_schema_of(key)):
            return False
        if key.schema == _TEMPORARY_SCHEMA:
            return False
        found = self.facts_of(name, kind)
        if self._facts is None:
            return key not in self._created or key in self._if_not_exists
        return found is not None

    def facts_of(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> ObjectFacts | None:
        """The live facts about the object, looked up by its live name; None if unknown."""
        refs = list(self._candidate_refs(name, kind))
        self.lookups.update(refs)
        known = self._facts or {}
        return next((known[ref] for ref in refs if ref in known), None)

    def dropped_facts(self, name: Name, kind: ObjectKind, part: str, *, cascade: bool) -> ObjectFacts | None:
        """The live facts about an object to drop (`part` is as in ObjectRef); None if it isn't live."""
        asked = ObjectKind.DROPPED_CASCADE if cascade else ObjectKind.DROPPED
        refs = [ObjectRef(asked, one.name, part) for one in self._candidate_refs(name, kind)]
        self.lookups.update(refs)
        return next((fact for ref in refs if (fact := (self._facts or {}).get(ref))), None)

    @property
    def is_offline(self) -> bool:
        """Whether nothing is known about the live database."""
        return self._facts is None

    def is_missing(self, name: Name) -> bool:
        """Whether the relation surely doesn't exist: not live or dropped, and not created or renamed to by these files."""
        known = (*self._created, *self._origins)
        if any(one.name == name.name and one.kind is ObjectKind.RELATION for one in known):
            return False
        gone = self.key(name) in self._dropped or self.facts_of(name) is None
        return gone and not self.is_offline

    def live_name(self, name: Name) -> str:
        """The relation's live name as `schema.name`."""
        found = self.facts_of(name) or ObjectFacts()
        origin = self.origin(name)
        return f"{found.schema or origin.schema}.{found.name or origin.name}"

    def may_be_own_function(self, name: Name) -> bool:
        """Whether a function of this name may be the project's, not PostgreSQL's or an extension's."""
        if name.name in self.functions:
            return True
        if name.schema == "pg_catalog" or (name.schema is None and name.name in BUILTIN_FUNCTIONS):
            return False
        reference = ObjectRef(ObjectKind.FUNCTION, identifier(name.name))
        self.lookups.add(reference)
        return self._facts is None or reference in self._facts

    def is_protected(self, *tables: str) -> bool:
        """Whether the policy protects one of these tables, named as in Hazard."""
        return any(table_is_affected(table, one) for table in tables for one in self.protected_tables)

    def row_estimate(self, name: Name) -> str:
        """` (≈2.1 M rows)`, for use after the table's name; "" if unknown. Rows of its own: its children may have others."""
        found = self.facts_of(name) or ObjectFacts()
        if found.relation_kind in ("r", "m") and f"{found.schema}.{found.name}" in self.empty_tables:
            others = found.shares_rows_with - found.parents
            return " (no rows)" if others <= self.empty_tables else " (no rows of its own)"
        return row_estimate_text(found.rows)

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

    def changes_columns_to(self, type_name: Name) -> bool:
        """Whether these files give a column this type, which the live facts about the type don't show."""
        columns = (one for relation in self._relations.values() for one in relation.columns.values())
        return any(f".{one.name}".endswith(f".{type_name.name}") for one in columns)

    def moves_into(self, schema: str) -> bool:
        """Whether these files move an existing relation into the schema."""
        return any(key.schema == schema for key in self._origins)

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
        if_not_exists: bool = False,
    ) -> None:
        """Records that the object is created; not `certain` if it may have existed already."""
        schema = _TEMPORARY_SCHEMA if temporary else name.schema or self._effective_search_path()[0]
        without_schema = kind in (ObjectKind.SCHEMA, ObjectKind.EXTENSION)
        key = ObjectKey(kind, "" if without_schema else schema, name.name)
        certain = certain or key in self._dropped
        if key in self._origins and not certain:
            return
        self._origins.pop(key, None)
        self._dropped.discard(key)
        if if_not_exists and not certain and key not in self._created:
            self._if_not_exists.add(key)
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

    def begin_session(self, temporary_tables: frozenset[str] = frozenset()) -> None:
        """Drops what doesn't carry over from one step to the next; `temporary_tables` are those of the file."""
        self.search_path = ()
        self.temporary_tables = temporary_tables
        self.discard_temporary()

    def discard_temporary(self) -> None:
        """Drops the temporary objects."""
        self._created = {key: one for key, one in self._created.items() if key.schema != _TEMPORARY_SCHEMA}

    def mark_applied(self) -> None:
        """From now on, treats whatever these files created as existing; known columns stay known."""
        self._created.clear()
        self._if_not_exists.clear()
        self.functions.clear()
        self.written.clear()
        self._origins.clear()
        self._dropped.clear()
        for relation in self._relations.values():
            relation.mark_applied()

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

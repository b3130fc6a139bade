"""What is known of the objects that statements name: made by these files, or there before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mosaic_deploy.model.hazard import reaches
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.hazards.effects.routines import BUILTIN_FUNCTIONS, Routine, live_routines
from mosaic_deploy.sql.hazards.facts import Facts, ObjectFacts, ObjectKind, ObjectRef, row_estimate_text
from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN_NAME, Name
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.hazards.syntax.types import ColumnType, type_from_text
from mosaic_deploy.sql.hazards.syntax.volatility import STABLE_FUNCTIONS
from mosaic_deploy.sql.quote import identifier

INVOKER_OPTIONS = frozenset(f"security_invoker={word}" for word in ("true", "on", "1", "yes"))
"""The storage options of a view that runs with the rights of whoever reads it."""
_TEMPORARY_SCHEMA = "pg_temp"
_KINDS_WITHOUT_SCHEMA = (ObjectKind.SCHEMA, ObjectKind.EXTENSION, ObjectKind.ANY_TABLE)


class ObjectKey(NamedTuple):
    """One object. `schema` is empty for what has none."""

    kind: ObjectKind
    schema: str
    name: str


@dataclass(slots=True)
class Relation:
    """What the files have said of one table or view so far."""

    columns: dict[str, ColumnType] = field(default_factory=dict)
    added_columns: set[str] = field(default_factory=set)
    """Columns that the pending files have added."""
    security_invoker: bool = False
    """A view that runs with the rights of whoever reads it."""
    unvalidated: dict[str, int] = field(default_factory=dict)
    """Constraints added as NOT VALID, with the unit that did."""
    not_null_checks: dict[str, str] = field(default_factory=dict)
    """Constraints that say `column IS NOT NULL`, with the column."""
    proven_not_null: set[str] = field(default_factory=set)
    """Columns whose such constraint is validated."""
    shares_rows_with: dict[Name, tuple[str, ...]] = field(default_factory=dict)
    """Relations whose rows are its rows, too: below a view, attached as a partition, inheriting. With the live
    tables, as `schema.name`, that each then meant: a later rename hides none."""
    cascades: dict[Name, tuple[str, ...]] = field(default_factory=dict)
    """Tables that lose rows or values when its rows are deleted, in the same way."""
    rules_and_triggers: list[RuleOrTrigger] = field(default_factory=list)
    """The rules and triggers that these files put on it."""


@dataclass(frozen=True, slots=True)
class RuleOrTrigger:
    """A rule or a trigger: `event` of a table's rows runs the acts, or calls the function. `description` names it."""

    description: str
    events: frozenset[str]
    effects: tuple[Effect, ...] = ()
    function: Name | None = None


class Scope:
    """The objects as they stand before the next statement. `learn.learn` moves it on; rules only ask.

    `facts` are what is live, None where nothing is known of it: then an object that these files haven't made
    counts as there. `lookups` collects what would be worth knowing. `policy` says which tables are to be watched
    more closely; it denies nothing here.
    """

    def __init__(self, facts: Facts | None = None, policy: PolicySpec | None = None) -> None:
        self.lookups: set[ObjectRef] = set()
        self.protected_tables = policy.protected_tables if policy else ()
        self.strict = policy is not None and (policy.destructive == "deny" or bool(policy.protected_tables))
        """Whether somebody has said that data must not be destroyed: then what can't be read counts as doing it."""
        self._routines: dict[str, dict[tuple[str | None, tuple[str, ...]], Routine]] = {}
        self._renamed: dict[str, str] = {}
        self.stable_functions: set[str] = set()
        """Functions declared immutable or stable."""
        self._relations: dict[ObjectKey, Relation] = {}
        self._facts = facts
        self._created: dict[ObjectKey, bool] = {}
        """False where it may have been there already: IF NOT EXISTS, or made inside a DO block."""
        self._origins: dict[ObjectKey, ObjectKey] = {}
        """What an object that was there was called before these files renamed or moved it."""
        self._dropped: set[ObjectKey] = set()
        self.search_path: tuple[str, ...] = ()
        """The search path that the file sets; empty where it leaves the connection's own."""

    # What rules ask.

    def existed_before(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> bool:
        """Whether the object was there before these files, so that what is done to it is felt."""
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
        """What is live of the object, by the name it had before these files; None where nothing is known."""
        if self.is_unknown(name, kind):
            return None
        questions = list(self._candidate_refs(name, kind))
        self.lookups.update(questions)
        known = self._facts or {}
        return next((known[question] for question in questions if question in known), None)

    def live_name(self, name: Name) -> str:
        """The relation's name with its schema, as it is live."""
        found = self.facts_of(name) or ObjectFacts()
        origin = self.origin(name)
        if self.is_unknown(name):
            known = origin.schema if name.schema is not None else UNKNOWN_NAME
            return "*" if known == UNKNOWN_NAME else f"{known}.*"
        return f"{found.schema or origin.schema}.{found.name or origin.name}"

    def is_unknown(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> bool:
        """Whether what the name means is said only as the SQL runs."""
        return UNKNOWN_NAME in (name.schema, name.name) or self.origin(name, kind).name == UNKNOWN_NAME

    def is_protected(self, *tables: str) -> bool:
        """Whether the policy protects one of these tables, named as in Hazard."""
        return any(reaches(table, one) for table in tables for one in self.protected_tables)

    def routines(self, name: Name) -> list[Routine | None]:
        """Every function and procedure of this name, whatever its schema and arguments; None for one that can't be read.

        None are the database's own and those of extensions, whatever they are called.
        """
        bare = name.name
        plain = name.schema in (None, "pg_catalog") and (
            bare in BUILTIN_FUNCTIONS or bare in STABLE_FUNCTIONS
        )
        if name.schema == "pg_catalog" or (plain and bare not in self._routines):
            return []
        found: list[Routine | None] = []
        for each in dict.fromkeys((bare, self._renamed.get(bare, bare))):
            made = self._routines.get(each, {})
            found += made.values()
            for one in live_routines(self._function_facts(each)):
                if one is None or (one.name.schema, one.arguments) not in made:
                    found.append(one)
        return found

    def _function_facts(self, name: str) -> ObjectFacts:
        question = ObjectRef(ObjectKind.FUNCTION, identifier(name))
        self.lookups.add(question)
        return (self._facts or {}).get(question, ObjectFacts())

    def row_estimate(self, name: Name) -> str:
        """` (≈2.1 M rows)` where that is known, to be put behind the name."""
        found = self.facts_of(name)
        return row_estimate_text(found.rows if found else None)

    def column(self, name: Name, column: str) -> ColumnType | None:
        """The column's type before the statement; None where it isn't known."""
        learnt = self.relation(name).columns.get(column)
        if learnt:
            return learnt
        found = self.facts_of(name)
        text = found.columns.get(column) if found else None
        return type_from_text(text) if text else None

    def relation(self, name: Name) -> Relation:
        """What the files have said of the table or view; to be added to by `update_scope` only."""
        return self._relations.setdefault(self.key(name), Relation())

    def runs_as_invoker(self, view: Name) -> bool:
        """Whether the view has `security_invoker`, or had it before these files dropped it."""
        key = self.key(view)
        if self.relation(view).security_invoker or key in self._created:
            return self.relation(view).security_invoker
        found = self.facts_of(view)
        return found is not None and not found.storage_options.isdisjoint(INVOKER_OPTIONS)

    def was_dropped(self, name: Name) -> bool:
        """Whether these files have dropped the relation and not made another of its name."""
        return self.key(name) in self._dropped

    def key(self, name: Name, kind: ObjectKind = ObjectKind.RELATION) -> ObjectKey:
        """The one object that `name` means, as far as the search path tells."""
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
        """What the object was called before these files renamed or moved it."""
        key = self.key(name, kind)
        found = self._origins.get(key, key)
        schema = self._origins.get(_schema_of(found))
        return found._replace(schema=schema.name) if schema else found

    # What `update_scope` tells.

    def create(
        self,
        name: Name,
        kind: ObjectKind = ObjectKind.RELATION,
        *,
        certain: bool = True,
        temporary: bool = False,
    ) -> None:
        """The statement makes the object; not `certain` where it may have been there."""
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
        """The statement drops the object, without a condition."""
        key = self.key(name, kind)
        was_made = self._created.pop(key, None) is not None
        self._origins.pop(key, None)
        if key in self._relations:
            self._relations[key] = Relation(security_invoker=self._relations[key].security_invoker)
        if was_made or name.schema is not None or len(self.search_path) < 2:
            self._dropped.add(key)

    def move(
        self, name: Name, to: Name, kind: ObjectKind = ObjectKind.RELATION, *, certain: bool = True
    ) -> None:
        """The statement renames the object or puts it in another schema; perhaps, where not `certain`."""
        old = self.key(name, kind)
        new = ObjectKey(kind, old.schema if to.schema is None else to.schema, to.name)
        if not certain:
            self._origins.setdefault(new, self._origins.get(old, old))
            return
        made = self._created.pop(old, None)
        origin = self._origins.pop(old, old)
        self._created.pop(new, None)
        self._dropped.discard(new)
        self._dropped.add(old)
        if made is not None:
            self._created[new] = made
        if not made:
            self._origins[new] = origin
        if old in self._relations:
            self._relations[new] = self._relations.pop(old)

    @property
    def schema(self) -> str:
        """Where a new object goes that is written without a schema."""
        return self._effective_search_path()[0]

    def set_search_path(self, path: tuple[str, ...], *, certain: bool) -> None:
        """The statement sets the search path; where that isn't certain, a name may be found by the old or the new."""
        self.search_path = path if certain else tuple(dict.fromkeys((*path, *self._effective_search_path())))

    def define_routine(self, made: Routine) -> None:
        """The statement creates or replaces the function or procedure."""
        self._routines.setdefault(made.name.name, {})[made.name.schema, made.arguments] = made

    def rename_routine(self, old: str, new: str) -> None:
        """The statement renames a function or procedure; both names mean it from then on."""
        self._renamed[new] = self._renamed.get(old, old)

    def begin_file(self) -> None:
        """No session state is carried from one file to the next."""
        self.search_path = ()
        for key in [key for key in self._created if key.schema == _TEMPORARY_SCHEMA]:
            del self._created[key]

    def mark_applied(self) -> None:
        """Whatever these files made is there from now on; what is known of its columns stays known."""
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
        if not fixed:  # as the connection's own search path finds it
            yield ObjectRef(kind, identifier(origin.name))


def _schema_of(key: ObjectKey) -> ObjectKey:
    return ObjectKey(ObjectKind.SCHEMA, "", key.schema)

"""What is known of the objects that statements name: made by these files, or there before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mosaic_deploy.model.hazard import reaches
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.hazards.effects.routines import BUILTIN, Routine, live_routines
from mosaic_deploy.sql.hazards.facts import Asked, Fact, Facts, Kind, rows_text
from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN, Name
from mosaic_deploy.sql.hazards.syntax.trees import Act
from mosaic_deploy.sql.hazards.syntax.types import ColumnType, of_text
from mosaic_deploy.sql.hazards.syntax.volatility import STEADY
from mosaic_deploy.sql.quote import identifier

INVOKER = frozenset(f"security_invoker={word}" for word in ("true", "on", "1", "yes"))
"""The storage options of a view that runs with the rights of whoever reads it."""
_TEMPORARY = "pg_temp"
_WITHOUT_SCHEMA = (Kind.SCHEMA, Kind.EXTENSION, Kind.ANYTHING)


class Key(NamedTuple):
    """One object. `schema` is empty for what has none."""

    kind: Kind
    schema: str
    name: str


@dataclass(slots=True)
class Relation:
    """What the files have said of one table or view so far."""

    columns: dict[str, ColumnType] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    """Columns that the pending files have added."""
    invoker: bool = False
    """A view that runs with the rights of whoever reads it."""
    unvalidated: dict[str, int] = field(default_factory=dict)
    """Constraints added as NOT VALID, with the unit that did."""
    promises: dict[str, str] = field(default_factory=dict)
    """Constraints that say `column IS NOT NULL`, with the column."""
    proven: set[str] = field(default_factory=set)
    """Columns whose such constraint is validated."""
    holds: dict[Name, tuple[str, ...]] = field(default_factory=dict)
    """Relations whose rows are its rows, too: below a view, attached as a partition, inheriting. With the live
    tables, as `schema.name`, that each then meant: a later rename hides none."""
    cascades: dict[Name, tuple[str, ...]] = field(default_factory=dict)
    """Tables that lose rows or values when its rows are deleted, in the same way."""
    fires: list[Fired] = field(default_factory=list)
    """The rules and triggers that these files put on it."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule or a trigger: `event` of a table's rows runs the acts, or calls the function. `what` names it."""

    what: str
    events: frozenset[str]
    acts: tuple[Act, ...] = ()
    function: Name | None = None


class Scope:
    """The objects as they stand before the next statement. `learn.learn` moves it on; rules only ask.

    `facts` are what is live, None where nothing is known of it: then an object that these files haven't made
    counts as there. `asked` collects what would be worth knowing. `policy` says which tables are to be watched
    more closely; it denies nothing here.
    """

    def __init__(self, facts: Facts | None = None, policy: PolicySpec | None = None) -> None:
        self.asked: set[Asked] = set()
        self.protected = policy.protected_tables if policy else ()
        self.strict = policy is not None and (policy.destructive == "deny" or bool(policy.protected_tables))
        """Whether somebody has said that data must not be destroyed: then what can't be read counts as doing it."""
        self._routines: dict[str, dict[tuple[str | None, tuple[str, ...]], Routine]] = {}
        self._renamed: dict[str, str] = {}
        self.steady: set[str] = set()
        """Functions declared immutable or stable."""
        self._relations: dict[Key, Relation] = {}
        self._facts = facts
        self._created: dict[Key, bool] = {}
        """False where it may have been there already: IF NOT EXISTS, or made inside a DO block."""
        self._origins: dict[Key, Key] = {}
        """What an object that was there was called before these files renamed or moved it."""
        self._gone: set[Key] = set()
        self.path: tuple[str, ...] = ()
        """The search path that the file sets; empty where it leaves the connection's own."""

    # What rules ask.

    def exists(self, name: Name, kind: Kind = Kind.RELATION) -> bool:
        """Whether the object was there before these files, so that what is done to it is felt."""
        key = self.key(name, kind)
        if self.unknown(name, kind):
            return self.exists(Name(None, ""), Kind.ANYTHING)
        if self._created.get(key) or key in self._gone or self._created.get(_schema_of(key)):
            return False
        found = self.fact(name, kind)
        if self._facts is None:
            return key not in self._created
        return found is not None

    def fact(self, name: Name, kind: Kind = Kind.RELATION) -> Fact | None:
        """What is live of the object, by the name it had before these files; None where nothing is known."""
        if self.unknown(name, kind):
            return None
        questions = list(self._questions(name, kind))
        self.asked.update(questions)
        known = self._facts or {}
        return next((known[question] for question in questions if question in known), None)

    def full(self, name: Name) -> str:
        """The relation's name with its schema, as it is live."""
        found = self.fact(name) or Fact()
        origin = self.origin(name)
        if self.unknown(name):
            known = origin.schema if name.schema is not None else UNKNOWN
            return "*" if known == UNKNOWN else f"{known}.*"
        return f"{found.schema or origin.schema}.{found.name or origin.name}"

    def unknown(self, name: Name, kind: Kind = Kind.RELATION) -> bool:
        """Whether what the name means is said only as the SQL runs."""
        return UNKNOWN in (name.schema, name.name) or self.origin(name, kind).name == UNKNOWN

    def protects(self, *tables: str) -> bool:
        """Whether the policy protects one of these tables, named as in Hazard."""
        return any(reaches(table, one) for table in tables for one in self.protected)

    def routines(self, name: Name) -> list[Routine | None]:
        """Every function and procedure of this name, whatever its schema and arguments; None for one that can't be read.

        None are the database's own and those of extensions, whatever they are called.
        """
        bare = name.name
        plain = name.schema in (None, "pg_catalog") and (bare in BUILTIN or bare in STEADY)
        if name.schema == "pg_catalog" or (plain and bare not in self._routines):
            return []
        found: list[Routine | None] = []
        for each in dict.fromkeys((bare, self._renamed.get(bare, bare))):
            made = self._routines.get(each, {})
            found += made.values()
            for one in live_routines(self._function(each)):
                if one is None or (one.name.schema, one.arguments) not in made:
                    found.append(one)
        return found

    def _function(self, name: str) -> Fact:
        question = Asked(Kind.FUNCTION, identifier(name))
        self.asked.add(question)
        return (self._facts or {}).get(question, Fact())

    def rows(self, name: Name) -> str:
        """` (≈2.1 M rows)` where that is known, to be put behind the name."""
        found = self.fact(name)
        return rows_text(found.rows if found else None)

    def column(self, name: Name, column: str) -> ColumnType | None:
        """The column's type before the statement; None where it isn't known."""
        learnt = self.relation(name).columns.get(column)
        if learnt:
            return learnt
        found = self.fact(name)
        text = found.columns.get(column) if found else None
        return of_text(text) if text else None

    def relation(self, name: Name) -> Relation:
        """What the files have said of the table or view; to be added to by `learn` only."""
        return self._relations.setdefault(self.key(name), Relation())

    def runs_as_invoker(self, view: Name) -> bool:
        """Whether the view has `security_invoker`, or had it before these files dropped it."""
        key = self.key(view)
        if self.relation(view).invoker or key in self._created:
            return self.relation(view).invoker
        found = self.fact(view)
        return found is not None and not found.options.isdisjoint(INVOKER)

    def dropped(self, name: Name) -> bool:
        """Whether these files have dropped the relation and not made another of its name."""
        return self.key(name) in self._gone

    def key(self, name: Name, kind: Kind = Kind.RELATION) -> Key:
        """The one object that `name` means, as far as the search path tells."""
        if kind in _WITHOUT_SCHEMA:
            return Key(kind, "", name.name)
        if name.schema is not None:
            return Key(kind, name.schema, name.name)
        candidates = [Key(kind, schema, name.name) for schema in (_TEMPORARY, *self._path())]
        known = (key for key in candidates if key in self._created or key in self._origins)
        return next(known, candidates[1])

    def origin(self, name: Name, kind: Kind = Kind.RELATION) -> Key:
        """What the object was called before these files renamed or moved it."""
        key = self.key(name, kind)
        found = self._origins.get(key, key)
        schema = self._origins.get(_schema_of(found))
        return found._replace(schema=schema.name) if schema else found

    # What `learn` tells.

    def create(
        self, name: Name, kind: Kind = Kind.RELATION, *, certain: bool = True, temporary: bool = False
    ) -> None:
        """The statement makes the object; not `certain` where it may have been there."""
        schema = _TEMPORARY if temporary else name.schema or self._path()[0]
        key = (
            Key(kind, "", name.name)
            if kind in (Kind.SCHEMA, Kind.EXTENSION)
            else Key(kind, schema, name.name)
        )
        certain = certain or key in self._gone
        if key in self._origins and not certain:
            return
        self._origins.pop(key, None)
        self._gone.discard(key)
        self._created[key] = self._created.get(key, False) or certain

    def drop(self, name: Name, kind: Kind = Kind.RELATION) -> None:
        """The statement drops the object, without a condition."""
        key = self.key(name, kind)
        was_made = self._created.pop(key, None) is not None
        self._origins.pop(key, None)
        if key in self._relations:
            self._relations[key] = Relation(invoker=self._relations[key].invoker)
        if was_made or name.schema is not None or len(self.path) < 2:
            self._gone.add(key)

    def move(self, name: Name, to: Name, kind: Kind = Kind.RELATION, *, certain: bool = True) -> None:
        """The statement renames the object or puts it in another schema; perhaps, where not `certain`."""
        old = self.key(name, kind)
        new = Key(kind, old.schema if to.schema is None else to.schema, to.name)
        if not certain:
            self._origins.setdefault(new, self._origins.get(old, old))
            return
        made = self._created.pop(old, None)
        origin = self._origins.pop(old, old)
        self._created.pop(new, None)
        self._gone.discard(new)
        self._gone.add(old)
        if made is not None:
            self._created[new] = made
        if not made:
            self._origins[new] = origin
        if old in self._relations:
            self._relations[new] = self._relations.pop(old)

    @property
    def schema(self) -> str:
        """Where a new object goes that is written without a schema."""
        return self._path()[0]

    def set_path(self, path: tuple[str, ...], *, certain: bool) -> None:
        """The statement sets the search path; where that isn't certain, a name may be found by the old or the new."""
        self.path = path if certain else tuple(dict.fromkeys((*path, *self._path())))

    def define(self, made: Routine) -> None:
        """The statement creates or replaces the function or procedure."""
        self._routines.setdefault(made.name.name, {})[made.name.schema, made.arguments] = made

    def rename_routine(self, old: str, new: str) -> None:
        """The statement renames a function or procedure; both names mean it from then on."""
        self._renamed[new] = self._renamed.get(old, old)

    def begin_file(self) -> None:
        """No session state is carried from one file to the next."""
        self.path = ()
        for key in [key for key in self._created if key.schema == _TEMPORARY]:
            del self._created[key]

    def settle(self) -> None:
        """Whatever these files made is there from now on; what is known of its columns stays known."""
        self._created.clear()
        self._origins.clear()
        self._gone.clear()
        for relation in self._relations.values():
            relation.added.clear()
            relation.unvalidated.clear()
            relation.fires.clear()

    def _path(self) -> tuple[str, ...]:
        return self.path or ("public",)

    def _questions(self, name: Name, kind: Kind) -> Iterator[Asked]:
        key = self.key(name, kind)
        origin = self.origin(name, kind)
        if not key.schema:
            yield Asked(kind, identifier(origin.name))
            return
        fixed = name.schema is not None or origin != key
        for schema in (origin.schema,) if fixed else self.path:
            yield Asked(kind, f"{identifier(schema)}.{identifier(origin.name)}")
        if not fixed:  # as the connection's own search path finds it
            yield Asked(kind, identifier(origin.name))


def _schema_of(key: Key) -> Key:
    return Key(Kind.SCHEMA, "", key.schema)

"""Functions and procedures, and what a call of each does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mosaic_deploy.sql.hazards.effects.statement_effects import routine_effects
from mosaic_deploy.sql.hazards.live_objects import Facts, ObjectFacts, ObjectKind, ObjectRef
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.hazards.syntax.volatility import STABLE_FUNCTIONS
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, Tree, parse
from mosaic_deploy.sql.quote import identifier

_INPUT_MODES = frozenset({"FUNC_PARAM_IN", "FUNC_PARAM_INOUT", "FUNC_PARAM_VARIADIC", "FUNC_PARAM_DEFAULT"})


@dataclass(slots=True)
class Routine:
    """A function or procedure as its CREATE statement defines it. `search_path` is the one it sets, or empty."""

    name: Name
    arguments: tuple[str, ...]
    search_path: tuple[str, ...]
    statement: Statement
    tree: Tree
    _effects: tuple[Effect, ...] | None = field(default=None, repr=False)

    def effects(self) -> tuple[Effect, ...]:
        """What a call does. Parsed on first use."""
        if self._effects is None:
            self._effects = tuple(routine_effects(self.statement, self.tree))
        return self._effects


def parse_routine(statement: Statement, tree: Tree, schema: str) -> Routine:
    """The routine that a CREATE FUNCTION node defines, in `schema` if it names none."""
    name = list_name(tree["funcname"])
    parameters = (item["FunctionParameter"] for item in tree.get("parameters", []))
    arguments = tuple(
        types.type_from_node(one["argType"])._replace(mods=()).__str__()
        for one in parameters
        if one.get("mode") in _INPUT_MODES
    )
    return Routine(
        name._replace(schema=name.schema or schema), arguments, _own_search_path(tree), statement, tree
    )


def live_routines(fact: ObjectFacts) -> Iterator[Routine | None]:
    """The routines in the live database; None for each that can't be read."""
    for body in fact.routine_definitions:
        try:
            [statement] = parse(body)
            yield parse_routine(statement, statement.node, "")
        except (SqlSyntaxError, ValueError, KeyError):
            yield None


def _own_search_path(tree: Tree) -> tuple[str, ...]:
    for item in tree.get("options", []):
        element = item.get("DefElem", {})
        setting = (
            (element.get("arg") or {}).get("VariableSetStmt", {}) if element.get("defname") == "set" else {}
        )
        if setting.get("name") == "search_path":
            constants = (part.get("A_Const", {}).get("sval", {}) for part in setting.get("args", []))
            return tuple(str(one.get("sval", "")) for one in constants if one.get("sval"))
    return ()


_COMMON_BUILTINS = """
    array_agg avg clock_timestamp count currval dense_rank every first_value gen_random_uuid generate_series
    generate_subscripts json_agg json_array_elements json_array_elements_text json_each json_each_text
    json_object_agg json_object_keys json_populate_record json_populate_recordset json_to_record json_to_recordset
    jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_each jsonb_each_text
    jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_populate_record jsonb_set
    jsonb_strip_nulls jsonb_typeof lag last_value lastval lead max min nextval num_nonnulls num_nulls
    obj_description pg_advisory_lock pg_advisory_unlock pg_advisory_xact_lock pg_get_constraintdef
    pg_get_functiondef pg_get_serial_sequence pg_get_viewdef pg_notify pg_sleep pg_typeof quote_ident quote_literal
    quote_nullable random rank regexp_matches regexp_replace regexp_split_to_table reverse row_number set_config
    setseed setval split_part starts_with string_agg strpos sum to_regclass to_regproc to_regtype translate unnest
"""
BUILTIN_FUNCTIONS = frozenset(_COMMON_BUILTINS.split())
"""Functions of pg_catalog that migrations often call. They destroy nothing, so they need no lookup."""


class KnownRoutines:
    """The functions and procedures that the files create, and those of the live database."""

    def __init__(self, facts: Facts, lookups: set[ObjectRef]) -> None:
        self._facts = facts
        self._lookups = lookups
        self._created: dict[str, dict[tuple[str | None, tuple[str, ...]], Routine]] = {}
        self._renamed: dict[str, str] = {}
        self.stable: set[str] = set()
        """Names of functions declared immutable or stable."""
        self.pending: set[str] = set()
        """Names that pending files create."""

    def named(self, name: Name) -> list[Routine | None]:
        """Every function and procedure of this name, in any schema and with any arguments.

        A routine that can't be read is None in the list. Functions of PostgreSQL and of extensions are left out.
        """
        bare = name.name
        builtin = name.schema in (None, "pg_catalog") and (
            bare in BUILTIN_FUNCTIONS or bare in STABLE_FUNCTIONS
        )
        if name.schema == "pg_catalog" or (builtin and bare not in self._created):
            return []
        found: list[Routine | None] = []
        for each in dict.fromkeys((bare, self._renamed.get(bare, bare))):
            created = self._created.get(each, {})
            found += created.values()
            for one in live_routines(self._live_facts(each)):
                if one is None or (one.name.schema, one.arguments) not in created:
                    found.append(one)
        return found

    def creates(self, name: Name) -> bool:
        """Whether the files create a function or procedure of this name, or rename one to it."""
        return name.name in self.pending

    def define(self, routine: Routine) -> None:
        """Records that the function or procedure is created or replaced."""
        self.pending.add(routine.name.name)
        self._created.setdefault(routine.name.name, {})[routine.name.schema, routine.arguments] = routine

    def rename(self, old: str, new: str) -> None:
        """Records that a function or procedure is renamed; both names refer to it from then on."""
        self.pending.add(new)
        self._renamed[new] = self._renamed.get(old, old)

    def _live_facts(self, name: str) -> ObjectFacts:
        ref = ObjectRef(ObjectKind.FUNCTION, identifier(name))
        self._lookups.add(ref)
        return self._facts.get(ref, ObjectFacts())

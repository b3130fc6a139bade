"""Functions and procedures, and what a call of each does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mosaic_deploy.sql.hazards.effects.statement_effects import routine_effects
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, Tree, parse

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

"""Refuses migrations that name tables or columns which don't exist, with suggestions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mosaic_deploy.errors import Location, MigrationUnknownName, Problem
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.other_tools.tools import OWN_TABLES
from mosaic_deploy.model.quantities import count_text

if TYPE_CHECKING:
    from mosaic_deploy.sql.hazards import UnknownName

_HINT = "correct the name, or create the table or column in an earlier migration; PostgreSQL would reject the statement"


def refuse_unknown_names(api: Api, project: str, unknown: Sequence[tuple[UnknownName, Location]]) -> None:
    """Raises MigrationUnknownName. `project` is the ID, empty if it isn't running yet.

    One request, only if there are unknown names: for suggestions, and to leave out what is there after all.
    """
    if not unknown:
        return
    relations: list[tuple[str, str]] = []
    functions: set[str] = set()
    if project:
        from mosaic_deploy.live.database.touched_objects import read_names

        live = read_names(api, project, {one.column for one, _ in unknown if one.column})
        relations, functions = live.relations, live.functions
        if live.has_event_triggers:
            return
        unknown = [each for each in unknown if each[0].written.isdisjoint(live.triggering)]
    problems = tuple(_problems(unknown, relations, functions))
    if problems:
        names = count_text(len(problems), "name")
        own = sorted({one.table.name for one, _ in unknown if not one.column} & OWN_TABLES.keys())
        raise MigrationUnknownName(
            f"{names} in pending SQL files can't be found",
            problems=problems,
            hint=own_table_hint(own[0]) if own else _HINT,
        )


def own_table_hint(name: str) -> str:
    """How to give a tool's migrations the history table that only the tool itself would create."""
    tool, columns = OWN_TABLES[name]
    return (
        f"{name} is the history table of {tool}, which creates it before the first migration. Here nothing does: add a migration "
        f"with a version before all others: CREATE TABLE IF NOT EXISTS {name} ({columns});"
    )


def _problems(
    unknown: Sequence[tuple[UnknownName, Location]],
    relations: Sequence[tuple[str, str]],
    functions: set[str],
) -> Iterator[Problem]:
    for one, location in unknown:
        elsewhere = [f"{schema}.{name}" for schema, name in relations if name == one.table.name]
        if one.column:
            # `t.f` may be a call of the function f with a row.
            if one.column not in functions:
                message = f"table {one.table} has no column {one.column}"
                yield Problem(message, location, hint=one.gone or _suggestion(one.column, one.known))
        elif not (elsewhere and one.search_path_is_set and one.table.schema is None):
            known = elsewhere or [*one.known, *(_shown(*each) for each in relations)]
            name = one.table.name if one.table.schema is None else str(one.table)
            close = elsewhere[0] if elsewhere else None
            hint = f"did you mean {close}?" if close else _suggestion(name, known)
            yield Problem(f"table {one.table} doesn't exist", location, hint=one.gone or hint)


def _shown(schema: str, name: str) -> str:
    return name if schema == "public" else f"{schema}.{name}"


def _suggestion(name: str, known: Sequence[str]) -> str | None:
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else None

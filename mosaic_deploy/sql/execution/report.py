"""What a step tells besides its errors: seconds and rows, in an INFO that our SQL raises, `mosaic-deploy:{json}`.

Notices before it belong to the same step. INFO reaches the client whatever `client_min_messages` is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mosaic_deploy.model.effects import TableEffect, parse_effects
from mosaic_deploy.sql.marker import MARKER, SPLIT_MARKER
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.scripts.copy_block import COPIED

_VERBS = {
    "InsertStmt": "inserted",
    "UpdateStmt": "updated",
    "DeleteStmt": "deleted",
    "MergeStmt": "merged",
    "CreateTableAsStmt": "inserted",
}
StepKey = tuple[str, int]
"""A migration's version, and the number of the step in it."""


_COPIED = f"pg_catalog.current_setting('{COPIED}', true)"


def verb_of(statement: Statement) -> str:
    """What the statement does to rows; empty if it isn't a data statement."""
    if statement.node.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE":
        return "inserted or updated"
    if statement.node.get("objtype") == "OBJECT_MATVIEW":
        return ""
    return _VERBS.get(statement.kind, "")


def report_sql(facts: str) -> str:
    """PL/pgSQL that raises the report. `facts` are arguments for json_build_object: version, step, and more."""
    return f"RAISE INFO USING MESSAGE = pg_catalog.concat({SPLIT_MARKER}, pg_catalog.json_build_object({facts})::text);"


def count_rows_sql(verb: str) -> str:
    """PL/pgSQL that adds the last command's rows under the SQL expression `verb` to the jsonb variable `counts`."""
    return (
        "GET DIAGNOSTICS affected = ROW_COUNT; "
        f"IF affected OPERATOR(pg_catalog.=) 0 AND {_COPIED} OPERATOR(pg_catalog.<>) '' THEN "
        f"affected := {_COPIED}::pg_catalog.int8; PERFORM pg_catalog.set_config('{COPIED}', '', true); END IF; "
        "counts := counts OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object("
        f"{verb}, affected OPERATOR(pg_catalog.+) "
        f"COALESCE((counts OPERATOR(pg_catalog.->>) {verb})::pg_catalog.int8, 0));"
    )


REPORT_VARIABLES = "counts pg_catalog.jsonb := '{}'; affected pg_catalog.int8; "


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """The step, its seconds (None if the report has none), its rows by verb, and what it did to tables that held rows."""

    key: StepKey
    seconds: float | None
    rows: Mapping[str, int]
    tables: tuple[TableEffect, ...] = ()


def parse_report(message: str) -> ParsedReport | None:
    """The report in a notice; None if it isn't one."""
    if not message.startswith(MARKER):
        return None
    try:
        facts = json.loads(message.removeprefix(MARKER))
        seconds = facts.get("seconds")
        rows = {str(verb): int(number) for verb, number in facts["rows"].items()}
        return ParsedReport(
            (str(facts["version"]), int(facts["step"])),
            seconds if isinstance(seconds, int | float) else None,
            rows,
            parse_effects(facts).tables,
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        return None

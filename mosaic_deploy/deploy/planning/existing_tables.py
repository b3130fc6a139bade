"""Before the first migrations: tables that they create and that exist already, with the way to a baseline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Snapshot
from mosaic_deploy.source.migrations.files import ParsedFile
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.quote import identifier
from mosaic_deploy.sql.session.temporary import is_temporary

_MAX_NAMES = 5
_ANY_IMPORT = "`mosaic-deploy migrate import dbmate` (or flyway, prisma, …)"


def existing_table_notes(api: Api, live: Snapshot, pending: Sequence[ParsedFile]) -> Iterator[Note]:
    """A note if no migration was ever applied, and tables of the `pending` files exist. Sends at most two requests."""
    if (
        not live.project.id
        or live.project.status != "running"
        or any(m.steps_done for m in live.migrations or ())
    ):
        return
    created = _created_tables(pending)
    wanted = {name for names in created.values() for name in names}
    if not wanted:
        return
    # Imported here because they take 40 ms and most plans don't need them.
    from mosaic_deploy.live.database.touched_objects import read_facts
    from mosaic_deploy.sql.hazards import ObjectKind, ObjectRef

    references = [ObjectRef(ObjectKind.RELATION, name) for name in wanted]
    found = {reference.name for reference in read_facts(api, live.project.id, references)}
    if found:
        from mosaic_deploy.live.ledger.other_tools import read_history_tables

        commands = [command for _, _, command in read_history_tables(api, live.project.id).imports]
        yield _note(created, found, pending, commands)


def _note(
    created: Mapping[str, list[str]], found: set[str], pending: Sequence[ParsedFile], imports: Sequence[str]
) -> Note:
    """The note; `imports` are the commands for the history tables of other tools that the database has."""
    names = [_shown(name) for names in created.values() for name in names if name in found]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    files = [file for file, tables in created.items() if found.intersection(tables)]
    exist = "table that exists" if len(names) == 1 else "tables that exist"
    create = "creates" if len(files) == 1 else "create"
    commands = " or ".join(f"`{command}`" for command in imports)
    message = (
        f"{', '.join(files[:_MAX_NAMES])} {create} {exist} already: {', '.join(names[:_MAX_NAMES])}{more}; if another "
        f"tool applied the migrations, import its history with {commands or _ANY_IMPORT}"
    )
    if version := _baseline_version(created, found, pending):
        message += f", or record them as applied with `mosaic-deploy migrate baseline {version}`"
    return Note("tables_exist", message, Severity.WARNING, tuple(f"migration:{file}" for file in files))


def _shown(name: str) -> str:
    """Without the quotes that PostgreSQL doesn't need."""
    return re.sub(r'"([a-z_][a-z0-9_]*)"', r"\1", name)


def _baseline_version(
    created: Mapping[str, list[str]], found: set[str], pending: Sequence[ParsedFile]
) -> str:
    """The last file before the first one with a table that doesn't exist; empty if that is the first file."""
    version = ""
    for each in pending:
        tables = created.get(each.file.migration.file, [])
        if not found.issuperset(tables):
            break
        version = each.file.migration.version if tables else version
    return version


def _created_tables(pending: Sequence[ParsedFile]) -> dict[str, list[str]]:
    """The tables that each file creates, as quoted SQL.

    Without those that are dropped before, and those whose schema isn't known.
    """
    created: dict[str, list[str]] = {}
    dropped: set[str] = set()
    for each in pending:
        tables: list[str] = []
        own_path = False
        for statement in (statement for step in each.steps for statement in step.statements):
            kind, node = statement.kind, statement.node
            if kind == "VariableSetStmt":
                own_path = own_path or node.get("name") == "search_path"
            elif kind == "CreateStmt" and not node.get("if_not_exists"):
                relation = node.get("relation", {})
                name = _quoted(relation)
                if (
                    not is_temporary(relation)
                    and name not in dropped
                    and (relation.get("schemaname") or not own_path)
                ):
                    tables.append(name)
            elif kind == "DropStmt":
                dropped |= set(_dropped_tables(node))
        created[each.file.migration.file] = tables
    return {file: tables for file, tables in created.items() if tables}


def _dropped_tables(node: Tree) -> Iterator[str]:
    for item in node.get("objects", ()):
        names = [name["String"].get("sval", "") for name in item.get("List", {}).get("items", ())]
        yield ".".join(identifier(name) for name in names)


def _quoted(relation: Tree) -> str:
    names = [relation[field] for field in ("schemaname", "relname") if relation.get(field)]
    return ".".join(identifier(name) for name in names)

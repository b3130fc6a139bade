"""Gives a rehearsal's database the extensions of the live one: each server brings its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.deploy.rehearsal.recorded import NotRehearsed
from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.model.catalog import SchemaChange
from mosaic_deploy.sql.quote import identifier

_SCHEMA = " SCHEMA "
"""Before the schema in an extension's definition: `1.3 SCHEMA ext`. Without it, it is in a schema that is always visible."""


def create_extensions(database: RehearsalDatabase, names: Sequence[str]) -> None:
    """Raises NotRehearsed for one that the embedded platform doesn't have."""
    for name in names:
        if not _run(database, f"CREATE EXTENSION IF NOT EXISTS {identifier(name)}"):
            raise NotRehearsed(f"the embedded platform doesn't have extension {name}")


def match_extensions(database: RehearsalDatabase, differences: Sequence[SchemaChange]) -> Iterator[str]:
    """Creates, moves and drops extensions as the differences to the live database say. Yields what stays different.

    Raises NotRehearsed if one can't be moved or dropped.
    """
    for change in differences:
        name = change.object.name  # as SQL
        here, live = (_parts(text) for text in (change.before, change.after))
        if live is None:
            if not _run(database, f"DROP EXTENSION {name}"):
                raise NotRehearsed(f"the live database doesn't have extension {name}")
            continue
        if here is None:
            if not _run(database, f"CREATE EXTENSION IF NOT EXISTS {name}"):
                yield f"the embedded platform doesn't have extension {name}"
                continue
        elif here[0] != live[0]:
            yield f"rehearsed with {name} {here[0]}; the live database has {live[0]}"
        schema = live[1] or "public"
        # Not ALTER EXTENSION: a platform's own role owns the functions of one that it has installed.
        move = f"DROP EXTENSION {name}; CREATE EXTENSION {name} SCHEMA {schema}"
        if live[1] != (here[1] if here else "") and not _run(database, move):
            raise NotRehearsed(f"the live database has extension {name} in schema {schema}")


def _parts(definition: str | None) -> tuple[str, str] | None:
    """The version and the schema of a definition."""
    if definition is None:
        return None
    version, _, schema = definition.partition(_SCHEMA)
    return version, schema


def _run(database: RehearsalDatabase, statement: str) -> bool:
    """Whether PostgreSQL accepts the statement."""
    try:
        database.api.sql(database.project, statement)
    except SqlFailed:
        return False
    return True

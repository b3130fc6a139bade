"""Sessions of the project's role for the dashboard: short, with the settings in which values are exact as text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
from psycopg.rows import DictRow
from starlette.requests import Request

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres import databases
from mosaic_deploy.platform.postgres.connections import Session
from mosaic_deploy.platform.projects import drafts
from mosaic_deploy.platform.projects.projects import find_running_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.tenants.suspension import check_not_suspended

STATEMENT_SECONDS = 5
_TOTAL_SECONDS = 30
_SETTINGS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": "2s",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    # A query of one page is over before it would have been compiled.
    "jit": "off",
    # Its workers return rows in no order, which matters if they are read by place.
    "max_parallel_workers_per_gather": "0",
}
_SET = "SELECT " + ", ".join(
    f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items()
)


class DatabaseProblem(Exception):
    """What PostgreSQL refused, in its own words, as a message for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Database:
    """A project's database that its app uses now. `is_draft`: it is the copy that has the draft of `dev`."""

    project: DictRow
    name: str

    @property
    def is_draft(self) -> bool:
        return self.name != databases.database_name(self.project["id"])


async def find_database(platform: Platform, request: Request) -> Database:
    """The database of the project in the request's path, as for the command `sql`. Raises Fault if it can't be used."""
    project = await find_running_project(platform, request)
    check_not_suspended(project)
    return Database(project, await drafts.target_database(platform, project, request))


@asynccontextmanager
async def opened(platform: Platform, database: Database, *, writing: bool = False) -> AsyncIterator[Session]:
    """A transaction that only reads and is rolled back; with `writing`, the caller commits it.

    Raises DatabaseProblem for all that PostgreSQL refuses, and if it takes too long.
    """
    project = database.project
    try:
        async with (
            asyncio.timeout(_TOTAL_SECONDS),
            platform.sessions.session(
                project["id"], project["account_id"], project["database_password"], database.name
            ) as session,
        ):
            await session.execute("BEGIN" if writing else "BEGIN READ ONLY")
            await session.execute(_SET.encode())
            yield session
    except TimeoutError as error:
        raise DatabaseProblem(f"PostgreSQL took longer than {_TOTAL_SECONDS} seconds") from error
    except psycopg.Error as error:
        raise DatabaseProblem(_problem_text(error, writing=writing)) from error
    except Fault as fault:
        if fault.status != 503:
            raise
        raise DatabaseProblem(fault.message) from fault


def _problem_text(error: psycopg.Error, *, writing: bool) -> str:
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "the table or row is locked, by a migration perhaps; try again in a moment"
    if isinstance(error, psycopg.errors.QueryCanceled):
        if writing:
            return f"this takes PostgreSQL longer than {STATEMENT_SECONDS} seconds, so nothing was changed. Do it with `mosaic-deploy sql`"
        return (
            f"this takes PostgreSQL longer than {STATEMENT_SECONDS} seconds. "
            "Filter by columns that an index begins with, or read it with `mosaic-deploy sql`"
        )
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return "reading this would change the database, by a function that a view calls perhaps"
    diagnosis = error.diag
    parts = (diagnosis.message_primary or str(error), diagnosis.message_detail, diagnosis.message_hint)
    return ". ".join(part.strip().removesuffix(".") for part in parts if part)

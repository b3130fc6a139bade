"""The SQL tab: runs queries, asks before they destroy something, and shows results, plans and errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.layout import HEADERS
from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.dashboard.queries.explain import explain_statement, read_plan
from mosaic_deploy.platform.dashboard.queries.results import Row
from mosaic_deploy.platform.dashboard.queries.run import (
    UNMEASURED,
    Outcome,
    agreement,
    run_for_json,
    run_measured,
    run_read_only,
    run_undone,
)
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import databases
from mosaic_deploy.platform.postgres.connections import Session
from mosaic_deploy.platform.projects import drafts
from mosaic_deploy.platform.projects.projects import find_running_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.sql.endpoint import cancel_on_disconnect
from mosaic_deploy.platform.tenants.suspension import check_not_suspended

_QUERY_BYTES = 4 * 1024 * 1024
_MAX_FIELDS = 10
_DOWNLOAD_ROWS = 1_000_000
_ACTIONS = ("run", "explain", "analyze", "csv", "json")

_MAX_COLUMNS = 20_000
_COLUMNS = """
SELECT n.nspname, c.relname, pg_catalog.array_agg(a.attname ORDER BY a.attnum)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_toast'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
GROUP BY 1, 2 ORDER BY n.nspname <> 'public', 1, 2
"""
Names = dict[str, dict[str, list[str]]]
"""Columns by table by schema."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the browser sent. `may_write` is the switch; `agreed` what a person has confirmed."""

    query: str = ""
    action: str = "run"
    may_write: bool = False
    agreed: str = ""
    database: str = ""


async def show_sql(platform: Platform, request: Request) -> Response:
    """The empty editor, or with the `query` of the URL, which doesn't run by itself."""
    project = await find_running_project(platform, request)
    form = Form(query=request.query_params.get("query", ""))
    return await _render(platform, request, project, form, None)


async def run_sql(platform: Platform, request: Request) -> Response:
    form = await _read_form(request)
    project = await find_running_project(platform, request)
    check_not_suspended(project)
    database = await drafts.target_database(platform, project, request)
    if form.database not in ("", database):
        raise Fault(
            409, "draft_gone", "`dev` serves another database now; reload the page and run the query again"
        )
    if not form.query.strip():
        return await _render(platform, request, project, form, None)
    response: Response = await cancel_on_disconnect(request, _respond(platform, request, project, form))
    return response


async def show_names(platform: Platform, request: Request) -> Response:
    """The names for completion, as JSON."""
    project = await find_running_project(platform, request)
    async with _session(platform, request, project) as session:
        await session.execute("BEGIN READ ONLY")
        await session.execute("SET LOCAL statement_timeout = '5s'")
        return JsonResponse({"schemas": await _read_names(session)})


async def _read_names(session: Session) -> Names:
    """At most some 20,000 columns, those of `public` first."""
    names: Names = {}
    count = 0
    cursor = await session.execute(_COLUMNS)
    for schema, table, columns in await cursor.fetchall():
        count += len(columns)
        if count > _MAX_COLUMNS:
            break
        names.setdefault(schema, {})[table] = columns
    return names


async def _respond(platform: Platform, request: Request, project: DictRow, form: Form) -> Response:
    async with _session(platform, request, project) as session:
        if form.action == "json":
            outcome = await run_for_json(session, form.query)
            if not outcome.error:
                return _download(outcome.json_rows, "application/json", project, "json")
        elif form.action == "csv":
            outcome = await run_read_only(session, form.query, max_rows=_DOWNLOAD_ROWS)
            if not outcome.error and outcome.results:
                last = outcome.results[-1]
                return _download(_csv(last.columns, last.rows), "text/csv", project, "csv")
        elif form.action in ("explain", "analyze"):
            outcome = await _explained(session, form)
        elif form.may_write:
            outcome = await run_measured(session, form.query, agreed=form.agreed)
        else:
            outcome = await run_read_only(session, form.query)
    return await _render(platform, request, project, form, outcome)


async def _explained(session: Session, form: Form) -> Outcome:
    """With `analyze` it runs, and is undone."""
    analyze = form.action == "analyze"
    statement, offset = explain_statement(form.query, analyze=analyze)
    outcome = await run_undone(session, statement, may_write=analyze and form.may_write)
    return outcome.shifted(-offset)


async def _read_form(request: Request) -> Form:
    body = b"".join(await request_body.read_limited(request, _QUERY_BYTES))
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise Fault(400, "field_invalid", f"the form can't be read: {error}") from None
    values = {name: found[-1] for name, found in fields.items()}
    if "\0" in values.get("query", ""):
        raise Fault(400, "field_invalid", "the query contains a NUL character")
    action = values.get("action", "run")
    return Form(
        # Browsers send lines with \r\n.
        values.get("query", "").replace("\r\n", "\n"),
        action if action in _ACTIONS else "run",
        values.get("mode") == "write",
        values.get("agreed", "").replace("\r\n", "\n"),
        values.get("database", ""),
    )


@asynccontextmanager
async def _session(platform: Platform, request: Request, project: DictRow) -> AsyncIterator[Session]:
    """Of the project's role, to the database that its app uses."""
    database = await drafts.target_database(platform, project, request)
    account, password = project["account_id"], project["database_password"]
    async with platform.sessions.session(project["id"], account, password, database) as session:
        yield session


async def _render(
    platform: Platform, request: Request, project: DictRow, form: Form, outcome: Outcome | None
) -> Response:
    database = await drafts.target_database(platform, project, request)
    explains = form.action in ("explain", "analyze")
    return render_project_page(
        platform,
        project,
        "sql",
        "sql.html",
        form=form,
        outcome=outcome,
        plan=read_plan(outcome.results) if outcome and explains and not outcome.error else None,
        place=_place(form.query, outcome.error.position) if outcome and outcome.error else None,
        agreed=(UNMEASURED if outcome.unmeasured else agreement(outcome.effects)) if outcome else "",
        database=database,
        is_draft=database != databases.database_name(project["id"]),
    )


def _place(query: str, position: int) -> tuple[int, int, str] | None:
    """Line, column and the line's text at a position that counts from 1; None if it's unknown."""
    if not 1 <= position <= len(query) + 1:
        return None
    before = query[: position - 1]
    line = before.count("\n") + 1
    return line, position - (before.rfind("\n") + 1), query.split("\n")[line - 1]


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    table: list[Sequence[str | None]] = [columns, *rows]
    lines = [",".join(_csv_field(value) for value in row) for row in table]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _csv_field(value: str | None) -> str:
    """NULL is an empty field, and an empty text a quoted one, as COPY writes them."""
    if value is None:
        return ""
    return (
        '"' + value.replace('"', '""') + '"' if value == "" or not set(value).isdisjoint(',"\r\n') else value
    )


def _download(content: bytes, content_type: str, project: DictRow, ending: str) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{project["id"]}.{ending}"'}
    return Response(content, 200, headers, f"{content_type}; charset=utf-8")

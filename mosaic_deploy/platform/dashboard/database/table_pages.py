"""The pages that show tables: the list, a table's rows and its structure, and one row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.database import catalog, forms, rows
from mosaic_deploy.platform.dashboard.database.addresses import (
    OPERATORS,
    Filter,
    RowAddress,
    RowsAddress,
    parse_row_address,
    parse_rows_address,
    referenced_rows,
    required_name,
)
from mosaic_deploy.platform.dashboard.database.relations import ForeignKey, Relation, read_relation
from mosaic_deploy.platform.dashboard.database.sessions import (
    Database,
    DatabaseProblem,
    find_database,
    opened,
)
from mosaic_deploy.platform.dashboard.database.values import bytes_count, indented_json, vector_dimensions
from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.services import Platform

_MAX_FILTERS = 20


async def show_tables(platform: Platform, request: Request) -> Response:
    """All tables and views; with `search` those whose names contain it, partitions too."""
    database = await find_database(platform, request)
    search = request.query_params.get("search", "").replace("\0", "").strip()
    text = request.query_params.get("offset", "")
    offset = int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0
    tables: list[catalog.ListedTable] = []
    more, problem = False, ""
    try:
        async with opened(platform, database) as session:
            tables, more = await catalog.list_tables(session, search, offset)
    except DatabaseProblem as error:
        problem = error.message
    return render(
        platform, database, "tables.html", problem=problem,
        tables=tables, more=more, search=search, offset=offset, listed=catalog.LISTED,
    )  # fmt: skip


async def show_rows(platform: Platform, request: Request) -> Response:
    """A page of a table's rows, or why they can't be read."""
    database = await find_database(platform, request)
    address = parse_rows_address(request.query_params.multi_items())
    path = f"/projects/{database.project['id']}/tables/rows"
    relation: Relation | None = None
    page: rows.RowsPage | None = None
    count: int | None = None
    problem = ""
    try:
        async with opened(platform, database) as session:
            relation = await read_relation(session, address.schema, address.table)
            _check(relation, address)
            if address.first_column >= len(relation.columns):
                address = address.showing(first_column=0)
            page = await rows.read_page(session, relation, address, path)
            if address.count:
                # Last, because it may take too long; the rows are shown then, too.
                count = await rows.count_rows(session, relation, address)
    except DatabaseProblem as error:
        problem = error.message
    return render(
        platform, database, "rows.html", problem=problem,
        relation=relation, table=(address.schema, address.table), address=address, page=page, count=count,
        filters=[*address.filters, Filter("")], operators=OPERATORS, view="rows", shown_columns=rows.SHOWN_COLUMNS,
    )  # fmt: skip


def _check(relation: Relation, address: RowsAddress) -> None:
    """Raises DatabaseProblem for what this table's rows can't be sorted or filtered by."""
    if address.sort and not relation.can_sort(address.sort):
        raise DatabaseProblem(
            f"these rows can't be sorted by {address.sort}: no index begins with it, and the table is too large to sort"
        )
    unknown = next((one.column for one in address.filters if relation.column(one.column) is None), None)
    if unknown is not None:
        raise DatabaseProblem(f"there is no column {unknown} to filter by")
    if len(address.filters) > _MAX_FILTERS:
        raise DatabaseProblem(f"there are more than {_MAX_FILTERS} filters")


async def show_structure(platform: Platform, request: Request) -> Response:
    """A table's columns, constraints, indexes, policies, triggers and partitions."""
    database = await find_database(platform, request)
    schema, table = _named(request.query_params)
    relation: Relation | None = None
    parts: catalog.Parts | None = None
    problem = ""
    try:
        async with opened(platform, database) as session:
            relation = await read_relation(session, schema, table)
            parts = await catalog.read_parts(session, relation)
    except DatabaseProblem as error:
        problem = error.message
    return render(
        platform, database, "structure.html", problem=problem,
        relation=relation, table=(schema, table), parts_of_table=parts, view="structure",
    )  # fmt: skip


async def show_row(platform: Platform, request: Request) -> Response:
    """One row as a form. Raises Fault (404) if it isn't there."""
    database = await find_database(platform, request)
    address = parse_row_address(request.query_params)
    try:
        async with opened(platform, database) as session:
            relation = await read_relation(session, address.schema, address.table)
            row = await rows.read_row(session, relation, address.key)
    except DatabaseProblem as error:
        return render(
            platform, database, "rows.html", problem=error.message,
            relation=None, table=(address.schema, address.table), view="row",
        )  # fmt: skip
    if row is None:
        raise Fault(404, "row_not_found", "there is no such row; it was deleted, or its key changed")
    saved = "saved" if request.query_params.get("saved") else ""
    return render_row(
        platform, database, relation, address, row, forms.row_fields(relation, row), notice=saved
    )


async def show_new_row(platform: Platform, request: Request) -> Response:
    """The form for a new row."""
    database = await find_database(platform, request)
    schema, table = _named(request.query_params)
    try:
        async with opened(platform, database) as session:
            relation = await read_relation(session, schema, table)
    except DatabaseProblem as error:
        return render(
            platform, database, "rows.html", problem=error.message,
            relation=None, table=(schema, table), view="new",
        )  # fmt: skip
    return render_new_row(platform, database, relation, forms.new_fields(relation))


def render_new_row(
    platform: Platform, database: Database, relation: Relation, fields: list[forms.Field], problem: str = ""
) -> Response:
    return render(
        platform, database, "new_row.html", problem=problem,
        relation=relation, table=(relation.schema, relation.name), fields=fields, view="new",
    )  # fmt: skip


def render_row(
    platform: Platform,
    database: Database,
    relation: Relation,
    address: RowAddress,
    row: rows.FullRow,
    fields: list[forms.Field],
    **values: Any,
) -> Response:
    """A row's page. `values`: `problem`, `notice`, and what was `typed` into fields, if that can't be saved."""
    texts = row.values(relation)
    return render(
        platform, database, "row.html",
        **{"problem": "", "notice": "", "typed": (), **values},
        relation=relation, table=(relation.schema, relation.name), address=address, row=row, fields=fields, view="row",
        details={field.column.number: value_details(field) for field in fields},
        leads_to=_linked_rows(relation.foreign_keys, texts),
        referenced_by=_linked_rows(relation.referenced_by, texts),
    )  # fmt: skip


def value_details(field: forms.Field) -> tuple[str, str]:
    """What is worth knowing about a value, and the value in a form that is easier to read; empty if there is none."""
    if field.size is None or not field.text:
        return "", ""
    if field.column.kind == "json":
        shown = indented_json(field.text)
        return "", shown if "\n" in shown else ""
    if field.column.kind == "vector":
        return f"{vector_dimensions(field.text):,} dimensions", ""
    if field.column.kind == "bytes":
        return f"{bytes_count(field.text):,} bytes", ""
    return (f"{len(field.text):,} characters", "") if len(field.text) > 200 else ("", "")


def _linked_rows(
    keys: tuple[ForeignKey, ...], texts: Mapping[str, str | None]
) -> list[tuple[ForeignKey, RowsAddress]]:
    """Foreign keys with the rows to which they lead from this one."""
    found = []
    for key in keys:
        target = referenced_rows(
            key.schema, key.table, key.target_columns, [texts.get(one) for one in key.columns]
        )
        if target:
            found.append((key, target))
    return found


def render(platform: Platform, database: Database, template: str, **values: Any) -> Response:
    """`templates/projects/database/{template}`, in the tab of tables. `relation` among the values says if it is read-only."""
    relation: Relation | None = values.get("relation")
    read_only = relation.read_only_reason if relation else ""
    if not platform.local:
        read_only = read_only or "a served platform's dashboard changes nothing"
    return render_project_page(
        platform,
        database.project,
        "tables",
        f"database/{template}",
        is_draft=database.is_draft,
        read_only=read_only,
        **values,
    )


def _named(parameters: Mapping[str, str]) -> tuple[str, str]:
    return required_name(parameters, "schema"), required_name(parameters, "table")

"""The pages that change rows: what a form sent is done, asked about first, or shown again with the reason."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.database import changes, forms
from mosaic_deploy.platform.dashboard.database.addresses import (
    RowAddress,
    parse_row_address,
    required_name,
)
from mosaic_deploy.platform.dashboard.database.relations import Relation, read_relation
from mosaic_deploy.platform.dashboard.database.rows import read_row
from mosaic_deploy.platform.dashboard.database.sessions import (
    Database,
    DatabaseProblem,
    find_database,
    opened,
)
from mosaic_deploy.platform.dashboard.database.table_pages import render, render_new_row, render_row
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.services import Platform

_CHANGED = "this row was changed by somebody else since this page was opened. Nothing was saved. These are its values now; what you typed is below them"


async def create_row(platform: Platform, request: Request) -> Response:
    """Inserts a row, and leads to it."""
    database = await find_database(platform, request)
    sent = await forms.read_form(request)
    schema, table = required_name(sent, "schema"), required_name(sent, "table")
    relation = await _relation(platform, database, schema, table)
    try:
        async with opened(platform, database, writing=True) as session:
            result = await changes.insert_row(session, relation, sent)
    except DatabaseProblem as error:
        return render_new_row(platform, database, relation, forms.new_fields(relation, sent), error.message)
    if result.asks:
        return _ask(platform, database, relation, sent, result)
    if not result.key:
        return _see_other(database, "rows", {"schema": schema, "table": table})
    return _lead_to(database, RowAddress(schema, table, result.key))


async def change_row(platform: Platform, request: Request) -> Response:
    """Saves or deletes a row."""
    database = await find_database(platform, request)
    sent = await forms.read_form(request)
    address = parse_row_address(sent)
    relation = await _relation(platform, database, address.schema, address.table)
    deletes = sent.get("action") == "delete"
    change = changes.delete_row if deletes else changes.update_row
    try:
        async with opened(platform, database, writing=True) as session:
            result = await change(session, relation, address.key, sent)
    except changes.RowChanged as changed:
        if changed.now is None:
            raise Fault(
                404, "row_not_found", "there is no such row any more; it was deleted, or its key changed"
            ) from None
        fields = forms.row_fields(relation, changed.now)
        return render_row(
            platform, database, relation, address, changed.now, fields,
            problem=_CHANGED if not deletes else _CHANGED.partition(" Nothing")[0] + " Nothing was deleted.",
            typed=[] if deletes else _typed(relation, sent),
        )  # fmt: skip
    except DatabaseProblem as error:
        return await _show_again(platform, database, relation, address, sent, error.message)
    if result.asks:
        return _ask(platform, database, relation, sent, result)
    if deletes:
        return _see_other(database, "rows", {"schema": address.schema, "table": address.table})
    return _lead_to(database, RowAddress(address.schema, address.table, result.key))


async def _relation(platform: Platform, database: Database, schema: str, table: str) -> Relation:
    """Read in a transaction of its own, so it can still be shown if the change fails."""
    try:
        async with opened(platform, database) as session:
            return await read_relation(session, schema, table)
    except DatabaseProblem as error:
        raise Fault(409, "table_unreadable", f"nothing was changed: {error.message}") from error


async def _show_again(
    platform: Platform,
    database: Database,
    relation: Relation,
    address: RowAddress,
    sent: dict[str, str],
    problem: str,
) -> Response:
    """The row's page with what was typed, and why it wasn't saved."""
    try:
        async with opened(platform, database) as session:
            row = await read_row(session, relation, address.key)
    except DatabaseProblem as error:
        raise Fault(409, "row_unreadable", f"nothing was changed: {problem}; {error.message}") from error
    if row is None:
        raise Fault(404, "row_not_found", "there is no such row any more; it was deleted, or its key changed")
    typed = None if sent.get("action") == "delete" or row.version != sent.get("version") else sent
    fields = forms.row_fields(relation, row, typed)
    return render_row(platform, database, relation, address, row, fields, problem=problem)


def _ask(
    platform: Platform, database: Database, relation: Relation, sent: dict[str, str], result: changes.Result
) -> Response:
    """What else the change does, with a button that agrees to exactly that."""
    deletes = result.row is not None
    place = ("schema", "table", "row", "version", "action")
    again = {name: text for name, text in sent.items() if name != "agreed" and (not deletes or name in place)}
    back = [(name, sent[name]) for name in ("schema", "table", "row") if name in sent]
    assert result.asks is not None
    return render(
        platform, database, "ask.html",
        relation=relation, table=(relation.schema, relation.name), view="row",
        effects=result.asks.effects.lines(), sent=again, agreed=result.agreement, deletes=deletes,
        target="row" if "row" in sent else "new", back=urlencode(back),
        fields=forms.row_fields(relation, result.row) if result.row else [],
    )  # fmt: skip


def _typed(relation: Relation, sent: dict[str, str]) -> list[tuple[str, str]]:
    """What the form had, by column, with what is meant to be no text in words."""
    found = []
    for column in relation.columns:
        if f"value{column.number}" in sent:
            mode = sent.get(f"is{column.number}", forms.VALUE)
            text = sent[f"value{column.number}"]
            found.append((column.name, text if mode == forms.VALUE or text else mode.upper()))
    return found


def _lead_to(database: Database, address: RowAddress) -> Response:
    return _see_other(
        database, "row", {"schema": address.schema, "table": address.table, "row": address.row, "saved": "1"}
    )


def _see_other(database: Database, page: str, query: dict[str, str]) -> Response:
    location = f"/projects/{database.project['id']}/tables/{page}?{urlencode(query)}"
    return Response(status_code=303, headers={"Location": location})

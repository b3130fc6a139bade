"""The forms for rows: what a browser sent, and which values it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from mosaic_deploy.platform.dashboard.database.relations import Column, Relation
from mosaic_deploy.platform.dashboard.database.rows import FullRow
from mosaic_deploy.platform.dashboard.database.values import form_text, from_form, survives_form
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.body_memory import MEMORY

_FORM_BYTES = 16 * 1024 * 1024
# Two for each of up to 1,600 columns.
_MAX_FIELDS = 4000
DEFAULT, NULL, VALUE = "default", "null", "value"
"""What a field is to have: the column's default, NULL, or the text."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a column is set to. `text` counts for VALUE only."""

    column: str
    mode: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A column in a form. `locked` says why it can't be changed there; empty if it can."""

    column: Column
    mode: str
    text: str
    size: int | None = None
    locked: str = ""

    @property
    def lines(self) -> int:
        """The height of its text field."""
        return min(16, max(self.text.count("\n") + 1, len(self.text) // 80 + 1))


async def read_form(request: Request) -> dict[str, str]:
    """The fields by name. Raises Fault (400, 413)."""
    pieces = await request_body.read_limited(request, _FORM_BYTES)
    MEMORY.release(request.scope, keep=sum(map(len, pieces)))
    try:
        pairs = parse_qsl(
            b"".join(pieces).decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise Fault(400, "form_invalid", f"the form can't be read: {error}") from None
    if any("\0" in value for _, value in pairs):
        raise Fault(400, "form_invalid", "the form contains a NUL character")
    return dict(pairs)


def row_fields(relation: Relation, row: FullRow, sent: Mapping[str, str] | None = None) -> list[Field]:
    """The fields of a row's form, with what was `sent` if it couldn't be saved."""
    fields = []
    for column, text, size in zip(relation.columns, row.texts, row.sizes, strict=True):
        locked = _locked(column, text, size)
        given = None if sent is None or locked else _setting(column, sent, text, size)
        mode = NULL if size is None else VALUE
        shown = text or ""
        if given is not None:
            mode, shown = given.mode, given.text if given.mode == VALUE else shown
        fields.append(Field(column, mode, shown, size, locked))
    return fields


def new_fields(relation: Relation, sent: Mapping[str, str] | None = None) -> list[Field]:
    """The fields of the form for a new row."""
    fields = []
    for column in relation.columns:
        mode = DEFAULT if column.has_default or not column.not_null else VALUE
        given = _setting(column, sent, None, None) if sent is not None and column.is_written else None
        locked = "" if column.is_written else _locked(column, None, None)
        fields.append(Field(column, given.mode if given else mode, given.text if given else "", None, locked))
    return fields


def changed_settings(relation: Relation, row: FullRow, sent: Mapping[str, str]) -> list[Setting]:
    """What the form changes of the row."""
    found = []
    for column, text, size in zip(relation.columns, row.texts, row.sizes, strict=True):
        setting = None if _locked(column, text, size) else _setting(column, sent, text, size)
        if setting is None or (setting.mode == NULL and size is None):
            continue
        if setting.mode != VALUE or setting.text != text:
            found.append(setting)
    return found


def new_settings(relation: Relation, sent: Mapping[str, str]) -> list[Setting]:
    """What the form for a new row gives. Columns that have their default are left out."""
    given = (_setting(column, sent, None, None) for column in relation.columns if column.is_written)
    return [one for one in given if one is not None and one.mode != DEFAULT]


def _setting(column: Column, sent: Mapping[str, str], before: str | None, size: int | None) -> Setting | None:
    """None if the form doesn't have the column. A text typed into a field that says NULL or default is meant."""
    raw = sent.get(f"value{column.number}")
    if raw is None:
        return None
    mode = sent.get(f"is{column.number}", VALUE)
    text = from_form(raw, before)
    was_empty = before is None
    if mode not in (DEFAULT, NULL, VALUE) or (was_empty and text and mode in (DEFAULT, NULL)):
        mode = VALUE
    unchanged = before is not None and size is not None and form_text(text) == form_text(before)
    return Setting(column.name, mode, before if unchanged and before is not None else text)


def _locked(column: Column, text: str | None, size: int | None) -> str:
    if column.generated:
        return f"generated: {column.generated}"
    if column.identity == "a":
        return "identity: PostgreSQL numbers it"
    if text is None and size is not None:
        return "too large to be edited here"
    if text is not None and not survives_form(text):
        return "it has line ends of several kinds, which a form doesn't keep; change it with SQL"
    return ""

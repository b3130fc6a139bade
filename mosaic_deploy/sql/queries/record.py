"""Reads the rows of a changed query, and any endpoint's JSON rows, as texts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.sql.queries.as_text import NAMES_COLUMN, ROW_COLUMN

_BARE = re.compile(r'[^",()\\]*')
_QUOTED = re.compile(r'[^"\\]*')


@dataclass(frozen=True, slots=True)
class TextRows:
    """Rows of texts; None is NULL. `names` is empty if the endpoint named no columns."""

    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def read_text_rows(rows: Sequence[Mapping[str, Any]]) -> TextRows | None:
    """The rows of a query made by `text_rows_query`; None if these are of another form."""
    if not rows or any(row.keys() != {NAMES_COLUMN, ROW_COLUMN} for row in rows):
        return None
    heads = [row[NAMES_COLUMN] for row in rows if row[NAMES_COLUMN] is not None]
    if len(heads) != 1:
        return None
    # Pairs, because two columns may have the same name.
    names = tuple(name for name, _ in json.loads(heads[0], object_pairs_hook=list))
    read = tuple(parse_record(str(row[ROW_COLUMN])) for row in rows if row[ROW_COLUMN] is not None)
    if not names:
        return TextRows((), tuple(() for _ in read))
    return TextRows(names, read)


def parse_record(text: str) -> tuple[str | None, ...]:
    """The values of a composite value's text, such as `(1,"a b",)`. Raises ValueError for another text."""
    if not (text.startswith("(") and text.endswith(")")):
        raise ValueError(f"not a composite value: {text[:80]}")
    values: list[str | None] = []
    at = 0
    while text[at] != ")":
        value, at = _read_quoted(text, at + 2) if text.startswith('"', at + 1) else _read_bare(text, at + 1)
        values.append(value)
        if text[at] not in ",)":
            raise ValueError(f"not a composite value: {text[:80]}")
    return tuple(values)


def _read_bare(text: str, at: int) -> tuple[str | None, int]:
    """The value without quotes at `at`, None if it is empty, and the offset after it."""
    found = _BARE.match(text, at)
    assert found is not None
    return found[0] or None, found.end()


def _read_quoted(text: str, at: int) -> tuple[str, int]:
    """The value after a quote, and the offset after its closing quote. Quotes and backslashes in it are doubled."""
    parts: list[str] = []
    while True:
        found = _QUOTED.match(text, at)
        assert found is not None
        parts.append(found[0])
        at = found.end()
        if text[at : at + 2] not in ('""', "\\\\"):
            return "".join(parts), at + 1
        parts.append(text[at])
        at += 2


def json_rows_as_text(rows: Sequence[Mapping[str, Any]]) -> TextRows:
    """An endpoint's rows. Lists and objects stay JSON: nothing says whether they are arrays."""
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    return TextRows(names, tuple(tuple(_text(row.get(name)) for name in names) for row in rows))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "t" if value else "f"
    return json.dumps(value, ensure_ascii=False)

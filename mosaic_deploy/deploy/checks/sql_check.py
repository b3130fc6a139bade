"""`verify.sql`: one read-only query in the project's database."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from mosaic_deploy.deploy.checks.http_check import is_same, value_text
from mosaic_deploy.deploy.checks.outcome import Outcome, failed, passed
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.read_only import run_read_only
from mosaic_deploy.model.manifest import SqlCheck
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.model.variable_value import Scalar, revealed, revealed_text
from mosaic_deploy.sql.read_only import read_only_query

_MAX_ROWS = 1000
"""The largest `rows` in a manifest. One more is read, to tell more rows from as many."""
_MAX_NAME = 60


def check_name(check: SqlCheck) -> str:
    """The query on one line, shortened."""
    text = " ".join(str(check.query).split())
    return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 1]}…"


def check_sql(api: Api, project_id: str, check: SqlCheck) -> Outcome:
    """Runs the query once. The manifest's reader has checked that it is read-only; PostgreSQL enforces it."""
    try:
        result = run_read_only(api, project_id, read_only_query(revealed_text(check.query), _MAX_ROWS + 1))
    except MosaicError as error:
        return failed(error.message)
    count = count_text(result.total, "row") if result.total <= _MAX_ROWS else f"more than {_MAX_ROWS} rows"
    if check.rows is not None and result.total != revealed(check.rows):
        return failed(f"{count}, expected {check.rows}")
    if check.rows is None and not result.total:
        return failed("no rows, expected at least one")
    if not check.has_value:
        return passed(count)
    first = next(iter(result.rows[0].values()), None) if result.rows else None
    if not _is_same_value(first, revealed(check.value)):
        return failed(f"the value is {value_text(first)}, expected {value_text(check.value)}")
    return passed(value_text(first))


def _is_same_value(found: object, expected: Scalar) -> bool:
    """Whether they are equal. Endpoints return `numeric` as text, so a number may be text on one side."""
    if is_same(found, expected):
        return True
    if isinstance(expected, bool) or not isinstance(expected, int | float) or not isinstance(found, str):
        return False
    try:
        return Decimal(found) == Decimal(str(expected))
    except InvalidOperation:
        return False

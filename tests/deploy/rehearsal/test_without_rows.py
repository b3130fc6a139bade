"""Running without a rehearsal is offered only for failures that live rows could prevent."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.rehearsal.pending import may_need_rows


@pytest.mark.parametrize(
    "sqlstate", [None, "23502", "22P02", "P0001", "55000", "42P01", "42703", "42704", "42P07"]
)
def test_rows_could_make_a_difference(sqlstate):
    assert may_need_rows(sqlstate)


@pytest.mark.parametrize("sqlstate", ["0A000", "42601", "42P16", "42P17", "42P13", "42804", "42830", "42809"])
def test_no_row_makes_a_definition_valid(sqlstate):
    assert not may_need_rows(sqlstate)

"""The diff and the repair commands for an edited applied migration."""

from __future__ import annotations

import json

import pytest

from mosaic_deploy.cli.render.json_documents import error_document
from mosaic_deploy.cli.render.text.error import error_lines
from mosaic_deploy.deploy.planning.divergence import applied_diff
from mosaic_deploy.errors import MigrationDiverged
from tests.deploy.migrations.test_migrations import history

APPLIED = "create table a (\n  id int,\n  é text\n);\n"


@pytest.fixture
def diverged(site) -> tuple[MigrationDiverged, int]:
    """The error of a plan after an edit, and the number of requests of the plan."""
    history(site, m1_a=APPLIED, m2_b="create table b (id int);")
    site.apply()
    site.write("sql/1_a.sql", APPLIED.replace("id int", "id bigint"))
    site.write("sql/2_b.sql", "create table b (id int); -- only a comment")
    before = site.api.traffic.requests
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    return caught.value, site.api.traffic.requests - before


def test_the_diff_costs_one_more_request(site, diverged):
    error, requests = diverged
    before = site.api.traffic.requests
    site.write("sql/1_a.sql", APPLIED)
    site.plan()
    assert requests == site.api.traffic.requests - before + 1
    [problem] = error.problems
    assert str(problem) == "sql/1_a.sql: was edited after it was applied; restore the file as it was applied"
    assert (problem.diff or "").splitlines() == [
        "--- sql/1_a.sql (as applied)",
        "+++ sql/1_a.sql",
        "@@ -1,4 +1,4 @@",
        " create table a (",
        "-  id int,",
        "+  id bigint,",
        "   é text",
        " );",
    ]


def test_the_diff_is_shown_in_text_and_json(diverged):
    error, _ = diverged
    lines = [line.removeprefix("      | ") for line in error_lines(error)]
    assert any("-  id int," in line for line in lines)
    document = json.loads(json.dumps(error_document(error)))
    assert document["problems"][0]["diff"] == error.problems[0].diff
    assert [action["command"] for action in document["next_actions"]] == [
        "mosaic-deploy migrate restore-file 1",
        "mosaic-deploy migrate repair --accept 1_a.sql",
        "mosaic-deploy migrate status",
    ]
    assert "new migration" in document["hint"]


def test_a_long_diff_is_truncated():
    shown = (applied_diff("a\n" * 100, "b\n" * 100, "e.sql (as applied)", "f.sql") or "").splitlines()
    assert len(shown) == 41
    assert shown[-1] == "… 163 more lines"
    assert len(applied_diff("a", "b" * 1000, "e.sql (as applied)", "f.sql") or "") < 300


@pytest.mark.parametrize(("one", "other"), [("a\r\nb", "a\nb"), ("a", "a"), ("a\n" * 30_000, "b\n")])
def test_no_diff_for_equal_or_too_many_lines(one, other):
    assert applied_diff(one, other, "e.sql (as applied)", "f.sql") is None

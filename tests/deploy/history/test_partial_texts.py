"""What plan and status say about files that are partly applied, or contradict the history."""

from __future__ import annotations

import pytest

from mosaic_deploy.cli.render.text.migration_status import fix_lines, status_text
from mosaic_deploy.deploy.history.read import history_statuses
from mosaic_deploy.errors import MigrationDiverged
from mosaic_deploy.model.migration_history import MigrationStatus
from tests.deploy.histories import history, known

FIRST = ["create table t (n int);", "commit;", "insert into t values (1);"]
FAILING = [*FIRST, "commit;", "select 1/0;", "commit;", "select 4;"]


def text(*lines: str) -> str:
    return "\n".join(lines) + "\n"


@pytest.fixture
def partial(site):
    """Two of the file's four steps are applied."""
    history(site, m1_t=text(*FAILING))
    site.fails()
    return site


def status(site) -> MigrationStatus:
    return history_statuses(site.api, known(site))[0]


def diverged(site) -> MigrationDiverged:
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    return caught.value


def test_status_shows_why_a_file_is_partly_applied(partial):
    assert "  sql/1_t.sql:5:1: division by zero (2 of its 4 steps are committed)" in fix_lines(
        [status(partial)]
    )


def test_status_counts_the_steps_of_the_edited_file(partial):
    partial.write("sql/1_t.sql", text(*FIRST, "commit;", "select 3;"))
    line = status(partial)
    assert status_text(line) == "step 2 of 3 applied"
    assert line.next_actions[0].description == "to run the remaining 1 of 3 steps"


def test_a_file_cut_down_to_its_applied_steps_is_only_recorded(partial):
    partial.write("sql/1_t.sql", text(*FIRST))
    plan = partial.plan().plan
    assert [change.reason for change in plan.changes] == [
        "only recorded: its applied steps are all that it contains now"
    ]
    assert "migration_not_atomic" not in [note.code for note in plan.notes]
    line = status(partial)
    assert status_text(line) == "step 2 of 2 applied"
    assert [action.command.removeprefix("mosaic-deploy ") for action in line.next_actions] == [
        "apply",
        "migrate repair --not-applied 1:1",
    ]
    partial.apply()
    assert status_text(status(partial)) == "applied"


@pytest.mark.parametrize(
    "more", [["select 5;", "commit;", "select 6;"], ["select 1;", "commit;", "select 4;"], []]
)
def test_the_difference_of_a_partly_applied_file_is_that_of_its_applied_steps(partial, more):
    partial.write("sql/1_t.sql", text("create table t (n bigint);", *FIRST[1:], "commit;", *more))
    [problem] = diverged(partial).problems
    lines = problem.diff.splitlines()[3:]
    assert lines == ["-create table t (n int);", "+create table t (n bigint);", " commit;", f" {FIRST[2]}"]


def test_an_edit_of_both_sides_of_the_boundary_is_shown(partial):
    partial.write("sql/1_t.sql", text(*FIRST[:2], "insert into t values (2); commit;", "select 1;"))
    [problem] = diverged(partial).problems
    assert "-insert into t values (1);" in problem.diff
    assert "+insert into t values (2); commit;" in problem.diff


@pytest.mark.parametrize(
    ("files", "hinted"),
    [
        ({"1_a.sql": "select 2;"}, True),
        ({"1_a.sql": None}, False),
        ({"1_a.sql": None, "7_a.sql": "select 1;"}, False),
        ({"1_a.sql": None, "2_b.sql": None, "4_all.sql": "select 1; create table b (n int);"}, False),
        ({"0_z.sql": "select 9;"}, False),
        ({"3_empty.sql": "select 1;"}, False),
    ],
)
def test_only_an_edit_is_told_to_become_a_new_migration(site, files, hinted):
    history(site, m1_a="select 1;", m2_b="create table b (n int);", m3_empty="-- nothing yet")
    site.apply()
    for name, content in files.items():
        if content is None:
            (site.root / "sql" / name).unlink()
        else:
            site.write(f"sql/{name}", content)
    error = diverged(site)
    assert ("put its changes in a new migration" in (error.hint or "")) is hinted
    assert all(problem.hint for problem in error.problems)

"""Schema drift in every command that shows it, as processes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from mosaic_deploy.cli.render.markdown import plan_markdown
from mosaic_deploy.live.catalog.query import NOT_COMPARED
from mosaic_deploy.model.catalog import SchemaChange, SchemaDrift, SchemaObject, SchemaState
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.schema_files import read_schema
from tests.cli.conftest import read_json

DRIFT = """\
  Schema drift since the last deploy
    + column t.sneaky integer
    + table votes (id integer)
"""


@pytest.fixture
def drifted(sql) -> None:
    sql("create table votes (id int); alter table t add sneaky int")


def test_without_drift(run, sql, tmp_path_factory):
    ended = run("migrate", "drift", "--local", "--exit-code")
    assert ended.returncode == 0
    assert ended.stdout.startswith("The schema is as the last deploy left it.\n\nNot compared:\n  - ")
    document = read_json(run("migrate", "drift", "--local", "-o", "json"))
    assert (document["type"], document["state"], document["changes"]) == ("drift", "unchanged", [])
    assert document["not_compared"] == list(NOT_COMPARED)
    assert "schema         as the last deploy left it\n" in run("status", "--local").stdout
    assert run("migrate", "drift", "--local", "--accept").stdout.startswith("Nothing to accept")
    # Only what writes needs the manifest.
    elsewhere = (
        "migrate",
        "drift",
        "--local",
        "--project",
        document["project"]["id"],
        "--in",
        str(tmp_path_factory.mktemp("empty")),
    )
    assert run(*elsewhere, "--exit-code").returncode == 0
    assert "error[manifest_missing]" in run(*elsewhere, "--accept").stderr


def test_drift_is_shown_and_accepted(run, drifted):
    ended = run("migrate", "drift", "--local")
    assert (ended.returncode, ended.stdout.startswith(DRIFT)) == (0, True), ended.stdout
    assert "mosaic-deploy migrate drift --accept --local" in ended.stdout
    assert run("migrate", "drift", "--local", "--exit-code").returncode == 2
    assert run("migrate", "drift", "--local", "--detailed-exitcode", "-o", "json").returncode == 2
    for command in ("plan", "apply"):
        shown = run(command, "--local").stdout
        assert DRIFT in shown
        assert "No changes to deploy, but the schema drifted since the last deploy." in shown
    asked = run("migrate", "drift", "--local", "--accept")
    assert "error[confirmation_required]" in asked.stderr
    assert "mosaic-deploy migrate drift --local --accept --yes" in asked.stderr
    accepted = run("migrate", "drift", "--local", "--accept", "--yes")
    assert (accepted.returncode, DRIFT in accepted.stdout) == (0, True), accepted.stderr
    assert run("migrate", "drift", "--local", "--exit-code").returncode == 0
    assert "1 recorded schema" in run("history", "--local").stdout


def test_accepting_as_json_is_a_plan_and_its_result(run, drifted):
    document = read_json(run("migrate", "drift", "--local", "--accept", "--yes", "-o", "json"))
    assert document["done"] == ["schema:database"]
    jsonschema.validate(document["plan"], read_schema("plan.schema.json"))
    [change] = document["plan"]["changes"]
    assert (change["kind"], change["differences"]) == ("schema", 2)


def test_json_of_plan_and_status(run, drifted):
    document = read_json(run("plan", "--local", "-o", "json"))
    jsonschema.validate(document, read_schema("plan.schema.json"))
    assert document["drift"]["state"] == "drifted"
    assert document["drift"]["changes"] == [
        {
            "action": "add",
            "kind": "column",
            "name": "sneaky",
            "of": "t",
            "before": None,
            "after": "integer",
            "new_name": None,
        },
        {
            "action": "add",
            "kind": "table",
            "name": "votes",
            "of": None,
            "before": None,
            "after": "(id integer)",
            "new_name": None,
        },
    ]
    [note] = [note for note in document["notes"] if note["code"] == "schema_drift"]
    assert note["message"] == "schema drift: + column t.sneaky integer; + table votes (id integer)"
    status = read_json(run("status", "--local", "-o", "json"))
    assert status["drift"] == document["drift"]
    assert [action["command"] for action in status["next_actions"]] == [
        "mosaic-deploy migrate drift --local -o json"
    ]


def test_bodies_are_only_in_the_document_of_migrate_drift(run, sql):
    """A saved plan may be published."""
    sql("create function told() returns text language sql as 'select ''hunter2'''")
    for command, told in {("plan",): False, ("status",): False, ("migrate", "drift"): True}.items():
        printed = run(*command, "--local", "-o", "json").stdout
        assert '"name": "told()"' in printed
        assert ("hunter2" in printed) == told
        assert ("hunter2" in run(*command, "--local").stdout) == told


def test_a_view_that_drifted_is_shown_with_its_old_definition(run, sql, folder: Path):
    (folder / "sql/2_view.sql").write_text("create view v as select 1 as a, 2 as b;")
    assert run("apply", "--local", "--yes").returncode == 0
    sql("create or replace view v as select 1 as a, 3 as b")
    shown = run("migrate", "drift", "--local").stdout
    assert "    ~ view v\n        -     2 AS b;\n        +     3 AS b;\n" in shown


def test_doctor_and_status_mention_it(run, drifted):
    ended = run("doctor", "--local")
    assert ended.returncode == 0
    [line] = [line for line in ended.stdout.splitlines() if " schema " in line]
    assert line.startswith("warn")
    assert "drifted: 2 differences since the deploy" in line
    assert "→ mosaic-deploy migrate drift --local" in ended.stdout
    status = run("status", "--local").stdout
    assert "schema         drifted: 2 differences since the deploy" in status
    assert "next: see how the schema drifted:  mosaic-deploy migrate drift --local" in status


def test_denied_drift_stops_an_apply_also_without_changes(run, drifted, folder: Path):
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("policy: {drift: deny}\n")
    shown = run("plan", "--local").stdout
    assert "Policy: this plan will be refused" in shown
    ended = run("apply", "--local", "--yes")
    assert ended.returncode == 1
    assert "error[policy_denied]" in ended.stderr
    assert "mosaic.yaml:8:17 policy.drift: the schema drifted since the last deploy: + column" in ended.stderr
    assert run("migrate", "drift", "--local", "--accept", "--yes").returncode == 0
    assert run("apply", "--local", "--yes").returncode == 0


def test_a_saved_plan_names_what_has_drifted(run, sql, folder: Path):
    (folder / "sql/2_add.sql").write_text("ALTER TABLE t ADD added int;\n")
    assert run("plan", "--local", "--no-rehearse", "--out", "plan.json").returncode == 0
    sql("create table votes (id int)")
    ended = run("apply", "plan.json")
    assert ended.returncode == 1
    assert "live: the database's schema was changed: + table votes (id integer)" in ended.stderr
    assert run("plan", "--local", "--no-rehearse", "--out", "plan.json").returncode == 0
    assert run("apply", "plan.json").returncode == 0, "it was saved with the drift"


def test_options_that_contradict_each_other(run, folder):
    ended = run("migrate", "drift", "--local", "--accept", "--exit-code")
    assert (ended.returncode, "can't be combined" in ended.stderr) == (2, True)


def test_a_project_that_is_not_there(run, folder):
    for option in ("--exit-code", "--accept"):
        ended = run("migrate", "drift", "--local", option, "-o", "json")
        assert json.loads(ended.stdout)["error"]["code"] == "project_not_found"


def test_a_pull_requests_comment_shows_it_above_the_fold():
    change = SchemaChange(SchemaObject("table", "votes"), "", None)
    grant = SchemaChange(SchemaObject("grant", "public", "books"), "SELECT", "SELECT, UPDATE")
    plan = Plan(
        Project("p", "shop"), (), (), "d", "l", 1, drift=SchemaDrift(SchemaState.DRIFTED, (change, grant))
    )
    shown, _, _ = plan_markdown(plan, "by ci", 60_000).partition("<details>")
    assert "```diff\n  Schema drift since the last deploy\n-   table votes\n" in shown
    assert "\n!   grant to public on books SELECT → SELECT, UPDATE\n" in shown

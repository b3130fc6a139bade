"""`policy.rehearsed: required`: no command applies migrations that weren't rehearsed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ON = {"MOSAIC_REHEARSE": ""}


def manifest(folder: Path, rule: str) -> None:
    (folder / "mosaic.yaml").write_text(
        f"version: 1\nproject: {{name: strict of {folder.name}}}\ndatabase: {{migrations: sql}}\npolicy: {{rehearsed: {rule}}}\n"
    )


@pytest.fixture
def strict(run, tmp_path: Path) -> Path:
    """A deployed project with a pending migration."""
    (tmp_path / "sql").mkdir()
    manifest(tmp_path, "required")
    (tmp_path / "sql" / "1_first.sql").write_text(
        "-- migrate:up\nCREATE TABLE orders (id int PRIMARY KEY);\n-- migrate:down\nDROP TABLE orders;\n"
    )
    # Also the first deploy is rehearsed.
    assert run("apply", "--local", "--yes", env=ON).returncode == 0
    (tmp_path / "sql" / "2_channel.sql").write_text("ALTER TABLE orders ADD channel text;\n")
    return tmp_path


def refused(run, *command: str, env: dict[str, str]) -> str:
    shown = run(*command, env=env)
    assert shown.returncode == 1, shown.stdout
    assert "error[rehearsal_required]" in shown.stderr, shown.stderr
    return str(shown.stderr)


def test_what_was_not_rehearsed_is_refused(run, strict):
    apply = ("apply", "--local", "--yes")
    assert "--no-rehearse was given" in refused(run, *apply, "--no-rehearse", env=ON)
    assert "--no-rehearse was given" in refused(run, "ci", "apply", "--local", "--no-rehearse", env=ON)
    off = {"MOSAIC_REHEARSE": "0"}
    assert "MOSAIC_REHEARSE is 0" in refused(run, *apply, env=off)
    shown = run("plan", "--local", "--out", "unproven.json", "--output", "json", env=off)
    [denied] = json.loads(shown.stdout)["policy"]["denied"]
    assert denied["field"] == "policy.rehearsed"
    assert "MOSAIC_REHEARSE is 0" in refused(run, "apply", "unproven.json", "--yes", env=ON)
    assert "down migrations can't be rehearsed" in refused(
        run, "migrate", "rollback", "--local", "--yes", "--allow", "destructive", env=ON
    )
    assert run("sql", "--local", "CREATE TABLE by_hand (id int)").returncode == 0
    why = refused(run, *apply, env=ON)
    assert "the recorded files don't make the live schema" in why
    assert run("sql", "--local", "--allow", "destructive", "DROP TABLE by_hand").returncode == 0
    assert run(*apply, env=ON).returncode == 0


def test_a_saved_plan_is_compared_with_its_rehearsal(run, strict):
    assert run("plan", "--local", "--out", "plan.json", env=ON).returncode == 0
    document = json.loads((strict / "plan.json").read_text())["rehearsal"]
    [step] = document["steps"]
    assert step["address"] == "migration:2_channel.sql"
    assert step["touches"] == [
        {"kind": "database", "name": "objects", "lock": None, "may_change": False},
        {"kind": "relation", "name": "orders", "lock": "SHARE UPDATE EXCLUSIVE", "may_change": True},
    ]
    assert step["words"] == ["add", "alter", "channel", "orders", "table", "text"]
    assert sorted((each["kind"], each["name"], each["of"]) for each in document["objects"]) == [
        ("column", "id", "orders"),
        ("constraint", "orders_pkey", "orders"),
        ("grant", "public", "schema public"),
        ("setting", "search_path", None),
        ("table", "orders", None),
    ]
    applied = run("apply", "plan.json", "--yes", env={"MOSAIC_REHEARSE": "0"})
    assert applied.returncode == 0, applied.stderr
    assert "orders: + column channel text" in applied.stdout


def test_requiring_none_any_more_needs_approval(run, strict):
    manifest(strict, "optional")
    back = refused(run, "migrate", "rollback", "--local", "--yes", "--allow", "destructive", env=ON)
    assert "the policy of the last deploy requires a rehearsal" in back
    assert "mosaic.yaml:" not in back
    assert "your decision: to record the manifest's policy:  mosaic-deploy apply --local" in back
    shown = run("apply", "--local", "--yes", "--no-rehearse", env=ON)
    assert "policy_unconfirmed" in shown.stderr
    assert "rehearsed: required → optional" in shown.stderr
    assert run("apply", "--local", "--yes", "--no-rehearse", "--allow", "policy", env=ON).returncode == 0


def test_a_failure_does_not_suggest_to_go_without(run, strict):
    (strict / "sql" / "2_channel.sql").write_text("INSERT INTO orders SELECT 1 / count(*) FROM orders;\n")
    shown = run("apply", "--local", "--yes", env=ON)
    assert "rehearsal_failed" in shown.stderr
    assert "--no-rehearse" not in shown.stderr


def test_seeds_that_change_the_schema_are_rehearsed_or_refused(run, strict):
    (strict / "sql" / "2_channel.sql").unlink()
    with (strict / "mosaic.yaml").open("a") as text:
        text.write("database: {migrations: sql, seeds: [1.sql, 2.sql]}\n")
    lines = [
        line
        for line in (strict / "mosaic.yaml").read_text().splitlines()
        if line != "database: {migrations: sql}"
    ]
    (strict / "mosaic.yaml").write_text("\n".join(lines))
    (strict / "1.sql").write_text(
        "CREATE TABLE extra (id int DEFAULT 1 / 0); INSERT INTO extra DEFAULT VALUES;"
    )
    (strict / "2.sql").write_text("INSERT INTO orders VALUES (1);")
    apply = ("apply", "--local", "--yes")
    assert "rehearsal_failed" in run(*apply, env=ON).stderr
    (strict / "1.sql").write_text("CREATE TABLE extra (id int);")
    assert "--no-rehearse was given" in refused(run, *apply, "--no-rehearse", env=ON)
    assert run(*apply, env=ON).returncode == 0
    # Rows may be changed without a rehearsal, objects may not, also not inside a block.
    (strict / "2.sql").write_text(
        "CREATE TEMP TABLE t AS SELECT 2 AS id; INSERT INTO orders SELECT id FROM t;"
    )
    assert run(*apply, env=ON).returncode == 0
    (strict / "1.sql").write_text("DO $$ BEGIN EXECUTE 'CREATE TABLE more (id int)'; END $$;")
    shown = refused(run, *apply, env=ON)
    assert "1.sql may change the schema, and seeds that follow others can't be rehearsed" in shown
    assert "change the schema in a migration, and only rows in the seed" in shown
    planned = run("plan", "--local", env=ON)
    assert "not rehearsed: 1.sql may change the schema" in planned.stdout
    back = run("migrate", "rollback", "--local", "--yes", "--allow", "destructive", env=ON)
    assert "not rehearsed: down migrations can't be rehearsed" in back.stdout
    assert "next: write it:  mosaic-deploy migrate new undo_1_first" in back.stderr

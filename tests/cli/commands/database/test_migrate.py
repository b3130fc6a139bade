"""The commands under `migrate`, as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def sql(folder, run):
    """Runs SQL in the project's database."""
    import httpx

    def ask(query: str) -> list[dict[str, object]]:
        platform = json.loads(run("local", "status", "-o", "json").stdout)
        project = json.loads(run("status", "--local", "-o", "json").stdout)["project"]["id"]
        answer = httpx.post(
            f"{platform['url']}/v1/project/{project}/sql",
            headers={"X-API-Key": run("local", "key").stdout.strip()},
            json={"query": query},
        )
        assert answer.status_code == 200, answer.text
        return answer.json().get("rows") or answer.json().get("data") or []

    return ask


def columns(text: str) -> list[list[str]]:
    table = text.partition("\n\n")[0]
    return [line.split()[:3] for line in table.splitlines() if ".sql" in line]


def test_new_creates_the_folder(run, folder):
    (folder / "mosaic.yaml").write_text(
        "version: 1\nproject: {name: n}\ndatabase: {migrations: db/sql, seeds: [seeds]}\nstatic: {dir: www}\n"
    )
    assert run("migrate", "new", "first").stdout == "db/sql/0001_first.sql\n"


def test_new_continues_the_numbering_style(run, folder):
    assert run("migrate", "new", "Add price & stock").stdout == "sql/2_add_price_stock.sql\n"
    text = (folder / "sql/2_add_price_stock.sql").read_text()
    assert [line[:3] for line in text.splitlines() if line] == ["-- ", "-- "]
    assert "Add price & stock" in text
    assert run("validate").returncode == 0
    document = json.loads(run("migrate", "new", "more", "-o", "json").stdout)
    assert document["path"] == "sql/3_more.sql"
    refused = run("migrate", "new", "///")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no letter or digit" in refused.stderr


def test_new_adds_a_migrations_folder_to_the_manifest(run, folder):
    text = (folder / "mosaic.yaml").read_text().partition("database:")[0]
    (folder / "mosaic.yaml").write_text(text)
    ended = run("migrate", "new", "a")
    assert (ended.returncode, ended.stdout) == (0, "migrations/0001_a.sql\n")
    assert ended.stderr == "added to mosaic.yaml: database.migrations: migrations\n"
    assert (folder / "mosaic.yaml").read_text() == f"{text}\ndatabase:\n  migrations: migrations\n"


@pytest.mark.parametrize("end", ["database:\n  extensions: [vector]\n", "...\n"])
def test_new_needs_a_migrations_folder(run, folder, end):
    text = (folder / "mosaic.yaml").read_text().partition("database:")[0] + end
    (folder / "mosaic.yaml").write_text(text)
    ended = run("migrate", "new", "a")
    assert ended.returncode == 1
    assert "error[migrations_not_configured]: mosaic.yaml has no migrations folder" in ended.stderr
    assert "database: {migrations: migrations}" in ended.stderr
    assert (folder / "mosaic.yaml").read_text() == text
    assert not (folder / "migrations").exists()


def test_status_then_edit_then_repair(run, folder):
    assert columns(run("migrate", "status", "--local").stdout) == [["1", "1_t.sql", "pending"]]
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "sql/1_t.sql").write_text("create table t (id bigint);")
    ended = run("migrate", "status", "--local")
    assert ended.returncode == 1
    assert columns(ended.stdout) == [["1", "1_t.sql", "edited"]]
    assert "mosaic-deploy migrate restore-file 1 --local" in ended.stdout
    assert "mosaic-deploy migrate repair --accept 1_t.sql --local" in ended.stdout
    document = json.loads(run("migrate", "status", "--local", "-o", "json").stdout)
    assert document["migrations"][0]["state"] == "edited"
    listed = run("migrate", "repair", "--local")
    assert listed.returncode == 0
    assert "repair --accept 1_t.sql --local" in listed.stdout
    asked = run("migrate", "repair", "--accept", "sql/1_t.sql", "--local", input="y\n")
    assert asked.returncode == 1
    assert "error[confirmation_required]" in asked.stderr
    done = run("migrate", "repair", "--accept", "0001", "--local", "--yes")
    assert done.returncode == 0
    assert "~ 1_t.sql" in done.stdout
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0
    assert (
        run("migrate", "repair", "--local").stdout
        == "Nothing to repair: the folder and the migration history agree.\n"
    )


def test_restore_file_writes_what_was_applied(run, folder):
    assert run("apply", "--local", "--yes").returncode == 0
    file = folder / "sql/1_t.sql"
    applied = file.read_text()
    file.write_text("select 'my edit';")
    (folder / "sql/1_t.sql.bak").write_text("an older one")
    ended = run("migrate", "restore-file", "1_t.sql", "--local")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[:2] == [
        "wrote sql/1_t.sql as it was applied",
        "kept sql/1_t.sql as sql/1_t.sql.bak2",
    ]
    assert file.read_text() == applied
    assert (folder / "sql/1_t.sql.bak2").read_text() == "select 'my edit';"
    assert (folder / "sql/1_t.sql.bak").read_text() == "an older one"
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0
    again = json.loads(run("migrate", "restore-file", "1", "--local", "-o", "json").stdout)
    assert (again["type"], again["written"], again["renamed"], again["kept"]) == (
        "files_restored",
        [],
        [],
        [],
    )
    refused = run("migrate", "restore-file", "7", "--local")
    assert refused.returncode == 1
    assert "error[repair_refused]" in refused.stderr


def test_restore_file_stays_in_the_folder(run, folder, sql):
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "sql/1_t.sql").unlink()
    for name in ("../1_t.sql", "/tmp/1_t.sql", "2_t.sql", "1_t.txt"):
        sql(f"update mosaic_deploy.migrations set file = '{name}'")
        refused = run("migrate", "restore-file", "1", "--local")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "unusable name" in refused.stderr
    assert list((folder / "sql").iterdir()) == []


def test_the_exit_codes_of_both_kinds_of_status(run, folder, sql):
    for command in (["status", "--local"], ["migrate", "status", "--local"]):
        assert run(*command).returncode == 0
        assert run(*command, "--detailed-exitcode").returncode == 2
    assert run("apply", "--local", "--yes").returncode == 0
    for command in (["status", "--local"], ["migrate", "status", "--local"]):
        assert run(*command, "--detailed-exitcode").returncode == 0
    (folder / "sql/2_u.sql").write_text(
        "create table u (id int); create index concurrently i on u (nope(id));"
    )
    assert run("apply", "--local", "--yes").returncode == 1
    for command in (["status", "--local"], ["migrate", "status", "--local", "--detailed-exitcode"]):
        assert run(*command).returncode == 1
    shown = run("status", "--local").stdout
    assert "1 applied, newest 1_t.sql; 2_u.sql is applied in part (1 of 2 steps)" in shown
    assert "mosaic-deploy migrate status --local" in shown
    document = json.loads(run("status", "--local", "-o", "json").stdout)
    assert [each["steps_done"] for each in document["migrations"]] == [None, 1]
    assert document["next_actions"][1]["description"] == "retry step 2, once 2_u.sql or the data is corrected"
    assert document["next_actions"][0]["command"] == "mosaic-deploy migrate status --local -o json"
    sql("update mosaic_deploy.migrations set step_begun = 2 where file = '2_u.sql'")
    shown = run("status", "--local").stdout
    assert "(1 of 2 steps; the outcome of step 2 is unknown)" in shown
    assert "check whether the last step took effect, if possible:  mosaic-deploy apply --local" in shown


def test_a_renumbered_file_is_recorded_and_keeps_its_date(run, folder, sql):
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    assert run("apply", "--local", "--yes").returncode == 0
    kept = "select applied_at::text as at, applied_by as by, deploy_id as id from mosaic_deploy.migrations where file like"
    before = sql(f"{kept} '%u.sql'")
    (folder / "sql/2_u.sql").rename(folder / "sql/3_u.sql")
    (folder / "sql/2_v.sql").write_text("create table v (id int);")
    stopped = run("plan", "--local", "-o", "json")
    assert stopped.returncode == 1
    [first, *_] = json.loads(stopped.stdout)["error"]["next_actions"]
    assert first["command"] == "mosaic-deploy migrate repair --rename 2 --local -o json --yes"
    assert columns(run("migrate", "status", "--local").stdout)[1:] == [
        ["2", "3_u.sql", "applied"],
        ["2", "2_v.sql", "pending,"],
    ]
    assert run("migrate", "repair", "--rename", "2", "--local", "--yes").returncode == 0
    assert sql(f"{kept} '%u.sql'") == before
    stopped = json.loads(run("plan", "--local", "-o", "json").stdout)["error"]
    assert stopped["next_actions"][0]["command"].startswith("mosaic-deploy apply --allow-out-of-order")
    assert run("apply", "--allow-out-of-order", "--yes", "--local").returncode == 0
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0


def test_an_ambiguous_repair_is_refused(run, folder):
    assert run("apply", "--local", "--yes").returncode == 0
    ended = run("migrate", "repair", "--forget", "1", "--local", "--yes")
    assert ended.returncode == 1
    assert "error[repair_refused]" in ended.stderr
    assert run("migrate", "repair", "--forget=x", "--local").returncode == 1
    for wrong in ("--applied=1", "--not-applied=1:0"):
        assert run("migrate", "repair", wrong, "--local").returncode == 2


def test_rollback_and_apply_again(run, folder):
    (folder / "sql/2_u.sql").write_text(
        "-- migrate:up\ncreate table u (id int); insert into u values (1);\n-- migrate:down\ndrop table u;\n"
    )
    assert run("apply", "--local", "--yes").returncode == 0
    refused = run("migrate", "rollback", "--local", input="y\n")
    assert refused.returncode == 1
    assert "- 2_u.sql" in refused.stdout
    assert "error[destructive_unconfirmed]" in refused.stderr
    assert run("migrate", "rollback", "--local", "--allow", "destructive").returncode == 1
    unnamed = run("migrate", "rollback", "--local", "--yes")
    assert unnamed.returncode == 1
    assert "error[destructive_unconfirmed]" in unnamed.stderr
    assert "sql/2_u.sql:4:1 drops table u" in unnamed.stderr
    assert "mosaic-deploy migrate rollback --local --yes --allow destructive" in unnamed.stderr
    assert columns(run("migrate", "status", "--local").stdout)[1] == ["2", "2_u.sql", "applied"]
    assert run("migrate", "rollback", "--local", "--yes", "--allow", "destructive").returncode == 0
    assert columns(run("migrate", "status", "--local").stdout)[1] == ["2", "2_u.sql", "pending"]
    assert "+ 2_u.sql" in run("plan", "--local").stdout
    missing = run("migrate", "rollback", "--to", "0", "--local", "--yes")
    assert missing.returncode == 1
    assert "sql/1_t.sql: no down migration; write 1_t.down.sql" in missing.stderr
    assert run("migrate", "rollback", "--to", "0", "--steps", "1", "--local").returncode == 2


def test_nothing_to_roll_back(run, folder):
    (folder / "sql/1_t.sql").write_text("-- migrate:up\nselect 1;\n-- migrate:down\nselect 1;\n")
    assert run("apply", "--local", "--yes").returncode == 0
    assert run("migrate", "rollback", "--local", "--yes").returncode == 0
    ended = run("migrate", "rollback", "--local")
    assert (ended.returncode, ended.stdout) == (0, "Nothing to roll back: no migrations are applied.\n")
    document = json.loads(run("migrate", "rollback", "--local", "-o", "json").stdout)
    assert (document["type"], document["changes"]) == ("plan", [])


def test_the_policy_denies_a_rollback(run, folder):
    (folder / "sql/1_t.sql").write_text("-- migrate:up\ncreate table t ();\n-- migrate:down\ndrop table t;\n")
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("policy: {protected_tables: [t]}\n")
    assert run("apply", "--local", "--yes").returncode == 0
    ended = run("migrate", "rollback", "--local", "--yes", "--allow", "destructive")
    assert ended.returncode == 1
    assert "error[policy_denied]" in ended.stderr


def test_commands_in_hints_select_the_same_project(run, folder):
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("environments: {dev: {}}\n")
    scope = ("--local", "--env", "dev", str(folder))
    assert run("apply", "--yes", *scope).returncode == 0
    flags = f"--local --env dev {folder}"
    refused = run("migrate", "repair", "--forget", "1", *scope)
    assert f"`mosaic-deploy migrate rollback --to 0 {flags}`" in refused.stderr
    again = run("migrate", "baseline", "1", *scope)
    assert f"`mosaic-deploy migrate repair --applied VERSION:STEP {flags}`" in again.stderr
    (folder / "sql/1_t.sql").unlink()
    gone = run("plan", *scope)
    assert f"mosaic-deploy migrate repair --forget 1 {flags}\n" in gone.stderr


def test_a_step_outside_a_transaction_is_shown(run, folder):
    (folder / "sql/2_i.sql").write_text("create index concurrently i on t (id);")
    shown = run("plan", "--local").stdout
    assert "2_i.sql runs outside a transaction" in shown
    assert "CREATE INDEX CONCURRENTLY can't run in a transaction" in shown


def test_a_failed_index_in_status(run, folder):
    (folder / "sql/2_i.sql").write_text("create index concurrently i on t (nope(id));")
    assert run("apply", "--local", "--yes").returncode == 1
    shown = run("migrate", "status", "--local").stdout
    assert "step 1 of 1 failed; the next apply retries step 1" in shown
    assert "  sql/2_i.sql:1:35: function nope(integer) does not exist" in shown
    document = json.loads(run("migrate", "status", "--local", "-o", "json").stdout)["migrations"][1]
    assert (document["state"], document["step_begun"]) == ("failed", 1)
    assert document["cause"].startswith("sql/2_i.sql:1:35: ")


def test_the_cause_is_shown_for_the_failed_migration_until_fixed(run, folder):
    (folder / "sql/2_i.sql").write_text("create index concurrently i on t (nope(id));")

    def causes() -> dict[str, bool]:
        lines = json.loads(run("migrate", "status", "--local", "-o", "json").stdout)["migrations"]
        return {line["state"]: line["cause"] is not None for line in lines}

    assert run("apply", "--local", "--yes").returncode == 1
    assert causes() == {"applied": False, "failed": True}
    (folder / "sql/2_i.sql").write_text("create index concurrently i on t (id);")
    assert run("apply", "--local", "--yes").returncode == 0
    assert causes() == {"applied": False}
    (folder / "sql/1_t.sql").write_text("create table t (id bigint);")
    assert causes() == {"applied": False, "edited": False}


def test_baseline(run, folder, sql):
    (folder / "public").rename(folder / "site")
    manifest = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(manifest.partition("static:")[0] + "static:\n  dir: site\n")
    assert run("apply", "--local", "--yes").returncode == 0
    sql("create table t (id int)")
    (folder / "mosaic.yaml").write_text(manifest.replace("dir: public", "dir: site"))
    ended = run("migrate", "baseline", "1", "--local", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert "+ 1_t.sql  already in the database" in ended.stdout
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0


def test_import_from_another_tool(run, folder, sql):
    manifest = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(manifest.partition("database:")[0])
    assert run("apply", "--local", "--yes").returncode == 0
    sql("create table t (id int)")
    (folder / "mosaic.yaml").write_text(manifest)
    refused = run("migrate", "import", "dbmate", "--local", "--yes")
    assert refused.returncode == 1
    assert "error[history_import_refused]" in refused.stderr
    sql('CREATE TABLE "schema_migrations" ("version" varchar NOT NULL PRIMARY KEY)')
    sql("INSERT INTO schema_migrations VALUES ('001')")
    ended = run("migrate", "import", "dbmate", "--local", "--yes", "-o", "json")
    assert json.loads(ended.stdout)["done"] == ["history:1_t.sql"]
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0
    assert run("migrate", "import", "knex", "--local").returncode == 2


def test_an_existing_schema_suggests_baseline_and_import(run, folder: Path) -> None:
    assert run("apply", "--local", "--yes", "--only", "static").returncode == 0
    assert run("sql", "--local", "create table t (id int)").returncode == 0
    planned = run("plan", "--local")
    failed = run("apply", "--local", "--yes")
    assert failed.returncode == 1
    for text, version in ((planned.stdout, "1"), (failed.stderr, "VERSION")):
        assert "`mosaic-deploy migrate import dbmate --local`" in text
        assert f"`mosaic-deploy migrate baseline {version} --local`" in text
    assert run("migrate", "baseline", "1", "--local", "--yes").returncode == 0
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0

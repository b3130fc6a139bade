"""An error of the migrations doesn't hide the rest of the plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def edited(run, folder: Path) -> Path:
    """An edited migration, a changed page, a new page, and a pending migration."""
    (folder / "public/old.html").write_text("old")
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "sql/1_t.sql").write_text("create table t (id bigint);")
    (folder / "sql/2_u.sql").write_text("create table u (id int);\ndrop table t;\n")
    (folder / "public/index.html").write_text("changed")
    (folder / "public/new.html").write_text("new")
    (folder / "public/old.html").unlink()
    return folder


def changes(document: dict) -> set[str]:
    return {change["address"] for change in document["changes"]}


ALL = {"migration:2_u.sql", "static:index.html", "static:new.html"}


def test_a_plan_shows_everything_beside_a_divergence(run, edited: Path) -> None:
    shown = run("plan", "--local", "--compare-bytes")
    assert shown.returncode == 1
    assert "error[migration_diverged]" in shown.stderr
    for text in (
        "2_u.sql",
        "index.html",
        "new.html",
        "old.html",
        "drops table t",
        "this is the plan without what the error below is about",
    ):
        assert text in shown.stdout
    document = json.loads(run("plan", "--local", "-o", "json").stdout)
    assert document["error"]["code"] == "migration_diverged"
    assert changes(document["plan"]) == ALL
    assert [note["code"] for note in document["plan"]["notes"]] == ["plan_blocked", "static_kept"]


@pytest.mark.parametrize("words", [("ci", "plan"), ("apply", "--yes"), ("ci", "apply")])
def test_other_commands_show_it_too_and_apply_nothing(run, edited: Path, words) -> None:
    shown = run(*words, "--local")
    assert shown.returncode == 1
    assert "new.html" in shown.stdout
    assert "error[migration_diverged]" in shown.stderr
    assert json.loads(run("status", "--local", "-o", "json").stdout)["static"]["files"] == 2


@pytest.mark.parametrize("kind", ["missing", "order", "syntax"])
def test_other_errors_of_migrations(run, folder: Path, kind: str) -> None:
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "public/new.html").write_text("new")
    code = "migration_diverged"
    if kind == "missing":
        (folder / "sql/1_t.sql").unlink()
    elif kind == "order":
        (folder / "sql/0_first.sql").write_text("create table zero (id int);")
    else:
        (folder / "sql/2_u.sql").write_text("create tabel u (id int);")
        code = "migration_invalid"
    document = json.loads(run("plan", "--local", "-o", "json").stdout)
    assert document["error"]["code"] == code
    assert "static:new.html" in changes(document["plan"])


def test_the_job_summary_has_the_error_and_the_rest(run, edited: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    run(
        "ci",
        "plan",
        "--local",
        env={"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_STEP_SUMMARY": str(summary)},
    )
    text = summary.read_text()
    assert "was edited after it was applied" in text
    assert "<details><summary>Plan</summary>" in text
    assert "new.html" in text


def test_a_second_error_is_reported_with_the_first(run, edited: Path) -> None:
    with (edited / "mosaic.yaml").open("a") as manifest:
        manifest.write("policy:\n  protected_tables: [t]\n")
    shown = run("plan", "--local")
    assert "Policy: this plan will be refused" in shown.stdout
    assert "error[migration_diverged]" in shown.stderr


def test_an_unknown_name_hides_only_what_comes_after_it(run, folder: Path) -> None:
    assert run("apply", "--local", "--yes").returncode == 0
    for name, text in {
        "2_u": "create table u (id int);",
        "3_v": "alter table nope add x int;",
        "4_w": "select 1;",
    }.items():
        (folder / f"sql/{name}.sql").write_text(text)
    (folder / "public/new.html").write_text("new")
    document = json.loads(run("plan", "--local", "-o", "json").stdout)
    assert document["error"]["code"] == "migration_unknown_name"
    assert changes(document["plan"]) == {"migration:2_u.sql", "static:new.html"}


def test_the_rest_is_shown_beside_two_errors(run, edited: Path) -> None:
    (edited / "sql/3_v.sql").write_text("alter table nope add x int;")
    document = json.loads(run("plan", "--local", "-o", "json").stdout)
    assert [problem.get("code") for problem in document["error"]["problems"]] == [
        None,
        "migration_unknown_name",
    ]
    assert changes(document["plan"]) == ALL


def test_a_plan_without_other_changes_begins_with_the_project(run, folder: Path) -> None:
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "sql/1_t.sql").write_text("create table t (id bigint);")
    shown = run("plan", "--local").stdout
    assert shown.startswith("cli ")
    assert "Nothing else would change." in shown

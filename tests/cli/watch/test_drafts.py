"""Drafts of migrations under `dev` and `watch --local`, with the program as a process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser import find_chromium, opened_browser

from tests.cli.watch.test_dev import OVERLAY
from tests.cli.watch.test_watch_loop import site, watching  # noqa: F401 - a fixture

needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")


def rows(run, query: str) -> list[dict[str, Any]]:
    """The rows of the database that apps use."""
    return json.loads(run("sql", "--local", "-o", "json", query).stdout)["rows"]


def applied(run) -> list[str]:
    lines = json.loads(run("migrate", "status", "--local", "-o", "json").stdout)["migrations"]
    return [line["file"] for line in lines if line["state"] == "applied"]


def tables(run) -> list[str]:
    found = rows(run, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return [row["tablename"] for row in found]


def test_a_draft_runs_on_every_save_and_becomes_a_migration(folder: Path, run, watching) -> None:  # noqa: F811
    watch = watching("--local", "--yes")
    watch.until("Watching public, sql")
    draft = folder / "sql/draft.sql"
    draft.write_text("create table notes (body text);")
    assert "1 schema change" in watch.until("sql/draft.sql → draft applied to a copy in")
    copy = run("sql", "--local", "select count(*) from notes")
    assert (copy.returncode, "the draft's copy of the database" in copy.stderr) == (0, True)
    own = run("sql", "--local", "--no-draft", "select to_regclass('notes') as found")
    assert (own.stdout.splitlines()[2], own.stderr) == ("NULL", "")
    watch.until("+ table notes (body text)")
    watch.until("Your app now uses a copy of the database")
    assert tables(run) == ["notes", "t"]
    assert (
        run("sql", "--local", "insert into notes values ('typed'); insert into t values (1)").returncode == 0
    )

    draft.write_text("create table notes (body text not null);\nalter table t add column more int;")
    watch.until("sql/draft.sql → draft applied to a copy in", "2 schema changes")
    watch.until("+ column t.more integer")
    assert rows(run, "select * from notes") == rows(run, "select * from t") == []

    draft.write_text("create table notes (body text);\n\ncreate table more (id nonsense);")
    watch.until("error[draft_failed]: sql/draft.sql:3:23")
    assert rows(run, "select more from t") == []
    draft.write_text("create table notes (body text)\ncreate table;")
    watch.until("error[migration_invalid]")
    watch.until("sql/draft.sql:2:1")

    draft.write_text("create table notes (body text);")
    watch.until("sql/draft.sql → draft applied to a copy in")
    assert not watch.until(" fixed").endswith("deployed")
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    watch.until("sql/2_u.sql → applied in")
    watch.until("sql/draft.sql → draft applied to a copy in")
    assert tables(run) == ["notes", "t", "u"]
    assert applied(run) == ["1_t.sql", "2_u.sql"]

    committed = run("migrate", "seal", "add notes")
    assert committed.stdout == "sql/3_add_notes.sql\n"
    assert "mosaic-deploy plan" in committed.stderr
    watch.until("sql/3_add_notes.sql → applied in")
    watch.until("sql/draft.sql → draft committed")
    assert tables(run) == ["notes", "t", "u"]
    assert applied(run) == ["1_t.sql", "2_u.sql", "3_add_notes.sql"]
    assert watch.end() == 130


@pytest.mark.parametrize("how", ["deleted", "emptied", "ended"])
def test_a_removed_draft_leaves_the_database_unchanged(folder: Path, run, watching, how: str) -> None:  # noqa: F811
    (folder / "sql/draft.sql").write_text("alter table t add column more int; insert into t values (1, 2);")
    dev = watching(command="dev")
    dev.until("sql/draft.sql → draft applied to a copy in")
    assert rows(run, "select * from t") == [{"id": 1, "more": 2}]
    if how == "deleted":
        (folder / "sql/draft.sql").unlink()
        dev.until("sql/draft.sql → draft removed")
    elif how == "emptied":
        (folder / "sql/draft.sql").write_text("-- later\n")
        dev.until("sql/draft.sql → draft removed")
    assert dev.end() == 130
    if how == "ended":
        dev.until("sql/draft.sql → copy discarded, draft.sql kept; your app uses the real database again")
    assert rows(run, "select * from t") == []
    shown = json.loads(run("credentials", "--local", "-o", "json").stdout)["database"]
    assert not shown.endswith("_draft")


def test_saving_the_same_text_runs_the_draft_again(folder: Path, run, watching) -> None:  # noqa: F811
    """Data that apps wrote to the copy is discarded."""
    watch = watching("--local", "--yes")
    watch.until("Watching")
    text = "alter table t add unique (id); insert into t values (3);"
    (folder / "sql/draft.sql").write_text(text)
    watch.until("sql/draft.sql → draft applied to a copy in")
    assert run("sql", "--local", "insert into t values (4)").returncode == 0
    (folder / "sql/draft.sql").write_text(text)
    watch.until("sql/draft.sql → draft applied to a copy in")
    assert rows(run, "select id from t") == [{"id": 3}]
    (folder / "public/index.html").write_text("another file isn't the draft")
    watch.until("public/index.html → live in")
    assert rows(run, "select id from t") == [{"id": 3}]


def test_the_draft_is_restored_after_the_platform_restarts(
    folder: Path,
    run,
    watching,  # noqa: F811
    environment,
    tmp_path,
) -> None:
    own = {"MOSAIC_HOME": str(tmp_path / "own home")}
    try:
        watch = watching("--local", "--yes", env=own)
        watch.until("Watching")
        (folder / "sql/draft.sql").write_text("create table notes (id int);")
        watch.until("sql/draft.sql → draft applied to a copy in")
        assert run("local", "stop", env=own).returncode == 0
        assert run("local", "start", env=own).returncode == 0
        watch.until("sql/draft.sql → draft applied to a copy in")
        seen = run("sql", "--local", "-o", "json", "select count(*) as n from notes", env=own)
        assert json.loads(seen.stdout).get("rows") == [{"n": 0}], "\n".join(watch.output)
        assert watch.end() == 130
    finally:
        run("local", "reset", "--yes", env=own)


def test_a_draft_replaced_by_another_watch_is_reported(folder: Path, run, watching) -> None:  # noqa: F811
    (folder / "sql/draft.sql").write_text("create table notes (id int);")
    first = watching("--local", "--yes")
    first.until("sql/draft.sql → draft applied to a copy in")
    second = watching("--local", "--yes")
    second.until("sql/draft.sql → draft applied to a copy in")
    first.until("replaced by another draft of this project")
    assert first.end() == 130
    assert tables(run) == ["notes", "t"]
    assert second.end() == 130
    assert tables(run) == ["t"]


def test_on_a_hosted_platform_a_draft_is_only_a_note(folder: Path, platform, run) -> None:
    """The embedded platform, used by its URL instead of --local."""
    (folder / "sql/draft.sql").write_text("this isn't SQL")
    env = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key}
    done = run("apply", "--yes", env=env)
    assert done.returncode == 0, done
    assert "sql/draft.sql isn't deployed; run `mosaic-deploy dev`" in done.stdout
    assert run("validate").returncode == 0
    assert run("migrate", "lint").returncode == 0
    assert tables(run) == ["t"]
    plan = json.loads(run("plan", "-o", "json", env=env).stdout)
    assert plan["changes"] == []
    assert [note["code"] for note in plan["notes"]] == ["draft_left_out"]


def test_on_a_hosted_platform_watch_runs_no_draft(folder: Path, platform, run, watching) -> None:  # noqa: F811
    env = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key}
    watch = watching("--yes", env=env)
    watch.until("Watching")
    (folder / "sql/draft.sql").write_text("create table notes (id int);")
    (folder / "public/more.html").write_text("more")
    watch.until("public/more.html → live in")
    (folder / "public/more.html").write_text("and more")
    watch.until("public/more.html → live in")
    assert not any("draft applied" in line for line in watch.output)
    assert tables(run) == ["t"]


def test_a_failed_draft_is_committed_only_with_untested(folder: Path, run, watching) -> None:  # noqa: F811
    dev = watching(command="dev")
    dev.until("Watching")
    draft = folder / "sql/draft.sql"
    draft.write_text("create table notes (body text);")
    dev.until("sql/draft.sql → draft applied to a copy in")
    draft.write_text("create table notes (body nonsense);")
    dev.until("error[draft_failed]")
    refused = run("migrate", "seal", "notes")
    assert refused.returncode == 1
    assert "error[draft_failed]: sql/draft.sql:1:26" in refused.stderr
    assert "--untested" in refused.stderr
    assert draft.exists()
    assert run("migrate", "seal", "notes", "--untested").stdout == "sql/2_notes.sql\n"
    dev.until("error[migration_failed]", "sql/2_notes.sql:1:26")
    dev.until("sql/draft.sql → draft committed")
    draft.write_text("create table more (id int);")
    dev.until("sql/draft.sql → draft applied to a copy in")
    draft.write_text("create table more (id nonsense);")
    dev.until("error[draft_failed]")
    assert run("migrate", "seal", "x").returncode == 1
    assert dev.end() == 130
    assert run("migrate", "seal", "more").returncode == 0, (
        "the failure was recorded only while dev was running"
    )


@needs_browser
def test_the_page_shows_a_drafts_error_and_reloads_once_it_is_fixed(
    folder: Path,
    run,
    watching,  # noqa: F811
) -> None:
    dev = watching(command="dev")
    dev.until("Watching public, sql")
    with opened_browser() as page:
        page.go(site(run) + "/")
        page.wait_for("window.__mosaicDev === true")
        (folder / "sql/draft.sql").write_text("create table u (id nonsense);")
        page.wait_for(f"{OVERLAY}.includes('sql/draft.sql:1:20')")
        page.value("window.sameAsBefore = true")
        (folder / "sql/draft.sql").write_text("create table u (id int);")
        page.wait_for("window.sameAsBefore === undefined && window.__mosaicDev === true")
        page.wait_for(f"{OVERLAY} === ''")
    assert dev.end() == 130


REFUSED = {
    "no draft": (None, "draft_missing", "sql/draft.sql doesn't exist"),
    "empty": ("  \n", "draft_missing", "sql/draft.sql contains no statement"),
    "comments": ("-- soon\n/* or later */", "draft_missing", "sql/draft.sql contains no statement"),
    "no SQL": ("create tabel x;", "migration_invalid", "sql/draft.sql:1:8"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_an_invalid_draft_is_not_committed(folder: Path, run, why: str) -> None:
    text, code, message = REFUSED[why]
    if text is not None:
        (folder / "sql/draft.sql").write_text(text)
    before = sorted(path.name for path in (folder / "sql").iterdir())
    done = run("migrate", "seal", "x")
    assert done.returncode == 1
    assert f"error[{code}]" in done.stderr
    assert message in done.stderr
    assert sorted(path.name for path in (folder / "sql").iterdir()) == before


def test_the_committed_file_is_the_draft_byte_for_byte(folder: Path, run) -> None:
    content = "\ufeff-- Größe 📏\r\ncreate table größe (id int);\r\n".encode()
    (folder / "sql/draft.sql").write_bytes(content)
    done = run("migrate", "seal", "Größe 📏", "-o", "ndjson")
    [_, sealed] = [json.loads(line) for line in done.stdout.splitlines()]
    assert sealed == {"type": "draft_committed", "path": "sql/2_größe.sql", "next": "mosaic-deploy plan"}
    assert (folder / "sql/2_größe.sql").read_bytes() == content
    assert not (folder / "sql/draft.sql").exists()

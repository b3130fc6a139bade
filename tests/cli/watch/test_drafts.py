"""Drafts of migrations under `dev` and `watch --local`, as a process beside an editor."""

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
    """What apps see."""
    return json.loads(run("sql", "--local", "-o", "json", query).stdout)["rows"]


def applied(run) -> list[str]:
    lines = json.loads(run("migrate", "status", "--local", "-o", "json").stdout)["migrations"]
    return [line["file"] for line in lines if line["standing"] == "applied"]


def tables(run) -> list[str]:
    found = rows(run, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return [row["tablename"] for row in found]


def test_a_draft_is_tried_on_every_save_and_sealed_into_a_migration(folder: Path, run, watching) -> None:  # noqa: F811
    watch = watching("--local", "--yes")
    watch.until("Watching public, sql")
    draft = folder / "sql/draft.sql"
    draft.write_text("create table notes (body text);")
    assert "1 difference" in watch.until("sql/draft.sql → drafted in")
    watch.until("+ table notes (body text)")
    watch.until("Apps see a copy of the database")
    assert tables(run) == ["notes", "t"]
    assert (
        run("sql", "--local", "insert into notes values ('typed'); insert into t values (1)").returncode == 0
    )

    draft.write_text("create table notes (body text not null);\nalter table t add column more int;")
    watch.until("sql/draft.sql → drafted in", "2 differences")
    watch.until("+ column t.more integer")
    assert rows(run, "select * from notes") == rows(run, "select * from t") == []

    draft.write_text("create table notes (body text);\n\ncreate table more (id nonsense);")
    watch.until("error[draft_failed]: sql/draft.sql:3:23")
    assert rows(run, "select more from t") == []
    draft.write_text("create table notes (body text)\ncreate table;")
    watch.until("error[migration_invalid]")
    watch.until("sql/draft.sql:2:1")

    draft.write_text("create table notes (body text);")
    watch.until("sql/draft.sql → drafted in")
    watch.until("in step again")
    (folder / "sql/2_u.sql").write_text("create table u (id int);")
    watch.until("sql/2_u.sql → applied in")
    watch.until("sql/draft.sql → drafted in")
    assert tables(run) == ["notes", "t", "u"]
    assert applied(run) == ["1_t.sql", "2_u.sql"]

    sealed = run("migrate", "seal", "add notes")
    assert sealed.stdout == "sql/3_add_notes.sql\n"
    assert "mosaic-deploy plan" in sealed.stderr
    watch.until("sql/3_add_notes.sql → applied in")
    watch.until("sql/draft.sql → gone, and the copy with it")
    assert tables(run) == ["notes", "t", "u"]
    assert applied(run) == ["1_t.sql", "2_u.sql", "3_add_notes.sql"]
    assert watch.end() == 130


@pytest.mark.parametrize("how", ["deleted", "emptied", "ended"])
def test_when_the_draft_is_over_the_database_is_as_it_was(folder: Path, run, watching, how: str) -> None:  # noqa: F811
    (folder / "sql/draft.sql").write_text("alter table t add column more int; insert into t values (1, 2);")
    dev = watching(command="dev")
    dev.until("sql/draft.sql → drafted in")
    assert rows(run, "select * from t") == [{"id": 1, "more": 2}]
    if how == "deleted":
        (folder / "sql/draft.sql").unlink()
        dev.until("sql/draft.sql → gone")
    elif how == "emptied":
        (folder / "sql/draft.sql").write_text("-- later\n")
        dev.until("sql/draft.sql → gone")
    assert dev.end() == 130
    assert rows(run, "select * from t") == []
    shown = json.loads(run("credentials", "--local", "-o", "json").stdout)["database"]
    assert not shown.endswith("_draft")


def test_a_save_of_the_same_text_tries_again(folder: Path, run, watching) -> None:  # noqa: F811
    """What apps wrote goes, and what was put right in the database is seen."""
    watch = watching("--local", "--yes")
    watch.until("Watching")
    text = "alter table t add unique (id); insert into t values (3);"
    (folder / "sql/draft.sql").write_text(text)
    watch.until("sql/draft.sql → drafted in")
    assert run("sql", "--local", "insert into t values (4)").returncode == 0
    (folder / "sql/draft.sql").write_text(text)
    watch.until("sql/draft.sql → drafted in")
    assert rows(run, "select id from t") == [{"id": 3}]
    (folder / "public/index.html").write_text("another file isn't the draft")
    watch.until("public/index.html → live in")
    assert rows(run, "select id from t") == [{"id": 3}]


def test_a_platform_that_was_started_anew_is_told_again(
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
        watch.until("sql/draft.sql → drafted in")
        assert run("local", "stop", env=own).returncode == 0
        assert run("local", "start", env=own).returncode == 0
        watch.until("sql/draft.sql → drafted in")
        seen = run("sql", "--local", "-o", "json", "select count(*) as n from notes", env=own)
        assert json.loads(seen.stdout).get("rows") == [{"n": 0}], "\n".join(watch.said)
        assert watch.end() == 130
    finally:
        run("local", "reset", "--yes", env=own)


def test_another_watchs_draft_is_told(folder: Path, run, watching) -> None:  # noqa: F811
    (folder / "sql/draft.sql").write_text("create table notes (id int);")
    first = watching("--local", "--yes")
    first.until("sql/draft.sql → drafted in")
    second = watching("--local", "--yes")
    second.until("sql/draft.sql → drafted in")
    first.until("another draft of this project took its place")
    assert first.end() == 130
    assert tables(run) == ["notes", "t"]
    assert second.end() == 130
    assert tables(run) == ["t"]


def test_elsewhere_a_draft_is_a_note(folder: Path, platform, run) -> None:
    """The platform as a stranger's: by its address, not with --local."""
    (folder / "sql/draft.sql").write_text("this isn't SQL")
    env = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key}
    done = run("apply", "--yes", env=env)
    assert done.returncode == 0, done
    assert "sql/draft.sql is a draft, so it isn't applied" in done.stdout
    assert run("validate").returncode == 0
    assert run("migrate", "lint").returncode == 0
    assert tables(run) == ["t"]
    plan = json.loads(run("plan", "-o", "json", env=env).stdout)
    assert plan["changes"] == []
    assert [note["code"] for note in plan["notes"]] == ["draft_left_out"]


def test_elsewhere_watch_tries_no_draft(folder: Path, platform, run, watching) -> None:  # noqa: F811
    env = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key}
    watch = watching("--yes", env=env)
    watch.until("Watching")
    (folder / "sql/draft.sql").write_text("create table notes (id int);")
    (folder / "public/more.html").write_text("more")
    watch.until("public/more.html → live in")
    (folder / "public/more.html").write_text("and more")
    watch.until("public/more.html → live in")
    assert not any("drafted" in line for line in watch.said)
    assert tables(run) == ["t"]


def test_a_draft_that_failed_is_sealed_only_on_demand(folder: Path, run, watching) -> None:  # noqa: F811
    dev = watching(command="dev")
    dev.until("Watching")
    draft = folder / "sql/draft.sql"
    draft.write_text("create table notes (body text);")
    dev.until("sql/draft.sql → drafted in")
    draft.write_text("create table notes (body nonsense);")
    dev.until("error[draft_failed]")
    refused = run("migrate", "seal", "notes")
    assert refused.returncode == 1
    assert "error[draft_failed]: sql/draft.sql:1:26" in refused.stderr
    assert "--untested" in refused.stderr
    assert draft.exists()
    assert run("migrate", "seal", "notes", "--untested").stdout == "sql/2_notes.sql\n"
    dev.until("error[migration_failed]", "sql/2_notes.sql:1:26")
    dev.until("sql/draft.sql → gone, and the copy with it")
    draft.write_text("create table more (id int);")
    dev.until("sql/draft.sql → drafted in")
    draft.write_text("create table more (id nonsense);")
    dev.until("error[draft_failed]")
    assert run("migrate", "seal", "x").returncode == 1
    assert dev.end() == 130
    assert run("migrate", "seal", "more").returncode == 0, "nobody knows of it any more"


@needs_browser
def test_the_page_shows_what_is_wrong_with_a_draft_and_reloads_with_a_good_one(
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
    "no draft": (None, "source_refused", "there is no sql/draft.sql"),
    "empty": ("  \n", "draft_missing", "sql/draft.sql contains no statement"),
    "comments": ("-- soon\n/* or later */", "draft_missing", "sql/draft.sql contains no statement"),
    "no SQL": ("create tabel x;", "migration_invalid", "sql/draft.sql:1:8"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_migration_is_not_sealed(folder: Path, run, why: str) -> None:
    text, code, said = REFUSED[why]
    if text is not None:
        (folder / "sql/draft.sql").write_text(text)
    before = sorted(path.name for path in (folder / "sql").iterdir())
    done = run("migrate", "seal", "x")
    assert done.returncode == 1
    assert f"error[{code}]" in done.stderr
    assert said in done.stderr
    assert sorted(path.name for path in (folder / "sql").iterdir()) == before


def test_the_sealed_file_is_the_draft_byte_for_byte(folder: Path, run) -> None:
    content = "\ufeff-- Größe 📏\r\ncreate table größe (id int);\r\n".encode()
    (folder / "sql/draft.sql").write_bytes(content)
    done = run("migrate", "seal", "Größe 📏", "-o", "ndjson")
    [_, sealed] = [json.loads(line) for line in done.stdout.splitlines()]
    assert sealed == {"type": "sealed", "path": "sql/2_größe.sql", "next": "mosaic-deploy plan"}
    assert (folder / "sql/2_größe.sql").read_bytes() == content
    assert not (folder / "sql/draft.sql").exists()

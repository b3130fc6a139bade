"""Files that change while a question is open: the answer is about what was shown, and about nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pseudo_terminal import Terminal


@pytest.fixture
def terminal(environment: dict[str, str], folder: Path) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        started.append(Terminal({**environment, "COLUMNS": "200"}, folder, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def live(run, folder: Path) -> Path:
    """With a row in the table: dropping an empty one asks nothing."""
    (folder / "sql/1_t.sql").write_text("create table t (id int);\ninsert into t values (1);")
    done = run("apply", "--local", "--yes")
    assert done.returncode == 0, done.stderr
    return folder


def tables(run) -> set[str]:
    query = "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    found = json.loads(run("sql", "--local", "--read-only", "-o", "json", query).stdout)
    return {row["relname"] for row in found["rows"]}


def test_apply_asks_again_about_the_new_text(run, terminal, live: Path) -> None:
    drop = live / "sql/2_drop.sql"
    drop.write_text("drop table t;")
    screen = terminal("apply", "--local")
    # With the number of rows, once PostgreSQL's statistics have it.
    screen.until("This destroys data (drops table t")
    screen.until("Apply anyway?")
    drop.write_text("create table u (id int);")
    screen.type("y\n")
    screen.until("Something changed while the question was open; nothing was applied.")
    screen.until("Apply these changes?")
    assert tables(run) == {"t"}
    screen.type("y\n")
    assert screen.end() == 0
    assert tables(run) == {"t", "u"}


@pytest.mark.parametrize("kind", ["page", "deleted", "added"])
def test_apply_asks_again_about_other_files_too(terminal, live: Path, kind: str) -> None:
    (live / "sql/2_u.sql").write_text("create table u (id int);")
    screen = terminal("apply", "--local")
    screen.until("Apply these changes?")
    if kind == "deleted":
        (live / "sql/2_u.sql").unlink()
    else:
        (live / f"public/{'index' if kind == 'page' else 'new'}.html").write_text("edited")
    screen.type("y\n")
    screen.until("Something changed while the question was open")
    if kind == "deleted":
        screen.until("No changes.")
    else:
        screen.until("Plan:")
        screen.until("Apply these changes?")
        screen.type("n\n")
    assert screen.end() == (0 if kind == "deleted" else 1)


def test_apply_asks_again_after_another_deploy(run, terminal, live: Path) -> None:
    (live / "public/index.html").write_text("one")
    screen = terminal("apply", "--local")
    screen.until("Apply these changes?")
    assert run("apply", "--local", "--yes").returncode == 0
    screen.type("y\n")
    screen.until("Something changed while the question was open")
    screen.until("No changes.")
    assert screen.end() == 0


def test_an_edited_manifest_ends_the_question(terminal, live: Path) -> None:
    (live / "public/index.html").write_text("one")
    screen = terminal("apply", "--local")
    screen.until("Apply these changes?")
    manifest = live / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("dir: public", "dir: public\n  prune: all\n  keep: 0"))
    screen.type("y\n")
    screen.until("mosaic.yaml changed while the question was open; nothing was changed")
    assert screen.end() == 1


@pytest.mark.parametrize("command", ["rollback", "repair"])
def test_history_is_not_written_after_a_change(run, terminal, live: Path, command: str) -> None:
    (live / "sql/2_u.sql").write_text(
        "-- migrate:up\ncreate table u (id int);\ninsert into u values (1);\n-- migrate:down\ndrop table u;\n"
    )
    assert run("apply", "--local", "--yes").returncode == 0
    if command == "rollback":
        screen = terminal("migrate", "rollback", "--local")
        screen.until("nyway?")
        (live / "sql/3_v.sql").write_text(
            "-- migrate:up\ncreate table v (id int);\n-- migrate:down\ndrop table v;\n"
        )
        assert run("apply", "--local", "--yes").returncode == 0
    else:
        (live / "sql/2_u.sql").unlink()
        screen = terminal("migrate", "repair", "--forget", "2", "--local")
        screen.until("No migration is run.")
        assert run("migrate", "repair", "--forget", "2", "--local", "--yes").returncode == 0
    screen.type("y\n")
    screen.until("nothing was changed" if command == "rollback" else "error[")
    assert screen.end() == 1
    assert "u" in tables(run)


def test_an_edited_down_migration_is_not_run(run, terminal, live: Path) -> None:
    """The number of its statements stays the same."""
    (live / "sql/2_u.sql").write_text("create table u (id int);\ninsert into u values (1), (2);")
    down = live / "sql/2_u.down.sql"
    down.write_text("delete from u where id < 1;")
    assert run("apply", "--local", "--yes").returncode == 0
    screen = terminal("migrate", "rollback", "--local")
    screen.until("[y/N]")
    down.write_text("delete from u where id < 9;")
    screen.type("y\n")
    screen.until("the plan changed while the question was open; nothing was changed")
    assert screen.end() == 1
    assert json.loads(run("sql", "--local", "-o", "json", "table u").stdout)["rows"] == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("changed", ["q.sql", "mosaic.yaml"])
def test_sql_is_not_run_after_a_change(run, terminal, live: Path, changed: str) -> None:
    (live / "q.sql").write_text("truncate t;")
    screen = terminal("sql", "--local", "-f", "q.sql")
    screen.until("Run it anyway?")
    with (live / changed).open("a") as file:
        file.write("policy: {destructive: deny}\n" if changed == "mosaic.yaml" else "select 1;")
    screen.type("y\n")
    screen.until(f"{changed} changed while the question was open; nothing was changed")
    assert screen.end() == 1
    assert json.loads(run("sql", "--local", "-o", "json", "table t").stdout)["rows"] == [{"id": 1}]


def test_watch_withdraws_the_question_and_goes_on_with_other_files(run, terminal, live: Path) -> None:
    screen = terminal("watch", "--local", "--yes")
    screen.until("Watching")
    drop = live / "sql/2_drop.sql"
    drop.write_text("drop table t;")
    screen.until("Type y or n, and Enter:")
    (live / "public/index.html").write_text("meanwhile")
    screen.until("public/index.html → live in")
    screen.until("Type y or n, and Enter:")
    assert tables(run) == {"t"}
    drop.write_text("create table u (id int);")
    screen.until("The question is withdrawn")
    screen.until("sql/2_drop.sql → applied in")
    screen.type("y\n")
    (live / "public/index.html").write_text("after")
    screen.until("public/index.html → live in")
    assert tables(run) == {"t", "u"}


@pytest.mark.parametrize("answer", ["y", "n"])
def test_watch_applies_what_was_agreed_to(run, terminal, live: Path, answer: str) -> None:
    screen = terminal("dev")
    screen.until("Watching")
    (live / "sql/2_drop.sql").write_text("drop table t;")
    screen.until("Type y or n, and Enter:")
    screen.type(f"{answer}\n")
    if answer == "y":
        screen.until("sql/2_drop.sql → applied in")
        assert tables(run) == set()
    else:
        screen.until("error[declined]")
        (live / "public/index.html").write_text("more")
        screen.until("public/index.html → live in")
        assert tables(run) == {"t"}


def test_watch_asks_before_it_deletes_most_files(run, terminal, live: Path) -> None:
    manifest = live / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("dir: public", "dir: public\n  prune: true\n  keep: 0"))
    for name in ("a", "b"):
        (live / f"public/{name}.txt").write_text(name)
    screen = terminal("watch", "--local", "--yes")
    screen.until("Watching")
    (live / "public/a.txt").unlink()
    (live / "public/b.txt").unlink()
    screen.until("deletes 2 files: 2 of the 3 live static files")
    screen.until("Type y or n, and Enter:")
    (live / "public/b.txt").write_text("built again")
    screen.until("a.txt → deleted in")
    assert "The question is withdrawn" in screen.shown or screen.until("The question is withdrawn")

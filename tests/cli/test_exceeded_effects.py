"""What a live trigger destroys isn't in the plan: every command stops at the guard, and offers the command that approves it.

A person in a terminal is asked right there.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.pseudo_terminal import Terminal

LIVE = """
create table inbox (id int); create table kept (id int); insert into kept values (1), (2), (3);
create function wiping() returns trigger language plpgsql as $$ begin delete from kept; return null; end $$;
create trigger w after insert on inbox execute function wiping();
"""
MESSAGE = "sql/2_more.sql does more than the plan says: kept: deletes 3 rows (this migration was rolled back)"


@pytest.fixture
def pending(run, folder: Path) -> Path:
    """A deployed project, and a migration whose effect only the database knows."""
    (folder / "sql/1_t.sql").write_text(LIVE)
    ended = run("apply", "--local", "--yes")
    assert ended.returncode == 0, ended.stderr
    (folder / "sql/2_more.sql").write_text("insert into inbox values (1);")
    return folder


def offered(run, *arguments: str) -> list[str]:
    """The commands that are offered after the guard stopped the command."""
    ended = run(*arguments, "-o", "json")
    assert ended.returncode == 1, ended.stdout
    error = json.loads(ended.stdout)["error"]
    assert (error["code"], error["message"]) == ("effects_exceed_consent", MESSAGE)
    assert error["next_actions"][-1]["needs_person"]
    return [action["command"] for action in error["next_actions"]]


def test_apply_stops_and_its_offered_command_applies(run, pending: Path) -> None:
    [command] = offered(run, "apply", "--local", "--yes")
    assert command == "mosaic-deploy apply --local --yes -o json --allow destructive"
    assert run(*shlex.split(command)[1:]).returncode == 0


def test_a_saved_plan_is_made_again_and_approved(run, pending: Path) -> None:
    assert run("plan", "--local", "--out", "plan.json").returncode == 0
    again, approve = offered(run, "apply", "plan.json")
    assert run(*shlex.split(again)[1:]).returncode == 0
    assert approve == "mosaic-deploy apply plan.json -o json --allow destructive"
    assert run(*shlex.split(approve)[1:]).returncode == 0


def test_ci_stops_and_its_offered_command_applies(run, pending: Path) -> None:
    ended = run("ci", "apply", "--local")
    assert ended.returncode == 1
    assert f"error[effects_exceed_consent]: {MESSAGE}" in ended.stderr
    command = ended.stderr.rstrip().rpartition("mosaic-deploy ")[2]
    assert command == "ci apply --local --allow destructive"
    assert run(*shlex.split(command)).returncode == 0


QUESTION = "Run it again, with exactly this allowed?"


def in_terminal(
    environment: dict[str, str], folder: Path, *arguments: str, answers: dict[str, str]
) -> tuple[int, str]:
    """The exit code and everything shown, without line breaks, after each question got its answer."""
    terminal = Terminal(environment, folder, *arguments)
    try:
        for question, answer in answers.items():
            terminal.until(question)
            terminal.type(answer)
        return terminal.end(), " ".join(terminal.shown.split())
    finally:
        terminal.close()


def kept(run) -> int:
    rows = json.loads(run("sql", "--local", "-o", "json", "SELECT count(*) FROM kept").stdout)["rows"]
    return int(rows[0]["count"])


def test_a_person_in_a_terminal_is_asked_with_the_numbers(run, environment, pending: Path) -> None:
    apply = ("apply", "--local")
    code, shown = in_terminal(
        environment, pending, *apply, answers={"Apply these changes?": "y\n", QUESTION: "n\n"}
    )
    assert code == 1
    assert "2_more.sql does more than the plan says, and was rolled back." in shown
    assert "Measured in its transaction: kept: deletes 3 rows" in shown
    assert "mosaic-deploy apply --local --allow destructive" in shown
    assert kept(run) == 3
    # The end of the input is a no as well.
    code, shown = in_terminal(
        environment, pending, *apply, answers={"Apply these changes?": "y\n", QUESTION: "\x04"}
    )
    assert (code, kept(run)) == (1, 3), shown
    (pending / "sql/2_more.sql").write_text("insert into kept values (4), (5); insert into inbox values (1);")
    answers = {"Apply these changes?": "y\n", QUESTION: "y\n"}
    code, shown = in_terminal(environment, pending, *apply, answers=answers)
    assert code == 0, shown
    assert kept(run) == 0
    history = json.loads(run("history", "--local", "-o", "json").stdout)["deploys"][0]
    approved = history["approval"]["approved"]
    effect = "2_more.sql: kept: deletes 5 rows, inserts 2 rows"
    assert approved == [{"value": "destructive", "effect": effect, "by": "answer"}]


def test_a_person_who_approved_what_yes_does_not_cover_is_asked_again(
    run, environment, pending: Path
) -> None:
    with (pending / "sql/2_more.sql").open("a") as text:
        text.write("\ndrop table doomed;")
    assert (
        run("sql", "--local", "create table doomed (id int); insert into doomed values (1)").returncode == 0
    )
    answers = {"Apply anyway?": "y\n", QUESTION: "y\n"}
    code, shown = in_terminal(environment, pending, "apply", "--local", "--yes", answers=answers)
    assert code == 0, shown
    assert kept(run) == 0
    assert run("history", "--local").stdout.count("destructive by answer") == 1


def test_nobody_is_asked_with_yes_or_under_a_denying_policy(environment, pending: Path) -> None:
    code, shown = in_terminal(environment, pending, "apply", "--local", "--yes", answers={})
    assert code == 1, shown
    assert MESSAGE in shown
    assert QUESTION not in shown
    with (pending / "mosaic.yaml").open("a") as manifest:
        manifest.write("policy: {protected_tables: [kept]}\n")
    code, shown = in_terminal(
        environment, pending, "apply", "--local", answers={"Apply these changes?": "y\n"}
    )
    assert code == 1, shown
    assert "policy.protected_tables forbids it for kept" in shown
    assert QUESTION not in shown


def test_sql_does_no_more_than_the_question_shows(run, environment, pending: Path) -> None:
    setup = """create function shrink() returns void language plpgsql as $$ begin truncate kept; end $$;
        create table filled (id int); create or replace function empty() returns void language plpgsql as $$ begin end $$"""
    assert run("sql", "--local", setup).returncode == 0
    terminal = Terminal(environment, pending, "sql", "--local", "select shrink(), empty()")
    try:
        terminal.until("Run it anyway?")
        change = """insert into kept values (4); insert into filled values (1); create or replace function empty() returns void
            language plpgsql as $$ begin delete from filled; end $$"""
        assert run("sql", "--local", "--allow", "destructive", change).returncode == 0
        terminal.type("y\n")
        assert terminal.end() == 1
        shown = " ".join(terminal.shown.split())
    finally:
        terminal.close()
    assert "kept: empties it or replaces all its rows (3 rows)" in shown
    assert "filled: deletes 1 row" in shown
    assert "kept: empties it or replaces all its rows (4 rows)" in shown
    assert kept(run) == 4


def test_an_update_of_a_partitioned_table_agrees_to_no_deletes(run, folder: Path) -> None:
    (folder / "sql/1_t.sql").write_text(
        """create table pt (id int, at int, v text) partition by range (at);
        create table p1 partition of pt for values from (0) to (10); create table p2 partition of pt for values from (10) to (20);
        insert into pt select g, 1, 'x' from generate_series(1, 10) g;
        create function purge() returns void language plpgsql as $$ begin execute 'delete from ' || 'pt where id > 2'; end $$;"""
    )
    assert run("apply", "--local", "--yes").returncode == 0
    state = run("sql", "--local", "-o", "json", "select * from pt order by id").stdout
    for update in ("update pt set v = 'y' where id = 1", "update pt set at = 11 where id = 1"):
        (folder / "sql/2_more.sql").write_text(f"{update}; select purge();")
        stopped = run("apply", "--local", "--yes", "-o", "json")
        assert json.loads(stopped.stdout)["error"]["code"] == "effects_exceed_consent"
        stopped = run("sql", "--local", "-o", "json", f"{update}; select purge()")
        assert json.loads(stopped.stdout)["error"]["code"] == "destructive_unconfirmed"
    assert (
        json.loads(run("sql", "--local", "-o", "json", "select * from pt order by id").stdout)["rows"]
        == json.loads(state)["rows"]
    )
    assert run("sql", "--local", "update pt set at = 11 where id = 2").returncode == 0
    (folder / "sql/2_more.sql").write_text("update pt set at = 11 where id = 1;")
    assert run("apply", "--local", "--yes").returncode == 0


def test_a_seed_is_stopped_too(run, pending: Path) -> None:
    (pending / "sql/2_more.sql").unlink()
    (pending / "seed.sql").write_text("insert into inbox values (1);")
    manifest = pending / "mosaic.yaml"
    manifest.write_text(manifest.read_text() + "  seeds:\n    - seed.sql\n")
    ended = run("apply", "--local", "--yes")
    assert ended.returncode == 1
    assert "seed.sql does more than the plan says: kept: deletes 3 rows (rolled back)" in ended.stderr
    assert ended.stderr.rstrip().endswith("mosaic-deploy apply --local --yes --allow destructive")
    assert run("apply", "--local", "--yes", "--allow", "destructive").returncode == 0


UNAPPROVED = "not approved: this destroys data (deletes rows of kept"


def test_a_rehearsal_asks_before_the_apply(environment, pending: Path) -> None:
    """The migration has inserted the rows, so the rehearsal has them, too. The plan is made again after the answer."""
    terminal = Terminal(environment, pending, "apply", "--local", "--rehearse")
    try:
        terminal.until("This destroys data (deletes rows of kept")
        terminal.type("y\n")
        assert terminal.end() == 0
    finally:
        terminal.close()


def test_a_saved_plan_has_what_its_rehearsal_saw(run, pending: Path) -> None:
    assert run("plan", "--local", "--rehearse", "--out", "plan.json").returncode == 0
    ended = run("apply", "plan.json")
    assert ended.returncode == 1
    assert UNAPPROVED in ended.stderr
    assert ended.stderr.rstrip().endswith("mosaic-deploy apply plan.json --allow destructive")
    assert run("apply", "plan.json", "--allow", "destructive").returncode == 0
    (pending / "sql/3_count.sql").write_text(
        "create table counts (n int); insert into counts values (1); insert into kept values (4);"
    )
    (pending / "sql/4_trigger.sql").write_text(
        "create function counting() returns trigger language plpgsql as $$ begin update counts set n = n + 1; return new; end $$;"
        "create trigger c before insert on kept for each row execute function counting();"
    )
    assert run("apply", "--local", "--yes").returncode == 0
    (pending / "sql/5_row.sql").write_text("insert into kept values (5);")
    shown = run("plan", "--local", "--rehearse", "--out", "plan.json")
    assert "updates rows of counts (" in shown.stdout
    ended = run("apply", "plan.json")
    assert ended.returncode == 0, ended.stderr

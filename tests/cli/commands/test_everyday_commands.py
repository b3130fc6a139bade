"""Everyday commands, as users run them."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mosaic_deploy.cli.commands.inspect.storage import _usage_line

HERE = ("--local",)


@pytest.fixture
def deployed(run, folder: Path) -> Path:
    assert run("apply", "--local", "--yes").returncode == 0
    return folder


def _json(ended) -> dict:
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_sql_prints_rows_in_every_format(run, deployed: Path) -> None:
    run("sql", *HERE, "insert into t values (1), (2)")
    text = run("sql", *HERE, "select id, null as nothing from t order by id")
    assert text.stdout.splitlines() == ["id  nothing", "──  ───────", "1", "2", "(2 rows)"]
    assert _json(run("sql", *HERE, "-o", "json", "select id from t order by 1"))["rows"] == [
        {"id": 1},
        {"id": 2},
    ]
    rows = list(csv.reader(io.StringIO(run("sql", *HERE, "--csv", "select id, 'a,\"b' as x from t").stdout)))
    assert rows == [["id", "x"], ["1", 'a,"b'], ["2", 'a,"b']]


def test_sql_from_a_file_and_from_stdin(run, deployed: Path) -> None:
    (deployed / "q.sql").write_text("select 1 as a;\nselect 2 as b;\n")
    assert _json(run("sql", *HERE, "-f", "q.sql", "-o", "json"))["rows"] == [{"b": 2}]
    assert _json(run("sql", *HERE, "-f", "-", "-o", "json", input="select 3 as c"))["rows"] == [{"c": 3}]
    assert run("sql", *HERE).returncode == 2
    missing = run("sql", *HERE, "-f", "no.sql")
    assert missing.returncode == 1
    assert "error[source_unreadable]: can't read no.sql: No such file" in missing.stderr


def test_sql_read_only_writes_nothing_and_shows_the_location(run, deployed: Path) -> None:
    refused = run("sql", *HERE, "--read-only", "select 1;\ndrop table t")
    assert refused.returncode == 1
    assert "error[sql_not_read_only]: query:2:1: only one query is allowed" in refused.stderr
    assert _json(run("sql", *HERE, "--read-only", "-o", "json", "table t"))["rows"] == []


def test_sql_errors_have_the_details_of_postgresql(run, deployed: Path) -> None:
    failed = run("sql", *HERE, "-o", "json", "select * from nothing")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["error"]["sqlstate"] == "42P01"


@pytest.mark.parametrize("mode", [(), ("--read-only",)])
@pytest.mark.parametrize(
    ("query", "line", "column"),
    [
        ("select id\nfrom nothing", 2, 6),
        ("select 'é', odd(id) from t", 1, 13),
        ("  select id::nokind from t", 1, 14),
        ("select\n  1 / 0", None, None),
    ],
)
def test_sql_errors_have_a_location(run, deployed: Path, mode, query: str, line, column) -> None:
    (deployed / "q.sql").write_text(query)
    failed = run("sql", *HERE, *mode, "-f", "q.sql")
    error = json.loads(run("sql", *HERE, *mode, "-f", "q.sql", "-o", "json").stdout)["error"]
    assert error["code"] == "sql_failed"
    if line:
        assert error["location"] == {"file": "q.sql", "line": line, "column": column}
        assert f"error[sql_failed]: q.sql:{line}:{column}: " in failed.stderr
        assert f"    {line} | {query.splitlines()[line - 1]}\n" in failed.stderr
        assert f"      | {' ' * (column - 1)}^\n" in failed.stderr


def test_sql_shows_what_postgresql_reports(run, deployed: Path) -> None:
    query = "do $$ begin raise notice 'one'; raise warning 'two' using hint = 'do'; end $$; select 1 as a"
    ended = run("sql", *HERE, "--csv", query)
    assert (ended.stdout, ended.stderr) == ("a\n1\n", "NOTICE: one\nWARNING: two\n  hint: do\n")
    notices = _json(run("sql", *HERE, "-o", "json", query))["notices"]
    assert [(one["severity"], one["message"], one["hint"]) for one in notices] == [
        ("NOTICE", "one", None),
        ("WARNING", "two", "do"),
    ]


def test_sql_errors_in_a_body_have_its_line(run, deployed: Path) -> None:
    body = "do $$\nbegin\n  perform 1;\n  insert into nothing\n    values (1);\nend $$;"
    (deployed / "q.sql").write_text(body)
    failed = run("sql", *HERE, "-f", "q.sql")
    assert "error[sql_failed]: q.sql:4:15: " in failed.stderr
    assert "  in: PL/pgSQL function inline_code_block line 4 at SQL statement\n" in failed.stderr
    error = json.loads(run("sql", *HERE, "-f", "q.sql", "-o", "json").stdout)["error"]
    assert error["calls"] == ["PL/pgSQL function inline_code_block line 4 at SQL statement"]


def test_sql_refuses_a_transaction_that_is_not_ended(run, deployed: Path) -> None:
    failed = run("sql", *HERE, "begin;\ncreate table z (i int)")
    assert failed.returncode == 1
    assert "error[sql_invalid]: query:1:1: this transaction is never committed" in failed.stderr
    assert _json(run("sql", *HERE, "-o", "json", "select to_regclass('z') as z"))["rows"] == [{"z": None}]
    assert run("sql", *HERE, "begin; create table z (i int); commit").returncode == 0


def test_sql_says_that_session_state_does_not_last(run, deployed: Path) -> None:
    ended = run("sql", *HERE, "set work_mem = '64MB'")
    assert (ended.returncode, "note: this has no lasting effect" in ended.stderr) == (0, True)


def test_sql_syntax_errors_have_a_location(run, deployed: Path) -> None:
    failed = run("sql", *HERE, "select 1;\nselec 2")
    assert "error[sql_failed]: query:2:1: " in failed.stderr


def test_the_suggested_inbox_command_shows_the_link(run, deployed: Path) -> None:
    sent = run("auth", "send-link", "ann@example.org", *HERE, "--redirect", "/index.html")
    assert sent.returncode == 0
    assert sent.stdout == (
        "Magic link sent to the local inbox: mosaic-deploy local inbox --to ann@example.org\n"
    )


def test_inbox_shows_the_newest_emails(run, deployed: Path) -> None:
    def send(address: str) -> dict:
        asked = run("auth", "send-link", address, *HERE, "--redirect", "/index.html", "-o", "json")
        return json.loads(asked.stdout)

    [way] = send("first@example.org")["next_actions"]
    assert way["command"] == "mosaic-deploy local inbox --to first@example.org"
    send("second@example.org")
    newest = json.loads(run("local", "inbox", "--limit", "1", "-o", "json").stdout)
    assert newest["type"] == "inbox"
    assert [mail["to"] for mail in newest["emails"]] == ["second@example.org"]
    [mail] = json.loads(run(*way["command"].split()[1:], "-o", "json").stdout)["emails"]
    assert mail["to"] == "first@example.org"
    assert mail["subject"]
    assert mail["created_at"]
    [first, link] = run("local", "inbox", "--to", "First@example.org").stdout.splitlines()
    time, _, rest = first.partition("  ")
    assert re.fullmatch(r"just now|\d+ seconds? ago", time)
    assert rest == f"to first@example.org: {mail['subject']}"
    assert link == f"  {mail['link']}"
    lines = run("local", "inbox", "--to", "nobody@example.org", "-o", "ndjson").stdout.splitlines()
    assert json.loads(lines[-1]) == {"type": "inbox", "emails": []}
    assert run("local", "inbox", "--to", "nobody@example.org").stdout == "No emails.\n"


@pytest.mark.parametrize("mode", [[], ["--read-only"]])
def test_a_query_has_no_file_location(run, deployed: Path, mode: list[str]) -> None:
    error = json.loads(run("sql", *HERE, *mode, "selec 2", "-o", "json").stdout)["error"]
    assert error["location"] is None
    assert error["message"].startswith("query:1:1: ")


def test_a_rejected_key_suggests_where_to_get_one(run, platform, folder: Path) -> None:
    refused = run("login", env={"MOSAIC_API_URL": platform.url}, input="mk_wrong\n")
    assert refused.returncode == 1
    assert "error[unauthorized]" in refused.stderr
    assert "`mosaic-deploy local key` prints the embedded platform's key" in refused.stderr


def test_credentials_are_masked_without_reveal(run, deployed: Path) -> None:
    revealed = _json(run("credentials", *HERE, "--reveal", "-o", "json"))
    assert revealed["password"] in revealed["database_url"]
    for masked in (run("credentials", *HERE), run("credentials", *HERE, "-o", "json")):
        assert masked.returncode == 0
        assert revealed["user"] in masked.stdout
        assert revealed["password"] not in masked.stdout


def test_projects_are_listed_and_created(run, folder: Path) -> None:
    made = _json(run("projects", "create", f"made {folder}", *HERE, "-o", "json"))
    assert made["status"] == "running"
    listed = run("projects", "list", *HERE)
    assert any(line.startswith(made["id"]) for line in listed.stdout.splitlines())


def test_a_project_with_a_taken_name_is_not_created(run, folder: Path) -> None:
    name = f"it's made twice {folder}"
    made = _json(run("projects", "create", name, *HERE, "-o", "json"))
    again = run("projects", "create", name, *HERE, "-o", "json")
    assert again.returncode == 1
    error = json.loads(again.stdout)["error"]
    assert (error["code"], error["mutation_state"]) == ("project_exists", "none")
    assert made["id"] in error["message"]
    commands = [action["command"] for action in error["next_actions"]]
    assert commands == [f"mosaic-deploy apply --project {made['id']} --local -o json"]
    shown = run("projects", "create", name, *HERE).stderr
    assert "plan" not in shown
    assert name in [each["name"] for each in _json(run("projects", "list", *HERE, "-o", "json"))["projects"]]


def test_a_missing_project_is_reported(run, folder: Path) -> None:
    missing = run("storage", "ls", *HERE)
    assert missing.returncode == 1
    assert "error[project_not_found]" in missing.stderr
    assert "mosaic-deploy apply --local" in missing.stderr


def test_storage_is_listed_with_its_usage(run, folder: Path) -> None:
    (folder / "assets").mkdir()
    (folder / "assets/a b.txt").write_text("12345")
    (folder / "assets/c.txt").write_text("1")
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("storage:\n  dir: assets\n")
    assert run("apply", "--local", "--yes").returncode == 0
    listed = _json(run("storage", "ls", "a", *HERE, "-o", "json"))
    assert [(file["filename"], file["size"]) for file in listed["files"]] == [("a b.txt", 5)]
    assert listed["usage"]["limit"] == "20 GB"
    assert "used: 6 B of 20 GB" in run("storage", "ls", *HERE).stdout


def test_a_magic_link_is_sent(run, deployed: Path) -> None:
    nowhere = run("auth", "send-link", "ann@example.com", *HERE)
    assert nowhere.returncode == 2
    assert "error[usage]" in nowhere.stderr
    assert "auth.magic_link.redirect_url" in nowhere.stderr
    sent = run("auth", "send-link", "ann@example.com", "--redirect", "/index.html", *HERE)
    assert sent.returncode == 0, sent.stderr


def test_history_shows_who_deployed_what(run, deployed: Path) -> None:
    (deployed / "public/index.html").write_text("<h1>again")
    assert run("apply", "--local", "--yes").returncode == 0
    newest, first = _json(run("history", *HERE, "-o", "json"))["deploys"]
    assert newest["done"] == ["static:index.html"]
    assert first["status"] == "done"
    assert "1 static file" in run("history", *HERE, "--limit", "1").stdout


def test_history_without_deploys(run, folder: Path) -> None:
    name = (folder / "mosaic.yaml").read_text().split("name: ")[1].splitlines()[0]
    assert run("projects", "create", name, *HERE).returncode == 0
    assert run("history", *HERE).stdout == "no deploys yet\n"


def test_a_ticket_is_shown_before_it_is_sent(run, folder: Path) -> None:
    unasked = run("ticket", "--subject", "Slow", *HERE, input="very slow")
    assert unasked.returncode == 1
    assert "Subject: Slow" in unasked.stderr
    assert "error[confirmation_required]" in unasked.stderr
    sent = run("ticket", "--subject", "Slow", "--message", "very", "--yes", *HERE)
    assert sent.returncode == 0
    assert sent.stdout.endswith(": open\n")


def test_open_prints_the_url(run, deployed: Path) -> None:
    assert run("open", "--print", *HERE).stdout.startswith("http://")


def test_open_starts_no_browser_without_a_terminal(
    run, environment: dict[str, str], deployed: Path, tmp_path: Path
) -> None:
    """Without a terminal, and in a terminal without a screen."""
    started = tmp_path / "started"
    browser = tmp_path / "xdg-open"
    browser.write_text(f"#!/bin/sh\necho \"$1\" >> '{started}'\necho noise >&2\n")
    browser.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}
    for words, more in (([], {"DISPLAY": ":0"}), (["-o", "json"], {"DISPLAY": ":0"})):
        ended = run("open", *words, *HERE, env={**env, **more})
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "http://" in ended.stdout
    assert _opened_on_a_terminal(deployed, {**environment, **env}).startswith("http://")
    assert not started.exists()
    shown = _opened_on_a_terminal(deployed, {**environment, **env, "DISPLAY": ":0"})
    assert started.read_text() == shown.splitlines()[0] + "\n"


def _opened_on_a_terminal(folder: Path, env: dict[str, str]) -> str:
    """The output of `open` in a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mosaic_deploy", "open", *HERE]
    try:
        subprocess.run(
            command, cwd=folder, env=env, stdout=theirs, stderr=subprocess.PIPE, check=True, timeout=100
        )
        return os.read(ours, 10_000).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(theirs)


def test_login_checks_saves_and_uses_the_key(run, platform, folder: Path, tmp_path: Path) -> None:
    env = {"MOSAIC_API_URL": platform.url, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    refused = run("login", env=env, input="mk_wrong\n")
    assert refused.returncode == 1
    assert not (tmp_path / "config").exists()
    kept = run("login", env=env, input=f"{platform.api_key}\n")
    assert kept.returncode == 0
    assert platform.api_key not in kept.stdout + kept.stderr
    file = tmp_path / "config/mosaic-deploy/keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("projects", "list", env=env).returncode == 0
    assert run("logout", env=env).stdout == f"Logged out. API key for {platform.url} deleted\n"
    assert run("projects", "list", env=env).returncode == 1


def test_a_damaged_key_file_is_named(run, platform, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "config/mosaic-deploy/keys.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    env = {"MOSAIC_API_URL": platform.url, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    failed = run("projects", "list", env=env)
    assert failed.returncode == 1
    assert f"can't read {file}: not valid JSON" in failed.stderr


def test_doctor_is_ok_after_a_deploy(run, deployed: Path) -> None:
    found = run("doctor", *HERE, "-o", "json")
    assert found.returncode == 0
    assert {each["status"] for each in json.loads(found.stdout)["findings"]} == {"ok"}


def test_doctor_shows_what_stops_a_deploy(run, folder: Path, tmp_path: Path) -> None:
    (folder / "mosaic.yaml").write_text("version: 2\n")
    (folder / ".env").write_text("MOSAIC_API_KEY=mk_x\n")
    (folder / ".env").chmod(0o644)
    env = {"MOSAIC_API_URL": "http://127.0.0.1:9", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    found = run("doctor", "-o", "json", env=env)
    assert found.returncode == 1
    verdicts = {each["subject"]: each["status"] for each in json.loads(found.stdout)["findings"]}
    assert verdicts["manifest"] == "fail"
    assert verdicts[".env"] == "warn"
    assert verdicts["API"] == "fail"
    cures = {each["subject"]: each["fix"] for each in json.loads(found.stdout)["findings"]}
    assert cures["API"].endswith("mosaic-deploy doctor --local")
    assert "mk_x" not in found.stdout


def test_doctor_suggests_init_without_a_manifest(run, tmp_path: Path) -> None:
    (tmp_path / "an app").mkdir()
    found = json.loads(run("doctor", "--in", "an app", "-o", "json").stdout)["findings"]
    cures = {each["subject"]: each["fix"] for each in found}
    assert cures["manifest"] == "mosaic-deploy init 'an app'"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_the_program(run, shell: str) -> None:
    assert "_MOSAIC_DEPLOY_COMPLETE" in run("completion", shell).stdout


def test_completion_completes(run) -> None:
    env = {"_MOSAIC_DEPLOY_COMPLETE": "bash_complete", "COMP_WORDS": "mosaic-deploy mig", "COMP_CWORD": "1"}
    assert run(env=env).stdout == "plain,migrate\n"


def test_explain(run) -> None:
    assert "\nFix. " in run("explain", "lock_held").stdout
    assert "**Fix.**" in _json(run("explain", "lock_held", "-o", "json"))["text"]
    listed = _json(run("explain", "-o", "json"))["codes"]
    assert {"lock_held", "drop_table"} <= {each["code"] for each in listed}
    unknown = run("explain", "lock_hold")
    assert unknown.returncode == 2
    assert "did you mean lock_held?" in unknown.stderr


@pytest.mark.parametrize(
    "words",
    [["storage", "ls", "a"], ["auth", "send-link", "a@b.c"], ["sql", "select 1"]],
)
def test_a_path_argument_suggests_the_in_option(run, words: list[str]) -> None:
    refused = run(*words, "my site")
    assert refused.returncode == 2
    assert "Unexpected argument 'my site'. Did you mean --in 'my site'?" in refused.stderr


def test_psql_meta_commands_are_refused(run, folder: Path) -> None:
    refused = run("sql", "\\d t", *HERE)
    assert refused.returncode == 1
    assert "error[sql_invalid]: query:1:1: \\d is a psql meta-command, not SQL" in refused.stderr
    assert "mosaic-deploy credentials --reveal" in refused.stderr


@pytest.mark.parametrize(
    ("percent", "shown"), [(12.5, "12.5 %"), (100.0, "100.0 %"), (30005.0, "over the limit"), ("?", "? %")]
)
def test_usage_over_the_limit_is_shown(percent: object, shown: str) -> None:
    assert _usage_line({"used": "a", "limit": "b", "percent": percent}) == f"used: a of b ({shown})"

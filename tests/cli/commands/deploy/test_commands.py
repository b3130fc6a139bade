"""The basic commands as processes: output, streams and exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonschema
import pytest


def test_version(run):
    ended = run("--version")
    assert re.fullmatch(r"mosaic-deploy \d+\.\d+\.\d+\n", ended.stdout)
    assert run("-h").stdout.startswith("Usage: mosaic-deploy")


def test_schema_is_a_schema(run):
    schema = json.loads(run("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)


def test_validate_needs_neither_key_nor_network(run, folder):
    ended = run("validate", env={"MOSAIC_API_URL": "http://127.0.0.1:9"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "mosaic.yaml is valid: 1 migration, 1 static file, 0 storage files.\n"


def test_validate_takes_a_folder_or_a_manifest(run, folder):
    assert run("validate", str(folder)).returncode == 0
    assert run("validate", str(folder / "mosaic.yaml"), cwd="/").returncode == 0


def test_errors_show_the_line_and_a_caret(run, folder):
    (folder / "mosaic.yaml").write_text("version: 1\nstatic:\n  dri: public\nverify: 3\n")
    ended = run("validate")
    assert ended.returncode == 1
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    at = lines.index('mosaic.yaml:3:3 static.dri: unknown field; did you mean "dir"?')
    assert lines[at + 1 : at + 3] == ["    3 |   dri: public", "      |   ^"]
    assert any(line.startswith("mosaic.yaml:4:9 verify:") for line in lines)


def test_a_syntax_error_in_sql_is_found_offline(run, folder):
    (folder / "sql/2_bad.sql").write_text("select 1;\nselct 2;\n")
    ended = run("validate")
    assert ended.returncode == 1
    assert "sql/2_bad.sql:2:1" in ended.stderr
    assert "    2 | selct 2;" in ended.stderr


def test_without_a_key_login_and_local_are_explained(run, folder):
    ended = run("plan")
    assert ended.returncode == 1
    assert "MOSAIC_API_KEY" in ended.stderr
    assert "mosaic-deploy plan --local" in ended.stderr


def test_a_wrong_key_is_explained(run, folder, platform):
    ended = run("plan", env={"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": "mk_wrong"})
    assert ended.returncode == 1
    assert "error[unauthorized]" in ended.stderr
    assert "`mosaic-deploy local key` shows the current one" in ended.stderr
    assert "with the current key or set MOSAIC_API_KEY" in ended.stderr
    # The platform has said what there is to say of rotation.
    assert "30 days" not in ended.stderr
    assert "mk_wrong" not in ended.stderr


def test_the_key_is_not_sent_over_plain_http(run, folder):
    ended = run("plan", env={"MOSAIC_API_URL": "http://mosaic.example", "MOSAIC_API_KEY": "mk_secret"})
    assert ended.returncode == 1
    assert "https" in ended.stderr
    assert "mk_secret" not in ended.stderr


def test_an_unreachable_api_is_explained(run, folder):
    ended = run("plan", env={"MOSAIC_API_URL": "http://127.0.0.1:9", "MOSAIC_API_KEY": "mk_x"})
    assert ended.returncode == 1
    assert "error[unreachable]" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_environment_overrides_the_env_file(run, folder, platform):
    (folder / ".env").write_text(f"MOSAIC_API_URL={platform.url}\nMOSAIC_API_KEY={platform.api_key}\n")
    assert run("plan").returncode == 0
    assert run("plan", env={"MOSAIC_API_KEY": "mk_wrong"}).returncode == 1


def test_plan_apply_and_apply_again(run, folder):
    planned = run("plan", "--local", "--detailed-exitcode")
    assert planned.returncode == 2
    assert planned.stdout.splitlines()[-1] == "Plan: 3 to add, 0 to change, 0 to destroy."
    applied = run("apply", "--local", "--yes")
    assert applied.returncode == 0, applied.stderr
    assert re.search(
        r"^Applied in [\d.]+ m?s: 3 added, 0 changed, 0 destroyed\.", applied.stdout, re.MULTILINE
    )
    assert re.search(r"^http://[a-z0-9-]+\.localhost:\d+$", applied.stdout, re.MULTILINE)
    assert "id:" not in applied.stdout, "the ID of a local project isn't worth keeping"
    again = run("apply", "--local", "--yes")
    assert again.stdout.startswith("No changes.")
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0


def test_a_dry_run_changes_nothing(run, folder):
    assert run("apply", "--local", "--dry-run").returncode == 0
    assert run("plan", "--local", "--detailed-exitcode").returncode == 2


def test_apply_needs_confirmation_and_ignores_a_piped_y(run, folder):
    ended = run("apply", "--local", input="y\n")
    assert ended.returncode == 1
    assert "error[confirmation_required]" in ended.stderr
    assert "mosaic-deploy apply --local --yes" in ended.stderr
    assert run("plan", "--local", "--detailed-exitcode").returncode == 2


@pytest.mark.parametrize(("answer", "code"), [("\n", 1), ("n\n", 1), ("y\n", 0)])
def test_apply_asks_and_the_default_is_no(folder, environment, answer, code):
    assert _on_a_terminal(["apply", "--local"], folder, environment, answer)[0] == code


def test_progress_is_shown_on_a_terminal(folder, environment):
    code, seen = _on_a_terminal(["apply", "--local", "--yes"], folder, environment, "")
    assert code == 0
    assert "3/3" in seen


def test_json_is_one_document(run, folder):
    planned = json.loads(run("plan", "--local", "--output", "json").stdout)
    assert planned["summary"] == {"add": 3, "change": 0, "destroy": 0}
    assert [change["address"] for change in planned["changes"]][1:] == [
        "migration:1_t.sql",
        "static:index.html",
    ]
    applied = json.loads(run("apply", "--local", "--yes", "-o", "json").stdout)
    assert applied["error"] is None
    assert len(applied["done"]) == 3
    again = json.loads(run("apply", "--local", "--yes", "-o", "json").stdout)
    assert (again["type"], again["done"], again["plan"]["changes"]) == ("apply", [], [])


def test_json_is_one_document_on_failure_too(run, folder):
    (folder / "sql/2_bad.sql").write_text("select nowhere();")
    ended = run("apply", "--local", "--yes", "-o", "json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert document["error"]["code"] == "migration_failed"
    assert document["error"]["sqlstate"] == "42883"
    assert document["error"]["location"] == {"file": "sql/2_bad.sql", "line": 1, "column": 8}
    assert "migration:1_t.sql" in document["done"]
    assert document["failed"] == "migration:2_bad.sql"
    assert document["remaining"] == ["static:index.html"]
    assert document["error"]["next_actions"][0]["command"].endswith("apply --local --yes -o json")
    missing = json.loads(run("plan", "nowhere", "--output", "json").stdout)
    assert missing["error"]["code"] == "manifest_missing"


def test_ndjson_begins_with_a_version_line(run, folder):
    lines = [
        json.loads(line) for line in run("apply", "--local", "--yes", "-o", "ndjson").stdout.splitlines()
    ]
    assert lines[0]["type"] == "version"
    assert [line["type"] for line in lines[1:3]] == ["plan", "apply_started"]
    assert lines[-1]["type"] == "apply_done"
    assert sum(line["type"] == "change_done" for line in lines) == 3


def test_status_shows_what_is_live(run, folder):
    assert "not created yet" in run("status", "--local").stdout
    run("apply", "--local", "--yes")
    text = run("status", "--local").stdout
    assert "1 applied, newest 1_t.sql" in text
    assert "No changes." in text
    document = json.loads(run("status", "--local", "-o", "json").stdout)
    assert document["last_deploy"]["status"] == "done"
    assert document["static"] == {"files": 1, "bytes": 9, "not_live": 0}


def test_environments_are_selected_by_flag_and_variable(run, folder):
    with (folder / "mosaic.yaml").open("a") as file:
        file.write("environments:\n  staging:\n    static: null\n")
    chosen = json.loads(run("plan", "--local", "--env", "staging", "-o", "json").stdout)
    assert (chosen["environment"], len(chosen["changes"])) == ("staging", 2)
    by_variable = run("plan", "--local", "-o", "json", env={"MOSAIC_ENV": "staging"})
    assert json.loads(by_variable.stdout)["environment"] == "staging"
    assert "did you mean" in run("plan", "--local", "--env", "stagin").stderr


def test_the_key_appears_nowhere(run, folder, platform):
    env = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key, "MOSAIC_DEBUG": "1"}
    for arguments in (
        ["plan"],
        ["apply", "--yes"],
        ["status"],
        ["apply", "--yes", "-o", "ndjson"],
        ["status", "-o", "json"],
    ):
        ended = run(*arguments, env=env)
        assert ended.returncode == 0, ended.stderr
        assert platform.api_key not in ended.stdout + ended.stderr


def test_usage_errors_exit_with_two(run):
    assert run("plan", "--no-such-option").returncode == 2
    assert run("no-such-command").returncode == 2


def test_a_closed_pipe_is_not_an_error(folder, environment):
    command = f"{sys.executable} -m mosaic_deploy schema | head -1"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""


def test_ctrl_c_releases_the_lock_and_exits_130(folder, environment, platform):
    """Interrupted while a migration runs; the next run doesn't wait for the lock."""
    (folder / "sql/2_slow.sql").write_text("select pg_sleep(3);")
    command = [sys.executable, "-m", "mosaic_deploy", "apply", "--local", "--yes", "-o", "ndjson"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if '"change_started"' in line and '"migration"' in line:
            process.send_signal(signal.SIGINT)
            break
    rest, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    last = json.loads(rest.splitlines()[-1])
    assert (last["type"], last["error"]["code"]) == ("apply_failed", "interrupted")
    assert last["error"]["mutation_state"] == "unknown"
    assert "Traceback" not in stderr
    again = subprocess.run(
        [*command, "--lock-timeout", "0"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stdout


def test_a_response_that_is_not_from_the_api_is_explained(run, folder):
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>a captive portal</html>")

        do_POST = do_GET  # noqa: N815 - the name the base class looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        ended = run("plan", env={"MOSAIC_API_URL": url, "MOSAIC_API_KEY": "mk_x"})
    finally:
        server.shutdown()
        server.server_close()
    assert ended.returncode == 1
    assert "error[response_invalid]" in ended.stderr
    assert "MOSAIC_API_URL" in ended.stderr


def _on_a_terminal(arguments, folder, environment, answer):
    """Runs with a pseudo-terminal as stdin and stderr. Returns the exit code and the output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mosaic_deploy", *arguments],
        cwd=folder, env={**environment, "TERM": "xterm"}, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while process.poll() is None or select.select([ours], [], [], 0.1)[0]:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    seen += os.read(ours, 4096)
                except OSError:
                    break
                if b"[y/N]" in seen and answer:
                    os.write(ours, answer.encode())
                    answer = ""
        process.communicate(timeout=30)
    finally:
        os.close(ours)
    return process.returncode, seen.decode()


def test_an_empty_environment_option_is_refused(run, folder):
    ended = run("plan", "--local", "--env", "")
    assert ended.returncode == 2
    assert "is empty" in ended.stderr


def test_only_local_key_prints_the_key(run, folder, platform):
    assert run("local", "key").stdout == f"{platform.api_key}\n"
    assert json.loads(run("local", "key", "-o", "json").stdout)["api_key"] == platform.api_key
    for command in (["local", "start"], ["local", "status"], ["local", "status", "-o", "json"]):
        ended = run(*command)
        assert ended.returncode == 0
        assert platform.api_key not in ended.stdout + ended.stderr


def test_local_uses_a_rotated_key(run, folder, tmp_path):
    """On a separate platform, so that the other tests' key stays valid."""
    home = {"MOSAIC_HOME": str(tmp_path / "home")}
    missing = run("local", "key", env=home)
    assert missing.returncode == 1
    assert "mosaic-deploy local start" in missing.stderr
    try:
        assert run("apply", "--local", "--yes", env=home).returncode == 0
        old, url = run("local", "key", env=home).stdout.strip(), _url(run, home)
        new = run("local", "key", "rotate", env=home).stdout.strip()
        assert new != old
        assert run("local", "key", env=home).stdout.strip() == new
        assert run("plan", "--local", "--detailed-exitcode", env=home).returncode == 0
        for key in (old, new):
            given = {**home, "MOSAIC_API_URL": url, "MOSAIC_API_KEY": key}
            assert run("plan", "--detailed-exitcode", env=given).returncode == 0
    finally:
        assert run("local", "reset", "--yes", env=home).returncode == 0


def _url(run, environment) -> str:
    status: dict[str, str] = json.loads(run("local", "status", "-o", "json", env=environment).stdout)
    return status["url"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", [["plan"], ["apply", "--yes"], ["projects", "list"]], ids=" ".join)
def test_a_signal_before_the_apply_is_reported(folder, environment, command, number) -> None:
    """An API that accepts a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        account = {
            "MOSAIC_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "MOSAIC_API_KEY": "mk_mine",
        }
        words = [sys.executable, "-m", "mosaic_deploy", *command, "-o", "json"]
        with subprocess.Popen(
            words, cwd=folder, env={**environment, **account}, stdout=subprocess.PIPE, text=True
        ) as process:
            silent.settimeout(60)
            connection, _ = silent.accept()
            process.send_signal(number)
            out, _ = process.communicate(timeout=60)
            connection.close()
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"


def test_the_failure_of_a_migration_is_an_event_with_whole_commands(run, folder) -> None:
    (folder / "sql/2_bad.sql").write_text("select 1/0;")
    documents = [
        json.loads(line) for line in run("apply", "--local", "--yes", "-o", "ndjson").stdout.splitlines()
    ]
    [failed] = [each for each in documents if each["type"] == "change_failed"]
    assert failed["change"]["address"] == "migration:2_bad.sql"
    assert failed["error"] == documents[-1]["error"]
    assert failed["error"]["next_actions"][0]["command"] == "mosaic-deploy apply --local --yes -o ndjson"
    shown = run("apply", "--local", "--yes").stderr
    assert shown.count("division by zero") == 1

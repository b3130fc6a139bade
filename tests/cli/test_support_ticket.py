"""Support tickets: suggested after a platform failure, without secrets, and only sent on request."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from mosaic_deploy import errors
from mosaic_deploy.cli.next_commands import Scope
from mosaic_deploy.cli.support_ticket import attempted_command, offer_ticket
from mosaic_deploy.deploy.applying.transfers import TransferFailures
from mosaic_deploy.model.change import Action, PutStatic
from mosaic_deploy.model.command_line import program_words
from mosaic_deploy.model.event import ChangeFailed
from tests.failing_platform import SECRETS, failing_platform


def _ticket(error: dict) -> list[str]:
    [command] = [
        each["command"]
        for each in error["next_actions"]
        if (each["command"] or "").startswith("mosaic-deploy ticket")
    ]
    return program_words(command)[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        ["projects", "list"],
        ["plan", "--project", "todo-1"],
        ["sql", "--project", "todo-1", "select 'hunter2'"],
    ],
)
def test_a_platform_failure_suggests_a_ticket_that_can_be_sent(run, folder: Path, arguments) -> None:
    with failing_platform(503) as platform:
        env = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": "mk_mine"}
        text = run(*arguments, env=env)
        assert text.returncode == 1
        assert (
            "your decision: report this to support (shown before it is sent):  mosaic-deploy ticket"
            in text.stderr
        )
        error = json.loads(run(*arguments, "-o", "json", env=env).stdout)["error"]
        assert error["code"] == "server_failed"
        words = _ticket(error)
        assert platform.tickets == [], "suggesting sends nothing"
        unattended = run(*words, env=env)
        assert unattended.returncode == 1
        assert platform.tickets == []
        assert words[words.index("--message") + 1] in unattended.stderr, "it is shown first"
        assert run(*words, "--yes", env=env).returncode == 0
        [sent] = platform.tickets
    for told in (
        "server_failed",
        "HTTP 503",
        "Request: req-1f2e.",
        "Versions: mosaic-deploy ",
        "Tried: mosaic-deploy ",
    ):
        assert told in sent["message"]
    assert sent.get("project_id") == (None if arguments[0] == "projects" else "todo-1")
    for secret in (*SECRETS, "mk_mine", "INSERT", "select '"):
        assert secret not in json.dumps(sent)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429])
def test_a_refusal_suggests_no_ticket(run, folder: Path, status: int) -> None:
    with failing_platform(status) as platform:
        env = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": "mk_mine"}
        ended = run("projects", "create", "x", "-o", "json", env=env)
        assert "mosaic-deploy ticket" not in ended.stdout
        assert json.loads(ended.stdout)["error"]["status"] == status


def test_user_errors_suggest_no_ticket(run, folder: Path) -> None:
    (folder / "sql/2_bad.sql").write_text("select nothing();")
    for arguments in (
        ["plan", "nowhere"],
        ["apply", "--local", "--yes"],
        ["plan"],
        ["sql", "--local", "selec"],
    ):
        ended = run(*arguments, "-o", "json")
        assert ended.returncode == 1
        assert "mosaic-deploy ticket" not in ended.stdout


def test_a_failed_ticket_suggests_no_ticket(run, folder: Path) -> None:
    failed = errors.ServerFailed("no", status=500)
    offer_ticket(failed, attempted_command(["ticket", "--subject", "x"]), Scope())
    assert failed.next_actions == ()


@pytest.mark.parametrize(
    ("error", "offered"),
    [
        (errors.ServerFailed("list projects: no (HTTP 503)", status=503, operation="list projects"), True),
        (errors.ResponseLost("no answer from api.mosaic.site to POST: timed out"), True),
        (errors.ProjectNotReady("still provisioning"), True),
        (errors.MigrationFailed("could not read block 7", sqlstate="58030"), True),
        (errors.SqlFailed("cache lookup failed", sqlstate="XX000"), True),
        (errors.SqlFailed("terminating connection", sqlstate="57P01"), True),
        (errors.SqlFailed("duplicate key", sqlstate="23505"), False),
        (errors.MigrationFailed("canceling statement", sqlstate="57014"), False),
        (errors.MigrationFailed("deadlock", sqlstate="40P01"), False),
        (errors.Unreachable("no connection to api.mosaic.site"), False),
        (errors.TransfersFailed("2 files failed"), False),
        (errors.RateLimited("slow down", status=429), False),
        (errors.PlatformFailed("no PostgreSQL here"), False),
    ],
    ids=lambda value: getattr(value, "code", value),
)
def test_which_errors_suggest_a_ticket(error: errors.MosaicError, offered: bool) -> None:
    for _ in range(2):
        offer_ticket(error, "mosaic-deploy apply", Scope(local=True, path="an app", project_id="a-1"))
    assert len(error.next_actions) == offered
    if offered:
        command = error.next_actions[0].command
        assert command
        words = program_words(command)
        assert words[-4:] == ["--local", "--project", "a-1", "an app"]
        assert (
            "no answer" in command
            or "provisioning" in command
            or "SQLSTATE" in command
            or "HTTP 503" in command
        )


@pytest.mark.parametrize(
    ("other", "offered"), [(errors.ResponseLost("no answer"), True), (errors.Forbidden("no"), False)]
)
def test_failed_files_suggest_one_ticket(other: errors.MosaicError, offered: bool) -> None:
    failures = TransferFailures()
    for number, error in enumerate((errors.ServerFailed("no", status=500, request_id="r 1"), other)):
        put = PutStatic(f"{number}.html", "0" * 64, 1, Action.ADD, "new")
        failures.record(ChangeFailed(put, error))
    failed = failures.error(0)
    assert isinstance(failed, errors.TransfersFailed)
    offer_ticket(failed, "mosaic-deploy apply", Scope())
    assert all("Failed files: 2." in (action.command or "") for action in failed.next_actions)
    assert len(failed.next_actions) == offered


def test_the_attempted_command_has_no_values() -> None:
    given = [
        "sql",
        "--local",
        "-f",
        "secret.sql",
        "--project=a",
        "--csv",
        "select 'x'",
        "-drop",
        "--",
        "--yes",
    ]
    assert attempted_command(given) == "mosaic-deploy sql --local -f --project --csv"
    assert (
        attempted_command(["migrate", "repair", "--forget", "3"]) == "mosaic-deploy migrate repair --forget"
    )
    assert attempted_command(["nothing", "hunter2"]) == "mosaic-deploy"


def test_a_terminal_gets_a_prompt_for_the_message(folder: Path, environment) -> None:
    with failing_platform() as platform:
        primary, secondary = pty.openpty()
        command = [sys.executable, "-m", "mosaic_deploy", "ticket", "--subject", "Slow", "--yes"]
        env = {**environment, "MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": "mk_mine"}
        with subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=secondary,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr
            assert "press Ctrl-D on an empty line" in process.stderr.readline()
            os.write(primary, b"since noon\n\x04")
            assert process.wait(60) == 0
        os.close(primary)
        os.close(secondary)
        assert platform.tickets == [{"subject": "Slow", "message": "since noon"}]


def test_a_piped_message_is_read_without_a_prompt(run, folder: Path) -> None:
    sent = run("ticket", "--subject", "Slow", "--message", "-", "--yes", "--local", input="since noon")
    assert sent.returncode == 0
    assert "Ctrl-D" not in sent.stderr

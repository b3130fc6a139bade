"""Commands that look into a project, as users run them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mosaic_deploy.cli.commands.storage.ls import _usage_line
from tests.cli.conftest import read_json

HERE = ("--local",)


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


def test_credentials_are_masked_without_reveal(run, deployed: Path) -> None:
    revealed = read_json(run("credentials", *HERE, "--reveal", "-o", "json"))
    assert revealed["password"] in revealed["database_url"]
    for masked in (run("credentials", *HERE), run("credentials", *HERE, "-o", "json")):
        assert masked.returncode == 0
        assert revealed["user"] in masked.stdout
        assert revealed["password"] not in masked.stdout


def test_storage_is_listed_with_its_usage(run, folder: Path) -> None:
    (folder / "assets").mkdir()
    (folder / "assets/a b.txt").write_text("12345")
    (folder / "assets/c.txt").write_text("1")
    with (folder / "mosaic.yaml").open("a") as manifest:
        manifest.write("storage:\n  dir: assets\n")
    assert run("apply", "--local", "--yes").returncode == 0
    listed = read_json(run("storage", "ls", "a", *HERE, "-o", "json"))
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


def test_a_refused_page_names_the_field(run, deployed: Path) -> None:
    manifest = deployed / "mosaic.yaml"
    manifest.write_text(manifest.read_text() + "auth: {magic_link: {redirect_url: /index.html}}\n")
    assert run("apply", "--local", "--yes").returncode == 0
    words = ("auth", "send-link", "ann@example.com", *HERE, "--redirect", "/nowhere")
    refused = run(*words).stderr
    assert "error[request_refused]" in refused
    assert "hint: add /nowhere to auth.magic_link.allowed_redirect_urls in the manifest" in refused
    text = manifest.read_text().replace("/index.html}", "/index.html, allowed_redirect_urls: [/nowhere]}")
    manifest.write_text(text)
    refused = run(*words).stderr
    assert "hint: the manifest allows /nowhere, but the live settings don't" in refused
    assert "deploy the manifest's settings:  mosaic-deploy apply --local" in refused


def test_history_shows_who_deployed_what(run, deployed: Path) -> None:
    (deployed / "public/index.html").write_text("<h1>again")
    assert run("apply", "--local", "--yes").returncode == 0
    newest, first = read_json(run("history", *HERE, "-o", "json"))["deploys"]
    assert newest["done"] == ["static:index.html"]
    assert first["status"] == "done"
    [migration] = first["sql"]
    assert (migration["address"], migration["step_count"]) == ("migration:1_t.sql", 1)
    assert "1 static file" in run("history", *HERE, "--limit", "1").stdout


def test_places_are_objects_in_every_document(run, deployed: Path) -> None:
    manifest = deployed / "mosaic.yaml"
    manifest.write_text(manifest.read_text() + "verify: {sql: [{query: SELECT 1, value: 2}]}\n")
    place = {"file": str(manifest), "line": 8, "column": 24}
    checked = json.loads(run("verify", *HERE, "-o", "json").stdout)
    (deployed / "sql/2_bad.sql").write_text("SELECT\n  1/0;")
    assert run("apply", *HERE, "--yes").returncode == 1
    report = json.loads(run("status", *HERE, "-o", "json").stdout)["last_deploy"]["report"]
    assert report["error"]["location"]["file"] == "sql/2_bad.sql"
    assert isinstance(report["error"]["location"]["line"], int)
    assert checked["checks"][0]["location"].keys() == place.keys()
    assert checked["checks"][0]["location"]["line"] == place["line"]


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


def test_explain(run) -> None:
    assert "\nFix. " in run("explain", "lock_held").stdout
    assert "**Fix.**" in read_json(run("explain", "lock_held", "-o", "json"))["text"]
    listed = read_json(run("explain", "-o", "json"))["codes"]
    assert {"lock_held", "drop_table"} <= {each["code"] for each in listed}
    unknown = run("explain", "lock_hold")
    assert unknown.returncode == 2
    assert "did you mean lock_held?" in unknown.stderr


@pytest.mark.parametrize(
    ("percent", "shown"), [(12.5, "12.5 %"), (100.0, "100.0 %"), (30005.0, "over the limit"), ("?", "? %")]
)
def test_usage_over_the_limit_is_shown(percent: object, shown: str) -> None:
    assert _usage_line({"used": "a", "limit": "b", "percent": percent}) == f"used: a of b ({shown})"

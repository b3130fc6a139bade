"""A key goes only to the address that belongs to it: a repository's `.env` can't choose where another key goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

KEY = "mk_of_the_environment_0123456789"
COMMANDS = [
    ("plan",),
    ("apply", "--yes"),
    ("status",),
    ("doctor",),
    ("history",),
    ("sql", "select 1"),
    ("projects", "list"),
    ("projects", "create", "x"),
    ("storage", "ls"),
    ("credentials",),
    ("migrate", "status"),
    ("verify",),
    ("auth", "send-link", "a@example.com"),
    ("ticket", "--subject", "x", "--message", "y", "--yes"),
    ("watch", "--yes"),
    ("ci", "apply"),
]


class Elsewhere:
    """A server that records the keys it is sent."""

    def __init__(self) -> None:
        keys: list[str | None] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.append(self.headers["X-API-Key"])
                self.send_error(401)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.keys = keys
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    found = Elsewhere()
    threading.Thread(target=found.server.serve_forever, daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_key_of_the_environment_stays_here(run, folder: Path, elsewhere: Elsewhere, command) -> None:
    (folder / ".env").write_text(f"MOSAIC_API_URL={elsewhere.url}\n")
    ended = run(*command, env={"MOSAIC_API_KEY": KEY, "MOSAIC_API_URL": ""})
    assert elsewhere.keys == []
    assert ended.returncode in (1, 2)
    assert "sent to an address that a file chooses" in ended.stdout + ended.stderr
    assert KEY not in ended.stdout + ended.stderr


def test_a_key_from_stdin_is_not_sent_to_an_address_of_a_file(run, folder, elsewhere: Elsewhere) -> None:
    (folder / ".env").write_text(f"MOSAIC_API_URL={elsewhere.url}\n")
    ended = run("login", input=f"{KEY}\n", env={"MOSAIC_API_URL": ""})
    assert "error[api_url_untrusted]" in ended.stderr
    assert elsewhere.keys == []


@pytest.mark.parametrize(
    ("dotenv", "environment", "sent"),
    [
        ("MOSAIC_API_URL={url}\nMOSAIC_API_KEY=mk_file\n", {}, "mk_file"),
        ("MOSAIC_API_KEY=mk_file\n", {"MOSAIC_API_URL": "{url}"}, "mk_file"),
        ("", {"MOSAIC_API_URL": "{url}", "MOSAIC_API_KEY": KEY}, KEY),
        ("MOSAIC_API_URL={url}\n", {"MOSAIC_API_URL": "{url}", "MOSAIC_API_KEY": KEY}, KEY),
    ],
)
def test_keys_that_belong_to_the_address_are_sent(
    run, folder, elsewhere: Elsewhere, dotenv, environment, sent
) -> None:
    (folder / ".env").write_text(dotenv.format(url=elsewhere.url))
    values = {name: value.format(url=elsewhere.url) for name, value in environment.items()}
    run("projects", "list", env={"MOSAIC_API_URL": "", "MOSAIC_API_KEY": "", **values})
    assert elsewhere.keys == [sent]


def test_a_key_of_dotenv_is_not_sent_to_another_address_than_its_own(
    run, folder, elsewhere: Elsewhere
) -> None:
    (folder / ".env").write_text("MOSAIC_API_URL=https://production.example\nMOSAIC_API_KEY=mk_file\n")
    ended = run("projects", "list", env={"MOSAIC_API_URL": elsewhere.url, "MOSAIC_API_KEY": ""})
    assert "error[api_url_untrusted]: MOSAIC_API_KEY of .env belongs to the address in .env" in ended.stderr
    assert elsewhere.keys == []
    assert "mk_file" not in ended.stderr


def test_a_saved_key_is_not_sent_to_another_path_of_its_host(
    run, folder, elsewhere: Elsewhere, tmp_path
) -> None:
    keys = tmp_path / "config/mosaic-deploy/keys.json"
    keys.parent.mkdir(parents=True)
    keys.write_text(json.dumps({f"{elsewhere.url}/Team": "mk_team"}))
    env = {"MOSAIC_API_KEY": "", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    ended = run("projects", "list", env={**env, "MOSAIC_API_URL": f"{elsewhere.url}/team"})
    assert "error[key_missing]" in ended.stderr
    assert elsewhere.keys == []
    run(
        "projects",
        "list",
        env={**env, "MOSAIC_API_URL": f"{elsewhere.url.upper().replace('HTTP', 'http')}/Team/"},
    )
    assert set(elsewhere.keys) == {"mk_team"}

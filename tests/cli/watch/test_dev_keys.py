"""`dev` in a terminal: the box of addresses, the keys, and the terminal as it was afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pseudo_terminal import Terminal

from mosaic_deploy.cli.watch.editor import editor_link
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.upload import delete_static_file

_BROWSERS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")


@pytest.fixture
def dev(environment: dict[str, str], folder: Path) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []
    env = {name: value for name, value in environment.items() if name not in _BROWSERS}

    def start(shell: str | None = None, **more: str) -> Terminal:
        terminal = Terminal({**env, "PYTHONIOENCODING": "utf-8", **more}, folder, "dev", shell=shell)
        started.append(terminal)
        return terminal

    yield start
    for one in started:
        one.close()


def wait_until(holds: Callable[[], bool], terminal: Terminal) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, terminal.shown
        time.sleep(0.01)


def test_the_box_and_the_keys(run, folder: Path, platform, dev) -> None:
    (folder / "sql/1_t.sql").write_text("create table t (id int);\ninsert into t values (1);")
    screen = dev()
    box = screen.until("╰")
    project = json.loads(run("status", "--local", "-o", "json").stdout)["project"]
    rows = [line for line in box.splitlines() if line.startswith("│")]
    assert [row.split()[1] for row in rows[:4]] == ["Site", "Dashboard", "Database", "Inbox"]
    assert project["url"] in rows[0]
    assert platform.url in rows[1]
    assert "postgresql://" in rows[2]
    assert "********" not in rows[2]
    assert len({len(row) for row in rows}) == 1
    assert screen.reads_keys()
    screen.type("h")
    screen.until("open the dashboard, signed in")
    screen.type("o")
    screen.until(f"Open in a browser: {project['url']}/\n")
    screen.type("d")
    screen.until("/open?token=")
    screen.type("i")
    screen.until("to " if "to " in run("local", "inbox").stdout else "No emails.")
    # A cursor key is no key of ours.
    screen.type("\x1b[Q")

    # A run compares with what is live, also without an edit.
    with Api(platform.url, ApiKey(platform.api_key)) as api:
        delete_static_file(api, project["id"], "index.html")
    screen.type("r")
    screen.until("public/index.html → live in")

    # An answer is typed as a line, and its letters are no keys.
    (folder / "sql/2_drop.sql").write_text("drop table t;")
    screen.until("Type y or n, and Enter:")
    assert not screen.reads_keys()
    screen.type("no q\n")
    screen.until("nothing of this was changed")
    wait_until(screen.reads_keys, screen)
    screen.type("q")
    screen.until("Stopped watching.")
    assert screen.end() == 0
    assert not screen.reads_keys()


def test_ctrl_z_gives_the_terminal_back(dev) -> None:
    screen = dev(shell='"$@"; echo stopped; read -r line; echo "read $line"; fg; echo "ended $?"')
    screen.until("h help")
    wait_until(screen.reads_keys, screen)
    screen.type("\x1a")
    screen.until("stopped")
    assert not screen.reads_keys()
    screen.type("a line\n")
    screen.until("read a line")
    wait_until(screen.reads_keys, screen)
    screen.type("h")
    screen.until("open the dashboard, signed in")
    screen.type("\x03")
    screen.until("ended 130")
    assert not screen.reads_keys()


def test_a_narrow_terminal_gets_lines(dev) -> None:
    screen = dev(COLUMNS="40")
    shown = screen.until("quit, h help")
    assert "Inbox" in shown
    assert "╭" not in shown
    screen.type("q")
    assert screen.end() == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"MOSAIC_EDITOR": "code"}, "vscode://file/a%20b/x.sql:3:7"),
        ({"EDITOR": "/usr/bin/code --wait"}, "vscode://file/a%20b/x.sql:3:7"),
        ({"MOSAIC_EDITOR": "none", "EDITOR": "code"}, None),
        ({"EDITOR": "vim"}, None),
        ({"EDITOR": "vim", "TERM_PROGRAM": "vscode"}, "vscode://file/a%20b/x.sql:3:7"),
        ({"EDITOR": "'"}, None),
        ({"VISUAL": "pycharm"}, "pycharm://open?file=/a%20b/x.sql&line=3"),
        ({"MOSAIC_EDITOR": "emacs://{path}?{line}"}, "emacs:///a%20b/x.sql?3"),
        ({"MOSAIC_EDITOR": "javascript://{path}"}, None),
        (
            {"MOSAIC_EDITOR": "code", "WSL_DISTRO_NAME": "Ubuntu"},
            "vscode://vscode-remote/wsl+Ubuntu/a%20b/x.sql:3:7",
        ),
    ],
)
def test_links_into_the_editor(environment: dict[str, str], expected: str | None) -> None:
    assert editor_link(Path("/a b/x.sql"), 3, 7, environment) == expected

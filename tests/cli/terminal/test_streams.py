"""Closed, full and unread streams, and arguments of any bytes, never cause a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "mosaic_deploy"]
GROUPS = ["migrate", "local", "projects", "ci", "storage", "auth", "platform"]


@pytest.fixture
def shell(tmp_path: Path, environment: dict[str, str]):
    """Runs `mosaic-deploy` in a shell with redirections."""

    def call(line: str, **more: str) -> subprocess.CompletedProcess[str]:
        script = 'm() { "$PYTHON" -m mosaic_deploy "$@"; }\n' + line
        whole = {**environment, "PYTHON": sys.executable, **more}
        return subprocess.run(
            ["bash", "-c", script],
            env=whole,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return call


def test_no_arguments_show_the_help(run):
    ended = run()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Usage: mosaic-deploy [OPTIONS] COMMAND")


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_alone_shows_its_help(run, group):
    ended = run(group)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"Usage: mosaic-deploy {group} ")


@pytest.mark.parametrize("before", [[], *([group] for group in GROUPS)])
@pytest.mark.parametrize("option", [["--output", "json"], ["-ojson"], ["--output=json"]])
def test_an_option_before_the_command_is_one_document(run, before, option):
    ended = run(*before, *option)
    assert ended.returncode == 2
    error = json.loads(ended.stdout)["error"]
    assert error["code"] == "usage"
    assert "Options come after the command." in error["message"]


@pytest.mark.parametrize("arguments", [["--output"], ["plan", "--output"], ["plan", "-o", ""], ["--verson"]])
def test_an_incomplete_option_is_a_usage_error(run, arguments):
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("line", ["m --help | true", "m schema | true", "m | true", "m 2>&1 | true"])
def test_a_closed_pipe_is_not_reported(shell, line):
    stderr = shell(line).stderr
    assert stderr == "" or stderr.startswith("Usage:")
    assert "BrokenPipe" not in stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("command", ["--version", "schema", "validate nowhere -o json", "explain lock_held"])
def test_a_full_disk_is_reported(shell, command):
    ended = shell(f"m {command} > /dev/full")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "defect" not in ended.stderr
    if command != "--version":
        assert "error: can't write to stdout: No space left on device" in ended.stderr


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("m schema >&-", 0),
        ("m validate nowhere -o json >&-", 1),
        ("m validate nowhere 2>&-", 1),
        ("m plan --nope 2>&-", 2),
        ("m >&- 2>&- <&-", 2),
        ("m login <&-", 1),
    ],
)
def test_closed_streams_are_ignored(shell, line, code):
    ended = shell(line)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    assert "defect" not in ended.stderr


def test_output_to_a_closed_stdout_goes_into_no_file(shell, folder):
    """Otherwise the next opened file would get the number of stdout, and the output."""
    assert shell("m init made >&- 2>&-").returncode == 0
    assert (folder / "made/mosaic.yaml").read_text().startswith("# yaml-language-server")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("command", ["validate", "plan --local", "migrate lint", "init --name x"])
def test_undecodable_bytes_are_escaped(shell, command, encoding):
    ended = shell(f"touch $'no\\xff'; m {command} -o json $'no\\xff/é…🎉'", PYTHONIOENCODING=encoding)
    assert json.loads(ended.stdout)["type"] == "error"
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments", [[b"\xff\xfe"], [b"--\xff"], [b"explain", b"\xff"], [b"plan", b"-o", b"\xff"]]
)
def test_arguments_of_any_bytes(tmp_path, environment, arguments):
    whole = [os.fsencode(word) for word in PROGRAM] + arguments
    ended = subprocess.run(
        whole, env=environment, cwd=tmp_path, capture_output=True, timeout=100, check=False
    )
    assert ended.returncode == 2
    assert b"Traceback" not in ended.stderr
    assert b"Error: " in ended.stderr or b"error[usage]: " in ended.stderr


def test_an_apply_with_a_closed_pipe_releases_the_lock(shell, run, folder):
    shell("m apply --local --yes -o ndjson | true")
    ended = run("apply", "--local", "--yes", "--lock-timeout", "0")
    assert ended.returncode == 0, ended.stderr
    assert run("apply", "--local", "--yes").stdout.startswith("No changes.")

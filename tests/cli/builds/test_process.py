"""Commands that print, fail, hang, leave processes behind, or are interrupted. Run in sh, as builds are."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from living import is_alive

from mosaic_deploy.cli.builds.process import Ended, run_command

LONG = 60.0


def run(
    command: str | list[str], folder: Path, timeout: float = LONG, **more: str
) -> tuple[Ended, list[str]]:
    shown: list[str] = []
    ended = run_command(command, folder, {**os.environ, **more}, timeout, shown.append)
    return ended, shown


@pytest.mark.parametrize(
    ("command", "code", "lines"),
    [
        ("echo a; echo b >&2; exit 3", 3, ["a", "b"]),
        ("printf 'no newline'", 0, ["no newline"]),
        ("printf '\\033[31mred\\033[0m\\r\\n10%%\\r100%%\\n'", 0, ["red", "100%"]),
        ("printf '\\377\\n'", 0, ["\ufffd"]),
        ("cat", 0, []),
        ("echo $GREETING", 0, ["hello"]),
        ("nonexistent-program 2>/dev/null", 127, []),
        (["printf", "%s|", "$GREETING", "a b"], 0, ["$GREETING|a b|"]),
        ("kill -TERM $$", -signal.SIGTERM, []),
    ],
)
def test_output_and_exit_code(command: str | list[str], code: int, lines: list[str], tmp_path: Path) -> None:
    ended, shown = run(command, tmp_path, GREETING="hello")
    assert (ended.code, list(ended.lines), shown) == (code, lines, lines)


def test_a_program_that_cant_be_started(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        run(["nonexistent-program"], tmp_path)
    with pytest.raises(OSError, match="No such file"):
        run("true", tmp_path / "nowhere")


def test_only_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    ended, shown = run("i=0; while [ $i -lt 10050 ]; do echo $i; i=$((i+1)); done", tmp_path)
    assert (len(shown), len(ended.lines), ended.lines[-1]) == (10_050, 10_000, "10049")


STUBBORN = "sh -c 'trap \"\" TERM; echo $$ >child; while :; do sleep 0.05; done' & echo $$ >parent; wait"


def test_the_time_limit_ends_all_of_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mosaic_deploy.cli.builds.process._GRACE", 0.3)
    ended, _ = run(STUBBORN, tmp_path, timeout=0.3)
    assert ended.code is None
    for name in ("parent", "child"):
        assert not is_alive(int((tmp_path / name).read_text()))


def test_an_interrupt_ends_all_of_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mosaic_deploy.cli.builds.process._GRACE", 0.3)

    def interrupt() -> None:
        while not ((tmp_path / "child").is_file() and (tmp_path / "child").read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run(STUBBORN, tmp_path)
    assert not is_alive(int((tmp_path / "child").read_text()))


def test_a_process_that_is_left_running_isnt_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mosaic_deploy.cli.builds.process._AFTER_END", 0.1)
    ended, shown = run("sleep 30 & echo $! >left; echo built", tmp_path)
    assert (ended.code, shown) == (0, ["built"])
    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)


def test_an_interrupt_while_the_command_starts_ends_it(tmp_path: Path) -> None:
    for number in range(20):
        with pytest.raises(KeyboardInterrupt):
            run(f"echo $$ >pid{number}; kill -INT $PPID; sleep 60", tmp_path)
        assert not is_alive(int((tmp_path / f"pid{number}").read_text()))

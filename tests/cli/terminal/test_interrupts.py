"""Interrupts of an apply, and signals that come several at a time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import product

import pytest

from mosaic_deploy.cli.terminal.interrupts import InterruptibleEvents
from mosaic_deploy.errors import Interrupted
from tests.sampling import sampled


def interrupted_while_it_ends() -> Iterator[str]:
    yield "started"
    try:
        raise KeyboardInterrupt
    finally:
        raise KeyboardInterrupt


def test_an_apply_that_is_interrupted_while_it_ends_has_an_unknown_result() -> None:
    with pytest.raises(Interrupted) as error:
        list(InterruptibleEvents(interrupted_while_it_ends()))  # type: ignore[arg-type]
    assert error.value.mutation_state == "unknown"


def interrupted_before_it_begins() -> Iterator[str]:
    raise KeyboardInterrupt
    yield


def test_an_apply_that_has_not_begun_is_just_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        list(InterruptibleEvents(interrupted_before_it_begins()))  # type: ignore[arg-type]


def test_a_second_signal_at_once_does_not_cut_off_the_end() -> None:
    def events() -> Iterator[str]:
        yield "started"
        try:
            os.kill(os.getpid(), signal.SIGINT)
            yield "never"
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            yield "recorded"

    assert list(InterruptibleEvents(events())) == ["started", "recorded"]  # type: ignore[comparison-overlap, arg-type]


BURSTS = [(signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)]


@pytest.mark.parametrize(
    ("burst", "command"), sampled(product(BURSTS, ["plan", "apply --yes", "watch --yes"]), 4)
)
def test_signals_that_follow_each_other_are_one_interrupt(folder, environment, command, burst) -> None:
    """An API that accepts a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = {"MOSAIC_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "MOSAIC_API_KEY": "mk_mine"}
        with subprocess.Popen(
            [sys.executable, "-m", "mosaic_deploy", *command.split()], cwd=folder, env={**environment, **api},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            silent.settimeout(60)
            connection, _ = silent.accept()
            # Stopped meanwhile: on a busy machine this process could come to the second signal only seconds later.
            for number in (signal.SIGSTOP, *burst, signal.SIGCONT):
                process.send_signal(number)
            out, _ = process.communicate(timeout=60)
            connection.close()
    assert process.returncode == 130
    assert "Traceback" not in out

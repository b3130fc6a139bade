"""Who deploys, and whether such a one still runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from mosaic_deploy.cli.holder import gone, holder


def test_a_process_that_runs_is_not_gone() -> None:
    assert holder({}).endswith(f"@{socket.gethostname()} (pid {os.getpid()})")
    assert not gone(holder({}))


def test_a_process_that_has_ended_is_gone() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    assert gone(f"ada@{socket.gethostname()} (pid {ended.stdout.strip()})")


@pytest.mark.parametrize("name", [
    "", "GitHub Actions a/b run 7", "ada@elsewhere (pid 99999999)", "ada@{host} (pid 0)", "ada@{host} (pid x)",
    "ada@{host} (pid 999999999999999)",
])  # fmt: skip
def test_nobody_else_is_known_to_be_gone(name: str) -> None:
    assert not gone(name.replace("{host}", socket.gethostname()))

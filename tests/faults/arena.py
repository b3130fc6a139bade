"""An embedded platform with its proxy, which a fault may kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.machine.ports import free_port
from tests.cli.warm_program import WarmProgram
from tests.faults.fault import Strike
from tests.faults.proxy import Proxy
from tests.faults.state import Reader
from tests.started_platform import run_platform

ROOT = Path(__file__).parents[2]
_SHIFT = """DO $$ BEGIN IF to_regclass('mosaic_deploy.lease') IS NOT NULL THEN
UPDATE mosaic_deploy.lease SET acquired_at = acquired_at + {0}, expires_at = expires_at + {0};
UPDATE mosaic_deploy.deploys SET started_at = started_at + {0};
END IF; END $$"""
"""A jump of the database's clock, as the lock sees it: everything that was recorded moves the other way."""


class Arena:
    """A platform in `folder`, for one case at a time, because a fault may kill it."""

    def __init__(self, folder: Path, endpoint: str = "") -> None:
        self.folder = folder
        self.home = folder / "home"
        self._endpoint = endpoint
        self._ballast = folder / "ballast"
        self._restart: threading.Thread | None = None
        document = self._start("--port", str(free_port()))
        state = json.loads((self.home / "state.json").read_text())
        self.api_key: str = document["api_key"]
        self.port: int = document["port"]
        self._postgres = Path(state["postgres_folder"])
        self.reader = Reader(
            document["url"], self.api_key, document["postgres_port"], state["postgres_password"],
            next(self._postgres.glob("installation-*/**/bin/pg_dump")),
        )  # fmt: skip
        self.proxy = Proxy(self.port)
        self.program = WarmProgram(folder)

    def close(self) -> None:
        self.recover()
        self.program.close()
        self.proxy.close()
        run_platform(self.home, "reset")

    def recover(self) -> None:
        """Frees the disk, and waits for a platform that a fault killed."""
        self._ballast.unlink(missing_ok=True)
        if self._restart:
            self._restart.join()
            self._restart = None

    def strike(self, kind: Strike, deployer: int, project: str) -> None:
        """Carries out what a fault hits; for the deployer, `deployer` is its process ID."""
        signals = {
            Strike.KILL: signal.SIGKILL, Strike.INTERRUPT: signal.SIGINT, Strike.TERMINATE: signal.SIGTERM
        }  # fmt: skip
        if kind in signals:
            with contextlib.suppress(ProcessLookupError):
                os.kill(deployer, signals[kind])
        elif kind is Strike.PLATFORM:
            os.kill(json.loads((self.home / "platform.json").read_text())["pid"], signal.SIGKILL)
            self._restart = threading.Thread(target=self._start)
            self._restart.start()
        elif kind is Strike.POSTGRES:
            os.kill(int((self._postgres / "data/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        elif kind is Strike.DISK_FULL:
            with self._ballast.open("wb") as out, contextlib.suppress(OSError):
                while True:
                    out.write(bytes(1 << 16))
                    out.flush()
        else:
            shift = "interval '-1 hour'" if kind is Strike.CLOCK_FORWARD else "interval '1 hour'"
            self.reader.execute(project, _SHIFT.format(shift))

    def environment(self, folder: Path) -> dict[str, str]:
        """For the command line: this platform through the proxy, with a cache and keys of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MOSAIC_", "CI"))}
        return {
            **kept,
            "MOSAIC_API_URL": f"http://127.0.0.1:{self.proxy.port}",
            "MOSAIC_API_KEY": self.api_key,
            "MOSAIC_HOME": str(self.home),
            "MOSAIC_REHEARSE": "0",
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
        }

    def _start(self, *arguments: str) -> dict[str, Any]:
        environment = {**os.environ, "MOSAIC_HOME": str(self.home), "MOSAIC_LOCAL_SQL": self._endpoint}
        command = [sys.executable, "-m", "mosaic_deploy.platform", "start", *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        document: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == 0, document
        return document

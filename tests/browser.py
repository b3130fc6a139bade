"""Headless Chromium, driven over the DevTools protocol through a pipe."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TIMEOUT_SECONDS = 30.0
_NAVIGATION_ERRORS = (
    "navigated or closed",
    "context was destroyed",
    "Cannot find context",
    "Cannot find default execution context",
)
"""The browser's errors for a script whose page is navigating away."""
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--window-size=1200,900", "--remote-debugging-pipe",
)  # fmt: skip


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def opened_browser() -> Iterator[Page]:
    """A page in a new browser without cookies or history."""
    program = find_chromium()
    assert program is not None
    command_pipe, response_pipe = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The browser reads commands from descriptor 3 and writes responses to 4.
        command = f'exec 3<&{command_pipe[0]} 4>&{response_pipe[1]}; exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", command, "bash", program, *_OPTIONS, f"--user-data-dir={profile}"],
            pass_fds=[command_pipe[0], response_pipe[1]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(command_pipe[0])
        os.close(response_pipe[1])
        with (
            os.fdopen(command_pipe[1], "wb", buffering=0) as commands,
            os.fdopen(response_pipe[0], "rb") as responses,
        ):
            try:
                yield Page(commands, responses)
            finally:
                process.kill()
                process.wait()


class Page:
    """One tab. Every call waits up to 30 seconds for the browser's response."""

    def __init__(self, commands: Any, responses: Any) -> None:
        self._commands, self._responses = commands, responses
        self._number = 0
        self._received: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        self._session = ""
        threading.Thread(target=self._read, daemon=True).start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        response = self._send(method, params)
        assert "error" not in response, response
        result: dict[str, Any] = response["result"]
        return result

    def _send(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        return self._wait(lambda one: one.get("id") == number)

    def go(self, url: str, lands_on: str | None = None) -> None:
        """Open `url` and wait until it, or `lands_on` that it redirects to, is loaded."""
        self.call("Page.navigate", url=url)
        self.wait_for_load(lands_on or url)

    def wait_for_load(self, url: str) -> None:
        """Wait until exactly this URL is loaded."""
        self.wait_for(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while not self.value(expression):
            assert time.monotonic() < deadline, (expression, self.value("location.href"), self.text())
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression; None while the page navigates away."""
        script = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        response = self._send("Runtime.evaluate", script)
        if any(words in response.get("error", {}).get("message", "") for words in _NAVIGATION_ERRORS):
            return None
        assert "error" not in response, response
        return response["result"]["result"].get("value")

    def text(self) -> str:
        return str(self.value("document.body.innerText"))

    def screenshot(self, file: Path, *, height: int | None = None, width: int = 1200) -> None:
        clip = (
            {} if height is None else {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}
        )
        response = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, **clip)
        file.write_bytes(base64.b64decode(response["data"]))

    def console_errors(self) -> list[str]:
        """Blocked scripts and styles, and failed requests, as in the browser's console."""
        with self._arrived:
            entries = [
                one["params"]["entry"] for one in self._received if one.get("method") == "Log.entryAdded"
            ]
        return [f"{entry['text']} {entry.get('url', '')}" for entry in entries]

    def _read(self) -> None:
        pending = b""
        while chunk := self._responses.read1(65536):
            *messages, pending = (pending + chunk).split(b"\0")
            with self._arrived:
                self._received.extend(json.loads(message) for message in messages)
                self._arrived.notify_all()

    def _wait(self, matches: Any) -> dict[str, Any]:
        with self._arrived:
            found = self._arrived.wait_for(
                lambda: next((one for one in self._received if matches(one)), None), _TIMEOUT_SECONDS
            )
        assert found, "no response from the browser"
        return dict(found)

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

_PATIENCE = 30.0
_LEFT = ("navigated or closed", "context was destroyed", "Cannot find context", "Cannot find default execution context")
"""What the browser says of a script whose page is being left."""
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--window-size=1200,900", "--remote-debugging-pipe",
)  # fmt: skip


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def opened_browser() -> Iterator[Page]:
    """A page of a fresh browser: no cookies, no history."""
    program = find_chromium()
    assert program is not None
    to_read, to_write = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The browser reads from its descriptor 3 and writes to 4.
        command = f'exec 3<&{to_read[0]} 4>&{to_write[1]}; exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", command, "bash", program, *_OPTIONS, f"--user-data-dir={profile}"],
            pass_fds=[to_read[0], to_write[1]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read[0])
        os.close(to_write[1])
        with os.fdopen(to_read[1], "wb", buffering=0) as commands, os.fdopen(to_write[0], "rb") as answers:
            try:
                yield Page(commands, answers)
            finally:
                process.kill()
                process.wait()


class Page:
    """One tab. Every call waits for the browser's answer, for at most half a minute."""

    def __init__(self, commands: Any, answers: Any) -> None:
        self._commands, self._answers = commands, answers
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
        answer = self._ask(method, params)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        return self._wait(lambda one: one.get("id") == number)

    def go(self, url: str, lands_on: str | None = None) -> None:
        """Open `url`; returns when it, or `lands_on` that it leads to, is loaded."""
        self.call("Page.navigate", url=url)
        self.settle(lands_on or url)

    def settle(self, url: str) -> None:
        """Wait until this very address is loaded."""
        self.wait_for(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self.value(expression):
            assert time.monotonic() < deadline, (expression, self.value("location.href"), self.text())
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """What a script in the page makes of it; None where the page is just being left."""
        script = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._ask("Runtime.evaluate", script)
        if any(words in answer.get("error", {}).get("message", "") for words in _LEFT):
            return None
        assert "error" not in answer, answer
        return answer["result"]["result"].get("value")

    def text(self) -> str:
        return str(self.value("document.body.innerText"))

    def screenshot(self, file: Path, *, height: int | None = None) -> None:
        clip = (
            {} if height is None else {"clip": {"x": 0, "y": 0, "width": 1200, "height": height, "scale": 1}}
        )
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, **clip)
        file.write_bytes(base64.b64decode(answer["data"]))

    def complaints(self) -> list[str]:
        """What the browser objected to: scripts or styles that were blocked, requests that failed."""
        with self._arrived:
            entries = [
                one["params"]["entry"] for one in self._received if one.get("method") == "Log.entryAdded"
            ]
        return [f"{entry['text']} {entry.get('url', '')}" for entry in entries]

    def _read(self) -> None:
        pending = b""
        # The pipe ends with the browser.
        while chunk := self._answers.read1(65536):
            *whole, pending = (pending + chunk).split(b"\0")
            with self._arrived:
                self._received.extend(json.loads(message) for message in whole)
                self._arrived.notify_all()

    def _wait(self, wanted: Any) -> dict[str, Any]:
        with self._arrived:
            found = self._arrived.wait_for(
                lambda: next((one for one in self._received if wanted(one)), None), _PATIENCE
            )
        assert found, "the browser doesn't answer"
        return dict(found)

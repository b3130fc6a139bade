"""GitHub Actions: what it passes to a step, and a step's outputs, summary, annotations and groups.

Sources: GitHub's "Workflow commands" and "Variables reference". Outside GitHub Actions nothing is written.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mosaic_deploy.cli.visible_text import visible_text, write_exactly
from mosaic_deploy.errors import Location

_DEPENDABOT = "dependabot[bot]"
_LEVELS = ("error", "warning", "notice")


@dataclass(frozen=True, slots=True)
class Github:
    """The environment of one step."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @property
    def in_actions(self) -> bool:
        return self.environ.get("GITHUB_ACTIONS") == "true"

    @property
    def event_name(self) -> str:
        """The event that started the workflow; of a reusable one, the caller's. Empty if GitHub doesn't say."""
        name = self.environ.get("GITHUB_EVENT_NAME", "")
        return name if name.replace("_", "").isalnum() and len(name) <= 60 else ""

    @property
    def is_deletion(self) -> bool:
        """Whether a push deleted its branch or tag."""
        return self.event_name == "push" and self._event.get("deleted") is True

    @property
    def commit(self) -> str | None:
        """The deployed commit; for a pull request its newest commit, not GitHub's merge commit."""
        head = self._pull_request.get("head") or {}
        return head.get("sha") or self.environ.get("GITHUB_SHA")

    @property
    def pull_request(self) -> int | None:
        number = self._pull_request.get("number")
        return int(number) if number else None

    @property
    def without_secrets(self) -> bool:
        """Whether the run has no access to secrets: a pull request from a fork or Dependabot."""
        if not self._pull_request:
            return False
        head = self._pull_request.get("head") or {}
        source = (head.get("repo") or {}).get("full_name")
        sender = self._event.get("sender")
        actors = (self.environ.get("GITHUB_ACTOR"), sender.get("login") if isinstance(sender, dict) else None)
        return source != self.environ.get("GITHUB_REPOSITORY") or _DEPENDABOT in actors

    @property
    def run_url(self) -> str | None:
        names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
        server, repository, run = (self.environ.get(name) for name in names)
        return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else None

    @property
    def _pull_request(self) -> dict[str, Any]:
        found = self._event.get("pull_request")
        return found if isinstance(found, dict) else {}

    @property
    def _event(self) -> dict[str, Any]:
        try:
            event = json.loads(Path(self.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        except (KeyError, OSError, ValueError):
            return {}
        return event if isinstance(event, dict) else {}

    def output(self, values: Mapping[str, object]) -> None:
        """Sets the step's outputs, which may have several lines."""
        # A random delimiter, so that a value can't end itself and set another output.
        delimiter = f"mosaic_{secrets.token_hex(16)}"
        lines = "".join(
            f"{name}<<{delimiter}\n{_output_text(value)}\n{delimiter}\n" for name, value in values.items()
        )
        self._append("GITHUB_OUTPUT", lines)

    def summarize(self, markdown: str) -> None:
        """Adds to the job summary."""
        self._append("GITHUB_STEP_SUMMARY", f"{visible_text(markdown)}\n")

    def annotate(self, level: str, message: str, location: Location | None, title: str) -> None:
        """Annotates a line in the pull request. `location.file` is relative to the repository."""
        assert level in _LEVELS
        if not self.in_actions:
            return
        place = {"file": location.file, "line": location.line, "col": location.column} if location else {}
        properties = {**place, "title": title}
        text = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
        _write_command(f"::{level} {text}::{_escaped(message)}")

    def mask(self, secret: str) -> None:
        """Makes GitHub mask it in the log from here on."""
        if self.in_actions and secret:
            _write_command(f"::add-mask::{_escaped(secret)}")

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Folds the output of the block."""
        if self.in_actions:
            _write_command(f"::group::{_escaped(title)}")
        try:
            yield
        finally:
            if self.in_actions:
                _write_command("::endgroup::")

    def relative(self, location: Location, root: Path) -> Location:
        """`location` relative to the repository, as annotations need it. `root` is the project folder."""
        workspace = Path(self.environ.get("GITHUB_WORKSPACE") or ".").resolve()
        for folder in (Path.cwd(), root):
            file = (folder / location.file).resolve()
            if file.exists() and file.is_relative_to(workspace):
                shown = file.relative_to(workspace).as_posix()
                return Location(shown, location.line, location.column, location.text)
        return location

    def _append(self, variable: str, text: str) -> None:
        if file := self.environ.get(variable):
            with Path(file).open("a", encoding="utf-8", newline="\n") as stream:
                stream.write(text)


def _write_command(command: str) -> None:
    write_exactly(sys.stdout, f"{command}\n")
    sys.stdout.flush()


def _output_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _escaped(text: str) -> str:
    return visible_text(text).replace("%", "%25").replace("\n", "%0A")


def _property(value: object) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")

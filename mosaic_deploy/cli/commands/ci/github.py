"""What GitHub Actions hands to a step, and how a step answers: outputs, summary, annotations, groups.

Facts are from GitHub's "Workflow commands" and "Variables reference". Where the program doesn't run there,
nothing of it is set and nothing is written.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from mosaic_deploy.errors import Location

_DEPENDABOT = "dependabot[bot]"
_LEVELS = ("error", "warning", "notice")


@dataclass(frozen=True, slots=True)
class Github:
    """One step's surroundings, by its environment variables."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @property
    def in_actions(self) -> bool:
        return self.environ.get("GITHUB_ACTIONS") == "true"

    @property
    def commit(self) -> str | None:
        """What is deployed: of a pull request its newest commit, not the merge that GitHub makes for the run."""
        head = self._pull_request.get("head") or {}
        return head.get("sha") or self.environ.get("GITHUB_SHA")

    @property
    def pull_request(self) -> int | None:
        number = self._pull_request.get("number")
        return int(number) if number else None

    @property
    def without_secrets(self) -> bool:
        """Whether GitHub keeps the repository's secrets from the pull request's run: of a fork, or of Dependabot."""
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
        """Sets the step's outputs, also ones of several lines."""
        # A delimiter that nobody can guess: a value can't end itself and begin another output.
        mark = f"mosaic_{secrets.token_hex(16)}"
        lines = "".join(f"{name}<<{mark}\n{_output_text(value)}\n{mark}\n" for name, value in values.items())
        self._append("GITHUB_OUTPUT", lines)

    def summarize(self, markdown: str) -> None:
        """Adds to the page of the job."""
        self._append("GITHUB_STEP_SUMMARY", f"{markdown}\n")

    def annotate(self, level: str, message: str, location: Location | None, title: str) -> None:
        """Marks a line of a file in the pull request. `location.file` is relative to the repository."""
        assert level in _LEVELS
        if not self.in_actions:
            return
        where = {"file": location.file, "line": location.line, "col": location.column} if location else {}
        properties = {**where, "title": title}
        shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
        click.echo(f"::{level} {shown}::{_escaped(message)}")

    def mask(self, secret: str) -> None:
        """Has GitHub blot it out of every log from here on."""
        if self.in_actions and secret:
            click.echo(f"::add-mask::{_escaped(secret)}")

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Folds what is printed inside."""
        if self.in_actions:
            click.echo(f"::group::{_escaped(title)}")
        try:
            yield
        finally:
            if self.in_actions:
                click.echo("::endgroup::")

    def relative(self, location: Location, root: Path) -> Location:
        """A place as annotations want it: from the repository's folder. `root` is the project's."""
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


def _output_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")

"""From flags, environment, `.env` and manifest to a manifest read, an API to talk to, and a project meant.

Precedence: flag, environment, `.env`, manifest, default.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.api_access import account, command_line
from mosaic_deploy.cli.interrupts import Interruptible
from mosaic_deploy.cli.settings import environment_named, read_settings
from mosaic_deploy.errors import (
    ManifestInvalid,
    MosaicError,
    NextAction,
    Problem,
    Unreachable,
)
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest import read_manifest

if TYPE_CHECKING:
    from mosaic_deploy.deploy import Target
    from mosaic_deploy.live.client import Api
    from mosaic_deploy.model.event import Event


@dataclass(frozen=True, slots=True)
class Session:
    """A manifest with the account and project it goes to."""

    manifest: Manifest
    api: Api
    target: Target
    scope: tuple[str, ...] = ()
    """The flags and the PATH that say what is meant; suggested commands get them too."""
    local: bool = False
    """Whether it is the embedded platform's."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.api.close()
        if isinstance(error, MosaicError):
            self.complete(error)

    def completed(self, events: Generator[Event, None, None]) -> Iterator[Event]:
        """`events`, with the commands that a failure suggests made whole."""
        for event in Interruptible(events):
            if event.type == "apply_failed":
                self.complete(event.error)  # type: ignore[union-attr]
            yield event

    @contextmanager
    def completing(self) -> Iterator[None]:
        """Errors on their way out of the block get commands that mean this session's project."""
        try:
            yield
        except MosaicError as error:
            self.complete(error)
            raise

    def complete(self, error: MosaicError) -> None:
        """Makes suggested commands mean the same project as this one: pasted bare they could mean another."""
        if self.local and isinstance(error, Unreachable):
            error.hint = "the embedded platform stopped, or was stopped, while this command ran"
            error.next_actions = (*_REVIVAL, *error.next_actions)
        error.next_actions = self.scoped(error.next_actions)
        error.hint = _quoted_scoped(error.hint, self.scope)
        error.problems = tuple(
            replace(problem, hint=_quoted_scoped(problem.hint, self.scope)) for problem in error.problems
        )

    def scoped(self, actions: Iterable[NextAction]) -> tuple[NextAction, ...]:
        """Actions whose commands mean the same project as this one."""
        return tuple(
            replace(action, command=_scoped(action.command, self.scope)) if action.command else action
            for action in actions
        )


_REVIVAL = (
    NextAction("see whether it runs", "mosaic-deploy local status"),
    NextAction("start it", "mosaic-deploy local start"),
)


def open_session(
    path: str, *, environment: str | None, local: bool, project_id: str | None, timeout: float
) -> Session:
    """Reads the manifest, finds the key, and (with `local`) starts the platform. Raises MosaicError's children."""
    environment = environment_named(path, environment)
    manifest = read_manifest(Path(path), environment=environment)
    scope = _scope(path, environment, project_id, local=local)
    settings = read_settings(manifest.root)
    # Heavy (httpx): only here, after everything that can be refused without a network.
    from mosaic_deploy.deploy import Target
    from mosaic_deploy.live.client import Api, ApiKey

    if local:
        from mosaic_deploy.cli.embedded import ensure_started

        platform = ensure_started()
        url, key = platform.url, platform.api_key
        # An id in the manifest is usually the hosted project's, which this machine doesn't know.
        hint = settings.get("MOSAIC_PROJECT_ID") or manifest.project.id
        chosen = Target(project_id, _name(manifest, or_id=True), hint=hint)
    else:
        url, key = account(settings)
        chosen = _target(manifest, settings, project_id)
    api = Api(url, ApiKey(key), timeout=timeout, sql_timeout=max(600.0, timeout))
    return Session(manifest, api, chosen, scope, local)


def _scoped(command: str, scope: tuple[str, ...]) -> str:
    """The command with the flags and the PATH that its own lacks; one that was typed as it is has them."""
    if not scope or command.startswith(command_line()) or not _SCOPED.search(command):
        return command
    return f"{command} {shlex.join(scope)}"


def _quoted_scoped(text: str | None, scope: tuple[str, ...]) -> str | None:
    """A sentence with its commands in backticks made whole."""
    return text and _QUOTED.sub(lambda found: f"`{_scoped(found.group(1), scope)}`", text)


_PROGRAM = "mosaic-deploy"
_SCOPED = re.compile(rf"\b{_PROGRAM} (plan|apply|status|migrate (?!new\b|lint\b|seal\b)\w+)\b")
_QUOTED = re.compile(rf"`({_PROGRAM} [^`]+)`")


def _scope(path: str, environment: str | None, project_id: str | None, *, local: bool) -> tuple[str, ...]:
    flags = ["--local"] if local else []
    named = ["--env", environment] if environment else []
    project = ["--project", project_id] if project_id else []
    return (*flags, *named, *project, *([path] if path != "." else []))


def _target(manifest: Manifest, settings: Mapping[str, str], project_id: str | None) -> Target:
    from mosaic_deploy.deploy import Target

    chosen = project_id or settings.get("MOSAIC_PROJECT_ID") or manifest.project.id
    return Target(chosen, _name(manifest, or_id=bool(chosen)))


def _name(manifest: Manifest, *, or_id: bool) -> str:
    """The project's name. The embedded platform gives ids of its own, so there an id alone serves as name."""
    name = manifest.project.name or (manifest.project.id if or_id else None)
    if name is None and or_id:
        name = manifest.root.resolve().name
    if name is None:
        where = manifest.locate("project")
        problem = Problem(
            "no project is named", where, "project", "add project.name or project.id, or use --project"
        )
        raise ManifestInvalid("which project?", problems=[problem])
    return name

"""From flags, environment, `.env` and manifest to a manifest read, an API to talk to, and a project meant.

Precedence: flag, environment, `.env`, manifest, default.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.next_commands import Scope, current_output_format
from mosaic_deploy.cli.support_ticket import attempted_command_line, offer_ticket
from mosaic_deploy.cli.target.api_access import command_line, resolve_api_credentials
from mosaic_deploy.cli.target.settings import read_settings, resolve_environment
from mosaic_deploy.cli.terminal.interrupts import InterruptibleEvents
from mosaic_deploy.errors import ManifestInvalid, MosaicError, NextAction, Problem, Unreachable
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest.read import read_manifest

if TYPE_CHECKING:
    from mosaic_deploy.deploy import Target
    from mosaic_deploy.live.api.client import Api
    from mosaic_deploy.model.event import Event


@dataclass(frozen=True, slots=True)
class Session:
    """A manifest with the account and project it goes to."""

    manifest: Manifest
    api: Api
    target: Target
    scope: Scope = field(default_factory=Scope)
    """What says which project is meant; suggested commands get it too."""
    attempted_command: str = ""
    """What a ticket says was tried: no value that was given stands in it."""
    address_notice: str = ""
    """Of an embedded platform that was started for it: see Embedded."""

    @property
    def local(self) -> bool:
        """Whether it is the embedded platform's."""
        return self.scope.local

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.api.close()
        if isinstance(error, MosaicError):
            self.complete_error(error)

    def complete_events(self, events: Generator[Event, None, None]) -> Iterator[Event]:
        """`events`, with the commands that a failure suggests made whole."""
        for event in InterruptibleEvents(events):
            if event.type == "apply_failed":
                self.complete_error(event.error)  # type: ignore[union-attr]
            yield event

    @contextmanager
    def completing_errors(self) -> Iterator[None]:
        """Errors on their way out of the block get commands that mean this session's project."""
        try:
            yield
        except MosaicError as error:
            self.complete_error(error)
            raise

    def complete_error(self, error: MosaicError) -> None:
        """Makes suggested commands mean the same project as this one: pasted bare they could mean another."""
        if self.local and isinstance(error, Unreachable):
            error.hint = "the embedded platform stopped, or was stopped, while this command ran"
            error.next_actions = (*_RESTART_ACTIONS, *error.next_actions)
        error.next_actions = self.scope_actions(error.next_actions)
        error.hint = self.scope.add_scope_to_text(error.hint)
        error.problems = tuple(
            replace(problem, hint=self.scope.add_scope_to_text(problem.hint)) for problem in error.problems
        )
        offer_ticket(error, self.attempted_command, replace(self.scope, project_id=self.target.id))

    def scope_actions(self, actions: Iterable[NextAction]) -> tuple[NextAction, ...]:
        """Actions whose commands mean the same project as this one."""
        return tuple(
            replace(action, command=self._scope_command(action.command)) if action.command else action
            for action in actions
        )

    def _scope_command(self, command: str) -> str:
        """One that was typed as it is says what it means."""
        return command if command.startswith(command_line()) else self.scope.add_scope(command)


_RESTART_ACTIONS = (
    NextAction("see whether it runs", "mosaic-deploy local status"),
    NextAction("start it", "mosaic-deploy local start"),
)


def open_session(
    path: str,
    *,
    environment: str | None,
    local: bool,
    project_id: str | None,
    timeout: float,
    attempted_command: str | None = None,
) -> Session:
    """Reads the manifest, finds the key, and (with `local`) starts the platform. Raises MosaicError's children.

    `attempted_command` is what a ticket says of this run; by default the command line.
    """
    environment = resolve_environment(path, environment)
    manifest = read_manifest(Path(path), environment=environment)
    settings = read_settings(manifest.root)
    # Heavy (httpx): only here, after everything that can be refused without a network.
    from mosaic_deploy.deploy import Target
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api

    address_notice = ""
    if local:
        from mosaic_deploy.cli.target.embedded import ensure_started

        platform = ensure_started()
        url, key, address_notice = platform.url, platform.api_key, platform.address_notice
        # An id in the manifest is usually the hosted project's, which this machine doesn't know.
        hint = settings.get("MOSAIC_PROJECT_ID") or manifest.project.id
        chosen = Target(project_id, _project_name(manifest, or_id=True), hint=hint)
    else:
        url, key = resolve_api_credentials(settings)
        chosen = _resolve_target(manifest, settings, project_id)
    api = Api(url, ApiKey(key), timeout=timeout, sql_timeout=max(600.0, timeout))
    scope = Scope(local, environment, project_id, path, current_output_format())
    return Session(
        manifest,
        api,
        chosen,
        scope,
        attempted_command_line() if attempted_command is None else attempted_command,
        address_notice,
    )


def _resolve_target(manifest: Manifest, settings: Mapping[str, str], project_id: str | None) -> Target:
    from mosaic_deploy.deploy import Target

    chosen = project_id or settings.get("MOSAIC_PROJECT_ID") or manifest.project.id
    return Target(chosen, _project_name(manifest, or_id=bool(chosen)))


def _project_name(manifest: Manifest, *, or_id: bool) -> str:
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

"""Opens a session from flags, environment, `.env` and manifest: the manifest, an API client and the target project.

Precedence: flag, environment, `.env`, manifest, default.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mosaic_deploy.cli.next_commands import Scope, current_output_format
from mosaic_deploy.cli.support_ticket import attempted_command_line, offer_ticket
from mosaic_deploy.cli.target.api_access import command_line, resolve_api_credentials
from mosaic_deploy.cli.target.project_manifest import ManifestUse, read_project_manifest
from mosaic_deploy.cli.target.settings import read_settings
from mosaic_deploy.cli.terminal.interrupts import InterruptibleEvents
from mosaic_deploy.errors import MosaicError, NextAction, Problem, ProjectNotConfigured, Unreachable
from mosaic_deploy.model.manifest import Manifest

if TYPE_CHECKING:
    from mosaic_deploy.deploy import PlanOptions, PreparedPlan, Target
    from mosaic_deploy.live.api.client import Api
    from mosaic_deploy.model.event import Event
    from mosaic_deploy.model.plan import Plan


@dataclass(frozen=True, slots=True)
class Session:
    """A manifest, the API client for its account, and the target project."""

    manifest: Manifest
    api: Api
    target: Target
    scope: Scope = field(default_factory=Scope)
    """The options that select the project; added to suggested commands."""
    attempted_command: str = ""
    """For a support ticket: the command and option names, without values."""
    address_notice: str = ""
    """See EmbeddedPlatform."""

    @property
    def local(self) -> bool:
        """Whether it uses the embedded platform."""
        return self.scope.local

    @property
    def target_text(self) -> str:
        """The platform's host and the environment, for people. The API doesn't tell the account or its tier."""
        from urllib.parse import urlsplit

        where = urlsplit(self.api.url).netloc
        platform = f"the embedded platform on this machine ({where})" if self.local else where
        chosen = self.manifest.environment
        return f"{platform}, environment {chosen}" if chosen else platform

    def has_target_of(self, other: Session) -> bool:
        """Whether both are about the same project and platform. The embedded platform is the same at any port."""
        ours, theirs = ((each.target, "" if each.local else each.api.url) for each in (self, other))
        return ours == theirs

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.api.close()
        if isinstance(error, MosaicError):
            self.complete_error(error)

    def complete_events(self, events: Generator[Event, None, None]) -> Iterator[Event]:
        """`events`, with the suggested commands of a failure completed."""
        from mosaic_deploy.model.change import Delete, Put
        from mosaic_deploy.model.event import ApplyFailed, ChangeFailed

        completed: MosaicError | None = None
        for event in InterruptibleEvents(events):
            # The failure of a file is one of many; that of any other change is the apply's.
            of_file = isinstance(event, ChangeFailed) and isinstance(event.change, Put | Delete)
            if isinstance(event, ChangeFailed | ApplyFailed) and not of_file and event.error is not completed:
                completed = event.error
                self.complete_error(completed)
            yield event

    @contextmanager
    def completing_errors(self) -> Iterator[None]:
        """Completes the suggested commands of errors raised in the block."""
        try:
            yield
        except MosaicError as error:
            self.complete_error(error)
            raise

    def complete_error(self, error: MosaicError) -> None:
        """Completes the error's suggested commands with this session's options, and suggests a ticket if it applies."""
        if self.local and isinstance(error, Unreachable):
            error.hint = "the embedded platform stopped while this command ran"
            error.next_actions = (*_RESTART_ACTIONS, *error.next_actions)
        error.next_actions = self.scope_actions(error.next_actions)
        error.hint = self.scope.add_scope_to_text(error.hint)
        error.problems = tuple(
            replace(problem, hint=self.scope.add_scope_to_text(problem.hint)) for problem in error.problems
        )
        offer_ticket(error, self.attempted_command, replace(self.scope, project_id=self.target.id))

    def make_plan(self, options: PlanOptions) -> PreparedPlan:
        """`deploy.plan` for this session, with the suggested commands in its texts completed."""
        from mosaic_deploy import deploy

        if show := options.on_blocked:
            options = replace(options, on_blocked=lambda rest: show(self._complete_texts(rest)))
        planned = deploy.plan(self.api, self.manifest, self.target, options)
        return self.complete_texts(planned)

    def complete_texts(self, planned: PreparedPlan) -> PreparedPlan:
        """The plan with the suggested commands in its texts completed."""
        return replace(planned, plan=self._complete_texts(planned.plan))

    def rehearse(
        self,
        planned: PreparedPlan,
        wanted: bool | None,
        *,
        always: bool = False,
        command: str | None = None,
    ) -> PreparedPlan:
        """As `rehearse_plan`."""
        from mosaic_deploy.cli.target.rehearsal import rehearse_plan

        return self.complete_texts(rehearse_plan(self, planned, wanted, always=always, command=command))

    def _complete_texts(self, plan: Plan) -> Plan:
        complete = self.scope.add_scope_to_text
        notes = (replace(note, message=complete(note.message) or "") for note in plan.notes)
        denied = (
            replace(one, message=complete(one.message) or "", hint=complete(one.hint)) for one in plan.denied
        )
        found = plan.rehearsal
        if found and found.remedy:
            found = replace(found, remedy=complete(found.remedy) or "")
        return replace(plan, notes=tuple(notes), denied=tuple(denied), rehearsal=found)

    def scope_actions(self, actions: Iterable[NextAction]) -> tuple[NextAction, ...]:
        """`actions` with their commands completed, unless they repeat this run's command line."""
        ours = command_line()
        return tuple(
            action
            if action.command and action.command.startswith(ours)
            else next(iter(self.scope.add_scope_to_actions([action])))
            for action in actions
        )


_RESTART_ACTIONS = (
    NextAction("check whether it is running", "mosaic-deploy local status"),
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
    manifest_use: ManifestUse = "required",
) -> Session:
    """Reads the manifest, finds the key, and with `local` starts the platform. Raises subclasses of MosaicError.

    `attempted_command` describes this run in a support ticket; by default the command line without values.
    """
    manifest = read_project_manifest(path, environment, project_id, manifest_use, local=local)
    environment, settings = manifest.environment, read_settings(manifest.root)
    # These import httpx, which is slow; errors that need no network come first.
    from mosaic_deploy.deploy import Target
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api

    address_notice = ""
    if local:
        from mosaic_deploy.cli.target.embedded import ensure_started

        platform = ensure_started()
        url, key, address_notice = platform.url, platform.api_key, platform.address_notice
        # An ID in the manifest is usually the hosted project's, unknown to the embedded platform.
        hint = settings.get("MOSAIC_PROJECT_ID") or manifest.project.id
        chosen = Target(project_id, _project_name(manifest, or_id=True), hint=hint)
    else:
        url, key = resolve_api_credentials(manifest.root)
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
    """The project's name; with `or_id`, its ID or folder name if it has none. Raises ProjectNotConfigured."""
    name = manifest.project.name or (manifest.project.id if or_id else None)
    if name is None and or_id:
        name = manifest.root.resolve().name
    if name is None:
        location = manifest.locate("project")
        problem = Problem(
            "no project name or ID", location, "project", "add project.name or project.id, or pass --project"
        )
        raise ProjectNotConfigured("no project is configured", problems=[problem])
    return name

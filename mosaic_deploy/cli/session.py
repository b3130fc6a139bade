"""From flags, environment, `.env` and manifest to a manifest read, an API to talk to, and a project meant.

Precedence: flag, environment, `.env`, manifest, default.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.interrupts import Interruptible
from mosaic_deploy.cli.settings import environment_named, read_settings
from mosaic_deploy.errors import KeyMissing, ManifestInvalid, MosaicError, NextAction, Problem, RequestRefused
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest import read_manifest

if TYPE_CHECKING:
    from mosaic_deploy.deploy import Target
    from mosaic_deploy.live.client import Api
    from mosaic_deploy.model.event import Event

API_URL = "https://api.mosaic.site"


@dataclass(frozen=True, slots=True)
class Session:
    """A manifest with the account and project it goes to."""

    manifest: Manifest
    api: Api
    target: Target
    scope: tuple[str, ...] = ()
    """The flags and the PATH that say what is meant; suggested commands get them too."""

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

    def complete(self, error: MosaicError) -> None:
        """Makes suggested commands mean the same project as this one: pasted bare they could mean another."""
        error.next_actions = self.scoped(error.next_actions)

    def scoped(self, actions: Iterable[NextAction]) -> tuple[NextAction, ...]:
        """Actions whose commands mean the same project as this one."""
        return tuple(_scoped(action, self.scope) for action in actions)


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
        url, key = _account(settings, path)
        chosen = _target(manifest, settings, project_id)
    api = Api(url, ApiKey(key), timeout=timeout, sql_timeout=max(600.0, timeout))
    return Session(manifest, api, chosen, scope)


def _scoped(action: NextAction, scope: tuple[str, ...]) -> NextAction:
    command = action.command
    if not command or not scope or command.startswith(command_line()) or not _SCOPED.search(command):
        return action
    return replace(action, command=f"{command} {shlex.join(scope)}")


_PROGRAM = "mosaic-deploy"
_SCOPED = re.compile(rf"\b{_PROGRAM} (plan|apply|status|migrate \w+)\b")


def _scope(path: str, environment: str | None, project_id: str | None, *, local: bool) -> tuple[str, ...]:
    flags = ["--local"] if local else []
    named = ["--env", environment] if environment else []
    project = ["--project", project_id] if project_id else []
    return (*flags, *named, *project, *([path] if path != "." else []))


def holder(environ: Mapping[str, str] = os.environ) -> str:
    """Who deploys, in words for others: the CI run, or user and machine."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return f"GitHub Actions {environ.get('GITHUB_REPOSITORY', '')} run {environ.get('GITHUB_RUN_ID', '')}".strip()
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


def command_line() -> str:
    """The command as it was given, to be pasted again."""
    return shlex.join(["mosaic-deploy", *sys.argv[1:]])


def _account(settings: Mapping[str, str], path: str) -> tuple[str, str]:
    url = settings.get("MOSAIC_API_URL") or API_URL
    key = settings.get("MOSAIC_API_KEY", "").strip()
    if not key:
        named = [] if path == "." else [shlex.quote(path)]
        raise KeyMissing(
            "no API key: MOSAIC_API_KEY is not set, neither in the environment nor in .env",
            hint="copy the key from your dashboard, or use the embedded platform, which needs none",
            next_actions=[
                NextAction(
                    "deploy to your account", " ".join(["MOSAIC_API_KEY=mk_… mosaic-deploy apply", *named])
                ),
                NextAction("try it on this machine", " ".join(["mosaic-deploy apply --local", *named])),
            ],
        )
    _refuse_plain_http(url)
    return url, key


def _refuse_plain_http(url: str) -> None:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"} or str(parts.hostname).endswith(
        ".localhost"
    )
    if parts.scheme == "https" or (parts.scheme == "http" and loopback):
        return
    raise RequestRefused(
        f"MOSAIC_API_URL is {url!r}: the key is sent over https only (plain http to this machine alone)",
        hint=f"the hosted platform is {API_URL}",
    )


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

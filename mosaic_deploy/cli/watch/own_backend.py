"""What `dev` does with the manifest's `dev.command`: its environment, and its output among the lines of the watch."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from mosaic_deploy.cli.watch.backend import Backend, BackendCommand
from mosaic_deploy.cli.watch.live_reload import WatchObserver
from mosaic_deploy.errors import MosaicError

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.model.event import ApplyDone
    from mosaic_deploy.model.manifest import DevSpec

_MAX_LINES = 5_000
"""Lines of output kept until they are shown, the last ones: a deploy may take long."""
_MASK = "********"


class OwnBackend(WatchObserver):
    """Runs the backend once the project is deployed. Its lines are shown between runs, so they never cut one of a deploy."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._backend: Backend | None = None
        self._session: Session | None = None
        self._project = ""
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._secrets: tuple[str, ...] = ()

    def on_start(self, session: Session, project_id: str) -> None:
        if not project_id or session is self._session:
            return
        spec = session.manifest.dev
        try:
            command = _command_of(session, spec, project_id) if spec else None
        except MosaicError as error:
            # Tried again by the next run, which has another session if the platform was away.
            self._lines.append(f"can't be started: {error}")
            return
        self._session, self._project = session, project_id
        if self._backend and self._backend.command == command:
            return
        self._stop()
        if command:
            self._secrets = (*(command.environ[name] for name in _SECRETS), _password(command))
            self._backend = Backend(command, self._lines.append, self._lines.append)

    def on_draft(self) -> None:
        """Apps use another database now, and so does the backend."""
        if self._session:
            session, self._session = self._session, None
            self.on_start(session, self._project)

    def on_tick(self) -> None:
        while self._lines:
            line = self._without_secrets(self._lines.popleft())
            self._screen.result({"type": "backend", "line": line}, [f"backend | {line}"])

    def on_apply(self, planned: PreparedPlan, last: ApplyDone) -> None:
        if self._backend:
            self._backend.wake()

    def on_end(self) -> None:
        self._stop()
        self.on_tick()

    def _stop(self) -> None:
        backend, self._backend = self._backend, None
        if backend:
            backend.stop()

    def _without_secrets(self, line: str) -> str:
        for secret in filter(None, self._secrets):
            line = line.replace(secret, _MASK)
        return line


_SECRETS = ("DATABASE_URL", "MOSAIC_API_KEY")


def _command_of(session: Session, spec: DevSpec, project_id: str) -> BackendCommand:
    """Raises MosaicError if the platform doesn't answer."""
    from mosaic_deploy.live.api.operations import read_credentials
    from mosaic_deploy.live.api.projects import read_projects
    from mosaic_deploy.source.builds.state import build_environment

    manifest, api = session.manifest, session.api
    url = next((project.url for project in read_projects(api) if project.id == project_id), "")
    environ = {
        # Python would keep lines back, because it doesn't write to a terminal.
        "PYTHONUNBUFFERED": "1",
        **build_environment(manifest),
        "DATABASE_URL": str(read_credentials(api.for_database(""), project_id).get("database_url", "")),
        "MOSAIC_API_URL": api.url,
        "MOSAIC_API_KEY": api.key.reveal(),
        "MOSAIC_PROJECT_ID": project_id,
        "MOSAIC_SITE_URL": url,
    }
    watched = tuple(manifest.root / name for name in spec.watch)
    return BackendCommand(spec.command, manifest.root / spec.dir, watched, environ)


def _password(command: BackendCommand) -> str:
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(command.environ["DATABASE_URL"]).password or "")

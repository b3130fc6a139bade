"""A watch's draft of a migration on the embedded platform: run on every save, on a clone of the database.

Apps use the clone while there is a draft. Deploys go to the real database, which the draft doesn't change.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.render.text.edits import save_time
from mosaic_deploy.cli.watch.failed_migration import save_stamp
from mosaic_deploy.errors import DraftFailed, MigrationInvalid, MosaicError
from mosaic_deploy.source.migrations.layouts.layout import DRAFT_FILE

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.live.database.clones import DraftClone, DraftStatus
    from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile

_HEARTBEAT_SECONDS = 3.0
"""Without a heartbeat the platform drops the draft's clone."""


@dataclass(frozen=True, slots=True)
class _DraftState:
    """What a draft was run with. The listener may report a save twice; saving the same bytes again is another try."""

    checksum: str
    saved: object
    project: str
    applied: object


class DraftRunner:
    """The draft of one watch. Not thread-safe; it starts a thread for the heartbeat."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._name = secrets.token_hex(8)
        self._last_state: _DraftState | None = None
        self._last_error: MosaicError | None = None
        self._served_path = ""
        """The path of the draft that apps use; empty if there is none."""
        self._explained = False
        self._failed_folder: Path | None = None
        """The migrations folder that a failure is recorded for."""
        self._heartbeat: _Heartbeat | None = None

    def update(
        self, session: Session, planned: PreparedPlan, project: str, *, database_changed: bool
    ) -> bool:
        """Runs the draft after a deploy, which may have changed the database; whether apps use another database now.

        Raises DraftFailed, DraftBlocked, MigrationInvalid, SourceError's and ApiError's children; apps then keep
        what they used before.
        """
        if not session.local:
            return False
        self._refresh_session(session)
        file, parsed, saved = self._read_draft(session)
        if file is None or parsed is None or not project:
            what = "committed" if self._is_committed(planned) else "removed"
            return self._drop_draft(f"draft {what}; your app uses the real database again")
        state = _DraftState(file.migration.checksum, saved, project, _database_state(planned))
        if state == self._last_state and not database_changed:
            if self._last_error is not None:
                raise self._last_error
            return False
        self._last_state, self._last_error = None, None
        try:
            self._run_on_clone(session, planned, project, file, parsed)
        except DraftFailed as error:
            # The same draft would fail in the same way.
            self._last_state, self._last_error = state, error
            self._record_failure(session, file, error)
            raise
        self._clear_failure()
        self._last_state = state
        return True

    @property
    def lost(self) -> bool:
        """Whether the platform has lost the draft, for example by a restart."""
        return self._heartbeat is not None and self._heartbeat.lost

    def report_replaced(self) -> None:
        """Reports once that another watch's draft has replaced this one."""
        if self._heartbeat is not None and self._heartbeat.replaced:
            self._stop_heartbeat()
            path, self._served_path = self._served_path, ""
            self._screen.draft_ended(
                path, "replaced by another draft of this project; save this one to use it again"
            )

    def close(self) -> None:
        name = Path(self._served_path).name or DRAFT_FILE
        self._drop_draft(f"copy discarded, {name} kept; your app uses the real database again")

    def _is_committed(self, planned: PreparedPlan) -> bool:
        """Whether a migration has the content of the last draft."""
        files = planned.desired.migrations
        return self._last_state is not None and any(
            file.migration.checksum == self._last_state.checksum for file in files
        )

    def _record_failure(self, session: Session, file: MigrationFile, error: DraftFailed) -> None:
        """Records the failure for `migrate commit`."""
        from mosaic_deploy.cli.watch.failed_draft import record_failure

        self._failed_folder = (session.manifest.root / file.relative_path).parent
        record_failure(self._failed_folder, file.migration.checksum, error)

    def _clear_failure(self) -> None:
        if self._failed_folder is not None:
            from mosaic_deploy.cli.watch.failed_draft import clear_failure

            clear_failure(self._failed_folder)
            self._failed_folder = None

    def _refresh_session(self, session: Session) -> None:
        """After the session was reopened, or the platform has lost the draft."""
        if self.lost:
            self._last_state, self._last_error = None, None
            self._stop_heartbeat()
        if self._heartbeat is not None and self._heartbeat.clones.api is not session.api:
            self._start_heartbeat(replace(self._heartbeat.clones, api=session.api))

    def _read_draft(self, session: Session) -> tuple[MigrationFile | None, ParsedFile | None, object]:
        """The draft, its statements, and its save stamp, which is read first so a save in between is noticed."""
        from mosaic_deploy.source.migrations.draft import find_draft, parse_draft, read_draft

        manifest, database = session.manifest, session.manifest.database
        if database is None or database.migrations is None:
            return None, None, None
        path = find_draft(manifest.root / database.migrations)
        saved = save_stamp(path) if path else None
        file = read_draft(manifest.root, database.migrations) if path else None
        if file is None:
            return None, None, None
        try:
            return file, parse_draft(file), saved
        except MigrationInvalid as error:
            raise MigrationInvalid(f"syntax error in {file.relative_path}", problems=error.problems) from None

    def _run_on_clone(
        self, session: Session, planned: PreparedPlan, project: str, file: MigrationFile, parsed: ParsedFile
    ) -> None:
        from mosaic_deploy.deploy.draft import run_draft
        from mosaic_deploy.live.database.clones import DraftClone, conflict_as_draft_blocked

        began = save_time(session.manifest.root / file.relative_path, time.time())
        clones = DraftClone(session.api, project, self._name)
        clones.create()
        # From now on there is a clone to drop when the watch ends.
        self._start_heartbeat(clones)
        with conflict_as_draft_blocked():
            drafted = run_draft(session.api, clones.clone_api, planned, project, parsed)
        status = clones.serve()
        self._served_path = file.relative_path
        self._start_heartbeat(clones)
        seconds = time.time() - began
        self._screen.draft(file.relative_path, status.database, drafted, seconds, first=not self._explained)
        self._explained = True

    def _start_heartbeat(self, clones: DraftClone) -> None:
        self._stop_heartbeat()
        self._heartbeat = _Heartbeat(clones, serving=bool(self._served_path))

    def _stop_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _drop_draft(self, why: str) -> bool:
        """Whether apps used a draft. A platform that can't be reached drops it without a heartbeat."""
        self._last_state, self._last_error = None, None
        self._clear_failure()
        if self._heartbeat is not None:
            clones = self._heartbeat.clones
            self._stop_heartbeat()
            with contextlib.suppress(MosaicError):
                clones.drop()
        path, self._served_path = self._served_path, ""
        if path:
            self._screen.draft_ended(path, why)
        return bool(path)


class _Heartbeat:
    """Keeps the draft alive from a thread, also during a long run."""

    def __init__(self, clones: DraftClone, *, serving: bool) -> None:
        self.clones = clones
        self._serving = serving
        self.replaced = False
        self.lost = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="draft", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_HEARTBEAT_SECONDS):
            # A platform that is restarting is asked again.
            with contextlib.suppress(MosaicError):
                self._update_status(self.clones.keep_alive())

    def _update_status(self, status: DraftStatus) -> None:
        if not self._stopped.is_set():
            self.replaced = status.replaced
            self.lost = self._serving and not status.served and not status.replaced


def _database_state(planned: PreparedPlan) -> object:
    """What the database consists of after the plan; a plan of files leaves it unchanged."""
    desired, live = planned.desired.snapshot, planned.live.snapshot
    files_only = planned.plan.only and desired.migrations is None
    side = live if files_only else desired
    migrations = tuple((each.version, each.checksum) for each in side.migrations or ())
    seeds = tuple(sorted((each.path, each.sha256) for each in (side.seeds or {}).values()))
    return migrations, seeds, desired.extensions

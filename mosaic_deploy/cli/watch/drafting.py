"""The draft of a migration, while edits are followed on the embedded platform: tried on every save, and shown to apps.

Apps see a clone of the database with the draft in it. The database itself stays as it is, and deploys go there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.watch.stalled import save_stamp
from mosaic_deploy.errors import DraftFailed, MigrationInvalid, MosaicError

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.live.database.clones import DraftClone, DraftStatus
    from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile

_HEARTBEAT_SECONDS = 3.0
"""Seconds between two words to the platform, which forgets a draft that it doesn't hear of."""
_CLONE_DROPPED = ", and the copy with it: apps see the database itself"
_MAX_SAVE_AGE = 30.0
"""Seconds: a file that was saved longer ago wasn't saved for this run."""


@dataclass(frozen=True, slots=True)
class _DraftState:
    """What a draft was tried with: its bytes, when they were saved, the project, and what is applied to that.

    One save may be told of twice; another save of the same bytes is another try.
    """

    checksum: str
    saved: object
    project: str
    applied: object


class DraftRunner:
    """The draft of one watch. Used by one thread; another one tells the platform that somebody is there."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._name = secrets.token_hex(8)
        self._last_state: _DraftState | None = None
        self._last_error: MosaicError | None = None
        self._served_path = ""
        """The path of the draft that is served."""
        self._explained = False
        self._failed_folder: Path | None = None
        """The folder that a failure was left for."""
        self._heartbeat: _Heartbeat | None = None

    def update(
        self, session: Session, planned: PreparedPlan, project: str, *, database_changed: bool
    ) -> bool:
        """After a run: whether apps see something else now. `database_changed`: the run changed the database.

        Raises DraftFailed, DraftBlocked, MigrationInvalid, SourceError's and ApiError's children; then what was served
        before still is.
        """
        if not session.local:
            return False
        self._refresh_session(session)
        file, parsed, saved = self._read_draft(session)
        if file is None or parsed is None or not project:
            return self._drop_draft(f"gone{_CLONE_DROPPED}")
        state = _DraftState(file.migration.checksum, saved, project, _database_state(planned))
        if state == self._last_state and not database_changed:
            if self._last_error is not None:
                raise self._last_error
            return False
        self._last_state, self._last_error = None, None
        try:
            self._run_on_clone(session, planned, project, file, parsed)
        except DraftFailed as error:
            # The same again would end the same way.
            self._last_state, self._last_error = state, error
            self._record_failure(session, file, error)
            raise
        self._clear_failure()
        self._last_state = state
        return True

    @property
    def lost(self) -> bool:
        """Whether the platform doesn't serve the draft any more, as after it was started anew."""
        return self._heartbeat is not None and self._heartbeat.lost

    def report_taken_over(self) -> None:
        """Says it once where another watch's draft has taken this one's place."""
        if self._heartbeat is not None and self._heartbeat.another:
            self._stop_heartbeat()
            path, self._served_path = self._served_path, ""
            self._screen.draft_ended(
                path, "another draft of this project took its place; save it to have it back"
            )

    def close(self) -> None:
        """The watch is over, and so is the draft."""
        self._drop_draft(f"over{_CLONE_DROPPED}")

    def _record_failure(self, session: Session, file: MigrationFile, error: DraftFailed) -> None:
        """The failure, for `migrate seal`."""
        from mosaic_deploy.cli.watch.failed_draft import record_failure

        self._failed_folder = (session.manifest.root / file.relative_path).parent
        record_failure(self._failed_folder, file.migration.checksum, error)

    def _clear_failure(self) -> None:
        if self._failed_folder is not None:
            from mosaic_deploy.cli.watch.failed_draft import clear_failure

            clear_failure(self._failed_folder)
            self._failed_folder = None

    def _refresh_session(self, session: Session) -> None:
        """With a session that was opened anew, and with a platform that has forgotten the draft."""
        if self.lost:
            self._last_state, self._last_error = None, None
            self._stop_heartbeat()
        if self._heartbeat is not None and self._heartbeat.clones.api is not session.api:
            self._start_heartbeat(replace(self._heartbeat.clones, api=session.api))

    def _read_draft(self, session: Session) -> tuple[MigrationFile | None, ParsedFile | None, object]:
        """The draft, its statements, and when it was saved: looked at before it is read, so that no save is missed."""
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
            raise MigrationInvalid("the draft can't be read as PostgreSQL", problems=error.problems) from None

    def _run_on_clone(
        self, session: Session, planned: PreparedPlan, project: str, file: MigrationFile, parsed: ParsedFile
    ) -> None:
        from mosaic_deploy.deploy.draft import run_draft
        from mosaic_deploy.live.database.clones import DraftClone, conflict_as_draft_blocked

        began = _save_time(session, file)
        clones = DraftClone(session.api, project, self._name)
        clones.create()
        # From here on the platform has something of ours, which a watch that is over takes along.
        self._start_heartbeat(clones)
        with conflict_as_draft_blocked():
            drafted = run_draft(session.api, clones.clone_api, planned, project, parsed)
        standing = clones.serve()
        self._served_path = file.relative_path
        self._start_heartbeat(clones)
        seconds = time.time() - began
        self._screen.draft(file.relative_path, standing.database, drafted, seconds, first=not self._explained)
        self._explained = True

    def _start_heartbeat(self, clones: DraftClone) -> None:
        self._stop_heartbeat()
        self._heartbeat = _Heartbeat(clones, serving=bool(self._served_path))

    def _stop_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _drop_draft(self, why: str) -> bool:
        """Whether a draft was served. A platform that can't be told forgets it by itself."""
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
    """Tells the platform from a thread of its own that the draft is somebody's, also while a run takes its time."""

    def __init__(self, clones: DraftClone, *, serving: bool) -> None:
        self.clones = clones
        self._serving = serving
        self.another = False
        self.lost = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="draft", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_HEARTBEAT_SECONDS):
            # A platform that is being started anew is asked again.
            with contextlib.suppress(MosaicError):
                self._update_status(self.clones.keep_alive())

    def _update_status(self, standing: DraftStatus) -> None:
        if not self._stopped.is_set():
            self.another = standing.replaced
            self.lost = self._serving and not standing.served and not standing.replaced


def _database_state(planned: PreparedPlan) -> object:
    """What the database is made of once the plan is applied; a plan of files alone leaves it as it is."""
    wanted, live = planned.desired.snapshot, planned.live.snapshot
    files_only = planned.plan.only and wanted.migrations is None
    found = (live if files_only else wanted).migrations or ()
    migrations = tuple((each.version, each.checksum) for each in found)
    seeded = (live if files_only else wanted).seeds or {}
    seeds = tuple(sorted((each.path, each.sha256) for each in seeded.values()))
    return migrations, seeds, wanted.extensions


def _save_time(session: Session, file: MigrationFile) -> float:
    now = time.time()
    try:
        saved = os.stat(session.manifest.root / file.relative_path).st_ctime  # noqa: PTH116 - as in render/edits.py
    except OSError:
        return now
    return saved if 0 <= now - saved < _MAX_SAVE_AGE else now

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

from mosaic_deploy.cli.watch.stalled import saved_at
from mosaic_deploy.errors import DraftFailed, MigrationInvalid, MosaicError

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.live.database.clones import Clones, Standing
    from mosaic_deploy.source.migrations.files import MigrationFile, Parsed

_BEAT = 3.0
"""Seconds between two words to the platform, which forgets a draft that it doesn't hear of."""
_COPY_GONE = ", and the copy with it: apps see the database itself"
_OLDEST = 30.0
"""Seconds: a file that was saved longer ago wasn't saved for this run."""


@dataclass(frozen=True, slots=True)
class _State:
    """What a draft was tried with: its bytes, when they were saved, the project, and what is applied to that.

    One save may be told of twice; another save of the same bytes is another try.
    """

    checksum: str
    saved: object
    project: str
    applied: object


class Drafting:
    """The draft of one watch. Used by one thread; another one tells the platform that somebody is there."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._name = secrets.token_hex(8)
        self._tried: _State | None = None
        self._wrong: MosaicError | None = None
        self._shown = ""
        """The path of the draft that is served."""
        self._explained = False
        self._failed_in: Path | None = None
        """The folder that a failure was left for."""
        self._beats: _Beats | None = None

    def follow(self, session: Session, planned: Planned, project: str, *, moved: bool) -> bool:
        """After a run: whether apps see something else now. `moved`: the run changed the database.

        Raises DraftFailed, DraftBlocked, MigrationInvalid, SourceError's and ApiError's children; then what was served
        before still is.
        """
        if not session.local:
            return False
        self._keep_up(session)
        file, parsed, saved = self._read(session)
        if file is None or parsed is None or not project:
            return self._drop(f"gone{_COPY_GONE}")
        state = _State(file.migration.checksum, saved, project, _applied(planned))
        if state == self._tried and not moved:
            if self._wrong is not None:
                raise self._wrong
            return False
        self._tried, self._wrong = None, None
        try:
            self._try(session, planned, project, file, parsed)
        except DraftFailed as error:
            # The same again would end the same way.
            self._tried, self._wrong = state, error
            self._leave(session, file, error)
            raise
        self._forget()
        self._tried = state
        return True

    @property
    def lost(self) -> bool:
        """Whether the platform doesn't serve the draft any more, as after it was started anew."""
        return self._beats is not None and self._beats.lost

    def taken(self) -> None:
        """Says it once where another watch's draft has taken this one's place."""
        if self._beats is not None and self._beats.another:
            self._stop()
            path, self._shown = self._shown, ""
            self._screen.draft_over(
                path, "another draft of this project took its place; save it to have it back"
            )

    def ended(self) -> None:
        """The watch is over, and so is the draft."""
        self._drop(f"over{_COPY_GONE}")

    def _leave(self, session: Session, file: MigrationFile, error: DraftFailed) -> None:
        """The failure, for `migrate seal`."""
        from mosaic_deploy.cli.watch.failed_draft import leave

        self._failed_in = (session.manifest.root / file.shown).parent
        leave(self._failed_in, file.migration.checksum, error)

    def _forget(self) -> None:
        if self._failed_in is not None:
            from mosaic_deploy.cli.watch.failed_draft import forget

            forget(self._failed_in)
            self._failed_in = None

    def _keep_up(self, session: Session) -> None:
        """With a session that was opened anew, and with a platform that has forgotten the draft."""
        if self.lost:
            self._tried, self._wrong = None, None
            self._stop()
        if self._beats is not None and self._beats.clones.api is not session.api:
            self._beat(replace(self._beats.clones, api=session.api))

    def _read(self, session: Session) -> tuple[MigrationFile | None, Parsed | None, object]:
        """The draft, its statements, and when it was saved: looked at before it is read, so that no save is missed."""
        from mosaic_deploy.source.migrations.draft import find_draft, parse_draft, read_draft

        manifest, database = session.manifest, session.manifest.database
        if database is None or database.migrations is None:
            return None, None, None
        path = find_draft(manifest.root / database.migrations)
        saved = saved_at(path) if path else None
        file = read_draft(manifest.root, database.migrations) if path else None
        if file is None:
            return None, None, None
        try:
            return file, parse_draft(file), saved
        except MigrationInvalid as error:
            raise MigrationInvalid("the draft can't be read as PostgreSQL", problems=error.problems) from None

    def _try(
        self, session: Session, planned: Planned, project: str, file: MigrationFile, parsed: Parsed
    ) -> None:
        from mosaic_deploy.deploy.draft import run_draft
        from mosaic_deploy.live.database.clones import Clones, unblocked

        began = _saved(session, file)
        clones = Clones(session.api, project, self._name)
        clones.make()
        # From here on the platform has something of ours, which a watch that is over takes along.
        self._beat(clones)
        with unblocked():
            drafted = run_draft(session.api, clones.made, planned, project, parsed)
        standing = clones.serve()
        self._shown = file.shown
        self._beat(clones)
        seconds = time.time() - began
        self._screen.draft(file.shown, standing.database, drafted, seconds, first=not self._explained)
        self._explained = True

    def _beat(self, clones: Clones) -> None:
        self._stop()
        self._beats = _Beats(clones, serving=bool(self._shown))

    def _stop(self) -> None:
        if self._beats is not None:
            self._beats.stop()
            self._beats = None

    def _drop(self, why: str) -> bool:
        """Whether a draft was served. A platform that can't be told forgets it by itself."""
        self._tried, self._wrong = None, None
        self._forget()
        if self._beats is not None:
            clones = self._beats.clones
            self._stop()
            with contextlib.suppress(MosaicError):
                clones.drop()
        path, self._shown = self._shown, ""
        if path:
            self._screen.draft_over(path, why)
        return bool(path)


class _Beats:
    """Tells the platform from a thread of its own that the draft is somebody's, also while a run takes its time."""

    def __init__(self, clones: Clones, *, serving: bool) -> None:
        self.clones = clones
        self._serving = serving
        self.another = False
        self.lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="draft", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(_BEAT):
            # A platform that is being started anew is asked again.
            with contextlib.suppress(MosaicError):
                self._hear(self.clones.keep())

    def _hear(self, standing: Standing) -> None:
        if not self._over.is_set():
            self.another = standing.another
            self.lost = self._serving and not standing.served and not standing.another


def _applied(planned: Planned) -> object:
    """What the database is made of once the plan is applied; a plan of files alone leaves it as it is."""
    wanted, live = planned.desired.snapshot, planned.live.snapshot
    files_only = planned.plan.only and wanted.migrations is None
    found = (live if files_only else wanted).migrations or ()
    migrations = tuple((each.version, each.checksum) for each in found)
    seeded = (live if files_only else wanted).seeds or {}
    seeds = tuple(sorted((each.path, each.sha256) for each in seeded.values()))
    return migrations, seeds, wanted.extensions


def _saved(session: Session, file: MigrationFile) -> float:
    now = time.time()
    try:
        saved = os.stat(session.manifest.root / file.shown).st_ctime  # noqa: PTH116 - as in render/edits.py
    except OSError:
        return now
    return saved if 0 <= now - saved < _OLDEST else now

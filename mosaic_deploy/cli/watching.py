"""Keeping a target in step with the folder: what `watch` and `dev` share.

One thread: while a run is under way the listener gathers what is edited meanwhile, so there is one run at most, and
one pending, which is all of that.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mosaic_deploy.cli.api_access import command_line
from mosaic_deploy.cli.companion import Companion
from mosaic_deploy.cli.consent import agree, ask
from mosaic_deploy.cli.deploying import Wish, deploy_in_turn
from mosaic_deploy.cli.holder import gone, holder
from mosaic_deploy.cli.interrupts import Interruptible
from mosaic_deploy.cli.mishaps import FLEETING, PASSING, offer_rebuilding, refuse_emptied
from mosaic_deploy.cli.session import Session
from mosaic_deploy.cli.turns import settled
from mosaic_deploy.errors import Interrupted, MosaicError, Unauthorized, Unreachable, WatchFailed
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone, Event, Waiting
from mosaic_deploy.model.snapshot import Project

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.deploy.following import Following
    from mosaic_deploy.model.plan import Plan
    from mosaic_deploy.watch import Edits

_ROUNDS = 3
"""Plans made for one set of edits: where live, or a file, moves more often, the error is shown."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 15.0
"""Seconds until a run is tried again by itself, doubled each time."""
_VERY_MANY = 1000
_AFTER_MANY = 2.0
_EDITED_QUESTION = "Apply these changes, and from now on every edit as it is saved?"
_NOTHING_QUESTION = "Nothing differs. Apply from now on every edit as it is saved?"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`open` reads the manifest and finds the key. `asks`: consent is asked for once before anything is sent."""

    open: Callable[[], Session]
    wish: Wish
    poll: bool
    asks: bool = True


def keep_in_step(screen: Screen, wanted: Wanted, companion: Companion | None = None) -> int:
    """Returns the exit code once it is interrupted. Raises MosaicError's children before the first consent."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    companion = companion or Companion()
    try:
        watcher = _Watcher(screen, wanted, companion)
        with closing(watcher):
            watcher.run()
    except KeyboardInterrupt:
        screen.watch_ended()
    finally:
        companion.ended()
        signal.signal(signal.SIGTERM, before)
    return Interrupted.exit_code


class _Watcher:
    def __init__(self, screen: Screen, wanted: Wanted, companion: Companion) -> None:
        self._screen = screen
        self._wanted = wanted
        self._companion = companion
        self._session = wanted.open()
        self._error: tuple[str, str] | None = None
        self._again: float | None = None
        self._wait = _FIRST_WAIT
        self._reopen = False
        self._project = ""
        self._following: Following
        self._edits: Iterator[Edits]

    def close(self) -> None:
        self._session.api.close()

    def run(self) -> None:
        self._begin()
        self._consent()
        while True:
            for edits in self._edits:
                self._companion.pulse()
                if self._of_manifest(edits) or (edits and self._reopen):
                    self._open_again(edits)
                    break
                if edits or self._is_due():
                    self._step(edits)

    def _begin(self) -> None:
        """Listens from here on, so whatever is read later, no edit is missed."""
        from mosaic_deploy.deploy.following import Following
        from mosaic_deploy.watch import settled as settled_edits
        from mosaic_deploy.watch import watched

        session, options = self._session, self._wanted.wish.options
        self._following = Following(session.api, session.manifest, session.target, options)
        places = watched(session.manifest)
        self._folders = places.folders
        self._settings = {session.manifest.file.name, ".env"}
        self._edits = settled_edits(places, poll=self._wanted.poll, deployed=self._following.deployed)
        next(self._edits)

    def _consent(self) -> None:
        """The first run, as `apply` runs it; what it raises before anybody agreed ends the command."""
        ended: list[Event] = []

        def observe(events: Iterator[Event]) -> Iterator[Event]:
            for event in events:
                ended[:] = [event]
                yield event

        question = _EDITED_QUESTION if self._wanted.asks else self._wanted.wish.question
        wish = replace(self._wanted.wish, question=question)
        try:
            with self._completing():
                plan, code = deploy_in_turn(self._screen, self._session, wish, observe=observe)
                if not ended and self._wanted.asks:
                    ask(_NOTHING_QUESTION, yes=wish.yes, command=f"{command_line()} --yes")
        except MosaicError as error:
            if self._wanted.asks:
                raise
            self._broken(error)
            self._screen.watching(Project("", ""), self._folders)
            return
        if code == Interrupted.exit_code:
            raise KeyboardInterrupt
        last = ended[0] if ended else None
        project = last.project if isinstance(last, ApplyDone) else plan.project
        self._companion.started(self._session, project.id)
        self._screen.watching(project, self._folders)
        if isinstance(last, ApplyFailed):
            # Shown by the apply itself.
            self._failed(last.error, shown=True)
        else:
            self._step(frozenset())

    def _of_manifest(self, edits: Edits) -> bool:
        return not self._settings.isdisjoint(edits)

    def _open_again(self, edits: Edits) -> None:
        """After an edit of the manifest or `.env`, and where the key or the address may be another."""
        try:
            session = self._wanted.open()
        except MosaicError as error:
            self._reopen = True
            self._broken(error)
            return
        before = _meant(self._session)
        moved = self._wanted.asks and before != _meant(session)
        self._session.api.close()
        self._session = session
        self._reopen = False
        try:
            self._begin()
        except WatchFailed as error:
            self._broken(error)
            raise
        if moved:
            # Another project: nobody has agreed to that one.
            self._consent()
        else:
            self._step(frozenset())

    def _is_due(self) -> bool:
        return self._again is not None and time.monotonic() >= self._again

    def _step(self, edits: Edits) -> None:
        """One run: whatever the edits changed is live after it, or the error is shown."""
        seen = time.time()
        self._again = None
        try:
            with self._completing():
                for number in range(1, _ROUNDS + 1):
                    error = self._once(edits, seen)
                    if error is None:
                        # Of very many edits the system may have told too few; the disk is read once more.
                        self._again = time.monotonic() + _AFTER_MANY if len(edits) >= _VERY_MANY else None
                        return
                    if not isinstance(error, FLEETING) or number == _ROUNDS:
                        self._failed(error)
                        return
        except MosaicError as error:
            self._failed(error)

    def _once(self, edits: Edits, seen: float) -> MosaicError | None:
        from mosaic_deploy.live.lease import Patience

        wish, session = self._wanted.wish, self._session
        patience = Patience(wish.lock_timeout, wish.break_lease, gone)
        planned = settled(self._screen, session.api, lambda: self._following.plan(edits), patience)
        if planned.plan.project.id:
            self._project = planned.plan.project.id
            self._companion.started(session, planned.plan.project.id)
        if not planned.due:
            self._mended()
            return None
        refuse_emptied(planned)
        self._agree(planned.plan)
        last = self._apply(planned, seen)
        self._following.ended(planned, last)
        if isinstance(last, ApplyFailed):
            if isinstance(last.error, Interrupted):
                raise KeyboardInterrupt
            return last.error
        self._mended()
        if not planned.plan.project.id:
            self._companion.started(session, last.project.id)
        self._companion.live(planned, last)
        return None

    def _agree(self, plan: Plan) -> None:
        """Edits were agreed to; what destroys is asked about each time."""
        if plan.to_confirm or plan.to_prune:
            self._screen.plan(plan, final=False)
        agree(plan, yes=True, allow=self._wanted.wish.allow, command=command_line())

    def _apply(self, planned: Planned, seen: float) -> ApplyDone | ApplyFailed:
        from mosaic_deploy import deploy

        wish = self._wanted.wish
        options = deploy.ApplyOptions(
            holder=holder(),
            again=command_line(),
            lease_wait=wish.lock_timeout,
            break_lease=wish.break_lease,
            gone=gone,
            parallelism=wish.options.parallelism,
        )
        told = self._screen.edited(planned, seen)
        events = Interruptible(deploy.apply(self._session.api, planned, options))
        last: ApplyDone | ApplyFailed | None = None
        for event in events:
            if isinstance(event, Waiting):
                self._screen.waiting(event)
            elif isinstance(event, ChangeDone):
                told.done(event)
            elif isinstance(event, ApplyDone | ApplyFailed):
                last = event
                told.ended(event)
        if events.unheard:
            raise KeyboardInterrupt
        assert last is not None, "an apply says how it ended"
        if isinstance(last, ApplyFailed):
            self._session.complete(last.error)
        return last

    def _completing(self) -> _Completing:
        return _Completing(self._session)

    def _failed(self, error: MosaicError, *, shown: bool = False) -> None:
        """Shown once; tried again at the next save, and by itself where that may help."""
        self._reopen = isinstance(error, Unauthorized | Unreachable)
        if isinstance(error, PASSING):
            self._again = time.monotonic() + self._wait
            self._wait = min(_LONGEST_WAIT, 2 * self._wait)
        self._broken(error, shown=shown)

    def _broken(self, error: MosaicError, *, shown: bool = False) -> None:
        offer_rebuilding(self._session, self._project, error)
        known = (error.code, error.message)
        if known != self._error and not shown:
            self._screen.error(error)
        self._error = known
        self._companion.broken(error)

    def _mended(self) -> None:
        self._wait = _FIRST_WAIT
        if self._error is not None:
            self._error = None
            self._screen.mended()
        self._companion.mended()


def _meant(session: Session) -> tuple[object, str]:
    """Which project of which platform. The embedded one is one, whatever its port."""
    return session.target, "" if session.local else session.api.url


class _Completing:
    """Errors on their way out get commands that mean this session's project."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MosaicError):
            self._session.complete(error)

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

from mosaic_deploy.cli.plan_retries import settled
from mosaic_deploy.cli.run_apply import Wish, deploy_in_turn
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.identity import holder, witness
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import agree, ask
from mosaic_deploy.cli.terminal.interrupts import Interruptible
from mosaic_deploy.cli.watch.drafting import Drafting
from mosaic_deploy.cli.watch.failures import (
    FLEETING,
    PASSING,
    Amiss,
    by_saving,
    offer_rebuilding,
    place,
    refuse_emptied,
)
from mosaic_deploy.cli.watch.live_reload import Companion
from mosaic_deploy.cli.watch.stalled import Stalled
from mosaic_deploy.errors import (
    Interrupted,
    MigrationError,
    MosaicError,
    Unauthorized,
    Unreachable,
    WatchFailed,
)
from mosaic_deploy.model.change import Delete, Put
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ChangeDone, Event, Noted, Waiting
from mosaic_deploy.model.snapshot import Project

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.deploy.planning.incremental import Following
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
        self._drafting = Drafting(screen)
        self._session = wanted.open()
        self._stalled = Stalled()
        self._amiss = Amiss(screen)
        self._held: tuple[str, ...] = ()
        self._drafts = False
        """Whether the run has come to the draft: everything else is live then."""
        self._again: float | None = None
        self._wait = _FIRST_WAIT
        self._reopen = False
        self._project = ""
        self._following: Following
        self._edits: Iterator[Edits]

    def close(self) -> None:
        self._drafting.ended()
        self._session.api.close()

    def run(self) -> None:
        self._begin()
        self._consent()
        while True:
            for edits in self._edits:
                self._companion.pulse()
                self._drafting.taken()
                if self._of_manifest(edits) or (edits and self._reopen):
                    self._open_again(edits)
                    break
                if edits or self._is_due():
                    self._step(edits)

    def _begin(self) -> None:
        """Listens from here on, so whatever is read later, no edit is missed."""
        from mosaic_deploy.deploy.planning.incremental import Following
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
                if isinstance(event, ApplyFailed):
                    by_saving(event.error)
                yield event

        question = _EDITED_QUESTION if self._wanted.asks else self._wanted.wish.question
        wish = replace(self._wanted.wish, question=question)
        try:
            with self._session.completing():
                plan, code = deploy_in_turn(self._screen, self._session, wish, observe=observe)
                if not ended and self._wanted.asks:
                    ask(_NOTHING_QUESTION, yes=wish.yes, command=with_options(command_line(), "--yes"))
        except MosaicError as error:
            if self._wanted.asks:
                raise
            self._broken(error)
            self._screen.watching(Project("", ""), self._folders)
            self._meanwhile(error, frozenset(), time.time())
            return
        if code == Interrupted.exit_code:
            raise KeyboardInterrupt
        last = ended[0] if ended else None
        project = last.project if isinstance(last, ApplyDone) else plan.project
        self._companion.started(self._session, project.id)
        self._screen.watching(project, self._folders)
        if isinstance(last, ApplyFailed):
            # Shown by the apply itself.
            self._stalled.failed(last.error, plan, self._following)
            self._failed(last.error, shown=True)
            self._meanwhile(last.error, frozenset(), time.time())
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
        self._stalled.over()
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
        return self._drafting.lost or (self._again is not None and time.monotonic() >= self._again)

    def _step(self, edits: Edits) -> None:
        """One run: whatever the edits changed is live after it, or the error is shown."""
        seen = time.time()
        self._again = None
        self._drafts = False
        failed: MosaicError | None = None
        try:
            with self._session.completing():
                for number in range(1, _ROUNDS + 1):
                    error = self._once(edits, seen)
                    if error is None:
                        # Of very many edits the system may have told too few; the disk is read once more.
                        self._again = time.monotonic() + _AFTER_MANY if len(edits) >= _VERY_MANY else None
                        return
                    if not isinstance(error, FLEETING) or number == _ROUNDS:
                        failed = error
                        break
        except MosaicError as error:
            failed = error
        if failed is not None:
            self._stands(failed, edits, seen)

    def _once(self, edits: Edits, seen: float) -> MosaicError | None:
        from mosaic_deploy.live.ledger.lease import Patience

        wish, session = self._wanted.wish, self._session
        patience = Patience(wish.lock_timeout, wish.break_lease, witness())
        planned = settled(self._screen, session.api, lambda: self._following.plan(edits), patience, holder())
        if planned.plan.project.id:
            self._project = planned.plan.project.id
            self._companion.started(session, planned.plan.project.id)
        self._say_held(planned)
        if not planned.due:
            self._draft(planned, moved=False)
            self._mended()
            return None
        if error := self._stalled.again(planned):
            return error
        refuse_emptied(planned)
        self._agree(planned.plan)
        last = self._apply(planned, seen)
        if isinstance(last, ApplyFailed):
            self._stalled.failed(last.error, planned.plan, self._following)
            return last.error
        if not planned.plan.project.id:
            self._project = last.project.id
            self._companion.started(session, last.project.id)
        self._companion.live(planned, last)
        self._draft(
            planned, moved=not all(isinstance(change, Put | Delete) for change in planned.plan.changes)
        )
        self._mended()
        return None

    def _draft(self, planned: Planned, *, moved: bool) -> None:
        """The draft tried on what is applied by now; `moved` says that this was changed."""
        self._drafts = True
        if self._drafting.follow(self._session, planned, self._project, moved=moved):
            self._companion.drafted()

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
            witness=witness(),
            parallelism=wish.options.parallelism,
        )
        told = self._screen.edited(planned, seen)
        events = Interruptible(deploy.apply(self._session.api, planned, options))
        last: ApplyDone | ApplyFailed | None = None
        for event in events:
            if isinstance(event, Waiting | Noted):
                self._screen.waiting(event)
            elif isinstance(event, ChangeDone):
                told.done(event)
            elif isinstance(event, ApplyDone | ApplyFailed):
                last = event
                told.ended(event)
        if events.unheard:
            raise KeyboardInterrupt
        assert last is not None, "an apply says how it ended"
        self._following.ended(planned, last)
        if isinstance(last, ApplyFailed):
            if isinstance(last.error, Interrupted):
                raise KeyboardInterrupt
            self._session.complete(last.error)
        return last

    def _failed(self, error: MosaicError, *, shown: bool = False) -> None:
        """Shown once; tried again at the next save, and by itself where that may help."""
        self._reopen = isinstance(error, Unauthorized | Unreachable)
        if isinstance(error, PASSING):
            self._again = time.monotonic() + self._wait
            self._wait = min(_LONGEST_WAIT, 2 * self._wait)
        self._broken(error, shown=shown)

    def _stands(self, error: MosaicError, edits: Edits, seen: float) -> None:
        """`error` ended a run: it is shown, or that it still stands, and what doesn't depend on it goes on."""
        waits = self._amiss.waiting(error, edits, self._session.manifest.root)
        drafts = self._drafts
        self._failed(error)
        left = edits & {place(error)} if drafts else self._meanwhile(error, edits, seen)
        if waits & left:
            self._screen.still(error, place(error), waits & left)

    def _meanwhile(self, error: MosaicError, edits: Edits, seen: float) -> Edits:
        """Static files, assets and the draft, while `error` is of migrations; returns which of `edits` wait.

        On this machine alone: elsewhere pages that need a schema that isn't there would be live for others.
        """
        if not self._session.local or not isinstance(error, MigrationError):
            return edits
        try:
            with self._session.completing():
                planned = self._files(seen)
        except MosaicError as other:
            self._amiss.also(other)
            return edits
        if planned is None:
            return edits
        # What was told of files isn't the end of it.
        self._companion.broken(error)
        desired = planned.desired
        return edits & {file.shown for file in (*desired.migrations, *desired.seeds)}

    def _files(self, seen: float) -> Planned | None:
        """One run of files alone; None where there is no project yet."""
        from mosaic_deploy.live.ledger.lease import Patience

        wish, session = self._wanted.wish, self._session
        patience = Patience(wish.lock_timeout, wish.break_lease, witness())
        planned = settled(self._screen, session.api, self._following.plan_files, patience, holder())
        project = planned.plan.project.id
        if not project:
            return None
        self._project = project
        self._companion.started(session, project)
        if planned.plan.changes:
            refuse_emptied(planned)
            self._agree(planned.plan)
            last = self._apply(planned, seen)
            if isinstance(last, ApplyFailed):
                raise last.error
            self._companion.live(planned, last)
        self._draft(planned, moved=False)
        return planned

    def _say_held(self, planned: Planned) -> None:
        if planned.held and planned.held != self._held:
            self._screen.held(planned.held)
        self._held = planned.held

    def _broken(self, error: MosaicError, *, shown: bool = False) -> None:
        offer_rebuilding(self._session, self._project, error)
        self._amiss.stands(error, shown=shown)
        self._companion.broken(error)

    def _mended(self) -> None:
        self._wait = _FIRST_WAIT
        self._amiss.mended()
        self._companion.mended()


def _meant(session: Session) -> tuple[object, str]:
    """Which project of which platform. The embedded one is one, whatever its port."""
    return session.target, "" if session.local else session.api.url

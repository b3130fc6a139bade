"""How far an apply is, from its events."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from mosaic_deploy.model.change import Change, Delete, Put
from mosaic_deploy.model.event import ChangeDone, ChangeFailed, ChangeStarted, Event, ProjectReady
from mosaic_deploy.model.snapshot import Project


def relay(
    events: Iterator[Event],
    seen: Callable[[Event], None],
    repeated: Callable[[Event], bool] = lambda _: False,
) -> Generator[Event, None, None]:
    """Yields `events` that aren't `repeated`, each after a call of `seen`. An interrupt at a yield is raised inside `events`.

    A loop with a yield would end them instead, and what they report after an interrupt would be lost.
    """
    try:
        event = next(events)
        while True:
            passes = not repeated(event)
            seen(event)
            if not passes:
                event = next(events)
                continue
            try:
                yield event
            except KeyboardInterrupt as interrupt:
                if not isinstance(events, Generator):
                    raise
                event = events.throw(interrupt)
            else:
                event = next(events)
    except StopIteration:
        return


class Progress:
    """What an apply has done and begun so far."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.done: list[Change] = []
        self.started: Change | None = None
        self._unfinished: set[str] = set()
        """Addresses of changes that were started and haven't ended."""
        self.in_flight: dict[str, Change] = {}
        """Files that were begun and may be live or not, by address."""
        self.failing: Change | None = None
        """The first failed change. Uploads are concurrent, so others may start and finish after it."""

    def is_repeated(self, event: Event) -> bool:
        """Whether the event starts a change that has started: steps say once more which one fails."""
        return isinstance(event, ChangeStarted) and event.change.address in self._unfinished

    def record(self, event: Event) -> None:
        match event:
            case ChangeStarted(change):
                self.started = change
                self._unfinished.add(change.address)
                if isinstance(change, Put | Delete):
                    self.in_flight[change.address] = change
            case ChangeFailed(change, error):
                self.failing = self.failing or change
                self._unfinished.discard(change.address)
                if error.mutation_state == "none":
                    self.in_flight.pop(change.address, None)
                self.done = [one for one in self.done if one != change]
            case ChangeDone(change):
                self.done.append(change)
                self._unfinished.discard(change.address)
                self.started = None if self.started == change else self.started
                self.in_flight.pop(change.address, None)
            case ProjectReady(project):
                self.project = project

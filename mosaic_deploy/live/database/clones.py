"""Clones of a project's database, which the embedded platform makes for drafts of migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from mosaic_deploy.errors import DraftBlocked, RequestRefused
from mosaic_deploy.live.api.client import Api

_CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Standing:
    """How a draft stands: whether it is `served`, or `another` one's took its place."""

    served: bool
    another: bool
    database: str


@dataclass(frozen=True, slots=True)
class Clones:
    """One drafter's. `name` is random and known to this run alone. Raises ApiError's children."""

    api: Api
    project: str
    name: str

    @property
    def made(self) -> Api:
        """The API whose SQL goes to the clone that is being made."""
        return self.api.meaning(f"draft {self.name}")

    def make(self) -> None:
        """A fresh clone; what is served stays. Raises DraftBlocked while somebody works in the database."""
        with unblocked():
            self._say("clone")

    def serve(self) -> Standing:
        """Apps see the clone from here on. Raises DraftBlocked where another draft came in between."""
        with unblocked():
            return self._say("serve")

    def keep(self) -> Standing:
        """Says that somebody is there; a platform that doesn't hear of a draft for a while ends it."""
        return self._say("keep")

    def drop(self) -> Standing:
        """Apps see the database itself from here on."""
        return self._say("drop")

    def _say(self, step: str) -> Standing:
        place = f"/dev/{quote(self.project, safe='')}/draft"
        answer = self.api.post_beside(place, {"step": step, "name": self.name})
        return Standing(bool(answer["served"]), bool(answer["another"]), str(answer["database"]))


@contextmanager
def unblocked() -> Iterator[None]:
    """Raises DraftBlocked for what the platform says is in a draft's way."""
    try:
        yield
    except RequestRefused as error:
        if error.status != _CONFLICT:
            raise
        message = error.message.partition(": ")[2].removesuffix(f" (HTTP {_CONFLICT})")
        raise DraftBlocked(message or error.message, hint="it is tried again by itself") from None

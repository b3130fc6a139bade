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
class DraftStatus:
    """How a draft stands: whether it is `served`, or `replaced` one's took its place."""

    served: bool
    replaced: bool
    database: str


@dataclass(frozen=True, slots=True)
class DraftClone:
    """One drafter's. `name` is random and known to this run alone. Raises ApiError's children."""

    api: Api
    project: str
    name: str

    @property
    def clone_api(self) -> Api:
        """The API whose SQL goes to the clone that is being made."""
        return self.api.for_database(f"draft {self.name}")

    def create(self) -> None:
        """A fresh clone; what is served stays. Raises DraftBlocked while somebody works in the database."""
        with conflict_as_draft_blocked():
            self._post("clone")

    def serve(self) -> DraftStatus:
        """Apps see the clone from here on. Raises DraftBlocked where another draft came in between."""
        with conflict_as_draft_blocked():
            return self._post("serve")

    def keep_alive(self) -> DraftStatus:
        """Says that somebody is there; a platform that doesn't hear of a draft for a while ends it."""
        return self._post("keep")

    def drop(self) -> DraftStatus:
        """Apps see the database itself from here on."""
        return self._post("drop")

    def _post(self, action: str) -> DraftStatus:
        place = f"/dev/{quote(self.project, safe='')}/draft"
        payload = self.api.post_embedded(place, {"step": action, "name": self.name})
        return DraftStatus(bool(payload["served"]), bool(payload["another"]), str(payload["database"]))


@contextmanager
def conflict_as_draft_blocked() -> Iterator[None]:
    """Raises DraftBlocked for what the platform says is in a draft's way."""
    try:
        yield
    except RequestRefused as error:
        if error.status != _CONFLICT:
            raise
        message = error.message.partition(": ")[2].removesuffix(f" (HTTP {_CONFLICT})")
        raise DraftBlocked(message or error.message, hint="it is tried again by itself") from None

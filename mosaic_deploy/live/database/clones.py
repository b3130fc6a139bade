"""Clones of a project's database, which the embedded platform makes for migration drafts."""

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
    """Whether apps use this draft's clone (`served`), or another draft `replaced` it."""

    served: bool
    replaced: bool
    database: str


@dataclass(frozen=True, slots=True)
class DraftClone:
    """The clone of one `dev`. `name` is random and known only to this run. Methods raise ApiError."""

    api: Api
    project: str
    name: str

    @property
    def clone_api(self) -> Api:
        """The API whose SQL goes to the clone in preparation."""
        return self.api.for_database(f"draft {self.name}")

    def create(self) -> None:
        """Makes a fresh clone; apps don't see it yet. Raises DraftBlocked while the database is in use."""
        with conflict_as_draft_blocked():
            self._post("clone")

    def serve(self) -> DraftStatus:
        """Shows the clone to apps. Raises DraftBlocked if another draft was served in the meantime."""
        with conflict_as_draft_blocked():
            return self._post("serve")

    def keep_alive(self) -> DraftStatus:
        """Keeps the draft alive: the platform drops one without a recent call."""
        return self._post("keep")

    def drop(self) -> DraftStatus:
        """Drops the clone; apps use the real database again."""
        return self._post("drop")

    def _post(self, action: str) -> DraftStatus:
        place = f"/dev/{quote(self.project, safe='')}/draft"
        payload = self.api.call_embedded("draft", "POST", place, {"step": action, "name": self.name})
        return DraftStatus(bool(payload["served"]), bool(payload["another"]), str(payload["database"]))


@contextmanager
def conflict_as_draft_blocked() -> Iterator[None]:
    """Turns the platform's HTTP 409 into DraftBlocked."""
    try:
        yield
    except RequestRefused as error:
        if error.status != _CONFLICT:
            raise
        message = error.message.partition(": ")[2].removesuffix(f" (HTTP {_CONFLICT})")
        raise DraftBlocked(message or error.message, hint="this is retried automatically") from None

"""Collects what PostgreSQL reports beside results: NOTICE, WARNING, INFO."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.errors import Diagnostic

from mosaic_deploy.platform.postgres.connections import Session

MAX_NOTICES = 1000
MAX_CHARACTERS = 256 * 1024
_UNWANTED = frozenset({"DEBUG", "LOG"})
"""A session gets them only if it sets `client_min_messages`; they are about PostgreSQL's inner workings."""

Notice = dict[str, str | None]


class Notices:
    """The notices of one call, in order. Beyond the limits they are only counted."""

    def __init__(self) -> None:
        self.kept: list[Notice] = []
        self.omitted = 0
        self._characters = 0

    def add(self, diagnosis: Diagnostic) -> None:
        severity = diagnosis.severity_nonlocalized or "NOTICE"
        if severity in _UNWANTED:
            return
        self._keep(
            {
                "severity": severity,
                "message": diagnosis.message_primary or "",
                "sqlstate": diagnosis.sqlstate,
                "detail": diagnosis.message_detail,
                "hint": diagnosis.message_hint,
                "where": diagnosis.context,
            }
        )

    def warn(self, message: str) -> None:
        """Add a warning of the platform itself."""
        fields: Notice = dict.fromkeys(("sqlstate", "detail", "hint", "where"))
        self._keep({"severity": "WARNING", "message": message, **fields})

    def _keep(self, notice: Notice) -> None:
        self._characters += sum(len(text or "") for text in notice.values())
        if len(self.kept) < MAX_NOTICES and self._characters <= MAX_CHARACTERS:
            self.kept.append(notice)
        else:
            self.omitted += 1


@contextmanager
def collected(session: Session, notices: Notices) -> Iterator[None]:
    """Adds what the session reports to `notices`."""
    session.add_notice_handler(notices.add)
    try:
        yield
    finally:
        session.remove_notice_handler(notices.add)

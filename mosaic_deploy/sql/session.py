"""What every call that runs migrations carries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """What every call carries: the fencing token, the deploy's id, and the timeouts (PostgreSQL's syntax)."""

    token: str
    deploy_id: str
    lock_timeout: str | None = None
    statement_timeout: str | None = None

    @property
    def limits(self) -> Iterator[tuple[str, str]]:
        """The timeouts that are set, as PostgreSQL's settings."""
        if self.lock_timeout:
            yield "lock_timeout", self.lock_timeout
        if self.statement_timeout:
            yield "statement_timeout", self.statement_timeout

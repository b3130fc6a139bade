"""What every operation works with: the running platform's parts in one value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_deploy.platform.accounts.accounts import ApiKeyAuthenticator
    from mosaic_deploy.platform.accounts.local_key import LocalKey
    from mosaic_deploy.platform.auth.smtp import Mailer
    from mosaic_deploy.platform.http.hosts import Hosts
    from mosaic_deploy.platform.http.request_journal import RequestJournal
    from mosaic_deploy.platform.machine.state_folder import PlatformState
    from mosaic_deploy.platform.postgres.connections import SessionPool
    from mosaic_deploy.platform.postgres.control_database import Pool
    from mosaic_deploy.platform.postgres.server import Server
    from mosaic_deploy.platform.projects.dev_sessions import DevSessions, DraftSessions
    from mosaic_deploy.platform.projects.limits import Limits
    from mosaic_deploy.platform.sql.modes import SqlModes
    from mosaic_deploy.platform.storage.object_store import Store


@dataclass(frozen=True)
class Platform:
    """Shared by all requests. Holds no project's data: that is in the control database."""

    state: PlatformState
    hosts: Hosts
    pool: Pool
    server: Server
    sessions: SessionPool
    store: Store
    # Whose requests these are. On a served platform every request has its own, by its key.
    account_id: int
    variants: SqlModes
    limits: Limits
    authenticator: ApiKeyAuthenticator
    journal: RequestJournal
    dev: DevSessions
    drafts: DraftSessions
    # Dashboard and inbox show keys and mails to whoever reaches them: only where that is this machine's user.
    local: bool = True
    # Without one, mails stay in the local inbox.
    mailer: Mailer | None = None
    # The key in this machine's home; a served platform knows none of its keys.
    local_key: LocalKey | None = None
    # Tasks under way; asyncio keeps only weak references to them.
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return self.hosts.url

    def site_url(self, project_id: str) -> str:
        return self.hosts.site_url(project_id)

    def for_account(self, account_id: int) -> Platform:
        """The same platform, for a request of this account."""
        return replace(self, account_id=account_id)

    async def finish_tasks(self, timeout: float = 5.0) -> None:
        """At the end: what runs in the background may finish for a moment; others take up the rest."""
        if self.tasks:
            _, left = await asyncio.wait(self.tasks, timeout=timeout)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

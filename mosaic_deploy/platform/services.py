"""`Platform`: the running platform's services, passed to every endpoint."""

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
    from mosaic_deploy.platform.postgres.health import DatabaseHealth
    from mosaic_deploy.platform.postgres.server import Server
    from mosaic_deploy.platform.projects.dev_sessions import DevSessions, DraftSessions
    from mosaic_deploy.platform.projects.limits import Limits
    from mosaic_deploy.platform.sql.modes import SqlModes
    from mosaic_deploy.platform.storage.object_store import Store
    from mosaic_deploy.platform.storage.store_claim import StoreClaim


@dataclass(frozen=True)
class Platform:
    """Shared by all requests. Project data isn't here but in the control database."""

    state: PlatformState
    hosts: Hosts
    pool: Pool
    server: Server
    sessions: SessionPool
    store: Store
    # The account of this request's API key.
    account_id: int
    sql_modes: SqlModes
    limits: Limits
    authenticator: ApiKeyAuthenticator
    journal: RequestJournal
    dev: DevSessions
    drafts: DraftSessions
    health: DatabaseHealth
    # By name: when the database of a rehearsal was last used.
    rehearsals: dict[str, float] = field(default_factory=dict)
    # Digests of bases that the next rehearsal may need a copy of.
    spares: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    # Dashboard and inbox, which show keys and emails, are served only to this machine's user.
    local: bool = True
    # If None, emails stay in the local inbox.
    mailer: Mailer | None = None
    # The key in the state folder. None on a served platform, which stores only hashes of keys.
    local_key: LocalKey | None = None
    # By account: whose turn it is to create or delete a project.
    turns: dict[int, asyncio.Semaphore] = field(default_factory=dict)
    # The port that serves nothing but metrics, and the folder in which several workers add up their counts.
    metrics_port: int | None = None
    counts_folder: str = ""
    # None on the embedded platform, whose store is in its own folder.
    store_claim: StoreClaim | None = None
    # Background tasks; asyncio itself keeps only weak references to them.
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return self.hosts.url

    def site_url(self, project_id: str) -> str:
        return self.hosts.site_url(project_id)

    def for_account(self, account_id: int) -> Platform:
        return replace(self, account_id=account_id)

    async def may_delete_objects(self) -> bool:
        """False while the object store may belong to another installation, or during a backup."""
        return self.store_claim is None or await self.store_claim.may_delete()

    async def finish_tasks(self, timeout: float = 5.0) -> None:
        """At shutdown: wait up to `timeout` seconds, then cancel; unfinished work is resumed by another process."""
        if self.tasks:
            _, left = await asyncio.wait(self.tasks, timeout=timeout)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

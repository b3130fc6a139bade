"""What every operation works with: the running platform's parts in one value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from mosaic_deploy.platform.control import Pool
from mosaic_deploy.platform.databases import Server
from mosaic_deploy.platform.home import State
from mosaic_deploy.platform.sessions import Sessions
from mosaic_deploy.platform.store import Store
from mosaic_deploy.platform.variants import Variants


@dataclass(frozen=True)
class Platform:
    """Shared by all requests. Holds no project's data: that is in the control database."""

    state: State
    port: int
    pool: Pool
    server: Server
    sessions: Sessions
    store: Store
    account_id: int
    variants: Variants = field(default_factory=Variants)
    # Tasks under way; asyncio keeps only weak references to them.
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def site_url(self, project_id: str) -> str:
        return f"http://{project_id}.localhost:{self.port}"

"""The API key of this machine's own platform. It alone is kept as it is, in the home, for `apply --local` to find."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

from mosaic_deploy.platform import accounts, home
from mosaic_deploy.platform.control import Pool

log = logging.getLogger(__name__)


class LocalKey:
    """The current key of one home."""

    def __init__(self, folder: Path, value: str, account_id: int) -> None:
        self.value = value
        self._folder = folder
        self._account_id = account_id
        self._changing = asyncio.Lock()

    def __repr__(self) -> str:
        return "LocalKey(mk_…)"

    async def rotate(self, pool: Pool) -> None:
        """First the database, then the home: whoever reads a key there finds one that is good. Where this ends in
        between, the next start finds the home's key replaced, and rotates once more."""
        async with self._changing:
            self.value = await accounts.rotate_key(pool, self._account_id)
            await asyncio.to_thread(self._write)
        log.info("the API key was rotated")

    async def rotate_if_due(self, pool: Pool) -> bool:
        if not await accounts.is_due(pool, self.value):
            return False
        await self.rotate(pool)
        return True

    def _write(self) -> None:
        state = home.read_state(self._folder)
        if state is not None:
            home.write_state(self._folder, replace(state, api_key=self.value))
        document = home.read_platform(self._folder)
        if document is not None:
            home.write_platform(self._folder, {**document, "api_key": self.value})

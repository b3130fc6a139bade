"""Ends SERIALIZABLE transactions that keep too many predicate locks, and says which projects are to be suspended for them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.tenants.activity import ActivityConnection
from mosaic_deploy.platform.tenants.offences import (
    AccountShare,
    Offence,
    PredicateLocks,
    Role,
    accounts_over,
    keepers_to_end,
    makers_of_predicate_locks,
    possible_keepers,
    too_many_predicate_locks,
)
from mosaic_deploy.platform.tenants.predicate_locks import (
    RecentOffenders,
    RecentPredicateLocks,
    find_keeping_transactions,
)

_SEARCH_AGAIN_SECONDS = 20.0

log = logging.getLogger(__name__)


class PredicateLockWatch:
    """What it knows from one look to the next.

    Once all transactions that can be seen to keep locks have ended, the locks must be gone. Those that remain are kept by
    one that can't be told from others that have a snapshot. So these end, an account's at a time, until they are gone.
    """

    def __init__(self, server: Server, connection: ActivityConnection, share: AccountShare) -> None:
        self._server = server
        self._connection = connection
        self._share = share
        self._recent = RecentPredicateLocks()
        self._offenders = RecentOffenders()
        self._search_due = 0.0

    async def look(self, roles: Mapping[int, Role]) -> list[Offence]:
        """End the transactions that must end. Returns those, and the projects to suspend."""
        before = await self._connection.predicate_locks()
        held = before.by_database
        made = self._recent.made(held)
        over = accounts_over(held, roles, self._share)
        if not too_many_predicate_locks(held, over, self._share):
            return []
        transactions = await find_keeping_transactions(
            self._server, control_database.DATABASE, self._connection
        )
        are_long, keepers = keepers_to_end(transactions, roles)
        pids = [pid for offence in keepers for pid in offence.pids]
        await self._connection.end(pids)
        if are_long or await self._connection.transactions(pids):
            return keepers
        if not await self._remain(before):
            often = self._offenders.add(over)
        elif hidden := await self._end_hidden(before, roles):
            return keepers + hidden
        else:
            often = set()
        databases = {one for role in roles.values() if role.account in often for one in role.databases}
        counted = {**made, **{one: number for one, number in held.items() if one in databases}}
        return keepers + makers_of_predicate_locks(counted, roles, self._share)

    async def _remain(self, before: PredicateLocks) -> bool:
        """Not if it's few: PostgreSQL counts all of the oldest transactions as one."""
        after = await self._connection.predicate_locks()
        return before.remaining(after) > self._share.predicate_locks // 2

    async def _end_hidden(self, before: PredicateLocks, roles: Mapping[int, Role]) -> list[Offence]:
        """The sessions of the account that kept the locks, to suspend if it often did. None if no project's did."""
        if time.monotonic() < self._search_due:
            return []
        for own in possible_keepers(await self._connection.snapshots(), roles):
            await self._connection.end(one.pid for one in own)
            if not await self._remain(before):
                often = self._offenders.add({roles[one.role].account for one in own})
                locks = sum(before.by_database.values()) if often else 0
                return [Offence(roles[one.role], (one.pid,), locks) for one in own]
            for one in own:
                log.warning(
                    "ended a session of project %s: it might have kept others' predicate locks",
                    roles[one.role].project_id,
                )
            # If it isn't a project's, others' sessions aren't ended in vain again and again.
            self._search_due = time.monotonic() + _SEARCH_AGAIN_SECONDS
        return []

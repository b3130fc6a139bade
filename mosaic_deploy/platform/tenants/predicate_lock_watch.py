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
    OpenTransaction,
    PredicateLocks,
    Role,
    accounts_over,
    keepers_to_end,
    makers_of_predicate_locks,
    only_sessions,
    possible_keepers,
    too_many_predicate_locks,
)
from mosaic_deploy.platform.tenants.predicate_locks import (
    RecentOffenders,
    RecentPredicateLocks,
    Suspicion,
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
        # Sessions in a computation that PostgreSQL doesn't interrupt: ending others is in vain.
        self._unending: set[int] = set()
        self._suspicion = Suspicion()

    async def look(self, roles: Mapping[int, Role]) -> list[Offence]:
        """End the transactions that must end. Returns those, and the projects to suspend."""
        before = await self._connection.predicate_locks()
        recent = self._recent.add(before)
        if not self._too_many(before, roles):
            return []
        transactions = await find_keeping_transactions(
            self._server, control_database.DATABASE, self._connection
        )
        # A transaction that kept them may have ended meanwhile. The account that made them isn't to blame.
        present = await self._connection.predicate_locks()
        if not self._too_many(present, roles) or self._unending & {one.pid for one in transactions}:
            return []
        are_long, keepers = keepers_to_end(transactions, roles)
        pids = [pid for offence in keepers for pid in offence.pids]
        keepers = only_sessions(keepers, await self._connection.end(pids))
        self._unending = {one.pid for one in await self._connection.transactions(pids)}
        if are_long or self._unending:
            return keepers
        if await self._remain(before):
            if hidden := await self._end_hidden(present, recent.lasting, roles):
                return keepers + hidden
            often = set()
        else:
            often = self._offenders.add(self._fast(recent.by_database, present.by_database, roles))
        return keepers + self._makers(often, recent.by_database, present.by_database, roles)

    def _too_many(self, locks: PredicateLocks, roles: Mapping[int, Role]) -> bool:
        over = accounts_over(locks.by_database, roles, self._share.predicate_locks)
        return too_many_predicate_locks(locks.by_database, over, self._share)

    def _fast(self, made: Mapping[int, int], held: Mapping[int, int], roles: Mapping[int, Role]) -> set[int]:
        """The accounts that have more than their share, and have made most of it lately: a little more than a second may
        have passed. With fewer, a transaction kept them that was open for long, and ended while it was looked for."""
        limit = self._share.predicate_locks
        return accounts_over(held, roles, limit) & accounts_over(made, roles, limit * 3 // 4)

    def _makers(
        self, often: set[int], made: Mapping[int, int], held: Mapping[int, int], roles: Mapping[int, Role]
    ) -> list[Offence]:
        databases = {one for role in roles.values() if role.account in often for one in role.databases}
        counted = {**made, **{one: number for one, number in held.items() if one in databases}}
        return makers_of_predicate_locks(counted, roles, self._share)

    async def _remain(self, before: PredicateLocks) -> bool:
        """Not if it's few: PostgreSQL counts all of the oldest transactions as one."""
        after = await self._connection.predicate_locks()
        return before.remaining(after) > self._share.predicate_locks // 2

    async def _end_hidden(
        self, present: PredicateLocks, lasting: PredicateLocks, roles: Mapping[int, Role]
    ) -> list[Offence]:
        """The sessions of the account that kept the locks, to suspend if it often did. None if no project's did."""
        if time.monotonic() < self._search_due or not await self._remain(lasting):
            return []
        suspects = possible_keepers(await self._connection.snapshots(), roles, self._suspicion.levels())
        for number, own in enumerate(suspects):
            account = roles[own[0].role].account
            await self._connection.end(one.pid for one in own)
            if not await self._remain(lasting):
                often = await self._blame(account, suspects[number + 1 :], roles)
                locks = sum(present.by_database.values()) if often else 0
                return [Offence(roles[one.role], (one.pid,), locks) for one in own]
            self._suspicion.clear(account)
            for one in own:
                log.warning(
                    "ended a session of project %s: it might have kept others' predicate locks",
                    roles[one.role].project_id,
                )
        # It isn't a project's, or can't be ended: others' sessions aren't ended in vain again and again.
        self._search_due = time.monotonic() + _SEARCH_AGAIN_SECONDS
        return []

    async def _blame(
        self, account: int, others: list[list[OpenTransaction]], roles: Mapping[int, Role]
    ) -> bool:
        """Whether the account often kept the locks, whose sessions have just ended.

        If one of the `others` has left at the same time, it may have kept them, to have this account blamed.
        """
        present = {one.pid for one in await self._connection.snapshots()}
        left = {roles[one.role].account for own in others for one in own if one.pid not in present}
        self._suspicion.add(left, account)
        return not left and bool(self._offenders.add({account}))

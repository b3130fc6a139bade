"""Who takes more of the PostgreSQL server than an account may, and which sessions end for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

SHARE = 4
"""One account may hold this part, a quarter, of the server's locks, predicate locks and connections."""
SHORT_SECONDS = 1.0
"""A transaction younger than this doesn't keep others' predicate locks for long. It bounds what an account may make
while another's is open: in this time, its share."""


@dataclass(frozen=True)
class PredicateLocks:
    """How many there are: by database, and by transaction those of committed ones. The oldest of these count as one."""

    by_database: Mapping[int, int]
    committed: Mapping[str, int]

    def remaining(self, later: PredicateLocks) -> int:
        """How many of those of committed transactions are still there."""
        return sum(self.shared(later).values())

    def shared(self, other: PredicateLocks) -> dict[str, int]:
        """Those of committed transactions that are in both, by transaction."""
        return {
            one: min(held, other.committed[one])
            for one, held in self.committed.items()
            if one in other.committed
        }


@dataclass(frozen=True)
class Session:
    """`locks` are without predicate locks."""

    pid: int
    role: int
    database: int
    locks: int
    started: float


@dataclass(frozen=True)
class OpenTransaction:
    """`age` in seconds."""

    pid: int
    role: int
    age: float


@dataclass(frozen=True)
class Role:
    """A project's role: its account, and the databases that are its own."""

    oid: int
    project_id: str
    account: int
    databases: frozenset[int]


@dataclass(frozen=True)
class AccountShare:
    """The locks, predicate locks and sessions that one account may hold."""

    locks: int
    predicate_locks: int
    sessions: int


@dataclass(frozen=True)
class Offence:
    """Sessions to end. `locks` is set if the project is to be suspended because it holds too many."""

    role: Role
    pids: tuple[int, ...]
    locks: int = 0


def only_sessions(offences: Iterable[Offence], pids: Collection[int]) -> list[Offence]:
    """The offences without sessions that aren't of these PIDs."""
    remaining = [replace(one, pids=tuple(pid for pid in one.pids if pid in pids)) for one in offences]
    return [one for one in remaining if one.pids]


def find_offences(
    sessions: Iterable[Session], roles: Mapping[int, Role], share: AccountShare
) -> list[Offence]:
    """Which sessions of the given roles must end: those in databases that aren't the role's own, the newest beyond an
    account's share, and all of the projects that hold most of the locks, until their account is within its share."""
    by_account: dict[int, list[Session]] = defaultdict(list)
    offences = []
    for session in sessions:
        role = roles.get(session.role)
        if role is None:
            continue
        if session.database not in role.databases:
            offences.append(Offence(role, (session.pid,)))
        else:
            by_account[role.account].append(session)
    for held in by_account.values():
        kept = sorted(held, key=lambda session: session.started)
        offences += [Offence(roles[one.role], (one.pid,)) for one in kept[share.sessions :]]
        offences += _lock_offences(kept[: share.sessions], roles, share.locks)
    return offences


def accounts_over(locks: Mapping[int, int], roles: Mapping[int, Role], limit: int) -> set[int]:
    """The accounts whose databases have more predicate locks than this. `locks` are by database."""
    by_account: dict[int, int] = defaultdict(int)
    for project_locks, role in _by_project(locks, roles):
        by_account[role.account] += project_locks
    return {account for account, held in by_account.items() if held > limit}


def too_many_predicate_locks(locks: Mapping[int, int], over: Collection[int], share: AccountShare) -> bool:
    """Whether any account is `over` its share, or all together over twice that, half of the server's."""
    return bool(over) or sum(locks.values()) > 2 * share.predicate_locks


def keepers_to_end(
    transactions: Iterable[OpenTransaction], roles: Mapping[int, Role]
) -> tuple[bool, list[Offence]]:
    """Which of the transactions, which keep predicate locks, must end. Also whether they are open for long.

    PostgreSQL keeps the predicate locks of a committed transaction until all SERIALIZABLE transactions that began before its
    end have ended, in all databases. An ordinary project can have too many only because another's transaction is open for
    long. So those that are end first; all of them if all are short.
    """
    keeping = [one for one in transactions if one.role in roles]
    long = [one for one in keeping if one.age > SHORT_SECONDS]
    return bool(long), [Offence(roles[one.role], (one.pid,)) for one in long or keeping]


def makers_of_predicate_locks(
    counted: Mapping[int, int], roles: Mapping[int, Role], share: AccountShare
) -> list[Offence]:
    """The projects that made too many predicate locks while no transaction was open for long.

    `counted` are, by database, those that were made within SHORT_SECONDS, or all if the account often has too many. What
    was made more slowly is kept by a transaction that isn't a project's, and is nobody's fault here.
    """
    by_account: dict[int, list[tuple[int, Role]]] = defaultdict(list)
    for project_locks, role in _by_project(counted, roles):
        by_account[role.account].append((project_locks, role))
    return [
        Offence(role, (), project_locks)
        for held in by_account.values()
        for project_locks, role in _until_within(held, share.predicate_locks)
    ]


def possible_keepers(
    transactions: Iterable[OpenTransaction], roles: Mapping[int, Role], suspicion: Mapping[int, int]
) -> list[list[OpenTransaction]]:
    """Of the transactions with a snapshot, projects' that are open for long: by account, that of the oldest first.

    Before these, the accounts under most `suspicion`: else they could make others' end each time.
    """
    by_account: dict[int, list[OpenTransaction]] = defaultdict(list)
    for one in sorted(transactions, key=lambda one: -one.age):
        if one.role in roles and one.age > SHORT_SECONDS:
            by_account[roles[one.role].account].append(one)
    return sorted(by_account.values(), key=lambda own: -suspicion.get(roles[own[0].role].account, 0))


def _by_project(locks: Mapping[int, int], roles: Mapping[int, Role]) -> list[tuple[int, Role]]:
    return [
        (held, role)
        for role in roles.values()
        if (held := sum(locks.get(database, 0) for database in role.databases))
    ]


def _lock_offences(sessions: Iterable[Session], roles: Mapping[int, Role], limit: int) -> list[Offence]:
    by_role: dict[int, list[Session]] = defaultdict(list)
    for session in sessions:
        by_role[session.role].append(session)
    held = [(sum(one.locks for one in own), roles[role]) for role, own in by_role.items()]
    return [
        Offence(role, tuple(session.pid for session in by_role[role.oid]), locks)
        for locks, role in _until_within(held, limit)
    ]


def _until_within(held: list[tuple[int, Role]], limit: int) -> list[tuple[int, Role]]:
    """Those that hold most: without them, the others are within the limit."""
    total, most = sum(locks for locks, _ in held), []
    for locks, role in sorted(held, key=lambda one: -one[0]):
        if total <= limit:
            break
        total -= locks
        most.append((locks, role))
    return most

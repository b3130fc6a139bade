"""Who is blamed for predicate locks, and whose sessions end for them. With a connection that answers as PostgreSQL would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mosaic_deploy.platform.tenants import predicate_lock_watch, predicate_locks
from mosaic_deploy.platform.tenants.offences import AccountShare, OpenTransaction, PredicateLocks, Role
from mosaic_deploy.platform.tenants.predicate_lock_watch import PredicateLockWatch

SHARE = AccountShare(locks=100, predicate_locks=100, sessions=9)
ROLES = {number: Role(number, f"p-{number}", number, frozenset({number})) for number in (1, 2, 3)}
"""Of an account each."""
VICTIM, ATTACKER, OTHER = 1, 2, 3


@dataclass
class _Connection:
    """`keeper` is the PID whose end releases all locks; `seen` are the transactions that can be seen to keep some. When a
    session of `leaves_with` ends, that of its value leaves, and the locks go."""

    held: int = 0
    first_lock: int = 0
    keeper: int = 0
    seen: list[OpenTransaction] = field(default_factory=list)
    with_snapshot: list[OpenTransaction] = field(default_factory=list)
    unending: tuple[int, ...] = ()
    leaves_with: dict[int, int] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)

    async def predicate_locks(self) -> PredicateLocks:
        numbers = range(self.first_lock, self.first_lock + self.held)
        return PredicateLocks({VICTIM: self.held}, {f"3/{number}": 1 for number in numbers})

    async def transactions(self, pids: list[int]) -> list[OpenTransaction]:
        return [OpenTransaction(pid, ATTACKER, 2.0) for pid in pids if pid in self.unending]

    async def snapshots(self) -> list[OpenTransaction]:
        return self.with_snapshot

    async def end(self, pids: Iterable[int]) -> set[int]:
        ended = set(pids)
        for pid in ended:
            if pid in self.leaves_with:
                pid_left = self.leaves_with[pid]
                self.with_snapshot = [one for one in self.with_snapshot if one.pid != pid_left]
                self.held = 0
            self.ended.append(pid)
            if pid == self.keeper and pid not in self.unending:
                self.held = 0
        return ended


class _Looks:
    """Looks of a watch at given times, as the victim's locks come and go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.connection = _Connection()
        self.leaves_while_looked_for = False
        for module in (predicate_lock_watch, predicate_locks):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(predicate_lock_watch, "find_keeping_transactions", self._find)
        self._watch = PredicateLockWatch(cast(Any, None), cast(Any, self.connection), SHARE)

    async def _find(self, *_: object) -> list[OpenTransaction]:
        if self.leaves_while_looked_for:
            self.connection.held = 0
        return list(self.connection.seen)

    def look(self, held: int, after: float) -> dict[int, int]:
        """The projects to suspend, and their locks."""
        self.now += after
        self.connection.held = held
        found = asyncio.run(self._watch.look(ROLES))
        return {one.role.oid: one.locks for one in found if one.locks}


@pytest.fixture
def looks(monkeypatch) -> _Looks:
    return _Looks(monkeypatch)


def test_nobody_is_blamed_or_ended_for_what_a_transaction_kept_that_left_meanwhile(looks) -> None:
    """A project could leave whenever the watch connects, which everybody sees, and so have another one suspended."""
    looks.connection.seen = [OpenTransaction(7, VICTIM, 0.1)]
    looks.leaves_while_looked_for = True
    for _ in range(4):
        for held in (0, 30, 60, 90, 120):
            assert looks.look(held, after=0.5) == {}
    assert looks.connection.ended == []


@pytest.mark.parametrize(("made", "suspended"), [(60, {}), (90, {VICTIM: 120})])
def test_an_account_is_blamed_only_for_what_it_makes_in_a_second(looks, made, suspended) -> None:
    """Not if one that kept them for long leaves when it sees others end."""
    looks.connection.seen, looks.connection.keeper = [OpenTransaction(7, VICTIM, 0.1)], 7
    for _ in range(2):
        assert looks.look(120 - made, after=1.1) == {}
        assert looks.look(120, after=0.9) == {}
    looks.look(120 - made, after=1.1)
    assert looks.look(120, after=0.9) == suspended


def test_a_hidden_keeper_is_found_again_at_once_if_others_ended_before(looks) -> None:
    """An older snapshot of another account made the search pause, so the locks stayed for 20 seconds each time."""
    own, other = OpenTransaction(8, ATTACKER, 2.0), OpenTransaction(9, OTHER, 5.0)
    looks.connection.keeper, looks.connection.with_snapshot = 8, [own, other]
    found = []
    for number in range(3):
        looks.connection.first_lock = 1000 * number
        looks.look(90, after=1.0)
        found.append(looks.look(120, after=1.0))
    assert found == [{}, {}, {ATTACKER: 120}]
    # The other's only the first time.
    assert looks.connection.ended == [9, 8, 8, 8]


def test_an_account_isnt_blamed_if_a_hidden_keeper_leaves_when_it_sees_its_sessions_end(looks) -> None:
    """From then on the one that left is first."""
    own, victims = OpenTransaction(8, ATTACKER, 2.0), OpenTransaction(9, VICTIM, 5.0)
    looks.connection.keeper, looks.connection.leaves_with = 8, {9: 8}
    for number in range(4):
        looks.connection.with_snapshot = [own, victims]
        looks.connection.first_lock = 1000 * number
        looks.look(90, after=1.0)
        assert looks.look(120, after=1.0) == ({ATTACKER: 120} if number == 3 else {})
    assert looks.connection.ended == [9, 8, 8, 8]


def test_nobodys_session_ends_for_locks_that_a_young_transaction_may_keep(looks) -> None:
    """It isn't among those that would end, so theirs would be in vain, and the search would pause."""
    looks.connection.keeper = 8
    looks.connection.with_snapshot = [OpenTransaction(8, ATTACKER, 0.9), OpenTransaction(9, OTHER, 5.0)]
    looks.look(40, after=1.0)
    assert looks.look(120, after=0.9) == {}
    assert looks.connection.ended == []
    looks.connection.with_snapshot = [OpenTransaction(8, ATTACKER, 2.0)]
    looks.look(130, after=1.1)
    assert looks.connection.ended == [8]


def test_others_do_not_end_while_one_that_cant_be_ended_keeps_the_locks(looks) -> None:
    looks.connection.seen, looks.connection.unending = [OpenTransaction(8, ATTACKER, 2.0)], (8,)
    looks.look(120, after=1.0)
    looks.connection.seen.append(OpenTransaction(7, VICTIM, 2.0))
    looks.look(120, after=1.0)
    assert looks.connection.ended == [8]
    # It has ended at last.
    looks.connection.seen = [OpenTransaction(7, VICTIM, 2.0)]
    looks.look(120, after=1.0)
    assert looks.connection.ended == [8, 7]

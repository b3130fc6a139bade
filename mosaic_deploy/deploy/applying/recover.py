"""After a run broke off: which of its changes to the database were committed all the same.

A call commits many migrations, and its answer tells them all at once. Where that answer is missing, because it was
lost or nobody waited for it, the ledger knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.errors import ApiError, MigrationFailed, ResponseLost
from mosaic_deploy.live.ledger.deploys import Committed, read_committed
from mosaic_deploy.model.change import (
    ApplyMigration,
    Change,
    ForgetMigration,
    RecordMigration,
    RunSeed,
    UndoMigration,
)
from mosaic_deploy.model.event import ChangeDone, ChangeStarted

GO_ON = (
    "run the same command again: it waits for what still runs in a transaction, sees what is done, and goes on; of "
    "a statement outside transactions it asks you where it can't tell (CALL, DO with COMMIT)"
)
"""The way on after a statement was sent whose end isn't known."""
_TOLD_BY_LEDGER = (ApplyMigration, UndoMigration, RunSeed, RecordMigration, ForgetMigration)


def settled(
    run: Run, done: Collection[str], under_way: Change | None, error: BaseException
) -> Iterator[ChangeDone | ChangeStarted]:
    """The changes that the ledger has besides those at the addresses `done`; then the one that may still be running.

    One request, if it isn't clear already. Where one may still be running, or the ledger can't be read, an error of
    the API gets the mutation state `unknown`; else `none`, for nothing besides the changes told.
    """
    if not isinstance(under_way, _TOLD_BY_LEDGER) or isinstance(error, MigrationFailed):
        return
    try:
        committed = read_committed(run.api, run.project.id, run.claim.deploy_id)
    except ApiError:
        committed = Committed(frozenset(), _all_versions(run), frozenset())
    left = [c for c in run.changes if isinstance(c, _TOLD_BY_LEDGER) and c.address not in done]
    for change in left:
        if _has(committed, change):
            yield ChangeDone(change, 0.0)
    open_ones = [change for change in left if not _has(committed, change)]
    if isinstance(error, ApiError):
        error.mutation_state = "unknown" if open_ones else "none"
        if isinstance(error, ResponseLost):
            error.hint = GO_ON if open_ones else "run the same command again: it goes on with what is left"
    if open_ones:
        yield ChangeStarted(open_ones[0])


def _has(committed: Committed, change: Change) -> bool:
    match change:
        case ApplyMigration() | RecordMigration():
            return change.version in committed.applied
        case UndoMigration() | ForgetMigration():
            return change.version not in committed.known
        case RunSeed():
            return change.path in committed.seeds
        case _:
            return False


def _all_versions(run: Run) -> frozenset[str]:
    """What the ledger has, for all that is known where it can't be read: nothing was undone."""
    gone = (change for change in run.changes if isinstance(change, UndoMigration | ForgetMigration))
    return frozenset(change.version for change in gone)

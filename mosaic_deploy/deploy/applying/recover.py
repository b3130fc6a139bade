"""After a run broke off: which of its changes to the database were committed all the same.

A call commits many migrations, and its answer tells them all at once. Where that answer is missing, because it was
lost or nobody waited for it, the ledger knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.errors import ApiError, MigrationFailed, ResponseLost
from mosaic_deploy.live.ledger.deploys import DeployOutcome, read_outcome
from mosaic_deploy.model.change import (
    ApplyMigration,
    Change,
    ForgetMigration,
    RecordMigration,
    RollBackMigration,
    RunSeed,
)
from mosaic_deploy.model.event import ChangeDone, ChangeStarted

RETRY_HINT = (
    "run the same command again: it waits for what still runs in a transaction, sees what is done, and goes on; of "
    "a statement outside transactions it asks you where it can't tell (CALL, DO with COMMIT)"
)
"""The way on after a statement was sent whose end isn't known."""
_LEDGER_CHANGES = (ApplyMigration, RollBackMigration, RunSeed, RecordMigration, ForgetMigration)


def reconcile_with_ledger(
    run: Run, done: Collection[str], under_way: Change | None, error: BaseException
) -> Iterator[ChangeDone | ChangeStarted]:
    """The changes that the ledger has besides those at the addresses `done`; then the one that may still be running.

    One request, if it isn't clear already. Where one may still be running, or the ledger can't be read, an error of
    the API gets the mutation state `unknown`; else `none`, for nothing besides the changes told.
    """
    if not isinstance(under_way, _LEDGER_CHANGES) or isinstance(error, MigrationFailed):
        return
    try:
        committed = read_outcome(run.api, run.project.id, run.claim.deploy_id)
    except ApiError:
        committed = DeployOutcome(frozenset(), _versions_to_remove(run), frozenset())
    left = [c for c in run.changes if isinstance(c, _LEDGER_CHANGES) and c.address not in done]
    for change in left:
        if _is_committed(committed, change):
            yield ChangeDone(change, 0.0)
    open_ones = [change for change in left if not _is_committed(committed, change)]
    if isinstance(error, ApiError):
        error.mutation_state = "unknown" if open_ones else "none"
        if isinstance(error, ResponseLost):
            error.hint = (
                RETRY_HINT if open_ones else "run the same command again: it goes on with what is left"
            )
    if open_ones:
        yield ChangeStarted(open_ones[0])


def _is_committed(committed: DeployOutcome, change: Change) -> bool:
    match change:
        case ApplyMigration() | RecordMigration():
            return change.version in committed.applied
        case RollBackMigration() | ForgetMigration():
            return change.version not in committed.recorded
        case RunSeed():
            return change.path in committed.seeds
        case _:
            return False


def _versions_to_remove(run: Run) -> frozenset[str]:
    """What the ledger has, for all that is known where it can't be read: nothing was undone."""
    gone = (change for change in run.changes if isinstance(change, RollBackMigration | ForgetMigration))
    return frozenset(change.version for change in gone)

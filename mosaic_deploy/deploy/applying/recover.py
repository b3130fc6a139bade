"""After an error or Ctrl-C: reads from the ledger which changes to the database were committed.

One request commits many migrations. If its response is lost, only the ledger knows which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.errors import ApiError, MigrationFailed, ResponseInvalid, ResponseLost, ServerFailed
from mosaic_deploy.live.ledger.deploys import DeployOutcome, read_outcome
from mosaic_deploy.model.change import (
    ApplyMigration,
    Change,
    ForgetMigration,
    RecordMigration,
    RecordRepeatable,
    RollBackMigration,
    RunSeed,
)
from mosaic_deploy.model.event import ChangeDone, ChangeStarted

RETRY_HINT = (
    "run the same command again; it waits for transactions that still run, and continues after what is committed. "
    "It asks you about a statement outside a transaction if it can't tell (CALL, DO with COMMIT)"
)
"""For a statement that was sent with unknown outcome."""
_LEDGER_CHANGES = (
    ApplyMigration,
    RollBackMigration,
    RunSeed,
    RecordMigration,
    RecordRepeatable,
    ForgetMigration,
)


def reconcile_with_ledger(
    run: Run, done: Collection[str], running: Change | None, error: BaseException
) -> Iterator[ChangeDone | ChangeStarted]:
    """Yields ChangeDone for committed changes that aren't in `done`, then ChangeStarted for one that may still run.

    Sends one request if needed. Sets the mutation state of an ApiError: `unknown` if a change may still run or the
    ledger can't be read, else `none`.
    """
    if not isinstance(running, _LEDGER_CHANGES) or isinstance(error, MigrationFailed):
        return
    try:
        committed = read_outcome(run.api, run.project.id, run.claim.deploy_id)
    except ApiError:
        committed = DeployOutcome(frozenset(), _versions_to_remove(run), frozenset())
    left = [c for c in run.changes if isinstance(c, _LEDGER_CHANGES) and c.address not in done]
    for change in left:
        if _is_committed(committed, change):
            yield ChangeDone(change, 0.0)
    uncommitted = [change for change in left if not _is_committed(committed, change)]
    if isinstance(error, ApiError):
        error.mutation_state = "unknown" if uncommitted else "none"
        if isinstance(error, ResponseLost | ResponseInvalid | ServerFailed):
            error.hint = (
                RETRY_HINT if uncommitted else "run the same command again; it continues with what is left"
            )
    if uncommitted:
        yield ChangeStarted(uncommitted[0])


def _is_committed(committed: DeployOutcome, change: Change) -> bool:
    match change:
        case ApplyMigration() | RecordMigration():
            return change.version in committed.applied
        case RollBackMigration() | ForgetMigration():
            return change.version not in committed.recorded
        case RunSeed() | RecordRepeatable():
            return change.path in committed.seeds
        case _:
            return False


def _versions_to_remove(run: Run) -> frozenset[str]:
    """The versions to delete from the ledger: assumed to be still there if it can't be read."""
    gone = (change for change in run.changes if isinstance(change, RollBackMigration | ForgetMigration))
    return frozenset(change.version for change in gone)

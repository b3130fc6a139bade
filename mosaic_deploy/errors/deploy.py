"""Errors of planning, confirming and applying, of the embedded platform, and of the command line."""

from __future__ import annotations

from mosaic_deploy.errors.base import MosaicError


class LockHeld(MosaicError):
    """Another deploy is under way."""

    code = "lease_held"
    retryable = True


class LockLost(MosaicError):
    """This deploy slept through its lease."""

    code = "lease_lost"
    retryable = True


class TrackingTablesNewer(MosaicError):
    """Written by a newer mosaic-deploy."""

    code = "ledger_newer"


class PlanStale(MosaicError):
    """Retryable where the same command plans anew: not of a saved plan, and not of an agent's, which are given."""

    code = "plan_stale"
    retryable = True


class SavedPlanStale(MosaicError):
    """What a saved plan was made from has moved since."""

    code = "plan_moved"


class PlanFileInvalid(MosaicError):
    """No saved plan, not a whole one, or one that can't be written."""

    code = "plan_file_refused"


class SelectionInvalid(MosaicError):
    """--only or --except that would skip a migration or means nothing."""

    code = "selection_refused"


class ConfirmationRequired(MosaicError):
    """Unattended without --yes."""

    code = "consent_missing"


class Declined(MosaicError):
    """The person said no."""

    code = "declined"


class PolicyDenied(MosaicError):
    """The manifest's policy doesn't let the plan be applied."""

    code = "policy_denied"


class DestructiveUnconfirmed(MosaicError):
    """Data would be destroyed, and nobody agreed to that."""

    code = "destructive_unconfirmed"


class PruneUnconfirmed(MosaicError):
    """Strangers' files would be deleted, and nobody agreed to their number."""

    code = "prune_unconfirmed"


class QuotaExceeded(MosaicError):
    """What would be stored doesn't fit."""

    code = "quota_exceeded"


class TransfersFailed(MosaicError):
    """Several files could not be sent, or arrived as something else: one Problem for each."""

    code = "transfers_failed"
    retryable = True


class VerifyFailed(MosaicError):
    """Applied, but a check over HTTP failed."""

    code = "verify_failed"


class PlatformFailed(MosaicError):
    """The embedded platform can't run here."""

    code = "platform_failed"


class DraftBlocked(MosaicError):
    """The local database is in use, or another draft is in the way: a copy can't be made now."""

    code = "draft_blocked"
    retryable = True


class WatchFailed(MosaicError):
    """The system doesn't let the folders be watched."""

    code = "watch_failed"


class UsageInvalid(MosaicError):
    """A command line that can't be read."""

    code = "usage"
    exit_code = 2


class Interrupted(MosaicError):
    """Ctrl-C."""

    code = "interrupted"
    exit_code = 130
    retryable = True

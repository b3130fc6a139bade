"""Errors of planning, confirming and applying, of the embedded platform, and of the command line."""

from __future__ import annotations

from mosaic_deploy.errors.base import MosaicError


class LockHeld(MosaicError):
    """Another deploy is under way."""

    code = "lock_held"
    retryable = True


class LockLost(MosaicError):
    """This deploy slept through its lease."""

    code = "lock_lost"
    retryable = True


class TrackingTablesNewer(MosaicError):
    """Written by a newer mosaic-deploy."""

    code = "tracking_tables_newer"


class PlanStale(MosaicError):
    """Retryable where the same command plans anew: not of a saved plan, and not of an agent's, which are given."""

    code = "plan_stale"
    retryable = True


class SavedPlanStale(MosaicError):
    """What a saved plan was made from has moved since."""

    code = "saved_plan_stale"


class PlanFileInvalid(MosaicError):
    """No saved plan, not a whole one, or one that can't be written."""

    code = "plan_file_invalid"


class SelectionInvalid(MosaicError):
    """--only or --except that would skip a migration or means nothing."""

    code = "selection_invalid"


class ConfirmationRequired(MosaicError):
    """Unattended without --yes."""

    code = "confirmation_required"


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


class PackageMissing(MosaicError):
    """An optional package isn't installed."""

    code = "package_missing"


class PlatformNotRunning(MosaicError):
    """The embedded platform isn't running."""

    code = "platform_not_running"


class PlatformAlreadyRunning(MosaicError):
    """The embedded platform is running with other settings than asked for."""

    code = "platform_already_running"


class PortUnavailable(MosaicError):
    """The port or address can't be used."""

    code = "port_unavailable"


class AccountNotFound(MosaicError):
    """A served platform has no such account."""

    code = "account_not_found"


class BackupInvalid(MosaicError):
    """The backup is damaged, too new, or made on another kind of system."""

    code = "backup_invalid"

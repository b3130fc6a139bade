"""Errors of planning and applying, confirmations, the embedded platform and the command line."""

from __future__ import annotations

from mosaic_deploy.errors.base import MosaicError


class LockHeld(MosaicError):
    """Another deploy of this project is running."""

    code = "lock_held"
    retryable = True


class LockLost(MosaicError):
    """This deploy lost its lock and stopped."""

    code = "lock_lost"
    retryable = True


class TrackingTablesNewer(MosaicError):
    """The tracking tables were written by a newer mosaic-deploy."""

    code = "tracking_tables_newer"


class TrackingTablesOlder(MosaicError):
    """The project's tracking tables were made by a development version of mosaic-deploy."""

    code = "tracking_tables_older"


class PlanStale(MosaicError):
    """The project changed between plan and apply.

    Not retryable for a saved plan or an agent's plan: the same command would apply the same, outdated plan.
    """

    code = "plan_stale"
    retryable = True


class SavedPlanStale(MosaicError):
    """The project changed since the saved plan was made."""

    code = "saved_plan_stale"


class PlanFileInvalid(MosaicError):
    """The file isn't a saved plan, or it was truncated or modified."""

    code = "plan_file_invalid"


class SelectionInvalid(MosaicError):
    """--only or --except would skip a migration, or matches nothing."""

    code = "selection_invalid"


class ConfirmationRequired(MosaicError):
    """Confirmation is needed, but there is no terminal and no --yes."""

    code = "confirmation_required"


class Declined(MosaicError):
    """You answered no."""

    code = "declined"


class PolicyDenied(MosaicError):
    """The manifest's policy blocks the plan."""

    code = "policy_denied"


class DestructiveUnconfirmed(MosaicError):
    """The plan would destroy data, and this wasn't approved."""

    code = "destructive_unconfirmed"


class PruneUnconfirmed(MosaicError):
    """The plan would delete most live files, or files that this project didn't deploy, and this wasn't approved."""

    code = "prune_unconfirmed"


class OverwriteUnconfirmed(MosaicError):
    """The plan would overwrite live files or settings that this project didn't deploy, and this wasn't approved."""

    code = "overwrite_unconfirmed"


class RehearsalRequired(MosaicError):
    """The policy requires a rehearsal of the plan's migrations, and there was none. Nothing was changed."""

    code = "rehearsal_required"


class PlanUnproven(MosaicError):
    """The policy lets agents apply only rehearsed plans whose checks on data pass. A person can apply this one."""

    code = "plan_unproven"


class PolicyUnconfirmed(MosaicError):
    """The manifest's policy forbids less than that of the last deploy, and this wasn't approved."""

    code = "policy_unconfirmed"


class CommitOlder(MosaicError):
    """The live project was deployed from a newer commit than this one."""

    code = "commit_older"


class EventNotAllowed(MosaicError):
    """`ci` ran for a GitHub event that it isn't meant for. Nothing was read or sent."""

    code = "event_not_allowed"


class QuotaExceeded(MosaicError):
    """The files don't fit into the project's storage."""

    code = "quota_exceeded"


class TransfersFailed(MosaicError):
    """Several files couldn't be uploaded or deleted."""

    code = "transfers_failed"
    retryable = True


class VerifyFailed(MosaicError):
    """Everything was applied, but a check failed."""

    code = "verify_failed"


class PlatformFailed(MosaicError):
    """The embedded platform failed."""

    code = "platform_failed"


class DraftBlocked(MosaicError):
    """The local database can't be copied for a draft right now."""

    code = "draft_blocked"
    retryable = True


class WatchFailed(MosaicError):
    """The operating system can't watch the folders."""

    code = "watch_failed"


class UsageInvalid(MosaicError):
    """The command line is invalid."""

    code = "usage"
    exit_code = 2


class Interrupted(MosaicError):
    """You pressed Ctrl-C."""

    code = "interrupted"
    exit_code = 130
    retryable = True


class PackageMissing(MosaicError):
    """An optional package isn't installed."""

    code = "package_missing"


class ProgramMissing(MosaicError):
    """A program that the command runs isn't installed."""

    code = "program_missing"


class PlatformNotRunning(MosaicError):
    """The embedded platform isn't running."""

    code = "platform_not_running"


class PlatformAlreadyRunning(MosaicError):
    """The embedded platform is already running with different settings."""

    code = "platform_already_running"


class PortUnavailable(MosaicError):
    """The port or address is in use or not available."""

    code = "port_unavailable"


class AccountNotFound(MosaicError):
    """The served platform has no such account."""

    code = "account_not_found"


class BackupInvalid(MosaicError):
    """The backup is incomplete, corrupt, too new, or from another kind of system."""

    code = "backup_invalid"

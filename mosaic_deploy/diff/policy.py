"""The manifest's policy applied to a plan: what it denies, and what needs confirmation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.diff.policies import loosened
from mosaic_deploy.diff.schema_drift import drift_text
from mosaic_deploy.errors import (
    CommitOlder,
    DestructiveUnconfirmed,
    MosaicError,
    NextAction,
    OverwriteUnconfirmed,
    PlanUnproven,
    PolicyDenied,
    PolicyUnconfirmed,
    Problem,
    PruneUnconfirmed,
    RehearsalRequired,
)
from mosaic_deploy.model.approval import (
    DESTRUCTIVE,
    OVERWRITE,
    POLICY,
    PROOF,
    PRUNE,
    Approval,
    unapproved_deletions,
)
from mosaic_deploy.model.change import ApplyMigration, LoosenPolicy, RollBackMigration
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.model.hazard import Hazard, HazardSeverity, table_is_affected
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.model.plan import Plan

HELD_HINT = (
    "the policy of the last deploy still holds; `mosaic-deploy apply` replaces it with the manifest's, "
    "with your approval"
)


def apply_policy(
    plan: Plan, hazards: tuple[Hazard, ...], manifest: Manifest, recorded: PolicySpec | None = None
) -> Plan:
    """The plan with its hazards, denials and confirmations, and the change that loosens the `recorded` policy.

    A `mosaic-ignore` comment lifts neither a denial nor a confirmation, because the author of the statement also
    writes the comment.
    """
    policy = manifest.policy or PolicySpec()
    destructive = destructive_hazards(hazards)
    denied = (
        *_destructive_problems(destructive, manifest),
        *_protected_table_problems(destructive, manifest),
        *_max_deletes_problems(plan, manifest),
        *_drift_problems(plan, manifest),
    )
    to_confirm = destructive if policy.destructive == "confirm" else ()
    lost = loosened(recorded, policy) if recorded else ""
    changes = (LoosenPolicy(lost), *plan.changes) if lost else plan.changes
    folder = manifest.database.migrations if manifest.database else None
    rule = manifest.locate("policy.rehearsed") if policy.rehearsed == "required" else None
    return replace(
        plan,
        changes=changes,
        hazards=hazards,
        denied=tuple(
            replace(each, hint=HELD_HINT) if each.field in manifest.held_rules else each for each in denied
        ),
        to_confirm=to_confirm,
        rehearsal_rule=rule,
        held_rules=manifest.held_rules,
        migrations=folder or plan.migrations,
    )


def destructive_hazards(hazards: Sequence[Hazard]) -> tuple[Hazard, ...]:
    return tuple(hazard for hazard in hazards if hazard.severity is HazardSeverity.DESTRUCTIVE)


def refuse_denied(plan: Plan, subject: str = "this plan") -> None:
    """Raises PolicyDenied if the policy denies the plan, or RehearsalRequired. No option overrides it."""
    if plan.rehearsal_rule and (reason := plan.unrehearsed):
        held = "policy.rehearsed" in plan.held_rules
        owner = "policy of the last deploy" if held else "manifest's policy"
        raise RehearsalRequired(
            f"the {owner} requires a rehearsal of {subject}: {reason}",
            location=None if held else plan.rehearsal_rule,
            hint=_HELD_OPTIONAL if held else _rehearsal_hint(plan),
            next_actions=_rehearsal_actions(plan),
        )
    if plan.denied:
        raise PolicyDenied(
            f"the manifest's policy forbids {subject}",
            problems=plan.denied,
            hint="no command-line option or mosaic-ignore comment overrides the policy; each problem says what would resolve it",
        )


_HELD_OPTIONAL = "`rehearsed: optional` counts once an apply has recorded it, which a person approves"


def _rehearsal_actions(plan: Plan) -> list[NextAction]:
    if "policy.rehearsed" in plan.held_rules:
        return [NextAction("to record the manifest's policy", "mosaic-deploy apply", needs_person=True)]
    names = [
        change.file.removesuffix(".sql") for change in plan.changes if isinstance(change, RollBackMigration)
    ]
    if not names:
        return []
    words = re.sub(r"[^a-z0-9]+", "_", names[0].lower()).strip("_")
    return [NextAction("write it", f"mosaic-deploy migrate new undo_{words}")]


def _rehearsal_hint(plan: Plan) -> str:
    if any(isinstance(change, RollBackMigration) for change in plan.changes):
        return "write a migration that undoes it, and apply that"
    if not any(isinstance(change, ApplyMigration) for change in plan.changes):
        return "change the schema in a migration, and only rows in the seed"
    remedy = (plan.rehearsal and plan.rehearsal.remedy) or "remove what prevents the rehearsal"
    return f"{remedy}; otherwise set policy.rehearsed to optional, which needs approval"


BUILD_FAILED_HINT = "if files are missing because a build failed or a folder is empty, correct that instead; "
"""Why a plan may delete many files."""
_UNCONFIRMED: dict[str, type[MosaicError]] = {
    DESTRUCTIVE: DestructiveUnconfirmed,
    PRUNE: PruneUnconfirmed,
    OVERWRITE: OverwriteUnconfirmed,
    POLICY: PolicyUnconfirmed,
    PROOF: PlanUnproven,
}


def unconfirmed_error(
    missing: Sequence[Approval], hint: str, actions: Sequence[NextAction], given: Sequence[str] = ()
) -> MosaicError:
    """The error for a plan that needs these approvals, of the first one's kind. `given` are values of `--allow` with
    another number.
    """
    by = "".join(f" by --allow {value}" for value in given)
    if any(approval.kind == PRUNE for approval in missing):
        hint = f"{BUILD_FAILED_HINT}{hint}"
    return _UNCONFIRMED[missing[0].kind](
        f"not approved{by}: this {'; it '.join(approval.effect for approval in missing)}. Nothing was changed",
        problems=[problem for approval in missing for problem in approval.problems],
        hint=hint,
        next_actions=actions,
    )


COMMIT_OLDER = "commit_older"
"""The code of the note that the live commit is newer than the folder's."""
COMMIT_SHALLOW = "commit_shallow"
"""The code of the note that a shallow clone can't tell which commit is newer."""
COMMIT_MISSING = "commit_missing"
"""The code of the note that git doesn't have the live commit here, as in a job that began before it was pushed."""
OLDER_COMMIT = "older-commit"
"""The value of `--allow` for replacing a newer commit with an older one."""
_REFUSED = {
    COMMIT_OLDER: (
        "this is probably the run of an older commit; deploy the newest one instead",
        "to go back to the older commit on purpose",
    ),
    COMMIT_SHALLOW: (
        "check out the whole history (`fetch-depth: 0` of actions/checkout, or `git fetch --unshallow`)",
        "to deploy this commit although it may be older than the live one",
    ),
    COMMIT_MISSING: (
        "if this is the run of an older commit, deploy the newest one instead; else get the live commit with `git fetch`, or, if it "
        "was never pushed or was removed by a forced push, allow it once",
        "to deploy this commit although it may be older than the live one",
    ),
}


def refuse_older_commit(plan: Plan, allow: Collection[str], command: str) -> None:
    """Raises CommitOlder if the plan's commit is older than the live one, or a shallow clone can't tell, unless `allow` has
    OLDER_COMMIT."""
    note = next((note for note in plan.notes if note.code in _REFUSED), None)
    if note and OLDER_COMMIT not in allow:
        hint, purpose = _REFUSED[note.code]
        action = NextAction(purpose, with_options(command, "--allow", OLDER_COMMIT), needs_person=True)
        raise CommitOlder(f"{note.message}; nothing was changed", hint=hint, next_actions=[action])


def _destructive_problems(destructive: tuple[Hazard, ...], manifest: Manifest) -> Iterator[Problem]:
    if manifest.policy and manifest.policy.destructive == "deny":
        remedy = f"change the statement, or set policy.destructive to confirm{_environment_text(manifest)}"
        for hazard in destructive:
            yield Problem(hazard.message, hazard.location, "policy.destructive", remedy)


def _protected_table_problems(destructive: tuple[Hazard, ...], manifest: Manifest) -> Iterator[Problem]:
    for hazard in destructive:
        for name in manifest.policy.protected_tables if manifest.policy else ():
            if any(table_is_affected(table, name) for table in (hazard.table, *hazard.cascades_to)):
                directly = table_is_affected(hazard.table, name)
                affected = f"{name} is protected" if directly else f"this affects {name}, which is protected"
                remedy = (
                    f"change the statement, or remove {name} from policy.protected_tables"
                    f"{_environment_text(manifest)}"
                )
                message = f"{hazard.message}; {affected}"
                yield Problem(message, hazard.location, "policy.protected_tables", remedy)
                break


def _max_deletes_problems(plan: Plan, manifest: Manifest) -> Iterator[Problem]:
    most = manifest.policy.max_deletes if manifest.policy else None
    count = len(unapproved_deletions(plan.changes))
    if most is not None and count > most:
        message = f"would delete {count} {'file' if count == 1 else 'files'}; the limit is {most}"
        remedy = f"restore the files, or raise policy.max_deletes to {count}{_environment_text(manifest)}"
        yield Problem(message, manifest.locate("policy.max_deletes"), "policy.max_deletes", remedy)


_MAX_DRIFT = 10
"""Differences in an error."""


def _drift_problems(plan: Plan, manifest: Manifest) -> Iterator[Problem]:
    if manifest.policy and manifest.policy.drift == "deny" and plan.drift and plan.drift.changes:
        message = f"the schema drifted since the last deploy: {drift_text(plan.drift, _MAX_DRIFT)}"
        remedy = (
            "undo that in the database, or record it with `mosaic-deploy migrate drift --accept`, or list what an app creates "
            "itself under policy.unmanaged, or set policy.drift to "
            f"warn{_environment_text(manifest)}"
        )
        yield Problem(message, manifest.locate("policy.drift"), "policy.drift", remedy)


def _environment_text(manifest: Manifest) -> str:
    return f" in environment {manifest.environment}" if manifest.environment else ""

"""The plan: the ordered changes that make the live project equal the desired one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from mosaic_deploy.diff.file_notes import file_notes, retired_notes
from mosaic_deploy.diff.history.migrations import diff_history
from mosaic_deploy.diff.objects import NO_RETIREMENT, ObjectDiff, Retirement, Upload, diff_objects
from mosaic_deploy.diff.seeds import diff_seeds, seed_notes
from mosaic_deploy.model.change import (
    Action,
    Change,
    CreateProject,
    DeleteStatic,
    DeleteStorageFile,
    EnableExtension,
    PutStatic,
    PutStorageFile,
    SetAuth,
)
from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX, Prune
from mosaic_deploy.model.plan import Note, Plan
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, AuthSettings, Objects, Snapshot


def diff_auth(
    desired: AuthSettings | None, live: AuthSettings | None, unmanaged: AuthSettings | None = None
) -> SetAuth | None:
    """The change that makes the declared settings live; None if they are already, or none are declared.

    `live` are those deployed last, `unmanaged` what is live instead; see Snapshot. If that is equal, it is only recorded.
    """
    if desired is None or (desired == live and unmanaged is None):
        return None
    text = json.dumps(desired, sort_keys=True, ensure_ascii=False)
    if unmanaged:
        action = Action.ADD if live is None else Action.CHANGE
        if desired == unmanaged:
            return SetAuth(text, action, "already live; will be recorded")
        names = _differing_names(desired, unmanaged)
        reason = (
            f"overwrites settings that this project didn't deploy ({names})"
            if live is None
            else f"drifted: overwrites settings that were changed since the last deploy ({names})"
        )
        return SetAuth(text, Action.CHANGE, reason, overwrites=True)
    if live is None:
        return SetAuth(text, Action.ADD, "new")
    if desired == live:
        return SetAuth(text, Action.ADD, "missing live")
    return SetAuth(text, Action.CHANGE, f"{_differing_names(desired, live)} changed")


def _differing_names(desired: AuthSettings, live: AuthSettings) -> str:
    return ", ".join(sorted(k for k in desired.keys() | live.keys() if desired.get(k) != live.get(k)))


_NO_OBJECTS: Objects = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PlanRules:
    """Pruning and ordering options from the manifest and the command line."""

    prune_static: Prune = False
    prune_storage: Prune = False
    prefix: str = ""
    """Unmanaged storage files are pruned only below it."""
    manages_storage: bool = True
    """Whether the manifest has a storage section."""
    site_uses_storage: bool = False
    """Whether storage files below SITE_STORAGE_PREFIX are the site's, pruned by `prune_site_storage`."""
    prune_site_storage: Prune = False
    cannot_delete: frozenset[str] = frozenset()
    """Of `static` and `storage`: kinds that should be pruned, and the platform lists no way to."""
    allow_out_of_order: bool = False
    environment: str | None = None
    manifest: str = ""
    """Identifies the manifest among those that deploy to the project; prune deletes only its files."""
    generated: frozenset[str] = frozenset()
    """Static files that aren't in the folder."""
    other_key: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By kind, `static` and `storage`: names of files that were deployed with another API key."""
    retirement: Retirement = NO_RETIREMENT
    """Which files of the site, also those in storage, stay live for a while before they are pruned."""
    left_out: frozenset[str] = frozenset()
    """Names of static files that were generated from a section that the manifest doesn't have."""

    def with_options(self, allow_out_of_order: bool, due: frozenset[str] | None) -> PlanRules:
        """The rules with options of the command line; for `due` see Retirement."""
        return replace(
            self, allow_out_of_order=allow_out_of_order, retirement=replace(self.retirement, due=due)
        )


def make_plan(desired: Snapshot, live: Snapshot, rules: PlanRules, notes: tuple[Note, ...] = ()) -> Plan:
    """The changes that make `live` equal `desired`, in order. Raises MigrationDiverged.

    Order: project, extensions, storage files, migrations, seeds, static files (pages last), auth, deletions.
    """
    history = diff_history(
        desired.migrations or (),
        (live.migrations or ()) if desired.migrations is not None else (),
        allow_out_of_order=rules.allow_out_of_order,
    )
    static = _objects("static", desired.static, live.static, rules)
    storage_files, site_storage = _storage_objects(desired.storage, live.storage or _NO_OBJECTS, rules)
    auth = diff_auth(desired.auth, live.auth, live.unmanaged_auth)
    changes: list[Change] = [
        *([] if live.project.id else [CreateProject(live.project.name)]),
        *(EnableExtension(name) for name in sorted(desired.extensions - live.extensions)),
        *(PutStorageFile(*_put_fields(put)) for put in (*storage_files.puts, *site_storage.puts)),
        *history.pending,
        *diff_seeds(desired, live),
        *sorted(
            (PutStatic(*_put_fields(put)) for put in static.puts),
            key=upload_order,
        ),
        *([auth] if auth else []),
        *(
            DeleteStatic(delete.path, delete.reason, delete.unmanaged, delete.keep, delete.approved)
            for delete in sorted(static.deletes, key=lambda delete: deletion_order(delete.path))
        ),
        *(
            DeleteStorageFile(delete.path, delete.reason, delete.unmanaged, delete.keep, delete.approved)
            for delete in (*storage_files.deletes, *site_storage.deletes)
        ),
    ]
    return Plan(
        project=live.project,
        changes=tuple(changes),
        notes=(
            *notes,
            *history.notes,
            *seed_notes(desired, live),
            *retired_notes("static", static.retired, rules.retirement.seconds),
            *retired_notes("storage", site_storage.retired, rules.retirement.seconds),
            *(
                note
                for kind, diff, section in (
                    ("static", static, "static"),
                    ("storage", storage_files, "storage"),
                    ("storage", site_storage, "static"),
                )
                for note in file_notes(
                    kind, diff, rules.cannot_delete, rules.manifest, desired.former_manifest, section
                )
            ),
        ),
        desired=desired.fingerprint(),
        live=live.fingerprint(),
        serial=live.serial,
        environment=rules.environment,
        live_counts={
            "static": static.live_count - _live_generated_count(desired.static, live.static, rules),
            "storage": storage_files.live_count + site_storage.live_count,
        },
    )


def _put_fields(put: Upload) -> tuple[str, str, int, Action, str, bool]:
    return put.item.path, put.item.sha256, put.item.size, put.action, put.reason, put.overwrites


def _live_generated_count(desired: Objects | None, live: Objects | None, rules: PlanRules) -> int:
    """Generated files don't count: a site that keeps nothing else is empty."""
    found = [(live or {}).get(path) for path in rules.generated if path in (desired or {})]
    return sum(each is not None and each.state not in NOT_LIVE_STATES for each in found)


def upload_order(change: PutStatic) -> tuple[int, str]:
    """(group, name). A group is uploaded completely before the next one starts.

    Images and data come first, then the stylesheets and scripts that refer to them, then pages, and the site's
    `index.html` last.
    """
    name = change.path.lower()
    if name.endswith(".html"):
        return (3 if change.path == "index.html" else 2, change.path)
    return (1 if name.endswith((".css", ".js")) else 0, change.path)


def deletion_order(path: str) -> tuple[bool, str]:
    """Pages first, so no live page refers to files already deleted."""
    return (not path.lower().endswith(".html"), path)


def _storage_objects(
    desired: Objects | None, live: Objects, rules: PlanRules
) -> tuple[ObjectDiff, ObjectDiff]:
    """The differences of the storage section's files, and of the site's files in storage."""
    if not rules.site_uses_storage or desired is None:
        return _objects("storage", desired, live, rules), ObjectDiff()
    own = _objects("storage", _outside_site(desired), _outside_site(live), rules)
    site = diff_objects(
        {path: o for path, o in desired.items() if path.startswith(SITE_STORAGE_PREFIX)},
        {path: o for path, o in live.items() if path.startswith(SITE_STORAGE_PREFIX)},
        prune=rules.prune_site_storage,
        prefix=SITE_STORAGE_PREFIX,
        manifest=rules.manifest,
        other_key=rules.other_key.get("storage", ()),
        retirement=rules.retirement,
    )
    return own if rules.manages_storage else ObjectDiff(), site


def _outside_site(objects: Objects) -> Objects:
    return {path: o for path, o in objects.items() if not path.startswith(SITE_STORAGE_PREFIX)}


def _objects(kind: str, desired: Objects | None, live: Objects | None, rules: PlanRules) -> ObjectDiff:
    if desired is None:
        return ObjectDiff()
    is_static = kind == "static"
    return diff_objects(
        desired,
        live or _NO_OBJECTS,
        prune=rules.prune_static if is_static else rules.prune_storage,
        prefix="" if is_static else rules.prefix,
        manifest=rules.manifest,
        left_out=rules.left_out if is_static else (),
        other_key=rules.other_key.get(kind, ()),
        retirement=rules.retirement if is_static else NO_RETIREMENT,
    )

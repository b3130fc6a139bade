"""The plan: the ordered changes that make the live project equal the desired one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType

from mosaic_deploy.diff.migrations import diff_history
from mosaic_deploy.diff.objects import ObjectDiff, diff_objects
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
from mosaic_deploy.model.manifest import Prune
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import AuthSettings, Object, Objects, ObjectState, Snapshot


def diff_auth(desired: AuthSettings | None, live: AuthSettings | None) -> SetAuth | None:
    """The change that makes the declared settings live; None if they are already, or none are declared."""
    if desired is None or desired == live:
        return None
    text = json.dumps(desired, sort_keys=True, ensure_ascii=False)
    if live is None:
        return SetAuth(text, Action.ADD, "new")
    names = sorted(k for k in desired.keys() | live.keys() if desired.get(k) != live.get(k))
    return SetAuth(text, Action.CHANGE, f"{', '.join(names)} changed")


_NO_OBJECTS: Objects = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PlanRules:
    """Pruning and ordering options from the manifest and the command line."""

    prune_static: Prune = False
    prune_storage: Prune = False
    prefix: str = ""
    """Unmanaged storage files are pruned only below it."""
    cannot_delete: frozenset[str] = frozenset()
    """Of `static` and `storage`: kinds that should be pruned, and the platform lists no way to."""
    allow_out_of_order: bool = False
    environment: str | None = None


def make_plan(desired: Snapshot, live: Snapshot, rules: PlanRules, notes: tuple[Note, ...] = ()) -> Plan:
    """The changes that make `live` equal `desired`, in order. Raises MigrationDiverged.

    Order: project, extensions, storage files, migrations, seeds, static files (pages last), auth, deletions.
    """
    history = diff_history(
        desired.migrations or (),
        (live.migrations or ()) if desired.migrations is not None else (),
        allow_out_of_order=rules.allow_out_of_order,
    )
    static = _objects(desired.static, live.static, prune=rules.prune_static)
    storage_files = _objects(desired.storage, live.storage, prune=rules.prune_storage, prefix=rules.prefix)
    auth = diff_auth(desired.auth, live.auth)
    changes: list[Change] = [
        *([] if live.project.id else [CreateProject(live.project.name)]),
        *(EnableExtension(name) for name in sorted(desired.extensions - live.extensions)),
        *(PutStorageFile(o.path, o.sha256, o.size, action, why) for o, action, why in storage_files.puts),
        *history.pending,
        *diff_seeds(desired.seeds, live.seeds),
        *sorted(
            (PutStatic(o.path, o.sha256, o.size, action, why) for o, action, why in static.puts),
            key=upload_order,
        ),
        *([auth] if auth else []),
        *(
            DeleteStatic(o.path, why, o.state is ObjectState.UNMANAGED)
            for o, why in sorted(static.deletes, key=lambda d: deletion_order(d[0].path))
        ),
        *(
            DeleteStorageFile(o.path, why, o.state is ObjectState.UNMANAGED)
            for o, why in storage_files.deletes
        ),
    ]
    return Plan(
        project=live.project,
        changes=tuple(changes),
        notes=(
            *notes,
            *history.notes,
            *seed_notes(desired.seeds, live.seeds),
            *_notes("static", static, rules),
            *_notes("storage", storage_files, rules),
        ),
        desired=desired.fingerprint(),
        live=live.fingerprint(),
        serial=live.serial,
        environment=rules.environment,
    )


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


def _objects(desired: Objects | None, live: Objects | None, *, prune: Prune, prefix: str = "") -> ObjectDiff:
    if desired is None:
        return ObjectDiff()
    return diff_objects(desired, live or _NO_OBJECTS, prune=prune, prefix=prefix)


def _notes(kind: str, diff: ObjectDiff, rules: PlanRules) -> list[Note]:
    notes = []
    section = "static" if kind == "static" else "storage"
    if diff.kept:
        stay, them = ("stays", "it") if len(diff.kept) == 1 else ("stay", "them")
        remedy = f"set {section}.prune: true to delete {them}"
        if kind in rules.cannot_delete:
            remedy = f"the platform's API offers no way to delete {them}"
        message = f"{_file_count_text(diff.kept)} no longer in the folder {stay} live ({_names_text(diff.kept)}); {remedy}"
        # Files already recorded as kept need no warning.
        newly_kept = any(o.state is not ObjectState.KEPT for o in diff.kept)
        severity = Severity.WARNING if newly_kept else Severity.INFO
        notes.append(Note(f"{kind}_kept", message, severity, _addresses(kind, diff.kept)))
    if diff.unmanaged:
        count = len(diff.unmanaged)
        message = (
            f"{count} unmanaged live {'file' if count == 1 else 'files'}, kept: {_names_text(diff.unmanaged)}"
        )
        notes.append(Note(f"{kind}_unmanaged", message, Severity.INFO, _addresses(kind, diff.unmanaged)))
    return notes


_MAX_NAMES = 3
_MAX_ADDRESSES = 100
"""Addresses in a note; its message has the full count."""


def _names_text(objects: tuple[Object, ...]) -> str:
    names = [o.path if o.path.isprintable() else ascii(o.path) for o in objects[:_MAX_NAMES]]
    return ", ".join([*names, *(["…"] if len(objects) > _MAX_NAMES else [])])


def _file_count_text(objects: tuple[Object, ...]) -> str:
    return "1 file" if len(objects) == 1 else f"{len(objects)} files"


def _addresses(kind: str, objects: tuple[Object, ...]) -> tuple[str, ...]:
    return tuple(f"{kind}:{o.path}" for o in objects[:_MAX_ADDRESSES])

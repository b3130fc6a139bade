"""The plan: every kind's difference, put in the one order that keeps the site whole. Only this file orders."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from mosaic_deploy.diff.keyed import Keyed, diff_objects
from mosaic_deploy.diff.migrations import diff_history
from mosaic_deploy.diff.seeds import diff_seeds
from mosaic_deploy.diff.settings import diff_auth
from mosaic_deploy.model.change import (
    Change,
    CreateProject,
    DeleteAsset,
    DeleteStatic,
    EnableExtension,
    PutAsset,
    PutStatic,
)
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import Object, Objects, Snapshot

_NOTHING: Objects = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the manifest allows beyond making live equal desired."""

    prune_static: bool = False
    prune_assets: bool = False
    allow_out_of_order: bool = False
    environment: str | None = None


def make_plan(desired: Snapshot, live: Snapshot, rules: Rules, notes: tuple[Note, ...] = ()) -> Plan:
    """The changes that make `live` equal `desired`, in order. Raises MigrationDiverged.

    Order: project, extensions, assets, migrations, seeds, files that pages refer to, pages, auth, deletions.
    """
    history = diff_history(
        desired.migrations or (),
        (live.migrations or ()) if desired.migrations is not None else (),
        allow_out_of_order=rules.allow_out_of_order,
    )
    static = _objects(desired.static, live.static, prune=rules.prune_static)
    assets = _objects(desired.storage, live.storage, prune=rules.prune_assets)
    auth = diff_auth(desired.auth, live.auth)
    changes: list[Change] = [
        *([] if live.project.id else [CreateProject(live.project.name)]),
        *(EnableExtension(name) for name in sorted(desired.extensions - live.extensions)),
        *(PutAsset(o.path, o.sha256, o.size, action, why) for o, action, why in assets.puts),
        *history.pending,
        *diff_seeds(desired.seeds, live.seeds),
        *sorted(
            (PutStatic(o.path, o.sha256, o.size, action, why) for o, action, why in static.puts),
            key=upload_order,
        ),
        *([auth] if auth else []),
        *(DeleteStatic(o.path, why) for o, why in sorted(static.deletes, key=lambda d: deletion_order(d[0]))),
        *(DeleteAsset(o.path, why) for o, why in assets.deletes),
    ]
    return Plan(
        project=live.project,
        changes=tuple(changes),
        notes=(*notes, *history.notes, *_notes("static", static), *_notes("asset", assets)),
        desired=desired.fingerprint(),
        live=live.fingerprint(),
        serial=live.serial,
        environment=rules.environment,
    )


def upload_order(change: PutStatic) -> tuple[bool, bool, str]:
    """What pages refer to first, pages after, `index.html` of the site last of all."""
    return (change.path.lower().endswith(".html"), change.path == "index.html", change.path)


def deletion_order(item: Object) -> tuple[bool, str]:
    """Pages first, so that no page that is still live has lost its parts."""
    return (not item.path.lower().endswith(".html"), item.path)


def _objects(desired: Objects | None, live: Objects | None, *, prune: bool) -> Keyed:
    if desired is None:
        return Keyed((), (), (), ())
    return diff_objects(desired, live or _NOTHING, prune=prune)


def _notes(kind: str, keyed: Keyed) -> list[Note]:
    notes = []
    section = "static" if kind == "static" else "storage"
    if keyed.kept:
        message = (
            f"{_count(keyed.kept)} no longer in the folder stay live; {section}.prune: true removes them"
        )
        notes.append(Note(f"{kind}_kept", message, Severity.WARNING, _addresses(kind, keyed.kept)))
    if keyed.unmanaged:
        message = f"{_count(keyed.unmanaged)} live that no deploy from here has put there; left alone"
        notes.append(Note(f"{kind}_unmanaged", message, Severity.INFO, _addresses(kind, keyed.unmanaged)))
    return notes


def _count(objects: tuple[Object, ...]) -> str:
    return "1 file" if len(objects) == 1 else f"{len(objects)} files"


def _addresses(kind: str, objects: tuple[Object, ...]) -> tuple[str, ...]:
    return tuple(f"{kind}:{o.path}" for o in objects)

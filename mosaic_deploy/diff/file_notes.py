"""A plan's notes about live files that it leaves, records or takes over, also those of a section that was removed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mosaic_deploy.diff.objects import ObjectDiff, is_foreign
from mosaic_deploy.model.change import Action, Change, Delete, Put
from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX
from mosaic_deploy.model.manifest_identity import manifest_texts
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import age_text
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, ObjectState, Snapshot, UnprovenRows

_MAX_NAMES = 3
_MAX_ADDRESSES = 100
"""Addresses in a note; its message has the full count."""

Objects = tuple[Object, ...]
_KEPT_STATES = frozenset({ObjectState.KEPT, ObjectState.KEPT_CHANGED})


def file_notes(
    kind: str,
    diff: ObjectDiff,
    cannot_delete: Collection[str],
    manifest: str = "",
    former_manifest: str = "",
    section: str = "",
) -> Iterator[Note]:
    """The notes for one `kind`, `static` or `storage`. The API has no way to delete those in `cannot_delete`.

    `section` is the manifest's section of the files, if it isn't named like the kind.

    `manifest` is this one, and `former_manifest` is the name of this manifest before its folder became a git repository.
    """
    section = section or kind
    if diff.kept:
        # Files already recorded as kept need no warning.
        newly_kept = any(o.state not in _KEPT_STATES for o in diff.kept)
        severity = Severity.WARNING if newly_kept else Severity.INFO
        yield _note(
            f"{kind}_kept", _kept_text(section, diff.kept, kind in cannot_delete), diff.kept, severity
        )
    if diff.left_out:
        yield _note(f"{kind}_left_out", _generated_text(diff.left_out), diff.left_out)
    if diff.other_key:
        it = "it" if len(diff.other_key) == 1 else "them"
        message = (
            f"{_count_text(diff.other_key, 'live file')} deployed with another API key, as before a rotation, and no longer in "
            f"the folder, kept: {_names_text(diff.other_key)}; {section}.prune: all deletes {it}"
        )
        yield _note(f"{kind}_other_key", message, diff.other_key)
    if diff.unmanaged:
        message = f"{_count_text(diff.unmanaged, 'unmanaged live file')}, kept: {_names_text(diff.unmanaged)}"
        yield _note(f"{kind}_unmanaged", message, diff.unmanaged)
    if diff.adopted:
        it = "it" if len(diff.adopted) == 1 else "them"
        message = (
            f"{_count_text(diff.adopted, 'live file')} not deployed by this project, but equal to the folder's "
            f"({_names_text(diff.adopted)}); apply records {it} without an upload"
        )
        yield _note(f"{kind}_adopted", message, diff.adopted)
    if renamed := tuple(o for o in diff.taken_over if o.manifest == former_manifest):
        message = (
            f"{_count_text(renamed, 'file')} recorded for {former_manifest}, the name of this manifest before its folder was "
            f"a git repository ({_names_text(renamed)}); apply records the new name"
        )
        yield _note(f"{kind}_manifest_renamed", message, renamed)
    if taken_over := tuple(o for o in diff.taken_over if o.manifest != former_manifest):
        message = (
            f"takes over {_count_text(taken_over, 'file')} that {_manifests_text(taken_over, manifest)} deployed: "
            f"{_names_text(taken_over)}"
        )
        yield _note(f"{kind}_taken_over", message, taken_over, Severity.WARNING)
    if diff.foreign:
        message = (
            f"{_count_text(diff.foreign, 'live file')} deployed by {_manifests_text(diff.foreign, manifest)}, kept: "
            f"{_names_text(diff.foreign)}"
        )
        yield _note(f"{kind}_foreign", message, diff.foreign)


def retired_notes(kind: str, retired: Objects, seconds: float) -> Iterator[Note]:
    """Until when the site's files that have left the folder are kept, `seconds` after they left.

    `kind` is where they are: `static` or `storage`.
    """
    if not retired:
        return
    ends = sorted((each.retired_at or 0.0) + seconds for each in retired)
    last = f" to {_time_text(ends[-1])}" if _time_text(ends[-1]) != _time_text(ends[0]) else ""
    it = "it" if len(retired) == 1 else "them"
    message = (
        f"{_count_text(retired, 'file')} no longer in the folder, kept until {_time_text(ends[0])}{last} "
        f"({_names_text(retired)}); an apply after that deletes {it}"
    )
    yield _note(f"{kind}_retired", message, retired)


def _time_text(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def removed_section_notes(
    desired: Snapshot,
    live: Snapshot,
    unproven: Mapping[str, UnprovenRows],
    generated: Collection[str] = (),
    *,
    has_storage: bool,
) -> Iterator[Note]:
    """What earlier deploys of this manifest left in sections that it doesn't have any longer.

    `unproven` are rows by kind; those with a proof of another API key are named. `generated` are static files that were
    made from another section. `has_storage` is whether the manifest has a storage section: without one, desired storage
    files are the site's.
    """
    if desired.static is None:
        found = _left_live(live.static or {}, desired.manifest)
        made = tuple(o for o in found if o.path in generated)
        remedy = "to delete {them}, add the section again with an empty folder and `prune: true`, and apply"
        yield from _removed_note("static", tuple(o for o in found if o not in made), remedy)
        if made:
            yield _note("static_left_out", _generated_text(made), made)
    if not has_storage:
        remedy = "`mosaic-deploy storage rm --left` deletes {them}; so does an apply with `storage: {{prune: true}}`"
        left = _left_live(live.storage or {}, desired.manifest)
        if desired.storage is not None:
            left = tuple(o for o in left if not o.path.startswith(SITE_STORAGE_PREFIX))
        yield from _removed_note("storage", left, remedy)
    for kind in ("static", "storage"):
        rows = unproven[kind].other_key if kind in unproven else ()
        if getattr(desired, kind) is None and rows:
            message = (
                f"the manifest has no {kind} section; {_count_text(rows, 'file')} deployed with another API key, as before a "
                f"rotation, may still be live: {_names_text(rows)}"
            )
            yield _note(f"{kind}_other_key", message, rows)


def _left_live(live: Mapping[str, Object], manifest: str) -> Objects:
    return tuple(
        sorted(
            (o for o in live.values() if o.state not in NOT_LIVE_STATES and not is_foreign(o, manifest)),
            key=lambda o: o.path,
        )
    )


def _removed_note(kind: str, left: Objects, remedy: str) -> Iterator[Note]:
    if not left:
        return
    stays, them = ("stays", "it") if len(left) == 1 else ("stay", "them")
    message = (
        f"the manifest has no {kind} section; {_count_text(left, f'{kind} file')} of earlier deploys {stays} live "
        f"({_names_text(left)}); {remedy.format(them=them)}"
    )
    yield _note(f"{kind}_section_removed", message, left)


NOT_BUILT_UPON = frozenset(
    {
        "commit_forked",
        "commit_older",
        "commit_missing",
        "commit_shallow",
        "commit_unknown",
        "live_commit_dirty",
    }
)
"""Codes of notes: the folder may not have what the last deploy made live."""


def replaced_work_note(changes: Iterable[Change], last: Mapping[str, Any]) -> Note | None:
    """Which live files of the last deploy a plan replaces or deletes. To be shown with one of NOT_BUILT_UPON."""
    done = frozenset((last.get("report") or {}).get("done") or ())
    found = [
        change
        for change in changes
        if isinstance(change, Put | Delete) and change.action is not Action.ADD and change.address in done
    ]
    if not found:
        return None
    objects = tuple(Object(change.path, "", 0) for change in found)
    when, who = age_text(str(last.get("finished_at"))), last.get("holder")
    message = (
        f"replaces or deletes {_count_text(objects, 'file')} of the last deploy ({when}, by {who}), which this folder may not have: "
        f"{_names_text(objects)}"
    )
    addresses = tuple(change.address for change in found[:_MAX_ADDRESSES])
    return Note("work_replaced", message, Severity.WARNING, addresses)


def _generated_text(left_out: Objects) -> str:
    return (
        f"{_names_text(left_out)} stays live: the manifest has no auth section, so it doesn't manage the sign-in "
        "settings; static.prune: all deletes it"
    )


def _kept_text(section: str, kept: Objects, cannot_delete: bool) -> str:
    stay, them = ("stays", "it") if len(kept) == 1 else ("stay", "them")
    remedy = f"set {section}.prune: true to delete {them}"
    if cannot_delete:
        remedy = f"the platform's API offers no way to delete {them}"
    return f"{_count_text(kept, 'file')} no longer in the folder {stay} live ({_names_text(kept)}); {remedy}"


def _note(code: str, message: str, objects: Objects, severity: Severity = Severity.INFO) -> Note:
    kind = code.partition("_")[0]
    return Note(code, message, severity, tuple(f"{kind}:{o.path}" for o in objects[:_MAX_ADDRESSES]))


def _names_text(objects: Objects) -> str:
    names = [o.path if o.path.isprintable() else ascii(o.path) for o in objects[:_MAX_NAMES]]
    return ", ".join([*names, *(["…"] if len(objects) > _MAX_NAMES else [])])


def _manifests_text(objects: Objects, manifest: str) -> str:
    return ", ".join(manifest_texts((o.manifest for o in objects), manifest))


def _count_text(objects: Objects, noun: str) -> str:
    return f"1 {noun}" if len(objects) == 1 else f"{len(objects)} {noun}s"

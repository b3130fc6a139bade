"""The seeds to run, those that were run under another name, and whose the recorded ones are.

A project may have several manifests. Each counts only its own rows; rows from before manifests were recorded count for all.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from mosaic_deploy.diff.history.matching import name_without_number
from mosaic_deploy.diff.ledger_cleanup import LedgerCleanup
from mosaic_deploy.diff.objects import is_foreign
from mosaic_deploy.model.change import Action, RunRepeatable, RunSeed
from mosaic_deploy.model.manifest_identity import other_repository, path_of, repository_of
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Object, Objects, Snapshot

_SIMILAR = 0.75
"""Of the names of two seeds, as difflib's ratio."""


def foreign_seeds(desired: Snapshot, live: Snapshot) -> tuple[Object, ...]:
    """The recorded seeds of other manifests that have a desired name: the record has one row for each name."""
    rows = ((live.seeds or {}).get(path) for path in desired.seeds or ())
    return tuple(row for row in rows if row and not (_is_own(row, desired) or _is_same_file(row, desired)))


def diff_seeds(desired: Snapshot, live: Snapshot) -> Iterator[RunSeed]:
    """The seeds to run, in the desired order. Seeds no longer listed are not undone."""
    renamed, known = renamed_seeds(desired, live), _own_rows(desired, live)
    for path, wanted in (desired.seeds or {}).items():
        found = known.get(path)
        if path in renamed or (found and found.sha256 == wanted.sha256):
            continue
        if path in desired.repeatable:
            action, reason = (Action.CHANGE, "changed; runs again") if found else (Action.ADD, "not run yet")
            yield RunRepeatable(path, wanted.sha256, wanted.size, action, reason)
        elif found is None:
            yield RunSeed(path, wanted.sha256, wanted.size, Action.ADD, "not run yet")
        else:
            reason = "content changed; runs again, on top of what it did before"
            yield RunSeed(path, wanted.sha256, wanted.size, Action.CHANGE, reason)


def renamed_seeds(desired: Snapshot, live: Snapshot) -> Mapping[str, str]:
    """New path → the path under which a seed with this content was run, and which has it no longer."""
    wanted, known = desired.seeds or {}, _own_rows(desired, live)
    left: dict[str, list[str]] = {}
    for path, found in known.items():
        if path not in wanted or wanted[path].sha256 != found.sha256:
            left.setdefault(found.sha256, []).append(path)
    renamed: dict[str, str] = {}
    for path, item in wanted.items():
        if path in known and known[path].sha256 == item.sha256:
            continue
        # A file that was there before may only have exchanged its content; else going back to an old one is an edit.
        old = next((each for each in left.get(item.sha256, ()) if path not in known or each in wanted), None)
        if old is not None:
            renamed[path] = old
            left[item.sha256].remove(old)
    return renamed


def edited_renames(desired: Snapshot, live: Snapshot, renamed: Mapping[str, str]) -> Mapping[str, str]:
    """New seed → the likeliest one that was run and is gone, if their names are similar. `renamed` are those with the same content."""
    wanted, known = desired.seeds or {}, _own_rows(desired, live)
    gone = known.keys() - wanted.keys() - set(renamed.values())
    found: dict[str, str] = {}
    for path in wanted:
        if path in known or path in renamed or path in desired.repeatable:
            continue
        by_name = {_bare_name(old): old for old in sorted(gone)}
        for near in get_close_matches(_bare_name(path), by_name, 1, _SIMILAR):
            found[path] = by_name[near]
            gone = gone - {found[path]}
    return found


def _bare_name(path: str) -> str:
    """`users` of `seeds/01_users.sql`."""
    return name_without_number(posixpath.basename(path)).removesuffix(".sql").strip("_-.")


def seed_cleanup(desired: Snapshot, live: Snapshot) -> LedgerCleanup:
    """Records renamed seeds as run under their new names."""
    wanted, renamed = desired.seeds or {}, renamed_seeds(desired, live)
    return LedgerCleanup(
        forget=tuple(old for old in renamed.values() if old not in wanted),
        mark=tuple(wanted[path] for path in renamed),
    )


def moved_seeds(desired: Snapshot, live: Snapshot) -> tuple[Object, ...]:
    """The recorded seeds of the desired manifest under the name that it had before."""
    return tuple(row for row in (live.seeds or {}).values() if _was_moved(row, desired))


def seed_notes(desired: Snapshot, live: Snapshot) -> Iterator[Note]:
    renamed = renamed_seeds(desired, live)
    for path, old in edited_renames(desired, live, renamed).items():
        message = (
            f"{path} is new, and {old}, which was run, is gone: if it was renamed and edited, all of it runs again, on top of what it "
            "did before; put new statements into another seed"
        )
        yield Note("seed_renamed_and_edited", message, Severity.WARNING, (f"seed:{path}",))
    for path, old in renamed.items():
        message = f"{path} was run as {old}, so it doesn't run again"
        kind = "repeatable" if path in desired.repeatable else "seed"
        yield Note("seed_renamed", message, Severity.INFO, (f"{kind}:{path}",))


def _own_rows(desired: Snapshot, live: Snapshot) -> Objects:
    """The recorded seeds that count for the desired manifest."""
    wanted = desired.seeds or {}
    return {
        path: row
        for path, row in (live.seeds or {}).items()
        if _is_own(row, desired) or (path in wanted and _is_same_file(row, desired))
    }


def _is_own(row: Object, desired: Snapshot) -> bool:
    return not is_foreign(row, desired.manifest) or _was_moved(row, desired)


def _was_moved(row: Object, desired: Snapshot) -> bool:
    """Whether it is recorded for the manifest under the name that it had before."""
    return is_foreign(row, desired.manifest) and row.manifest in (desired.former_manifest, desired.moved_from)


def _is_same_file(row: Object, desired: Snapshot) -> bool:
    """Whether it is recorded for another manifest of the same folder: then a path names the same seed for both."""
    folders = {posixpath.dirname(path_of(each)) for each in (row.manifest, desired.manifest)}
    return len(folders) == 1 and not other_repository(
        repository_of(row.manifest), repository_of(desired.manifest)
    )

"""What in a plan must be approved: by a person, or with an `--allow` of exactly that value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.change import (
    Action,
    ApplyMigration,
    Change,
    Delete,
    DeleteStatic,
    DeleteStorageFile,
    LoosenPolicy,
    Put,
    PutStatic,
    PutStorageFile,
    RunSeed,
    RunsSql,
    SetAuth,
)
from mosaic_deploy.model.effects import TableWrite
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.quantities import count_text

DESTRUCTIVE, PRUNE, OVERWRITE, POLICY = "destructive", "prune", "overwrite", "policy"
"""The kinds of approval. PRUNE and OVERWRITE are approved by their exact number: `--allow prune=37`."""
PROOF = "proof"
"""Of an agent's plan that isn't proven. No value of `--allow` approves it."""
_FILE_KINDS: tuple[tuple[type[Put], type[Delete], str], ...] = (
    (PutStatic, DeleteStatic, "static file"),
    (PutStorageFile, DeleteStorageFile, "storage file"),
)


@dataclass(frozen=True, slots=True)
class Approval:
    """One kind of harm that a plan does. `allow` is the value of `--allow` that approves it.

    `effect` says what the plan does: `deletes 4 files: all static files that were live`.
    """

    kind: str
    allow: str
    effect: str
    problems: tuple[Problem, ...] = ()


def required_approvals(
    changes: Sequence[Change], to_confirm: Sequence[Hazard], live_counts: Mapping[str, int]
) -> tuple[Approval, ...]:
    """The approvals that a plan needs. `live_counts` are the files, by kind of change, that its manifest controls live."""
    return (
        *_loosening(changes),
        *_overwriting(changes),
        *_pruning(changes, live_counts),
        *_destroying(to_confirm),
    )


def agent_approvals(
    changes: Sequence[Change],
    live_counts: Mapping[str, int],
    writes: Sequence[TableWrite] = (),
    migrations: str = ".",
) -> tuple[Approval, ...]:
    """What an agent needs approved besides: updating rows that are there, and deleting or replacing any live file, also one
    that this project deployed.

    The values of `allow` are those of `mosaic-deploy mcp`, without a number: DESTRUCTIVE, PRUNE and OVERWRITE. `writes` are what a
    rehearsal saw, `migrations` is the migrations folder.
    """
    return (*_updating(changes, writes, migrations), *_replacing(changes), *_deleting(changes, live_counts))


def overwrite_count(changes: Sequence[Change]) -> int:
    return sum(
        1
        for change in changes
        if isinstance(change, PutStatic | PutStorageFile | SetAuth) and change.overwrites
    )


def prune_count(changes: Sequence[Change], live_counts: Mapping[str, int]) -> int:
    """The number of deletions if they must be approved, else 0."""
    deletes = unapproved_deletions(changes)
    return len(deletes) if any(_prune_reasons(changes, deletes, live_counts)) else 0


def unapproved_deletions(changes: Sequence[Change]) -> list[Delete]:
    """The deletions of now and of later, without those that were approved when their files left the folder."""
    return [change for change in changes if isinstance(change, Delete) and not change.approved]


def _loosening(changes: Sequence[Change]) -> Iterator[Approval]:
    for change in changes:
        if isinstance(change, LoosenPolicy):
            yield Approval(POLICY, POLICY, f"loosens the policy of the last deploy ({change.reason})")


def _overwriting(changes: Sequence[Change]) -> Iterator[Approval]:
    found = [
        change
        for change in changes
        if isinstance(change, PutStatic | PutStorageFile | SetAuth) and change.overwrites
    ]
    if not found:
        return
    files = sum(not isinstance(change, SetAuth) for change in found)
    what = [
        *([f"{count_text(files, 'live file')} that this project didn't deploy"] if files else []),
        *(["auth settings that this project didn't deploy"] if files < len(found) else []),
    ]
    problems = tuple(
        Problem(change.reason, Location(change.address if isinstance(change, SetAuth) else change.path))
        for change in found
    )
    yield Approval(OVERWRITE, f"{OVERWRITE}={len(found)}", f"overwrites {' and '.join(what)}", problems)


def _pruning(changes: Sequence[Change], live_counts: Mapping[str, int]) -> Iterator[Approval]:
    deletes = unapproved_deletions(changes)
    if reasons := list(_prune_reasons(changes, deletes, live_counts)):
        files = count_text(len(deletes), "file")
        others = sum(change.unmanaged for change in deletes)
        if len(reasons) == 1 and others == len(deletes):
            effect = f"deletes {files} that this manifest didn't deploy, or that changed since"
        else:
            effect = f"deletes {files}: {'; '.join(reasons)}"
        yield Approval(PRUNE, f"{PRUNE}={len(deletes)}", effect)


def _prune_reasons(
    changes: Sequence[Change], deletes: Sequence[Delete], live_counts: Mapping[str, int]
) -> Iterator[str]:
    for put_kind, delete_kind, noun in _FILE_KINDS:
        paths = [change.path for change in deletes if isinstance(change, delete_kind)]
        total = live_counts.get(delete_kind.kind, 0)
        added = [change.path for change in changes if isinstance(change, put_kind)]
        if not paths:
            continue
        if len(paths) >= total:
            yield f"all {noun}s that were live" if len(paths) > 1 else f"the only live {noun}"
        elif 2 * (len(paths) - _replaced_count(paths, added)) > total:
            yield f"{len(paths)} of the {total} live {noun}s"
    if unmanaged := sum(change.unmanaged for change in deletes):
        were = "was" if unmanaged == 1 else "were"
        yield f"{unmanaged} of them {were} not deployed by this manifest, or changed since"


def _updating(changes: Sequence[Change], writes: Sequence[TableWrite], migrations: str) -> Iterator[Approval]:
    files = {
        change.address: sql_path(change, migrations) for change in changes if isinstance(change, RunsSql)
    }
    found = {
        table: files[change.address]
        for change in changes
        if isinstance(change, RunsSql)
        for table in change.updates
    }
    found.update((write.table, files[write.address]) for write in writes if write.address in files)
    if found:
        problems = tuple(Problem(f"updates rows of {table}", Location(file)) for table, file in found.items())
        yield Approval(DESTRUCTIVE, DESTRUCTIVE, f"updates rows of {', '.join(found)}", problems)


def sql_path(change: RunsSql, migrations: str) -> str:
    """The path of its file in the project folder. `migrations` is that of the migrations folder."""
    return change.path if isinstance(change, RunSeed) else str(PurePosixPath(migrations) / change.file)


def destroys_rows(change: Change, migrations: str, destroying: Collection[str]) -> bool:
    """Whether it runs one of the files `destroying`, which drops no object as far as its text says."""
    if not isinstance(change, ApplyMigration | RunSeed) or change.destroys:
        return False
    return sql_path(change, migrations) in destroying


def _replacing(changes: Sequence[Change]) -> Iterator[Approval]:
    found = [
        change
        for change in changes
        if isinstance(change, Put) and change.action is Action.CHANGE and not change.overwrites
    ]
    if found:
        yield Approval(
            OVERWRITE, OVERWRITE, f"replaces {count_text(len(found), 'live file')}", _at_paths(found)
        )


def _deleting(changes: Sequence[Change], live_counts: Mapping[str, int]) -> Iterator[Approval]:
    deletes = unapproved_deletions(changes)
    if deletes and not any(_prune_reasons(changes, deletes, live_counts)):
        yield Approval(PRUNE, PRUNE, f"deletes {count_text(len(deletes), 'live file')}", _at_paths(deletes))


def _at_paths(changes: Sequence[Put | Delete]) -> tuple[Problem, ...]:
    return tuple(Problem(change.reason, Location(change.path)) for change in changes)


_DIGEST = re.compile(r"(?=.*[0-9A-Z])(?=.*[a-zA-Z])(?=.*[0-9a-z])[A-Za-z0-9_-]{8,}")
_WORD = r"(?:[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+)"
_WORDS = re.compile(rf"{_WORD}(?:[-_]{_WORD})*")
"""Words and numbers, with hyphens or underscores between them: `my-first-post-2023`, `IMG_20230101`, `chapter10`."""


def _replaced_count(deleted: Sequence[str], added: Sequence[str]) -> int:
    """How many deleted files a build has replaced by files with another digest in their names.

    Counted per top folder and ending, because builds also rename the folders in between.
    """
    before, after = (Counter(filter(None, map(_build_group, paths))) for paths in (deleted, added))
    return sum((before & after).values())


def _build_group(path: str) -> tuple[str, str] | None:
    """The top folder and ending of a file whose name or folder has a digest; None for other files."""
    folder, _, _ = path.partition("/")
    stem, dot, ending = path.rpartition(".")
    parts = re.split(r"[/.]", stem)
    if not dot or not any(_is_digest(part) for part in parts):
        return None
    return (folder if "/" in path else "", ending)


def _is_digest(part: str) -> bool:
    """Whether the part, or what follows one of its hyphens, looks like a digest: `BfKCHzrZ` in `index-BfKCHzrZ`."""
    words = part.split("-")
    ends = ("-".join(words[first:]) for first in range(len(words)))
    return any(_DIGEST.fullmatch(end) and not _WORDS.fullmatch(end) for end in ends)


def _destroying(to_confirm: Sequence[Hazard]) -> Iterator[Approval]:
    if to_confirm:
        more = f", and {len(to_confirm) - 1} more" if len(to_confirm) > 1 else ""
        problems = tuple(Problem(hazard.message, hazard.location) for hazard in to_confirm)
        yield Approval(DESTRUCTIVE, DESTRUCTIVE, f"destroys data ({to_confirm[0].message}{more})", problems)

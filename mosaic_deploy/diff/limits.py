"""Storage quota and file size limits, checked against a plan's uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from mosaic_deploy.errors import Location, Problem, QuotaExceeded, SourceRefused
from mosaic_deploy.model.change import Change, DeleteStorageFile, PutStatic, PutStorageFile
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, Objects, StorageUsage

_WARN_RATIO = 0.9
_MAX_SHOWN = 5
_BINARY_TOLERANCE = 1.1
"""A limit reported as `1 TB` may mean 1,099,511,627,776 bytes, so such limits are read with 10% tolerance."""


def added_bytes(changes: Sequence[Change], live: Objects) -> int:
    """Net growth of storage in bytes after the uploads, before any deletion."""
    puts = [change for change in changes if isinstance(change, PutStorageFile)]
    return sum(put.size - _live_size(live.get(put.path)) for put in puts)


def quota_notes(changes: Sequence[Change], live: Objects, usage: StorageUsage | None) -> tuple[Note, ...]:
    """A note on storage usage if the plan uploads storage files. Raises QuotaExceeded."""
    puts = [change for change in changes if isinstance(change, PutStorageFile)]
    if usage is None or not puts:
        return ()
    added = added_bytes(puts, live)
    _raise_over_quota(usage, added, ((put.path, put.size, put.reason) for put in puts))
    freed = sum(_live_size(live.get(one.path)) for one in changes if isinstance(one, DeleteStorageFile))
    grown = added - freed
    change = f"adds {size_text(grown)}" if grown >= 0 else f"frees {size_text(-grown)}"
    message = f"storage: {size_text(usage.used)} of {size_text(usage.limit)} used; this apply {change}"
    # Files are deleted last.
    tight = usage.used + added > usage.limit * _WARN_RATIO
    return (Note("storage_usage", message, Severity.WARNING if tight else Severity.INFO),)


def refuse_over_quota(
    sizes: Mapping[str, int], listed: Mapping[str, int | None], usage: StorageUsage
) -> None:
    """Raises QuotaExceeded if files of these sizes can't fit, whatever their content.

    `sizes` and `listed` (live) are in bytes by name; a file with an unchanged size counts as adding nothing.
    """
    growth = {
        name: size - there for name, size in sizes.items() if (there := listed.get(name, 0)) is not None
    }
    files = (
        (name, sizes[name], "replaced" if name in listed else "new")
        for name, added in growth.items()
        if added
    )
    _raise_over_quota(usage, sum(growth.values()), files)


def _live_size(found: Object | None) -> int:
    """Size in bytes of the live file that an upload replaces; 0 without one."""
    if found is None or found.state in NOT_LIVE_STATES:
        return 0
    return found.size if found.listed_size is None else found.listed_size


def _raise_over_quota(usage: StorageUsage, added: int, files: Iterable[tuple[str, int, str]]) -> None:
    """Raises QuotaExceeded if `added` bytes don't fit; `files` are (name, size, reason) of the uploads."""
    if added <= 0 or usage.used + added <= (usage.limit if usage.exact else usage.limit * _BINARY_TOLERANCE):
        return
    largest = sorted(files, key=lambda file: -file[1])[:_MAX_SHOWN]
    raise QuotaExceeded(
        f"storage quota exceeded: {size_text(usage.used)} of {size_text(usage.limit)} used, and this apply would "
        f"add {size_text(added)}",
        problems=[Problem(f"{size_text(size)}, {why}", Location(name)) for name, size, why in largest],
        hint="leave files out with storage.exclude, prune old files first, or get more storage "
        "(only the largest files of this plan are listed)",
    )


ALWAYS_ACCEPTED_SIZE = 1024 * 1024
"""Static files up to this size (bytes) are accepted by every platform, so its limit is fetched only for larger ones."""


def large_puts(changes: Sequence[Change]) -> list[PutStatic]:
    """The static files of a plan that may exceed the platform's limit."""
    return [
        change for change in changes if isinstance(change, PutStatic) and change.size > ALWAYS_ACCEPTED_SIZE
    ]


def refuse_too_large(
    puts: Sequence[PutStatic], limit: int | None, shown: Mapping[str, str], hint: Callable[[str], str]
) -> None:
    """Raises SourceRefused for files over `limit` bytes, if it is known.

    `shown`: paths to display, by name. `hint` says what to do about the file of a name.
    """
    if limit is None:
        return
    problems = [
        Problem(
            f"is {put.size:,} bytes; this platform accepts static files up to {limit:,} bytes",
            Location(shown.get(put.path, put.path)),
            hint=hint(put.path),
        )
        for put in puts
        if put.size > limit
    ]
    if problems:
        raise SourceRefused("some files are too large for this platform's static hosting", problems=problems)

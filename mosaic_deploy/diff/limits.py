"""Whether what a plan puts into storage fits there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mosaic_deploy.errors import Location, Problem, QuotaExceeded, SourceRefused
from mosaic_deploy.model.change import Change, PutStatic, PutStorageFile
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, Objects, StorageUsage

_WARN_RATIO = 0.9
_MAX_SHOWN = 5
_BINARY_TOLERANCE = 1.1
"""How much more than its decimal reading a limit told as `1 TB` may be: 1,099,511,627,776 bytes."""


def added_bytes(changes: Sequence[Change], live: Objects) -> int:
    """Bytes that storage will hold more once the puts are done; what is deleted after them is not counted."""
    puts = [change for change in changes if isinstance(change, PutStorageFile)]
    return sum(put.size - _live_size(live.get(put.path)) for put in puts)


def quota_notes(changes: Sequence[Change], live: Objects, usage: StorageUsage | None) -> tuple[Note, ...]:
    """Storage used, allowed and added, where a plan puts something there. Raises QuotaExceeded."""
    puts = [change for change in changes if isinstance(change, PutStorageFile)]
    if usage is None or not puts:
        return ()
    added = added_bytes(puts, live)
    after = usage.used + added
    _raise_over_quota(usage, added, ((put.path, put.size, put.reason) for put in puts))
    told = f"{size_text(usage.used)} of {size_text(usage.limit)} are used, and this apply adds {_signed_size_text(added)}"
    tight = after > usage.limit * _WARN_RATIO
    return (Note("storage_usage", f"storage: {told}", Severity.WARNING if tight else Severity.INFO),)


def refuse_over_quota(
    sizes: Mapping[str, int], listed: Mapping[str, int | None], usage: StorageUsage
) -> None:
    """Raises QuotaExceeded where files of these sizes, by name, can't fit whatever is in them.

    A file of the size that is listed under its name adds nothing, be it the same or another.
    """
    more = {name: size - there for name, size in sizes.items() if (there := listed.get(name, 0)) is not None}
    why = (
        (name, sizes[name], "replaced" if name in listed else "new") for name, added in more.items() if added
    )
    _raise_over_quota(usage, sum(more.values()), why)


def _live_size(found: Object | None) -> int:
    """Bytes that are live under a name and will be replaced."""
    if found is None or found.state in NOT_LIVE_STATES:
        return 0
    return found.size if found.listed_size is None else found.listed_size


def _signed_size_text(size: int) -> str:
    return f"-{size_text(-size)}" if size < 0 else size_text(size)


def _raise_over_quota(usage: StorageUsage, added: int, files: Iterable[tuple[str, int, str]]) -> None:
    """Raises QuotaExceeded where `added` bytes don't fit; `files` are those of the plan: name, size, why."""
    if added <= 0 or usage.used + added <= (usage.limit if usage.exact else usage.limit * _BINARY_TOLERANCE):
        return
    largest = sorted(files, key=lambda file: -file[1])[:_MAX_SHOWN]
    raise QuotaExceeded(
        f"storage has room for {size_text(usage.limit)}; {size_text(usage.used)} are used, and this apply would "
        f"add {size_text(added)}",
        problems=[Problem(f"{size_text(size)}, {why}", Location(name)) for name, size, why in largest],
        hint="leave files out with storage.exclude, prune what is no longer wanted first, or get more storage; "
        "the largest files of this plan are shown",
    )


ALWAYS_ACCEPTED_SIZE = 1024 * 1024
"""Bytes of a static file that every platform takes: its limit is asked for only where a plan sends a larger one."""


def large_puts(changes: Sequence[Change]) -> list[PutStatic]:
    """The static files a plan sends that are large enough for the platform's limit to matter."""
    return [
        change for change in changes if isinstance(change, PutStatic) and change.size > ALWAYS_ACCEPTED_SIZE
    ]


def refuse_too_large(puts: Sequence[PutStatic], limit: int | None, shown: Mapping[str, str]) -> None:
    """Raises SourceRefused for files over the told limit; without one nothing is known. `shown`: places on disk by name."""
    if limit is None:
        return
    problems = [
        Problem(
            f"{put.size:,} bytes, and this platform takes static files of at most {limit:,}",
            Location(shown.get(put.path, put.path)),
            hint="move it to the storage folder, or leave it out with static.exclude",
        )
        for put in puts
        if put.size > limit
    ]
    if problems:
        raise SourceRefused("some files are too large for this platform's static hosting", problems=problems)

"""Static files that are larger than the platform says it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mosaic_deploy.errors import Location, Problem, SourceRefused
from mosaic_deploy.model.change import Change, PutStatic

UNASKED = 1024 * 1024
"""Bytes of a static file that every platform takes: its limit is asked for only where a plan sends a larger one."""


def large_puts(changes: Sequence[Change]) -> list[PutStatic]:
    """The static files a plan sends that are large enough for the platform's limit to matter."""
    return [change for change in changes if isinstance(change, PutStatic) and change.size > UNASKED]


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

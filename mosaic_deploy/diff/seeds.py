"""Seeds: which contents have not been run yet."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.change import Action, RunSeed
from mosaic_deploy.model.snapshot import Objects


def diff_seeds(desired: Objects | None, live: Objects | None) -> Iterator[RunSeed]:
    """The seeds to run, in the desired order. What a seed no longer named has done stays."""
    for path, wanted in (desired or {}).items():
        found = (live or {}).get(path)
        if found is None:
            yield RunSeed(path, wanted.sha256, wanted.size, Action.ADD, "not run yet")
        elif found.sha256 != wanted.sha256:
            yield RunSeed(path, wanted.sha256, wanted.size, Action.CHANGE, "content changed")

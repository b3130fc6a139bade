"""The seeds to run, and those that were run under another name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mosaic_deploy.diff.ledger_cleanup import LedgerCleanup
from mosaic_deploy.model.change import Action, RunSeed
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Objects


def diff_seeds(desired: Objects | None, live: Objects | None) -> Iterator[RunSeed]:
    """The seeds to run, in the desired order. Seeds no longer listed are not undone."""
    renamed = renamed_seeds(desired, live)
    for path, wanted in (desired or {}).items():
        found = (live or {}).get(path)
        if path in renamed or (found and found.sha256 == wanted.sha256):
            continue
        if found is None:
            yield RunSeed(path, wanted.sha256, wanted.size, Action.ADD, "not run yet")
        else:
            reason = "content changed; runs again, on top of what it did before"
            yield RunSeed(path, wanted.sha256, wanted.size, Action.CHANGE, reason)


def renamed_seeds(desired: Objects | None, live: Objects | None) -> Mapping[str, str]:
    """New path → the path under which a seed with this content was run, and which has it no longer."""
    wanted, known = desired or {}, live or {}
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


def seed_cleanup(desired: Objects | None, live: Objects | None) -> LedgerCleanup:
    """Records renamed seeds as run under their new names."""
    wanted = desired or {}
    renamed = renamed_seeds(desired, live)
    return LedgerCleanup(
        forget=tuple(old for old in renamed.values() if old not in wanted),
        mark=tuple(wanted[path] for path in renamed),
    )


def seed_notes(desired: Objects | None, live: Objects | None) -> Iterator[Note]:
    for path, old in renamed_seeds(desired, live).items():
        message = f"{path} was run as {old}, so it doesn't run again"
        yield Note("seed_renamed", message, Severity.INFO, (f"seed:{path}",))

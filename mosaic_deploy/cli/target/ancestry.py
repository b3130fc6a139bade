"""How the commit to deploy relates to the live one, and the files to the commit, asked of git."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mosaic_deploy.cli.target.commit import read_commit, uncommitted_files
from mosaic_deploy.diff.policy import COMMIT_MISSING, COMMIT_OLDER, COMMIT_SHALLOW
from mosaic_deploy.git import repository_root, run_git
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text

_SHORT = 12
_SHALLOW = "this clone is shallow; fetch the whole history (`fetch-depth: 0` of actions/checkout)"

_MISSING = "git doesn't have"


def commit_comparison(manifest: Manifest) -> Callable[[str | None, bool], list[Note]]:
    """Compares the commit of the manifest's folder with the live one, and the folder with its commit.

    The function returned takes the live commit, and whether that deploy had uncommitted changes.
    """

    def compare(live: str | None, live_uncommitted: bool) -> list[Note]:
        ours = read_commit(manifest.root)
        return [] if ours is None else list(_notes(manifest, ours, live, live_uncommitted=live_uncommitted))

    return compare


def _notes(manifest: Manifest, ours: str, live: str | None, *, live_uncommitted: bool) -> Iterator[Note]:
    if live and ours != live:
        # Outside a repository, git says that there is none.
        root = repository_root(manifest.root) or manifest.root
        if note := _compare(root, ours, live):
            yield note
    if changed := uncommitted_files(manifest):
        others = f" and {count_text(len(changed) - 1, 'other path')}" if len(changed) > 1 else ""
        verb = "differ" if others else "differs"
        message = (
            f"{changed[0]}{others} {verb} from commit {ours[:_SHORT]}; the history marks this deploy as dirty"
        )
        yield Note("commit_dirty", message)
    elif live and live_uncommitted:
        message = f"the live files may differ from commit {live[:_SHORT]}: its deploy had uncommitted changes"
        yield Note("live_commit_dirty", message)


def _compare(folder: Path, ours: str, live: str) -> Note | None:
    shown, shown_live = ours[:_SHORT], live[:_SHORT]
    if _is_ancestor(folder, live, ours):
        return None
    if _is_ancestor(folder, ours, live):
        message = f"{shown} is older than the live commit {shown_live}: this deploy would replace newer work with older"
        return Note(COMMIT_OLDER, message, Severity.WARNING)
    if reason := _why_unknown(folder, ours, live):
        message = f"it isn't known whether {shown} is newer than the live commit {shown_live}: {reason}"
        code = COMMIT_SHALLOW if reason == _SHALLOW else "commit_unknown"
        return Note(COMMIT_MISSING if reason.startswith(_MISSING) else code, message, Severity.WARNING)
    message = f"{shown} and the live commit {shown_live} have forked: what is only in {shown_live} would be replaced"
    return Note("commit_forked", message, Severity.WARNING)


def _why_unknown(folder: Path, ours: str, live: str) -> str | None:
    """Why git can't compare the commits; None if it can."""
    shallow = run_git(folder, "rev-parse", "--is-shallow-repository")
    if shallow is None:
        return "git isn't installed here, or doesn't answer"
    if "dubious ownership" in shallow.stderr:
        return (
            "git doesn't read this repository, because it belongs to another user; if you trust it, run "
            "`git config --global --add safe.directory DIRECTORY`"
        )
    if shallow.returncode != 0:
        return f"git can't read the repository ({_first_line(shallow.stderr)})"
    if shallow.stdout.strip() == "true":
        return _SHALLOW
    for commit in (live, ours):
        found = run_git(folder, "cat-file", "-e", f"{commit}^{{commit}}")
        if found is None or found.returncode != 0:
            return f"{_MISSING} {commit[:_SHORT]} here; `git fetch` may get it"
    return None


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "no reason given")


def _is_ancestor(folder: Path, older: str, newer: str) -> bool:
    found = run_git(folder, "merge-base", "--is-ancestor", older, newer)
    return found is not None and found.returncode == 0

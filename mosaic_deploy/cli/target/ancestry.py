"""Whether the commit to deploy is newer than the live one, asked of git."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mosaic_deploy.cli.target.commit import read_commit
from mosaic_deploy.diff.policy import COMMIT_OLDER, COMMIT_SHALLOW
from mosaic_deploy.git import repository_root, run_git
from mosaic_deploy.model.plan import Note, Severity

_SHORT = 12
_SHALLOW = "this clone is shallow; fetch the whole history (`fetch-depth: 0` of actions/checkout)"


def commit_comparison(folder: Path) -> Callable[[str], Note | None]:
    """Compares the commit of `folder` with a live one: a note unless it is the same or newer."""

    def compare(live: str) -> Note | None:
        ours = read_commit(folder)
        # Outside a repository, git says that there is none.
        root = repository_root(folder) or folder
        return None if ours is None or ours == live else _compare(root, ours, live)

    return compare


def _compare(folder: Path, ours: str, live: str) -> Note | None:
    shown, shown_live = ours[:_SHORT], live[:_SHORT]
    if _is_ancestor(folder, live, ours):
        return None
    if _is_ancestor(folder, ours, live):
        message = f"{shown} is older than the live commit {shown_live}: this deploy would replace newer work with older"
        return Note(COMMIT_OLDER, message, Severity.WARNING)
    if reason := _why_unknown(folder, ours, live):
        message = f"it isn't known whether {shown} is newer than the live commit {shown_live}: {reason}"
        return Note(COMMIT_SHALLOW if reason == _SHALLOW else "commit_unknown", message, Severity.WARNING)
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
            return f"git doesn't have {commit[:_SHORT]} here; `git fetch` may get it"
    return None


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "no reason given")


def _is_ancestor(folder: Path, older: str, newer: str) -> bool:
    found = run_git(folder, "merge-base", "--is-ancestor", older, newer)
    return found is not None and found.returncode == 0

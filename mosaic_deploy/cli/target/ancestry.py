"""Whether the commit to deploy is newer than the live one, asked of git."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from mosaic_deploy.cli.target.commit import read_commit
from mosaic_deploy.diff.policy import COMMIT_OLDER
from mosaic_deploy.model.plan import Note, Severity

_SHORT = 12
_TIMEOUT = 10.0


def commit_comparison(folder: Path) -> Callable[[str], Note | None]:
    """Compares the commit of `folder` with a live one: a note unless it is the same or newer."""

    def compare(live: str) -> Note | None:
        ours = read_commit(folder)
        return None if ours is None or ours == live else _compare(folder, ours, live)

    return compare


def _compare(folder: Path, ours: str, live: str) -> Note | None:
    shown, shown_live = ours[:_SHORT], live[:_SHORT]
    if _is_ancestor(folder, live, ours):
        return None
    if _is_ancestor(folder, ours, live):
        message = f"{shown} is older than the live commit {shown_live}: this deploy would replace newer work with older"
        return Note(COMMIT_OLDER, message, Severity.WARNING)
    unknown = f"it isn't known whether {shown} is newer than the live commit {shown_live}"
    if _git_output(folder, "rev-parse", "--is-shallow-repository") == "true":
        message = f"{unknown}: this clone is shallow; fetch the whole history (`fetch-depth: 0` of actions/checkout)"
        return Note("commit_unknown", message, Severity.WARNING)
    for commit in (live, ours):
        if _git(folder, "cat-file", "-e", f"{commit}^{{commit}}") is None:
            message = f"{unknown}: git doesn't have {commit[:_SHORT]} here; `git fetch` may get it"
            return Note("commit_unknown", message, Severity.WARNING)
    message = f"{shown} and the live commit {shown_live} have forked: what is only in {shown_live} would be replaced"
    return Note("commit_forked", message, Severity.WARNING)


def _is_ancestor(folder: Path, older: str, newer: str) -> bool:
    return _git(folder, "merge-base", "--is-ancestor", older, newer) is not None


def _git_output(folder: Path, *arguments: str) -> str:
    return (_git(folder, *arguments) or "").strip()


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command that only reads; None if it fails or there is no git."""
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, timeout=_TIMEOUT, check=False,
            stdin=subprocess.DEVNULL, text=True, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout if ended.returncode == 0 else None
